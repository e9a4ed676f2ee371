//! A VM outlives the configurations of its filters: Envoy makes a new root context in it for each, and ends the one before. What
//! the host keeps for a VM as long as it lives must not grow by that, nor must the module's memory.

use crate::common::configurations::ALL;
use crate::common::host;
use crate::common::lives::request;
use seawall_vm_host::{module, Run, Step, ROOT};

const CONFIGURATIONS: u32 = 200;
/// The map of request headers.
const REQUEST: u32 = 0;

/// What there is: metrics that the host has a number for, queues, and pages of the module's memory.
fn kept(run: &Run) -> [usize; 3] {
    let state = run.vm.state();
    let pages = run.vm.memory_size() >> 16;
    [state.metrics.len(), state.queues.len(), pages]
}

/// A request under this root, whose client leaves.
fn pass(run: &mut Run, root: u32, path: &str) {
    let context = root + 1_000;
    let headers = request("GET", path);
    let count = headers.len() as u32;
    let stream = run.vm.state_mut().streams.entry(context).or_default();
    stream.maps.insert(REQUEST, headers);
    for (name, arguments) in [
        ("proxy_on_context_create", &[context, root][..]),
        ("proxy_on_request_headers", &[context, count, 1]),
        ("proxy_on_log", &[context]),
        ("proxy_on_delete", &[context]),
    ] {
        run.call(context, name, arguments).expect("no trap");
    }
    run.vm.state_mut().streams.remove(&context);
}

#[test]
fn new_configurations_leave_no_metric_no_queue_and_no_memory_behind() {
    for configured in ALL.iter() {
        let what = format!("{}, {}", configured.filter, configured.about);
        let module = module(configured.filter);
        let state = host(configured.json);
        let mut run = Run::live(&module, state, &[Step::Start]).expect("no trap");
        assert!(run.configured, "{what}: {:?}", run.vm.state().log);
        pass(&mut run, ROOT, "/0");
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
            // Both are there for a while, and both have requests.
            pass(&mut run, root, &format!("/{number}"));
            pass(&mut run, root - 1, &format!("/{number}/late"));
            run.call(root - 1, "proxy_on_delete", &[root - 1])
                .unwrap_or_else(|trap| panic!("{what}: {trap:?}"));
            // As much as two configurations need, and what lies between them.
            if number == 40 {
                warm = Some(kept(&run));
            }
        }
        let kept = Some(kept(&run));
        assert_eq!(kept, warm, "{what}: metrics, queues, pages");
    }
}
