//! Whatever a client or an upstream sends, no module traps, every request passes or is answered, and what the filter has no
//! business with goes on unchanged.

use crate::common::configurations::{Configured, ALL};
use crate::common::lives::{exchange, request, response, with};
use crate::common::{host, NOW};
use proptest::collection::vec;
use proptest::prelude::*;
use seawall_vm_host::{module, pairs, Pairs, Run, Step};
use std::collections::BTreeMap;

/// Fields that some filter reads.
const READ: [&str; 34] = [
    ":method",
    ":path",
    ":authority",
    ":scheme",
    ":status",
    "accept",
    "age",
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "grpc-status",
    "if-modified-since",
    "if-none-match",
    "last-modified",
    "pragma",
    "range",
    "ratelimit",
    "retry-after",
    "server-timing",
    "set-cookie",
    "surrogate-key",
    "traceparent",
    "tracestate",
    "vary",
    "x-forwarded-for",
    "x-request-id",
    "x-tenant-id",
];

/// Headers as nobody should send them.
fn hostile() -> Vec<(&'static str, Pairs)> {
    let base = request("GET", "/orders?id=7");
    let every = |value: &[u8]| {
        READ.iter()
            .fold(base.clone(), |fields, name| with(fields, name, value))
    };
    let mut repeated = base.clone();
    for name in READ {
        for value in ["1", "", "2, 3"] {
            repeated.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
    }
    let mut many = base.clone();
    for number in 0..1000 {
        many.push((format!("x-{number}").into_bytes(), b"v".to_vec()));
    }
    let without = |name: &str| -> Pairs {
        let mut fields = base.clone();
        fields.retain(|(field, _)| field != name.as_bytes());
        fields
    };
    vec![
        ("values that are not UTF-8", every(b"\xff\xfe\x80")),
        ("every byte", every(&(1..=255).collect::<Vec<u8>>())),
        ("empty values", every(b"")),
        ("60 KB in each", every(&[b'a'; 60 * 1024])),
        (
            "60 KB of commas",
            with(base.clone(), "tracestate", &[b','; 60 * 1024]),
        ),
        (
            "60 KB of quotes",
            with(base.clone(), "cache-control", &[b'"'; 60 * 1024]),
        ),
        (
            "60 KB of numbers",
            with(base.clone(), "content-length", &[b'9'; 60 * 1024]),
        ),
        (
            "60 KB of a path",
            with(base.clone(), ":path", &[b'/'; 60 * 1024]),
        ),
        ("repeated fields", repeated),
        ("a thousand fields", many),
        ("no fields", Vec::new()),
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("no authority", without(":authority")),
        ("no scheme", without(":scheme")),
        (
            "a name without letters",
            pairs(&[("", "x"), (":path", "/"), (" ", "")]),
        ),
    ]
}

fn live(configured: &Configured, modules: &Modules, life: &[Step]) -> Run {
    let module = &modules.0[configured.filter];
    let mut run = Run::resume(module, &modules.1[&key(configured)]);
    for step in life {
        if let Err(trap) = run.step(step) {
            panic!(
                "{}, {}: {trap:?} at {step:?}",
                configured.filter, configured.about
            );
        }
    }
    if let Err(trap) = run.wait_out() {
        panic!("{}: {trap:?}", configured.filter);
    }
    for (context, fate) in &run.fates {
        assert!(
            !fate.held(),
            "{} holds {context} for ever",
            configured.filter
        );
    }
    run
}

fn key(configured: &Configured) -> (&'static str, &'static str) {
    (configured.filter, configured.about)
}

/// The modules, and each configuration after its start.
struct Modules(
    BTreeMap<&'static str, wasmi::Module>,
    BTreeMap<(&'static str, &'static str), seawall_vm_host::Saved>,
);

fn modules() -> Modules {
    let mut modules = Modules(BTreeMap::new(), BTreeMap::new());
    for configured in ALL.iter() {
        let module = modules
            .0
            .entry(configured.filter)
            .or_insert_with(|| module(configured.filter));
        let run = Run::live(module, host(configured.json), &[Step::Start]).expect("no trap");
        assert!(run.configured, "{:?}", run.vm.state().log);
        modules.1.insert(key(configured), run.save());
    }
    modules
}

/// A request with these fields, twice, with these fields in the response, too.
fn hostile_life(fields: &Pairs) -> Vec<Step> {
    let mut life = Vec::new();
    for context in [2, 3] {
        let mut answer = response("200");
        answer.extend(
            fields
                .iter()
                .filter(|(name, _)| !name.starts_with(b":"))
                .cloned(),
        );
        life.extend([
            Step::Request(context, fields.clone(), false),
            Step::Response(context, answer, false),
            Step::ResponseBody(context, b"body".to_vec(), false),
            Step::ResponseTrailers(context, fields.clone()),
            Step::End(context),
        ]);
    }
    // And with nothing but these fields in the response.
    life.extend([
        Step::Request(4, request("GET", "/other"), true),
        Step::Response(4, fields.clone(), true),
        Step::End(4),
        Step::Request(5, fields.clone(), true),
        Step::End(5),
        Step::Wait(1_000),
        Step::CallsAnswered(fields.clone(), vec![0xff; 100]),
    ]);
    life
}

#[test]
fn hostile_headers_are_survived_by_every_filter() {
    let modules = modules();
    for (about, fields) in hostile() {
        for configured in ALL.iter() {
            let run = live(configured, &modules, &hostile_life(&fields));
            let state = run.vm.state();
            assert!(state.log.len() < 12, "{about}: {:?}", state.log);
            let long = state.log.iter().find(|line| line.len() > 1_000);
            assert!(long.is_none(), "{about}: a long line: {long:?}");
            let raw = state
                .log
                .iter()
                .find(|line| line.contains(|c: char| c.is_control()));
            assert!(raw.is_none(), "{about}: control characters: {raw:?}");
        }
    }
}

#[test]
fn what_a_filter_has_no_business_with_goes_on_unchanged() {
    let modules = modules();
    let mut fields = request("GET", "/untouched");
    for number in 0..=255u8 {
        fields.push((b"x-raw".to_vec(), vec![number; 3]));
    }
    for configured in ALL.iter() {
        let run = live(
            configured,
            &modules,
            &[Step::Request(2, fields.clone(), true)],
        );
        let forwarded = run.fates[&2].forwarded.as_ref().expect("it passes");
        let raw = |fields: &Pairs| -> Vec<Vec<u8>> {
            let raw = fields.iter().filter(|(name, _)| name == b"x-raw");
            raw.map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(raw(forwarded), raw(&fields), "{}", configured.filter);
    }
}

#[test]
fn bodies_are_cut_anywhere_and_arrive_whole() {
    let modules = modules();
    let body: Vec<u8> = (0..40).collect();
    for configured in ALL.iter() {
        for cut in 0..=body.len() {
            for (end, trailers) in [(true, false), (false, true), (false, false)] {
                let (head, tail) = body.split_at(cut);
                let mut life = vec![
                    Step::Request(2, request("GET", "/cut"), true),
                    Step::CallsAnswered(pairs(&[(":status", "200")]), vec![8, 1]),
                    Step::Response(2, response("200"), false),
                    Step::ResponseBody(2, head.to_vec(), false),
                    Step::ResponseBody(2, tail.to_vec(), end),
                ];
                if trailers {
                    life.push(Step::ResponseTrailers(2, pairs(&[("x-t", "1")])));
                }
                life.push(Step::End(2));
                life.extend(exchange(3, request("GET", "/cut"), "200"));
                let run = live(configured, &modules, &life);
                let whole = |context: u32| run.fates[&context].body.clone();
                if end || trailers {
                    assert_eq!(whole(2), body, "{} cut at {cut}", configured.filter);
                }
                // What was cut off is never served as if it were whole.
                let again = whole(3);
                let fine = again == body && (end || trailers) || again == b"hello, world";
                let refused = run.fates[&3]
                    .reply
                    .as_ref()
                    .is_some_and(|r| r.status == 429);
                assert!(
                    fine || refused,
                    "{} cut at {cut}: {again:?}",
                    configured.filter
                );
            }
        }
    }
}

#[test]
fn a_request_may_end_after_any_callback() {
    let modules = modules();
    for configured in ALL.iter() {
        let steps = exchange(2, request("GET", "/aborted"), "200");
        for cut in 1..steps.len() {
            let mut life = steps[..cut].to_vec();
            life.push(Step::End(2));
            life.extend(exchange(3, request("GET", "/aborted"), "200"));
            live(configured, &modules, &life);
        }
    }
}

fn any_fields() -> impl Strategy<Value = Pairs> {
    let name = prop_oneof![
        4 => proptest::sample::select(READ.to_vec()).prop_map(|name| name.as_bytes().to_vec()),
        1 => "[a-z-]{0,12}".prop_map(String::into_bytes),
    ];
    let value = prop_oneof![
        vec(any::<u8>(), 0..40),
        "[0-9a-f]{0,33}(-[0-9a-f]{0,17}){0,3}".prop_map(String::into_bytes),
        "([a-z*-]{1,12}(=\"?[a-z0-9,; ]{0,8}\"?)?[,;] ?){0,6}".prop_map(String::into_bytes),
        "(GET|HEAD|POST|PURGE|/[a-z/?&=%.]{0,20}|[1-5][0-9][0-9])".prop_map(String::into_bytes),
    ];
    vec((name, value), 0..24)
}

#[test]
fn any_fields_are_survived_by_every_filter() {
    let modules = modules();
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(fields in any_fields(), clock in 0..NOW * 2)| {
        for configured in ALL.iter() {
            let mut life = hostile_life(&fields);
            life.insert(5, Step::Clock(clock));
            live(configured, &modules, &life);
        }
    });
}
