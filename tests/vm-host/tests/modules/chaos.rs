//! A host that is wrong in many ways at once: callbacks in any order and with any arguments, contexts that do not exist, begin twice
//! or never end, clocks that jump, shared data that somebody else has spoilt, configurations one after the other, and among all that
//! ordinary requests, while host calls go wrong at random. No module traps, none grows without end, and once the host is well again
//! every request passes or is answered.

use crate::common::configurations::{Configured, ALL};
use crate::common::lives::{full, request, response};
use crate::common::{host, NOW};
use seawall_vm_host::{module, Chaos, Run, Step};

/// Lives of each configuration; more with `SEAWALL_CHAOS=100`.
fn lives() -> u64 {
    let set = std::env::var("SEAWALL_CHAOS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// Things that happen in one life.
const EVENTS: usize = 250;

/// The callbacks of the ABI, and how many arguments each has; a module has some of them.
const CALLBACKS: [(&str, usize); 16] = [
    ("proxy_on_configure", 2),
    ("proxy_on_context_create", 2),
    ("proxy_on_delete", 1),
    ("proxy_on_done", 1),
    ("proxy_on_grpc_close", 3),
    ("proxy_on_grpc_receive", 3),
    ("proxy_on_http_call_response", 5),
    ("proxy_on_log", 1),
    ("proxy_on_queue_ready", 2),
    ("proxy_on_request_body", 3),
    ("proxy_on_request_headers", 3),
    ("proxy_on_response_body", 3),
    ("proxy_on_response_headers", 3),
    ("proxy_on_response_trailers", 2),
    ("proxy_on_tick", 1),
    ("proxy_on_vm_start", 2),
];

/// Contexts, sizes, tokens, queues: those that are, and those that are not.
const NUMBERS: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 64, 70_000, u32::MAX - 1, u32::MAX];

/// Clocks in nanoseconds: the beginning and the end of what there is, and what lies around now.
fn clock(chance: &mut Chaos) -> u64 {
    let now = NOW * 1_000_000;
    match chance.below(6) {
        0 => 0,
        1 => u64::MAX - chance.below(3),
        2 => now - chance.below(now),
        _ => now + chance.below(10_000_000_000),
    }
}

/// One thing that happens.
fn event(run: &mut Run, chance: &mut Chaos, life: &[Step]) -> Result<(), seawall_vm_host::Trap> {
    match chance.below(16) {
        0..=4 => {
            let (name, count) = *chance.pick(&CALLBACKS);
            let arguments: Vec<u32> = (0..count).map(|_| *chance.pick(&NUMBERS)).collect();
            let active = *chance.pick(&NUMBERS);
            run.call(active, name, &arguments).map(drop)
        }
        5 => {
            run.vm.state_mut().now = clock(chance);
            run.call(1, "proxy_on_tick", &[1]).map(drop)
        }
        6 => {
            let spoilt = chance.below(4);
            let state = run.vm.state_mut();
            for (value, version) in state.shared.values_mut() {
                if chance.below(4) > 0 {
                    continue;
                }
                match spoilt {
                    0 => *value = chance.noise(),
                    1 => value.truncate(chance.below(value.len() as u64) as usize),
                    2 => value.extend(chance.noise()),
                    _ => *version = chance.below(u64::from(u32::MAX)) as u32,
                }
            }
            Ok(())
        }
        7 => {
            let noise = chance.noise();
            if let Some(queue) = run.vm.state_mut().queues.first_mut() {
                queue.push_back(noise);
            }
            run.step(&Step::Queues)
        }
        8 => {
            let other = chance.pick(&ALL).json.as_bytes();
            let cut = chance.below(other.len() as u64) as usize;
            let state = run.vm.state_mut();
            state.configuration = match chance.below(4) {
                0 => other.to_vec(),
                1 => other[..cut].to_vec(),
                2 => chance.noise(),
                _ => state.configuration.clone(),
            };
            let size = state.configuration.len() as u32;
            run.call(1, "proxy_on_configure", &[1, size]).map(drop)
        }
        // A step in its turn, of any life, with the clock as it is.
        _ => match chance.pick(life) {
            Step::Wait(_) | Step::Clock(_) | Step::Start => Ok(()),
            step => run.step(step),
        },
    }
}

/// Lives one life; the bytes of memory that it ended with.
fn survives(configured: &Configured, module: &wasmi::Module, seed: u64) -> usize {
    let mut chance = Chaos::new(seed, 0);
    let one_in = *chance.pick(&[0, 3, 10, 50]);
    let chaos = Chaos::new(seed ^ 0x5eed, one_in);
    let about = format!("{}, {}, seed {seed}", configured.filter, configured.about);
    let fine = |result: Result<(), seawall_vm_host::Trap>| {
        result.unwrap_or_else(|trap| panic!("{about}: {trap:?}"));
    };
    let mut state = host(configured.json);
    let from_the_start = chance.below(2) == 0;
    state.chaos = from_the_start.then(|| chaos.clone());
    let mut run = Run::new(module, state).expect("nothing is called yet");
    fine(run.step(&Step::Start));
    run.vm.state_mut().chaos = Some(chaos);
    // Steps are taken whether or not the configuration was.
    run.configured = true;
    let life = full(configured.filter);
    for _ in 0..EVENTS {
        fine(event(&mut run, &mut chance, &life));
    }
    // Well again, with the configuration that it began with.
    let state = run.vm.state_mut();
    state.chaos = None;
    state.now = NOW * 1_000_000;
    state.configuration = configured.json.as_bytes().to_vec();
    state.shared.clear();
    fine(run.step(&Step::Start));
    assert!(run.configured, "{about}: {:?}", run.vm.state().log.last());
    for context in 1_000..1_003 {
        fine(run.step(&Step::Request(context, request("GET", "/again"), true)));
        fine(run.step(&Step::CallsFailed));
        fine(run.step(&Step::Response(context, response("200"), true)));
        fine(run.step(&Step::End(context)));
        fine(run.wait_out());
        let fate = &run.fates[&context];
        assert!(
            fate.forwarded.is_some() || fate.reply.is_some(),
            "{about}: {context} neither passes nor is answered"
        );
    }
    run.vm.memory_size()
}

fn survive(filter: &str) {
    let module = module(filter);
    let mut most = 0;
    for configured in ALL.iter().filter(|one| one.filter == filter) {
        for seed in 0..lives() {
            most = most.max(survives(configured, &module, seed));
        }
    }
    println!("{filter}: {} KiB at most", most / 1024);
    // Tables are of the size that is configured, and these are small.
    assert!(most < 8 << 20, "{filter} grew to {most} bytes");
}

#[test]
fn rate_limit_survives_a_host_that_is_wrong_at_random() {
    survive("rate-limit");
}

#[test]
fn response_cache_survives_a_host_that_is_wrong_at_random() {
    survive("response-cache");
}

#[test]
fn circuit_breaker_survives_a_host_that_is_wrong_at_random() {
    survive("circuit-breaker");
}

#[test]
fn trace_headers_survives_a_host_that_is_wrong_at_random() {
    survive("trace-headers");
}

#[test]
fn seawall_survives_a_host_that_is_wrong_at_random() {
    survive("seawall");
}
