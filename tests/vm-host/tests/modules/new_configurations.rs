//! A VM outlives the configurations of its filters: Envoy makes a new root context in it for each, and ends the one before. What
//! the host keeps for a VM as long as it lives must not grow by that, nor must the module's memory.

use crate::common::configurations::ALL;
use crate::common::host;
use seawall_vm_host::{module, Run, Step, ROOT};

const CONFIGURATIONS: u32 = 60;

/// What the host keeps a number for, and the pages of the module's memory.
fn kept(run: &Run) -> (usize, usize) {
    (run.vm.state().metrics.len(), run.vm.memory_size() >> 16)
}

#[test]
fn new_configurations_define_no_metric_anew_and_leave_no_memory_behind() {
    for configured in ALL.iter() {
        let what = format!("{}, {}", configured.filter, configured.about);
        let module = module(configured.filter);
        let state = host(configured.json);
        let mut run = Run::live(&module, state, &[Step::Start]).expect("no trap");
        assert!(run.configured, "{what}: {:?}", run.vm.state().log);
        let mut warm = None;
        for number in 1..=CONFIGURATIONS {
            let root = ROOT + number;
            let size = run.vm.state().configuration.len() as u32;
            run.vm.state_mut().streams.entry(root).or_default();
            let mut call = |name, arguments: &[u32]| {
                let answer = run.call(root, name, arguments);
                answer.unwrap_or_else(|trap| panic!("{what}: {trap:?}"))
            };
            call("proxy_on_context_create", &[root, 0]);
            assert_ne!(call("proxy_on_configure", &[root, size]), 0, "{what}");
            call("proxy_on_delete", &[root - 1]);
            // As much as two configurations need that are there at the same time.
            if number == 3 {
                warm = Some(kept(&run));
            }
        }
        assert_eq!(
            Some(kept(&run)),
            warm,
            "{what}: metrics, and pages of memory"
        );
    }
}
