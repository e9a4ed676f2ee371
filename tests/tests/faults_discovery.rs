//! Filters that are delivered apart from their listeners (ECDS), as Istio delivers a `WasmPlugin`: a new configuration every second under
//! load fails no request and forgets no count, and one that the filter refuses changes nothing.

use seawall_tests::client::burst;
use seawall_tests::envoy::{dist, wasm_filter, FILTERS};
use seawall_tests::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const LIMIT: usize = 3_000;

/// A filter, or the four as one, with the configuration of a generation. What is shared is shared by the name, which stays.
fn filter(module: &str, generation: usize) -> Value {
    let limits = json!({
        "limits": [{"name": "tenant", "key": [{"header": "x-tenant-id"}], "requests": LIMIT, "per": "1d"}],
        "answer": {"body": format!("refused by generation {generation}\n")},
    });
    let configuration = match module {
        "seawall" => json!({
            "trace_headers": {}, "rate_limit": limits, "response_cache": {}, "circuit_breaker": {},
        }),
        "rate-limit" => limits,
        // Something must be new, or Envoy does nothing.
        "response-cache" => json!({"negative_ttl": format!("{}s", generation + 1)}),
        "circuit-breaker" => json!({"failure_threshold": generation + 3}),
        _ => json!({"tracestate": {"max_length": 512 + generation}}),
    };
    let name = format!("seawall.{}", module.replace('-', "_"));
    wasm_filter(&name, &dist(module), &name, &configuration)
}

/// Where a filter's configuration lies.
fn path(folder: &Path, filter: &Value) -> PathBuf {
    folder.join(format!("{}.json", filter["name"].as_str().expect("a name")))
}

/// Puts a filter's configuration where Envoy looks for it. Envoy watches for moves only.
fn deliver(folder: &Path, filter: &Value) {
    let resource = json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": filter["name"],
        "typed_config": filter["typed_config"],
    });
    let new = folder.join("new");
    std::fs::write(&new, json!({"resources": [resource]}).to_string()).expect("a file");
    std::fs::rename(new, path(folder, filter)).expect("both are in the same folder");
}

/// The place of a filter in a listener, to be filled from there.
fn discovered(folder: &Path, filter: &Value) -> Value {
    json!({
        "name": filter["name"],
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {"path": path(folder, filter)},
            },
            "type_urls": ["type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"],
        },
    })
}

async fn changes_under_load(modules: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let mut builder =
        Envoy::to(&upstream).bootstrap("node", json!({"id": "test", "cluster": "test"}));
    for module in modules {
        let filter = filter(module, 0);
        deliver(folder.path(), &filter);
        builder = builder.native_filter(discovered(folder.path(), &filter));
    }
    let envoy = builder.start().await;
    let stop = AtomicBool::new(false);
    let load = async {
        let mut answers = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let tenant = |number| {
                (
                    format!("/{number}"),
                    vec![("x-tenant-id".to_owned(), "acme".to_owned())],
                )
            };
            answers.extend(burst(envoy.address, 200, 8, tenant).await);
        }
        answers
    };
    let (answers, ()) = tokio::join!(load, async {
        let mut every = tokio::time::interval(Duration::from_secs(1));
        for generation in 1..=5 {
            every.tick().await;
            for module in modules {
                deliver(folder.path(), &filter(module, generation));
            }
        }
        let refuses = |generation: usize| {
            let (address, words) = (envoy.address, format!("generation {generation}"));
            async move {
                let client = Client::fresh(address);
                let answer = client.get_with("/", &[("x-tenant-id", "acme")]).await;
                (answer.status == 429 && answer.text().contains(&words)).then_some(())
            }
        };
        eventually("the last generation refuses", || refuses(5)).await;
        for module in modules {
            let mut wrong = filter(module, 6);
            wrong["typed_config"]["config"]["configuration"]["value"] = json!({"colour": "red"});
            deliver(folder.path(), &wrong);
            let name = wrong["name"].as_str().expect("a name");
            let stat = format!("extension_config_discovery.http_filter.{name}.config_fail");
            envoy.wait_for_stat(&stat, 1).await;
        }
        // What was good before is in force.
        eventually("the last good generation refuses", || refuses(5)).await;
        stop.store(true, Ordering::SeqCst);
    });
    let failed: Vec<_> = answers
        .iter()
        .filter(|answer| ![200, 429].contains(&answer.status) || !answer.whole)
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {failed:?}",
        failed.len(),
        answers.len()
    );
    // The asking at the end may have been admitted as well, so the upstream counts.
    assert_eq!(upstream.hits(), LIMIT, "of {} requests", answers.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn four_filters_that_are_delivered_one_by_one_change_under_load() {
    changes_under_load(&FILTERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_as_one_change_under_load() {
    changes_under_load(&["seawall"]).await;
}

/// How often a process wakes up in two seconds with nothing to do.
async fn wakes(envoy: &Envoy) -> u64 {
    let count = || envoy.wakes();
    let before = count();
    tokio::time::sleep(Duration::from_secs(2)).await;
    count() - before
}

/// Envoy lets the timer of a configuration that nobody uses any more run on, unless the filter stops it: a control plane that sends
/// a configuration a minute would have an idle Envoy busy within days.
#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_are_gone_leave_no_timers() {
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = Upstream::start().await;
    let mut builder =
        Envoy::to(&upstream).bootstrap("node", json!({"id": "test", "cluster": "test"}));
    let modules = ["response-cache", "circuit-breaker", "trace-headers"];
    for module in modules {
        let filter = filter(module, 0);
        deliver(folder.path(), &filter);
        builder = builder.native_filter(discovered(folder.path(), &filter));
    }
    let envoy = builder.start().await;
    // Breakers begin to tick with the first call.
    let all_workers = || burst(envoy.address, 40, 8, |_| ("/".to_owned(), Vec::new()));
    all_workers().await;
    let before = wakes(&envoy).await;
    for generation in 1..=100 {
        for module in modules {
            let filter = filter(module, generation);
            deliver(folder.path(), &filter);
            let name = filter["name"].as_str().expect("a name");
            let stat = format!("extension_config_discovery.http_filter.{name}.config_reload");
            envoy.wait_for_stat(&stat, generation as u64 + 1).await;
        }
        all_workers().await;
    }
    let after = wakes(&envoy).await;
    assert!(
        after < 2 * before,
        "woken {before} times before and {after} times after"
    );
}
