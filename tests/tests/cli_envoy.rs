//! What the `seawall` command says of a configuration is what Envoy and the filters do with it.

use seawall_cli::args::Explain;
use seawall_cli::check::{check, Severity};
use seawall_cli::explain::{explain, Request};
use seawall_tests::envoy::Shipped;
use seawall_tests::prelude::*;

/// Settings of every kind of wrong, written in every way that YAML has.
const WRONG: &str = "limits:
                              - { name: 0x10, requests: 010, per: yes, burst: 1e3, key: [{ header: ~ }] }
                              - { name: On, requests: many, per: \"5\", concurrent: -1 }
                              - { name: a b, requests: 0, per: 1m, algorithm: fast }
                            max_keys: 1
                            colour: 1.5";

const GOOD: &str = "limits:
                              - name: tenant
                                key: [{ header: x-tenant-id }]
                                requests: 100
                                per: 1m";

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_every_error_that_the_filter_reports_in_the_same_words() {
    let shipped = Shipped::new("envoy/rate-limit.yaml").replace(GOOD, WRONG);
    let report = check("envoy.yaml", shipped.text());
    assert!(report.count(Severity::Error) >= 8, "{report:?}");
    let refused = shipped.validate().await.unwrap_err();
    // Once for each VM that was tried.
    let said: std::collections::BTreeSet<&str> = refused
        .lines()
        .filter_map(|line| line.split_once("configuration refused: "))
        .map(|(_, error)| error)
        .collect();
    let reported: Vec<String> = report
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.problem))
        .collect();
    assert_eq!(said, reported.iter().map(String::as_str).collect());
}

/// A breaker's smallest configuration, with numbers that have fractions.
#[tokio::test(flavor = "multi_thread")]
async fn fractions_in_yaml_are_numbers_to_the_filters() {
    let plain = "failure_threshold: 5";
    let fractions = "failure_threshold: 5
                            failure_percentage: 12.5
                            jitter: 0.25";
    let shipped = Shipped::new("envoy/circuit-breaker.yaml").replace(plain, fractions);
    let report = check("envoy.yaml", shipped.text());
    assert_eq!(report.count(Severity::Error), 0, "{report:?}");
    let valid = shipped.validate().await;
    assert!(valid.is_ok(), "{valid:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_field_that_is_given_twice_envoy_takes_the_last() {
    let twice = "{ name: login, key: [client_address], requests: 5, requests: 7, per: 1m }";
    let once = "{ name: login, key: [client_address], requests: 5, per: 1m }";
    let upstream = Upstream::start().await;
    let shipped = Shipped::new("envoy/rate-limit.yaml")
        .port(8080, upstream.address)
        .replace(once, twice);
    let report = check("envoy.yaml", shipped.text());
    assert_eq!(report.count(Severity::Error), 0, "{report:?}");
    assert_eq!(report.count(Severity::Warning), 1, "{report:?}");
    assert!(report.problems[0].problem.contains("takes the last one"));
    let envoy = shipped.start(1).await;
    let answer = envoy.get("/login").await;
    let policy = answer.header("ratelimit-policy").unwrap_or_default();
    assert!(policy.contains("q=7"), "{answer:?}");
}

/// Routes that answer with their own name.
fn table() -> String {
    let routes = [
        ("exact", "path: /exact"),
        ("separated", "path_separated_prefix: /api"),
        ("regex", "safe_regex: { regex: \"/v[0-9]+/(a|b)\" }"),
        ("folded", "prefix: /CASE, case_sensitive: false"),
        ("grpc", "prefix: /, grpc: {}"),
        ("header", "prefix: /h, headers: [{ name: x-a, string_match: { prefix: b, ignore_case: true } }]"),
        ("absent", "prefix: /h, headers: [{ name: x-b, present_match: true, invert_match: true }]"),
        ("range", "prefix: /r, headers: [{ name: x-n, range_match: { start: 1, end: 5 } }]"),
        ("other", "prefix: /r, headers: [{ name: x-n, string_match: { exact: \"7\" }, invert_match: true }]"),
        ("query", "prefix: /q, query_parameters: [{ name: k, string_match: { exact: v } }]"),
        ("asked", "prefix: /q, query_parameters: [{ name: k, present_match: true }]"),
        ("never", "prefix: /share, runtime_fraction: { default_value: { numerator: 0 } }"),
        ("every", "prefix: /share, runtime_fraction: { default_value: { numerator: 10000, denominator: TEN_THOUSAND } }"),
        ("cased", "safe_regex: { regex: \"(?i)/Cased/.*\" }, case_sensitive: false"),
        ("blank", "prefix: /b, headers: [{ name: x-e, treat_missing_header_as_empty: true }]"),
        ("named", "prefix: /w, headers: [{ name: host, string_match: { prefix: W } }]"),
        ("rest", "prefix: /"),
    ];
    let mut text = String::new();
    for (host, domains) in [
        ("suffix", "[\"*.example.com\"]"),
        ("longer", "[\"*.eu.example.com\"]"),
        ("exact", "[www.example.com]"),
        ("prefix", "[\"www.*\"]"),
        ("all", "[\"*\"]"),
    ] {
        text.push_str(&format!("                    - name: {host}\n                      domains: {domains}\n                      routes:\n"));
        for (name, conditions) in routes {
            text.push_str(&format!(
                "                        - {{ name: {name}, match: {{ {conditions} }}, direct_response: {{ status: 200, body: {{ inline_string: \"{host} {name}\" }} }} }}\n"
            ));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_finds_the_route_that_envoy_takes() {
    let shipped = Shipped::new("envoy/rate-limit.yaml");
    let text = shipped.text().to_owned();
    let start = text
        .find("                    - name: all\n")
        .expect("the virtual host");
    let end = text.find("  clusters:\n").expect("the clusters");
    let shipped = shipped
        .replace(&text[start..end], &table())
        .replace("route_config:", "normalize_path: true\n                merge_slashes: true\n                strip_trailing_host_dot: true\n                route_config:");
    let text = shipped.text().to_owned();
    let envoy = shipped.start(1).await;

    let requests: [(&str, &str, &[&str]); 33] = [
        ("/", "localhost", &[]),
        ("/exact", "localhost", &[]),
        ("/exact?a=b", "localhost", &[]),
        ("/exact/", "localhost", &[]),
        ("/api", "localhost", &[]),
        ("/api/x", "localhost", &[]),
        ("/apis", "localhost", &[]),
        ("/v1/a", "localhost", &[]),
        ("/v1/ab", "localhost", &[]),
        ("/case/x", "localhost", &[]),
        ("/x", "localhost", &["content-type: application/grpc+proto"]),
        ("/h", "localhost", &["x-a: Bxx"]),
        ("/h", "localhost", &[]),
        ("/h", "localhost", &["x-b: 1"]),
        ("/r", "localhost", &["x-n: 4"]),
        ("/r", "localhost", &["x-n: 5"]),
        ("/r", "localhost", &["x-n: 7"]),
        ("/r", "localhost", &[]),
        ("/q?k=v", "localhost", &[]),
        ("/q?j=1&k=w", "localhost", &[]),
        ("/q?j=k", "localhost", &[]),
        ("/", "a.example.com", &[]),
        ("/", "a.eu.example.com", &[]),
        ("/", "www.example.com", &[]),
        ("/share", "localhost", &[]),
        ("/cased/x", "localhost", &[]),
        ("/b", "localhost", &[]),
        ("/w", "WWW.other", &[]),
        ("/w", "www.other", &[]),
        ("/", "www.example.com.", &[]),
        ("/v1/../exact", "localhost", &[]),
        ("//exact?a=//b/../c", "localhost", &[]),
        ("/exact/.", "localhost", &[]),
    ];
    let client = Client::new(envoy.address);
    for (target, host, headers) in requests {
        let pairs: Vec<(&str, &str)> = headers
            .iter()
            .map(|line| line.split_once(": ").expect("a field"))
            .chain([("host", host)])
            .collect();
        let answer = client.get_with(target, &pairs).await;
        // The text of an answer to gRPC is in a field.
        let taken = answer
            .header("grpc-message")
            .map_or(answer.text(), str::to_owned);
        let request = Request::new(&Explain {
            file: "-".into(),
            request: format!("GET {target}"),
            headers: headers.iter().map(|line| (*line).to_owned()).collect(),
            host: host.to_owned(),
            client: "127.0.0.1".parse().expect("an address"),
            listener: None,
            status: 200,
            answer_headers: Vec::new(),
        })
        .expect("a request");
        let explained = explain("envoy.yaml", &text, None, &request).expect("an explanation");
        let route = explained.route.map(|route| route.title).unwrap_or_default();
        let route = route
            .trim_start_matches("route ")
            .trim_matches('"')
            .to_owned();
        let found = format!("{} {route}", explained.virtual_host.unwrap_or_default());
        assert_eq!(taken, found, "{target} {host} {headers:?}");
        assert!(explained.notes.is_empty(), "{:?}", explained.notes);
    }
}
