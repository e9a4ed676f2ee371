//! No answer of the host makes a module trap: every host call, at every place where it is made, answers every status and
//! every kind of garbage, once and from then on. And whatever it answers, every request passes or is answered as documented.

use crate::common::allowed;
use crate::common::configurations::of_filter;
use crate::common::{host, lives, FILTERS};
use seawall_vm_host::{explore, module, CallAnswer, Fault, Run};
use std::collections::BTreeSet;

/// The filter's own answers: the status, and whether it may give it.
fn may_answer(filter: &str, status: u32) -> bool {
    match filter {
        // Refused, refused because of trouble (`on_error: deny`).
        "rate-limit" => [429, 503].contains(&status),
        // What is stored, not modified, parts of it, purges.
        "response-cache" => {
            [200, 201, 206, 304, 400, 403, 404, 416, 500, 502, 503, 504].contains(&status)
        }
        // Refused, and the fallback of the test.
        "circuit-breaker" => [200, 503].contains(&status),
        "seawall" => FILTERS.iter().any(|one| may_answer(one, status)),
        _ => false,
    }
}

/// Log lines of one life with one fault; more would be a line per request. The four say of a bad route what each has to say.
fn most_lines(filter: &str) -> usize {
    match filter {
        "seawall" => 28,
        _ => 12,
    }
}

/// Calls without which nobody can let a held request go on.
const LETTING_GO: [&str; 5] = [
    "proxy_send_local_response",
    "proxy_continue_stream",
    "proxy_set_effective_context",
    "proxy_set_tick_period_milliseconds",
    "proxy_get_current_time_nanoseconds",
];

fn judge(filter: &str, run: &Run, fault: Option<&Fault>) {
    let faulty = run.vm.state().faulty;
    let lasting = fault.is_some_and(|fault| fault.lasting);
    for (context, fate) in &run.fates {
        let excused = lasting && faulty.is_some_and(|name| LETTING_GO.contains(&name));
        assert!(
            !fate.held() || excused,
            "{filter} holds {context} for ever after {fault:?} of {faulty:?}"
        );
        if let Some(reply) = &fate.reply {
            assert!(
                may_answer(filter, reply.status),
                "{filter} answers {} to {context} after {fault:?}",
                reply.status
            );
        }
        // A host that invents fields gets them back.
        let invented = matches!(fault.map(|f| &f.answer), Some(CallAnswer::Bytes(_)));
        if let (Some(forwarded), false) = (&fate.forwarded, invented) {
            for name in [&b":method"[..], b":path", b":authority"] {
                let count = forwarded.iter().filter(|(field, _)| field == name).count();
                assert_eq!(
                    count,
                    1,
                    "{} of {context} after {fault:?}: {forwarded:?}",
                    String::from_utf8_lossy(name)
                );
            }
        }
    }
    let log = &run.vm.state().log;
    assert!(
        log.len() <= most_lines(filter),
        "{filter} logs {} lines after {fault:?}: {log:#?}",
        log.len()
    );
}

/// Of the four as one, only every so manieth fault is tried: each of them is tried on the filter by itself.
fn every(filter: &str) -> usize {
    match filter {
        "seawall" => 7,
        _ => 1,
    }
}

fn survives_every_answer(filter: &str) {
    let module = module(filter);
    let mut called = BTreeSet::new();
    for configured in of_filter(filter) {
        let life = lives::full(filter);
        let report = explore(
            &module,
            host(configured.json),
            &life,
            every(filter),
            |run, fault| {
                if fault.is_none() {
                    assert!(run.configured, "refused: {:?}", run.vm.state().log);
                }
                judge(filter, run, fault);
            },
        );
        println!(
            "{filter}, {}: {} places, {} lives",
            configured.about,
            report.places.len(),
            report.lives
        );
        assert!(report.places.len() > 10, "{:?}", report.places);
        called.extend(report.called);
    }
    allowed::equal(filter, &called);
}

#[test]
fn rate_limit_survives_every_answer_of_every_host_call() {
    survives_every_answer("rate-limit");
}

#[test]
fn response_cache_survives_every_answer_of_every_host_call() {
    survives_every_answer("response-cache");
}

#[test]
fn circuit_breaker_survives_every_answer_of_every_host_call() {
    survives_every_answer("circuit-breaker");
}

#[test]
fn trace_headers_survives_every_answer_of_every_host_call() {
    survives_every_answer("trace-headers");
}

#[test]
fn seawall_survives_answers_at_every_place() {
    survives_every_answer("seawall");
}
