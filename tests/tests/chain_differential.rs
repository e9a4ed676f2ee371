//! The four filters in a chain and the one module that has them all answer alike: the same requests, drawn at random, with the
//! same answers of the upstream, are sent to both, and what clients and upstreams see is compared, but for ids and times.

use futures_util::future::join_all;
use seawall_tests::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const SCENARIOS: u64 = 60;
const AT_ONCE: u64 = 12;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Numbers that are the same in every run (splitmix64: Steele, Lea, Flood, 2014).
struct Draw(u64);

impl Draw {
    fn of(scenario: u64, step: u64, what: u64) -> Self {
        Draw((scenario << 20) ^ (step << 8) ^ what)
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % most as u64).expect("a small number")
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// Some of these fields.
    fn fields<'a>(&mut self, of: &[(&'a str, &[&'a str])]) -> Vec<(&'a str, &'a str)> {
        let mut some = Vec::new();
        for (name, values) in of {
            if self.below(6) == 0 {
                some.push((*name, self.one(values)));
            }
        }
        some
    }
}

const REQUEST: &[(&str, &[&str])] = &[
    (
        "cache-control",
        &[
            "no-cache",
            "no-store",
            "max-age=0",
            "only-if-cached",
            "max-stale",
        ],
    ),
    ("x-tenant-id", &["a", "b", "\"", "é"]),
    ("x-variant", &["1", "2"]),
    ("x-cost", &["0", "3", "99", "-1", "x"]),
    ("x-exempt", &["1"]),
    ("accept", &["application/json", "text/html, */*;q=0.1"]),
    ("authorization", &["Bearer x"]),
    ("if-none-match", &["\"1\"", "*", "W/\"2\"", "\"9\""]),
    (
        "range",
        &["bytes=0-1", "bytes=-1", "bytes=0-0,2-3", "bytes=999999-"],
    ),
    ("x-request-id", &["abc", "a b", "\""]),
    (
        "traceparent",
        &[
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "nonsense",
        ],
    ),
    ("tracestate", &["a=1,b=2", "="]),
    ("baggage", &["a=1,=,b=2"]),
    ("cookie", &["sid=1; a=b"]),
    ("accept-encoding", &["gzip", "br, gzip", "identity"]),
    ("x-forwarded-host", &["evil"]),
    ("content-type", &["application/grpc", "text/plain"]),
    ("x-purge", &["let-me-in"]),
];

const RESPONSE: &[(&str, &[&str])] = &[
    ("etag", &["\"1\"", "W/\"2\""]),
    ("vary", &["accept", "x-variant", "*", "origin, x-variant"]),
    ("set-cookie", &["s=1"]),
    ("retry-after", &["3"]),
    ("ratelimit", &["\"other\";r=1"]),
    ("x-ratelimit-remaining", &["0"]),
    ("x-request-id", &["of-the-upstream"]),
    ("x-tokens", &["1", "20", "x"]),
    ("server-timing", &["db;dur=1"]),
    ("cache-status", &["other; hit"]),
    ("content-encoding", &["gzip"]),
    ("x-seawall-breaker", &["open"]),
];

const LIFE: &[&str] = &[
    "max-age=600",
    "max-age=600",
    "max-age=600",
    "max-age=600, stale-if-error=600",
    "max-age=0, stale-if-error=600",
    "no-store",
    "private",
    "no-cache",
    "s-maxage=600, must-revalidate",
    "x",
];

/// What the upstream answers to this step.
fn reply(scenario: u64, step: u64) -> Reply {
    let mut draw = Draw::of(scenario, step, 1);
    let statuses = [200, 200, 200, 200, 204, 301, 401, 404, 429, 500, 503];
    let status = statuses[draw.below(statuses.len())];
    if draw.below(20) == 0 {
        return Reply::Close;
    }
    let mut reply = Reply::status(status).header("cache-control", draw.one(LIFE));
    for (name, value) in draw.fields(RESPONSE) {
        reply = reply.header(name, value);
    }
    let parts = if status == 204 { 0 } else { draw.below(3) };
    (0..parts).fold(reply, |reply, _| {
        reply.chunk("x".repeat(1 + draw.below(900)))
    })
}

fn number(seen: &Seen, name: &str) -> u64 {
    seen.header(name)
        .expect("who asks")
        .parse()
        .expect("a number")
}

/// A text without the numbers after a mark.
fn without_numbers(text: &str, mark: &str) -> String {
    let mut pieces = text.split(mark);
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |all, piece| {
        let rest = piece.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
        format!("{all}{mark}N{rest}")
    })
}

/// A value without what differs from run to run.
fn tame(name: &str, value: &[u8]) -> Option<String> {
    let value = String::from_utf8_lossy(value);
    let part = |part: &str| match part.len() {
        32 if part != TRACE => "TRACE".to_owned(),
        16 => "SPAN".to_owned(),
        _ => part.to_owned(),
    };
    Some(match name {
        "date"
        | "x-envoy-upstream-service-time"
        | "age"
        | "x-ratelimit-reset"
        | "grpc-retry-pushback-ms" => return None,
        "retry-after" if value != "3" => "N".to_owned(),
        "x-request-id" if value.len() == 36 => "ID".to_owned(),
        "traceparent" | "server-timing" | "traceresponse" => {
            value.split('-').map(part).collect::<Vec<_>>().join("-")
        }
        "ratelimit" => without_numbers(&value, ";t="),
        "cache-status" => without_numbers(&value, "ttl="),
        "x-seawall-breaker" => without_numbers(&value, "retry="),
        // The body of an answer to gRPC.
        "grpc-message" => without_numbers(&value, NUMBER),
        _ => value.into_owned(),
    })
}

fn tamed(headers: &[(String, Vec<u8>)]) -> Vec<(String, String)> {
    let tame = |(name, value): &(String, Vec<u8>)| Some((name.clone(), tame(name, value)?));
    headers.iter().filter_map(tame).collect()
}

/// Purges are numbered over all scenarios.
const NUMBER: &str = "\"number\":";

/// A body.
fn text(answer: &Answer) -> String {
    without_numbers(&answer.text(), NUMBER)
}

async fn ask(client: &Client, scenario: u64, step: u64) -> Answer {
    let mut draw = Draw::of(scenario, step, 2);
    let (whose, which) = (scenario.to_string(), step.to_string());
    let mut fields = draw.fields(REQUEST);
    fields.extend([
        ("host", "shop.test"),
        ("x-scenario", whose.as_str()),
        ("x-step", which.as_str()),
    ]);
    let method = draw.one(&[
        "GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS", "PURGE",
    ]);
    let path = draw.one(&["a", "a", "a?utm_x=1", "plain", "limited"]);
    let body: &[u8] = if method == "POST" { b"xyz" } else { b"" };
    let (route, query) = path.split_once('?').unwrap_or((path, ""));
    let path = format!("/{route}/{scenario}?{query}");
    client.send(method, &path, &fields, body).await
}

async fn compare(sides: Arc<[(Client, Arc<Upstream>); 2]>, scenario: u64) {
    let steps = 6 + Draw::of(scenario, 0, 3).below(8) as u64;
    for step in 0..steps {
        let answers = join_all(sides.iter().map(|(client, _)| ask(client, scenario, step))).await;
        let [chain, one] = &answers[..] else {
            unreachable!("two sides")
        };
        assert_eq!(
            (
                chain.status,
                tamed(&chain.headers),
                text(chain),
                chain.whole
            ),
            (one.status, tamed(&one.headers), text(one), one.whole),
            "scenario {scenario}, step {step}"
        );
    }
    let saw = sides.iter().map(|(_, upstream)| {
        let seen = upstream
            .seen()
            .into_iter()
            .filter(|seen| number(seen, "x-scenario") == scenario);
        let tell = |seen: Seen| {
            (
                seen.method.clone(),
                seen.path.clone(),
                tamed(&seen.headers),
                seen.body,
            )
        };
        seen.map(tell).collect::<Vec<_>>()
    });
    let saw: Vec<_> = saw.collect();
    assert_eq!(saw[0], saw[1], "scenario {scenario}: what the upstream saw");
}

fn settings(fallback: Value, charge: Value, cache: Value) -> [(&'static str, Value); 4] {
    let limits = json!({"access_log": true, "headers": "both", "exempt": {"header": {"x-exempt": "1"}}, "limits": [
        {"name": "all", "key": [{"header": "x-scenario"}], "requests": 30, "per": "1h", "cost": {"header": "x-cost", "max": 5}},
        {"name": "some", "key": [{"header": "x-scenario"}, {"header": "x-tenant-id"}], "requests": 3, "per": "1h", "charge": charge, "missing": "skip"},
        {"name": "places", "key": [{"header": "x-scenario"}], "concurrent": 3},
    ]});
    // So much room that no two scenarios need the same place, wherever their keys fall.
    let breaker = json!({"key": ["cluster", {"header": "x-scenario"}], "max_keys": 65_536, "failure_threshold": 3, "open_for": "1h", "max_open_for": "1h",
        "jitter": 0, "response_header": "full", "access_log": true, "fallback": fallback});
    [
        (
            "trace-headers",
            json!({"log": {"properties": true, "tenant_id": {"header": "x-tenant-id"}}, "response": {"server_timing": "trace"}}),
        ),
        ("rate-limit", limits),
        ("response-cache", cache),
        ("circuit-breaker", breaker),
    ]
}

async fn alike(configurations: &[(&str, Value)], first: u64) {
    let mut sides = Vec::new();
    let mut running = Vec::new();
    for as_one in [false, true] {
        let upstream =
            Upstream::serving(|seen| reply(number(seen, "x-scenario"), number(seen, "x-step")))
                .await;
        upstream.remember(100_000);
        let mut builder = Envoy::to(&upstream);
        if as_one {
            builder = builder.all_as_one(configurations);
        } else {
            for (filter, configuration) in configurations {
                builder = builder.filter(filter, configuration.clone());
            }
        }
        let limited = json!({"limits": [{"name": "route", "key": [{"header": "x-scenario"}], "requests": 2, "per": "1h"}]});
        let envoy = builder
            .route(
                Route::prefix("/plain")
                    .metadata("seawall.response_cache", json!({"enabled": false})),
            )
            .route(Route::prefix("/limited").metadata("seawall.rate_limit", limited))
            .route(Route::prefix("/"))
            .start()
            .await;
        sides.push((envoy.client(), Arc::new(upstream)));
        running.push(envoy);
    }
    let sides: Arc<[_; 2]> = Arc::new(sides.try_into().ok().expect("two sides"));
    for start in (first..first + SCENARIOS).step_by(AT_ONCE as usize) {
        let some = (start..start + AT_ONCE).map(|scenario| compare(Arc::clone(&sides), scenario));
        join_all(some).await;
    }
    eventually("both have counted the same", || async {
        let [chain, one] = [counted(&running[0]).await, counted(&running[1]).await];
        let differ = chain
            .iter()
            .filter(|(name, count)| one.get(*name) != Some(count));
        let differ: Vec<_> = differ.collect();
        if differ.is_empty() && chain.len() == one.len() {
            return Some(());
        }
        println!("only in the chain: {differ:?}");
        None
    })
    .await;
}

/// The filters' metrics, without those that are about workers rather than requests.
async fn counted(envoy: &Envoy) -> BTreeMap<String, u64> {
    let mut all = envoy.stats().await;
    let about_workers = [".generation", ".swap_retries", ".bytes"];
    all.retain(|name, _| {
        name.starts_with("wasmcustom.") && !about_workers.iter().any(|part| name.contains(part))
    });
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn with_what_is_usual() {
    let cache = json!({"refresh": {"algorithm": "off"}, "access_log": true});
    alike(
        &settings(json!({}), json!({"status": [401, "5xx"]}), cache),
        1000,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_answers_in_the_place_of_others() {
    let fallback = json!({"status": 200, "body": "fallback", "headers": {"x-fallback": "1"}, "on_failure": true,
        "by_type": [{"type": "application/json", "status": 503, "body": "{}"}]});
    let cache = json!({"refresh": {"algorithm": "off"}, "access_log": true, "stale_if_error": "1h", "negative_ttl": "1h",
        "set_cookie": "strip", "purge": {"secret_header": "x-purge", "secret": "let-me-in"}, "key": {"exclude": ["utm_*"]}});
    alike(&settings(fallback, json!({"status": 404}), cache), 2000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_costs_that_the_upstream_tells() {
    let cache = json!({"refresh": {"algorithm": "off"}, "access_log": true, "ignore_client_directives": true, "default_ttl": "1h",
        "key": {"headers": ["x-tenant-id"]}});
    alike(
        &settings(
            json!({}),
            json!({"header": "x-tokens", "reserve": 2}),
            cache,
        ),
        3000,
    )
    .await;
}
