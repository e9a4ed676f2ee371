//! `seawall check`: settings of breakers, limits and histograms that can never do anything.

mod common;

use common::piped;

/// The warnings about this filter with these settings, and with those of a route.
fn warnings(filter: &str, settings: &str, route: &str) -> Vec<String> {
    let text = format!(
        "static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          generate_request_id: false
          http_filters:
          - name: x
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                vm_config: {{code: {{local: {{filename: {filter}.wasm}}}}}}
                configuration:
                  \"@type\": type.googleapis.com/google.protobuf.Struct
                  value: {settings}
          route_config:
            virtual_hosts:
            - routes:
              - match: {{prefix: /a}}
                name: orders
                metadata: {{filter_metadata: {{{route}}}}}
  clusters:
  - {{name: plain}}
  - {{name: one, typed_extension_protocol_options: {{x: {{explicit_http_config: {{http_protocol_options: {{}}}}}}}}}}
  - {{name: two, typed_extension_protocol_options: {{x: {{explicit_http_config: {{http2_protocol_options: {{}}}}}}}}}}
  - {{name: auto, typed_extension_protocol_options: {{x: {{auto_config: {{}}}}}}}}
  - {{name: old, http2_protocol_options: {{}}}}
"
    );
    let ran = piped(&["check", "-"], &text);
    assert_eq!(ran.code, 0, "{}\n{text}", ran.out);
    let lines = ran.out.lines();
    let lines = lines.filter_map(|line| line.split_once("warning: "));
    lines.map(|(_, text)| text.to_owned()).collect()
}

/// Settings, those of a route, and the end of the only warning; none where there is to be none.
type Case<'c> = (&'c str, &'c str, &'c str);

fn hold(filter: &str, cases: &[Case<'_>]) {
    for (settings, route, warning) in cases {
        let found = warnings(filter, settings, route);
        match (found.as_slice(), *warning) {
            ([], "") => {}
            ([one], warning) if !warning.is_empty() && one.contains(warning) => {}
            _ => panic!("{settings} {route}: {found:?}, not {warning:?}"),
        }
    }
}

#[test]
fn what_opens_no_breaker() {
    let route = "seawall.circuit_breaker: ";
    let with = |settings: &str| format!("{route}{settings}");
    hold(
        "circuit-breaker",
        &[
            ("{retry_after: {opens: [503]}}", "", ""),
            ("{retry_after: {opens: [503, 429]}}", "", "plugin configuration: retry_after.opens[1]: has no effect while 429 is not among failures.statuses"),
            ("{retry_after: {opens: [429]}}", &with("{failures: {statuses: [429]}}"), ""),
            ("{retry_after: {opens: [503], max: 0s}}", "", "retry_after.opens[0]: has no effect while retry_after.max is 0s"),
            ("{slow_percentage: 20}", "", "plugin configuration: slow_percentage: has no effect without slow_after"),
            ("{slow_percentage: 20}", &with("{slow_after: 1s}"), ""),
            ("{slow_percentage: 0}", "", ""),
            ("{slow_after: 1s}", &with("{slow_percentage: 20}"), ""),
            ("{failure_threshold: 0, failure_percentage: 0}", "", "plugin configuration: failure_percentage: is 0 as failure_threshold is, and nothing else opens"),
            ("{failure_threshold: 0}", &with("{failure_percentage: 0}"), "route \"orders\": failure_percentage: is 0"),
            ("{failure_threshold: 0, failure_percentage: 0}", &with("{failure_threshold: 3}"), ""),
            ("{failure_threshold: 0, failure_percentage: 0, slow_after: 1s}", "", ""),
            ("{failure_threshold: 0, failure_percentage: 0, adaptive: {}}", "", ""),
            ("{failure_threshold: 0, failure_percentage: 0, retry_after: {opens: [503]}}", "", ""),
            ("{failure_threshold: 0, failure_percentage: 0, mode: forced_closed}", "", ""),
        ],
    );
}

#[test]
fn what_limits_nothing() {
    let limit = |more: &str| format!("{{name: a, requests: 9, per: 1m, {more}}}");
    let limits = |more: &str| format!("{{limits: [{}]}}", limit(more));
    let fleet = |cluster: &str, more: &str| {
        format!(
            "{{fleet: {{cluster: {cluster}}}, limits: [{}]}}",
            limit(more)
        )
    };
    let needs = "no HTTP/2 (http2_protocol_options), which gRPC needs";
    let on_route = format!("seawall.rate_limit: {}", limits("scope: fleet"));
    hold(
        "rate-limit",
        &[
            (&fleet("two", "scope: fleet"), "", ""),
            (&fleet("old", "scope: fleet"), "", ""),
            (&fleet("auto", "scope: fleet"), "", ""),
            (&fleet("plain", "scope: fleet"), "", needs),
            (&fleet("one", "scope: fleet"), "", needs),
            (
                &fleet("two", ""),
                "",
                "plugin configuration: fleet: has no effect: no limit has scope: fleet",
            ),
            (&fleet("two", ""), &on_route, ""),
            (
                &limits("shadow: true, enforce_percent: 5"),
                "",
                "limits[0].enforce_percent: has no effect while shadow is true",
            ),
            (&limits("shadow: false, enforce_percent: 5"), "", ""),
            (&limits("match: {route: orders}"), "", ""),
            (&limits("match: {route: 'ord*'}"), "", ""),
            (
                &limits("match: {route: order}"),
                "",
                "limits[0].match.route: has no effect: no route of this file is called \"order\"",
            ),
            (
                &limits("exempt: [{path: /}, {route: [orders, 'x*']}]"),
                "",
                "limits[0].exempt[1].route[1]: has no effect",
            ),
        ],
    );
    let keyed = |overrides: &str| limits(&format!("key: [host], overrides: [{overrides}]"));
    let (one, two) = ("{key: a, requests: 5}", "{key: [a], requests: 6}");
    hold(
        "rate-limit",
        &[
            (
                &keyed(&format!("{one}, {two}")),
                "",
                "limits[0].overrides[1]: has no effect: overrides[0] has the same key",
            ),
            (&keyed(&format!("{one}, {{key: b, requests: 6}}")), "", ""),
            (
                &keyed(&format!(
                    "{{key: a, match: {{method: GET}}, requests: 5}}, {two}"
                )),
                "",
                "",
            ),
        ],
    );
}

#[test]
fn histograms_of_routes_that_are_not_there() {
    hold(
        "trace-headers",
        &[
            ("{latency: {routes: [orders]}}", "", ""),
            (
                "{latency: {routes: [orders, order]}}",
                "",
                "latency.routes[1]: has no effect: no route of this file is called \"order\"",
            ),
        ],
    );
}

/// Routes that are delivered may have any name, and limits of their own.
#[test]
fn nothing_is_said_of_routes_that_are_somewhere_else() {
    let text = "kind: WasmPlugin\nspec:\n  url: oci://x/seawall/rate-limit:1\n  pluginConfig: {fleet: {cluster: c}, limits: [{name: a, requests: 1, per: 1m, match: {route: x}}]}\n";
    let ran = piped(&["check", "--strict", "-"], text);
    assert_eq!(ran.code, 0, "{}", ran.out);
}
