//! Settings at their ends, and what those that replace a default leave of it.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use common::*;

#[test]
fn what_is_refused_is_named() {
    let fallback = |more: Value| json!({ "fallback": more });
    let kind = |kind: &str| fallback(json!({"by_type": [{"type": kind, "body": "x"}]}));
    let field =
        |name: &str, value: &str| fallback(json!({"status": 200, "headers": {name: value}}));
    let route = |route: Value| fallback(json!({ "route": route }));
    let failures = |field: &str, list: Value| json!({"failures": {field: list}});
    for (configuration, wrong) in [
        (json!({"timeout": "2d"}), "timeout"),
        (
            json!({"timeout": "2m", "max_open_for": "1m"}),
            "max_open_for",
        ),
        (json!({"timeout": "2m", "max_open_for": "2m"}), ""),
        (kind("application/json"), ""),
        (kind("json"), "fallback.by_type[0].type"),
        (kind("text/"), "fallback.by_type[0].type"),
        (kind("/html"), "fallback.by_type[0].type"),
        (kind("text/a b"), "fallback.by_type[0].type"),
        (kind("*/json"), "fallback.by_type[0].type"),
        (field("x-a", "a\tb \u{e9}~"), ""),
        (field("x-a", "a\nb"), "fallback.headers.x-a"),
        (field("x-a", "a\u{7f}"), "fallback.headers.x-a"),
        (field("X-A", "a"), ""),
        (
            field("content-length", "1"),
            "fallback.headers.content-length",
        ),
        (field(":status", "a"), "fallback.headers.:status"),
        (field("", "a"), "fallback.headers."),
        (route(json!({"header": "X-A"})), ""),
        (route(json!({})), "fallback.route.header"),
        (route(json!({"header": "x a"})), "fallback.route.header"),
        (
            route(json!({"header": "x-a", "value": "a\r"})),
            "fallback.route.value",
        ),
        (fallback(json!({"on_failure": true})), "fallback.on_failure"),
        (failures("statuses", json!(["1xx"])), "failures.statuses[0]"),
        (failures("statuses", json!(["6xx"])), "failures.statuses[0]"),
        (failures("statuses", json!([200, 599])), ""),
        (failures("statuses", json!([199])), "failures.statuses[0]"),
        (
            failures("statuses", json!(["504-502"])),
            "failures.statuses[0]",
        ),
        (
            failures("statuses", json!(["502-600"])),
            "failures.statuses[0]",
        ),
        (failures("grpc_statuses", json!([1, 16, "Unavailable"])), ""),
        (
            failures("grpc_statuses", json!([0])),
            "failures.grpc_statuses[0]",
        ),
        (
            failures("grpc_statuses", json!([17])),
            "failures.grpc_statuses[0]",
        ),
        (
            failures("grpc_statuses", json!(["OK"])),
            "failures.grpc_statuses[0]",
        ),
        (
            failures("grpc_statuses", json!(["GONE"])),
            "failures.grpc_statuses[0]",
        ),
    ] {
        let found = Worker::errors(&configuration);
        let named: Vec<_> = found
            .iter()
            .filter_map(|error| error.split_once(": "))
            .map(|(path, _)| path)
            .collect();
        let expected: Vec<_> = (!wrong.is_empty()).then_some(wrong).into_iter().collect();
        assert_eq!(named, expected, "{configuration}: {found:?}");
    }
    // In the words of the field that is set.
    assert_eq!(
        Worker::errors(&json!({"timeout": "2m", "max_open_for": "1m"})),
        ["max_open_for: must be at least timeout (2m), got 1m"]
    );
    assert_eq!(
        Worker::errors(&failures("statuses", json!([7, "x"]))),
        [7.to_string(), "\"x\"".to_owned()].iter().enumerate().map(|(at, got)| format!(
            "failures.statuses[{at}]: must be a status of 200 to 599, a class such as 5xx or a range such as 502-504, got {got}"
        )).collect::<Vec<_>>()
    );
}

/// Whether a call that ends so counts as a failure.
fn fails(failures: &Value, status: &str, grpc: Option<&str>) -> bool {
    let world = World::new();
    let mut worker: Worker = Vm::start(&world, 1, &json!({ "failures": failures }));
    let mut exchange = admitted(&mut worker, "payments");
    let mut headers = vec![(":status", status)];
    headers.extend(grpc.map(|status| ("grpc-status", status)));
    worker.response(&mut exchange, &headers, true);
    worker.finish(exchange);
    metric(&world, "failures") == 1
}

#[test]
fn a_list_of_statuses_is_all_that_counts() {
    for (list, failing, fine) in [
        (json!([429]), vec!["429"], vec!["428", "430", "500", "503"]),
        (json!(["5xx"]), vec!["500", "599"], vec!["499", "429"]),
        (
            json!(["502-504", "599"]),
            vec!["502", "503", "504", "599"],
            vec!["501", "505", "500", "598"],
        ),
        (json!([]), vec![], vec!["500", "503"]),
    ] {
        let failures = json!({ "statuses": list });
        for status in failing {
            assert!(fails(&failures, status, None), "{list}: {status}");
        }
        for status in fine {
            assert!(!fails(&failures, status, None), "{list}: {status}");
        }
    }
    for (list, failing, fine) in [
        (
            json!(["NOT_FOUND", 16]),
            vec!["5", "16"],
            vec!["4", "13", "14"],
        ),
        (json!([]), vec![], vec!["2", "14"]),
    ] {
        let failures = json!({ "grpc_statuses": list });
        for status in failing {
            assert!(fails(&failures, "200", Some(status)), "{list}: {status}");
        }
        for status in fine {
            assert!(!fails(&failures, "200", Some(status)), "{list}: {status}");
        }
    }
}

#[test]
fn a_list_of_kinds_is_all_that_counts() {
    // UF: no connection; UC: closed before its response.
    for (kinds, counted) in [
        (json!({}), [1, 1]),
        (json!({"kinds": ["connect_failure"]}), [1, 0]),
        (json!({"kinds": ["close"]}), [0, 1]),
        (json!({"kinds": []}), [0, 0]),
    ] {
        let found = [1u64 << 5, 1 << 6].map(|flags| {
            let world = World::new();
            let mut worker: Worker = Vm::start(&world, 1, &json!({"failures": kinds}));
            let exchange = admitted(&mut worker, "payments");
            break_off(&mut worker, exchange, flags);
            metric(&world, "failures")
        });
        assert_eq!(found, counted, "{kinds}");
    }
}
