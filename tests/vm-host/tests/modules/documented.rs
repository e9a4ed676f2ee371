//! What each filter does when the host fails it, as its documentation says: the request passes, or is refused where that was
//! chosen; a metric counts; one line is logged.

use crate::common::host;
use crate::common::lives::{exchange, request};
use seawall_vm_host::{module, CallAnswer, Fault, Run, Step};

const INTERNAL: u32 = 10;
const REQUESTS: u32 = 20;

/// Twenty requests while every host call of this name fails.
fn broken(filter: &str, configuration: &str, call: &'static str) -> Run {
    let module = module(filter);
    let mut run = Run::live(&module, host(configuration), &[Step::Start]).expect("no trap");
    assert!(run.configured, "{:?}", run.vm.state().log);
    let state = run.vm.state_mut();
    state.log.clear();
    state.fault = Some(Fault {
        call: usize::MAX,
        answer: CallAnswer::Status(INTERNAL),
        lasting: true,
    });
    state.faulty = Some(call);
    for context in 2..2 + REQUESTS {
        let mut headers = request("GET", &format!("/{context}"));
        headers.retain(|(name, _)| name != b"x-request-id" && name != b"traceparent");
        for step in exchange(context, headers, "200") {
            run.step(&step)
                .unwrap_or_else(|trap| panic!("{filter} without {call}: {trap:?}"));
        }
    }
    assert!(run.vm.state().struck > 0, "{filter} never calls {call}");
    // Each filter says what is wrong with it, once.
    let most = if filter == "seawall" { 4 * 3 } else { 3 };
    assert!(
        run.vm.state().log.len() <= most,
        "{filter} without {call} logs {:#?}",
        run.vm.state().log
    );
    run
}

fn passed(run: &Run) -> usize {
    let fates = run.fates.values();
    fates
        .filter(|f| f.forwarded.is_some() && f.body == b"hello, world")
        .count()
}

const TENANT: &str = r#"{"limits": [
    {"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": 1, "per": "1h"}], "on_error": "MODE"}"#;

const SHARED: [&str; 2] = ["proxy_get_shared_data", "proxy_set_shared_data"];

#[test]
fn rate_limit_allows_on_errors_when_told_so() {
    for call in SHARED {
        let run = broken("rate-limit", &TENANT.replace("MODE", "allow"), call);
        assert_eq!(passed(&run), REQUESTS as usize, "without {call}");
        let errors = run.vm.state().metric("limit.tenant.errors");
        assert_eq!(errors, i64::from(REQUESTS), "without {call}");
        assert_eq!(run.vm.state().log.len(), 1, "{:?}", run.vm.state().log);
    }
}

#[test]
fn rate_limit_refuses_on_errors_when_told_so() {
    for call in SHARED {
        let run = broken("rate-limit", &TENANT.replace("MODE", "deny"), call);
        assert_eq!(passed(&run), 0, "without {call}");
        for fate in run.fates.values() {
            assert_eq!(fate.reply.as_ref().map(|reply| reply.status), Some(503));
        }
    }
}

#[test]
fn response_cache_passes_everything_on_without_shared_data() {
    for call in SHARED {
        let run = broken("response-cache", "{}", call);
        assert_eq!(passed(&run), REQUESTS as usize, "without {call}");
        let counted = run.vm.state().metric("response_cache.errors");
        assert!(counted > 0, "nothing was counted without {call}");
    }
}

#[test]
fn circuit_breaker_passes_everything_on_without_shared_data() {
    let run = broken("circuit-breaker", "{}", "proxy_get_shared_data");
    assert_eq!(passed(&run), REQUESTS as usize);
    assert!(run.vm.state().metric("errors") > 0, "nothing was counted");
}

#[test]
fn trace_headers_passes_everything_on_without_randomness_time_or_headers() {
    for call in [
        "random_get",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_pairs",
    ] {
        let run = broken("trace-headers", "{}", call);
        assert_eq!(passed(&run), REQUESTS as usize, "without {call}");
    }
}

/// All four, with one limit that allows or refuses on errors.
fn all(on_error: &str) -> String {
    let limits = TENANT.replace("MODE", on_error);
    format!(
        r#"{{"trace_headers": {{}}, "rate_limit": {limits}, "response_cache": {{}}, "circuit_breaker": {{}}}}"#
    )
}

#[test]
fn seawall_passes_everything_on_whichever_call_fails() {
    for call in [
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "random_get",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_pairs",
        "proxy_get_property",
        "proxy_replace_header_map_value",
        "proxy_increment_metric",
    ] {
        let run = broken("seawall", &all("allow"), call);
        let refused = run
            .fates
            .values()
            .filter(|fate| fate.reply.as_ref().map(|reply| reply.status) == Some(429));
        // Without shared data nothing is counted; with it, one an hour is one an hour.
        let most = if SHARED.contains(&call) {
            0
        } else {
            REQUESTS as usize - 1
        };
        let refused = refused.count();
        assert!(refused <= most, "{refused} refused without {call}");
        assert_eq!(passed(&run) + refused, REQUESTS as usize, "without {call}");
    }
}

#[test]
fn seawall_refuses_on_errors_when_told_so() {
    for call in SHARED {
        let run = broken("seawall", &all("deny"), call);
        assert_eq!(passed(&run), 0, "without {call}");
        for fate in run.fates.values() {
            assert_eq!(fate.reply.as_ref().map(|reply| reply.status), Some(503));
        }
    }
}
