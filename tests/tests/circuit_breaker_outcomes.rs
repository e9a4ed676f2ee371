//! Every way an upstream can fail, in a real Envoy: what Envoy calls, what it says, and what the breaker makes of it. The
//! table is that of `filters/circuit-breaker/OUTCOMES.md`; the test reads it from there.

use futures_util::future::join_all;
use seawall_tests::envoy::free_address;
use seawall_tests::prelude::*;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

const FAILURES: &str = "wasmcustom.seawall.circuit_breaker.failures";

/// What the table says of a case.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    callbacks: String,
    status: String,
    flags: String,
    details: String,
    verdict: String,
}

/// The rows of the table in the document.
fn table() -> BTreeMap<String, Row> {
    let document = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../filters/circuit-breaker/OUTCOMES.md"
    );
    let text = std::fs::read_to_string(document).expect("the document is there");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<String> = line
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect();
        let [case, _, callbacks, status, flags, details, verdict] = cells.as_slice() else {
            panic!("a row has seven cells: {line}")
        };
        let row = Row {
            callbacks: callbacks.clone(),
            status: status.clone(),
            flags: flags.clone(),
            details: details.clone(),
            verdict: verdict.clone(),
        };
        (case.clone(), row)
    })
    .collect()
}

/// What Envoy has written about a request.
fn row(line: &Value) -> Row {
    let text = |field: &str| match &line[field] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let evidence = text("evidence");
    let (callbacks, rest) = evidence.split_once(' ').unwrap_or((&evidence, ""));
    let flags = rest.split(' ').next().unwrap_or_default();
    let flags = flags.strip_prefix("flags=").unwrap_or("-");
    // What varies from run to run is left out.
    let details = text("details");
    let details = details.split(['|', '{']).next().unwrap_or_default();
    Row {
        callbacks: callbacks.to_owned(),
        status: text("status"),
        flags: format!("{} {flags}", text("flags")),
        details: details.to_owned(),
        verdict: text("verdict"),
    }
}

fn fault() -> Value {
    json!({
        "name": "fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "abort": {"http_status": 503, "percentage": {"numerator": 100}},
            "headers": [{"name": "x-fault", "present_match": true}],
        },
    })
}

/// Answers 429 to everything with that header; stands for any filter after the breaker.
fn limiter() -> Value {
    json!({
        "name": "lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string":
                "function envoy_on_request(handle)\n\
                 local status = handle:headers():get('x-reply')\n\
                 if status ~= nil then handle:respond({[':status'] = status}, 'no') end\n\
                 end"},
        },
    })
}

/// What limits streams as a whole, which is how gRPC deadlines are set.
fn limited(prefix: &str) -> Route {
    let limit = json!({"max_stream_duration": "0.3s"});
    Route::prefix(prefix).action("max_stream_duration", limit)
}

static FLAKY: AtomicUsize = AtomicUsize::new(0);

fn behaviour(seen: &Seen) -> Reply {
    match seen.path.split('?').next().unwrap_or_default() {
        "/500" => Reply::status(500),
        "/503" => Reply::status(503),
        // Once for each of the two passes.
        "/flaky" if FLAKY.fetch_add(1, Ordering::SeqCst) < 2 => Reply::status(500),
        "/404" => Reply::status(404),
        "/429" => Reply::status(429),
        "/close" | "/close-once" => Reply::Close,
        "/reset" | "/h2-reset" => Reply::Reset,
        "/cut" => Reply::ok("half").cut_short(),
        "/hang" | "/tries" | "/leave" | "/limit" | "/idle" | "/grpc-limit" => Reply::Hang,
        "/full" => Reply::Hang,
        "/leave-body" | "/slow-body" => Reply::ok("half")
            .chunk("more")
            .slowly(Duration::from_secs(60)),
        "/redirected" => {
            let host = seen.header("host").unwrap_or_default();
            Reply::status(302).header("location", &format!("http://{host}/target"))
        }
        "/grpc-odd" => Reply::grpc(99),
        "/grpc-trailers" => Reply::grpc(14),
        "/grpc-headers" | "/grpc-once" => Reply::grpc_trailers_only(14),
        "/grpc-empty" => Reply::grpc_trailers_only(14).chunk(""),
        "/grpc-204" => Reply::status(204).header("grpc-status", "14"),
        "/grpc-blame" => Reply::grpc(5),
        "/grpc-blame-once" => Reply::grpc_trailers_only(8),
        "/grpc-ok" => Reply::grpc(0),
        "/slow" => Reply::ok("late").after(Duration::from_secs(60)),
        _ => Reply::ok("ok"),
    }
}

/// Two upstreams and an Envoy in front, with or without retries. A breaker that never opens counts everything.
struct Rig {
    envoy: Envoy,
    upstreams: [Upstream; 2],
    lines: usize,
}

impl Rig {
    async fn new(retries: bool) -> Rig {
        let plain = Upstream::serving(behaviour).await;
        let http2 = Upstream::serving(behaviour).await;
        let nobody: SocketAddr = free_address();
        let retry_on = |on: &str, route: Route| {
            if retries {
                let policy = json!({"retry_on": on, "num_retries": 2,
                    "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}});
                route.action("retry_policy", policy)
            } else {
                route
            }
        };
        let retry = |route| retry_on("5xx,reset,connect-failure,retriable-status-codes", route);
        let retry_grpc = |route| retry_on("unavailable,resource-exhausted", route);
        let tries = json!({"retry_on": "5xx,reset", "num_retries": 1, "per_try_timeout": "0.2s",
            "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.002s"}});
        let hosts =
            json!({"lb_policy": "ROUND_ROBIN", "load_assignment": {"cluster_name": "empty"}});
        let full = json!({"circuit_breakers": {"thresholds": [
            {"max_connections": 1, "max_pending_requests": 1, "max_requests": 1}]}});
        let few = json!({"circuit_breakers": {"thresholds": [{"max_retries": 0}]}});
        let envoy = Envoy::to(&plain)
            .workers(2)
            .cluster("nobody", nobody, json!({}))
            .cluster("full", plain.address, full)
            .cluster("few", plain.address, few)
            .cluster("empty", plain.address, hosts)
            .http2_cluster("grpc", http2.address)
            .filter(
                "circuit-breaker",
                json!({"failure_threshold": 0, "failure_percentage": 0, "access_log": true}),
            )
            .native_filter(fault())
            .native_filter(limiter())
            .route(retry(Route::prefix("/refused").to("nobody")))
            .route(retry(Route::prefix("/close-once").to("few")))
            .route(retry(Route::prefix("/full").to("full").timeout("60s")))
            .route(retry(Route::prefix("/empty").to("empty")))
            .route(retry(Route::prefix("/grpc-refused").to("nobody")))
            .route(retry(limited("/grpc-limit").to("grpc")))
            .route(retry(limited("/limit")))
            .route(retry(
                Route::prefix("/idle")
                    .timeout("0s")
                    .action("idle_timeout", json!("0.3s")),
            ))
            .route(retry_grpc(Route::prefix("/grpc-once").to("few")))
            .route(retry_grpc(Route::prefix("/grpc-blame-once").to("few")))
            .route(retry(Route::prefix("/grpc").to("grpc")))
            .route(retry(Route::prefix("/h2-reset").to("grpc")))
            .route(Route::prefix("/tries").action("retry_policy", tries))
            .route(retry(Route::prefix("/hang").timeout("0.3s")))
            .route(retry(Route::prefix("/slow-body").timeout("0.3s")))
            .route(retry(
                Route::prefix("/redirected").action("internal_redirect_policy", json!({})),
            ))
            .route(retry(Route::prefix("/slow").timeout("60s").metadata(
                "seawall.circuit_breaker",
                json!({"slow_after": "200ms"}),
            )))
            .route(retry(Route::prefix("/").timeout("60s")))
            .access_log(json!({
                "path": "%REQ(:PATH)%",
                "status": "%RESPONSE_CODE%",
                "flags": "%RESPONSE_FLAGS%",
                "details": "%RESPONSE_CODE_DETAILS%",
                "verdict": "%FILTER_STATE(wasm.seawall.circuit_breaker.verdict:PLAIN)%",
                "evidence": "%FILTER_STATE(wasm.seawall.circuit_breaker.evidence:PLAIN)%",
            }))
            .start()
            .await;
        Rig {
            envoy,
            upstreams: [plain, http2],
            lines: 0,
        }
    }

    /// The row of the request of this path that has just ended.
    async fn logged(&mut self, path: &str, requests: usize) -> Row {
        self.lines += requests;
        let lines = self.envoy.access_log(self.lines).await;
        let line = lines.iter().rev().find(|line| line["path"] == path);
        row(line.unwrap_or_else(|| panic!("no line for {path} in {lines:#?}")))
    }

    async fn send(&mut self, path: &str, headers: &[(&str, &str)]) -> Row {
        self.envoy.get_with(path, headers).await;
        self.logged(path, 1).await
    }

    /// The first of two requests, which Envoy has sent on by the second.
    async fn redirected(&mut self, path: &str) -> Row {
        let answer = self.envoy.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        self.lines += 2;
        let lines = self.envoy.access_log(self.lines).await;
        let first = lines
            .iter()
            .rev()
            .find(|line| line["details"] == "internal_redirect");
        row(first.unwrap_or_else(|| panic!("no redirect in {lines:#?}")))
    }

    /// Leaves when the upstream has the request, or when there is a part of the body.
    async fn leave(&mut self, client: Client, path: &'static str) -> Row {
        if path.starts_with("/leave-body") {
            let begun = client.begin(path).await;
            assert!(begun.is_some(), "{path}: a part of the body");
        } else {
            let call = tokio::spawn({
                let client = client.clone();
                async move { client.get(path).await }
            });
            let [plain, _] = &self.upstreams;
            eventually("the upstream has it", || async {
                (plain.hits_of(path) == 1).then_some(())
            })
            .await;
            call.abort();
        }
        self.logged(path, 1).await
    }
}

async fn observe(retries: bool) -> BTreeMap<String, Row> {
    let mut rig = Rig::new(retries).await;
    let mut rows = BTreeMap::new();
    let mut failures = 0;
    for case in [
        "200",
        "404",
        "429",
        "500",
        "503",
        "flaky",
        "close",
        "close-once",
        "reset",
        "cut",
        "slow-body",
        "redirected",
        "hang",
        "tries",
        "refused",
        "empty",
        "fault",
        "reply-429",
        "reply-401",
        "reply-503",
        "grpc-ok",
        "grpc-headers",
        "grpc-once",
        "grpc-blame-once",
        "grpc-empty",
        "grpc-204",
        "grpc-trailers",
        "grpc-blame",
        "grpc-odd",
        "grpc-refused",
        "grpc-fault",
        "grpc-reply",
        "grpc-limit",
        "limit",
        "idle",
        "h2-reset",
    ] {
        let path = format!("/{case}");
        let row = match case {
            "fault" => rig.send(&path, &[("x-fault", "1")]).await,
            "redirected" => rig.redirected(&path).await,
            _ if case.starts_with("reply-") => {
                let status = case.trim_start_matches("reply-").to_owned();
                rig.send(&path, &[("x-reply", &status)]).await
            }
            _ if case.starts_with("grpc") => {
                let client = Client::http2(rig.envoy.address);
                let mut headers = vec![("content-type", "application/grpc"), ("te", "trailers")];
                match case {
                    "grpc-fault" => headers.push(("x-fault", "1")),
                    "grpc-reply" => headers.push(("x-reply", "429")),
                    _ => {}
                }
                client.send("POST", &path, &headers, &[0; 5]).await;
                rig.logged(&path, 1).await
            }
            _ => rig.send(&path, &[]).await,
        };
        let counted = rig.envoy.stat(FAILURES).await - failures;
        failures += counted;
        assert_eq!(
            counted,
            u64::from(row.verdict.starts_with("failure")),
            "{case} counts once, retries {retries}: {row:?}"
        );
        rows.insert(case.to_owned(), row);
    }
    let address = rig.envoy.address;
    for (case, path, client) in [
        ("leave-h1", "/leave?1", Client::fresh(address)),
        ("leave-h2", "/leave?2", Client::http2(address)),
        ("leave-body-h1", "/leave-body?1", Client::fresh(address)),
        ("leave-body-h2", "/leave-body?2", Client::http2(address)),
    ] {
        rows.insert(case.to_owned(), rig.leave(client, path).await);
    }
    assert_eq!(
        rig.envoy.stat(FAILURES).await,
        failures,
        "who leaves early is not counted"
    );
    rows.insert("slow-left".to_owned(), {
        let client = Client::fresh(address);
        let call = tokio::spawn(async move { client.get("/slow").await });
        rig.envoy.wait_for_stat(FAILURES, failures + 1).await;
        call.abort();
        rig.logged("/slow", 1).await
    });
    // The first of several at once has the only place, and one may wait for it.
    let many = join_all((0..8).map(|_| async {
        Client::fresh(address)
            .abandon("/full", Duration::from_secs(2))
            .await;
    }));
    many.await;
    rig.lines += 8;
    let lines = rig.envoy.access_log(rig.lines).await;
    let overflow = lines
        .iter()
        .filter(|line| line["path"] == "/full")
        .map(row)
        .find(|row| row.flags.starts_with("UO"));
    rows.insert(
        "overflow".to_owned(),
        overflow.expect("most of them found no place"),
    );
    assert_eq!(
        rig.envoy.stat(FAILURES).await,
        failures + 1,
        "overflow is not counted"
    );
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_shows_what_the_document_says_and_each_outcome_counts_once() {
    let expected = table();
    let mut wrong = Vec::new();
    for retries in [false, true] {
        let rows = observe(retries).await;
        for (case, row) in &rows {
            println!(
                "| `{case}` | | `{}` | `{}` | `{}` | `{}` | `{}` |",
                row.callbacks, row.status, row.flags, row.details, row.verdict
            );
        }
        for (case, row) in rows {
            let name = if retries {
                format!("{case}+retries")
            } else {
                case.clone()
            };
            let said = expected.get(&name).or(expected.get(&case));
            if said != Some(&row) {
                wrong.push(format!("{name}: {row:?}\n  but the table says {said:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first call of a healthy breaker, about which nobody asks more than is needed.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_answer_a_grpc_caller_is_not_the_upstreams_failure() {
    let upstream = Upstream::serving(behaviour).await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    for (case, more, failures) in [
        ("/fault", Some(("x-fault", "1")), 0),
        ("/reply", Some(("x-reply", "429")), 0),
        ("/refused", None, 1),
    ] {
        let envoy = Envoy::to(&upstream)
            .http2_upstream()
            .cluster("nobody", free_address(), json!({}))
            .route(Route::prefix("/refused").to("nobody"))
            .route(Route::prefix("/"))
            .filter("circuit-breaker", json!({}))
            .native_filter(fault())
            .native_filter(limiter())
            .start()
            .await;
        let headers: Vec<_> = headers.into_iter().chain(more).collect();
        let client = Client::http2(envoy.address);
        let answer = client.send("POST", case, &headers, &[0; 5]).await;
        assert_eq!(answer.header("grpc-status"), Some("14"), "{case}");
        assert_eq!(envoy.stat(FAILURES).await, failures, "{case}");
    }
}
