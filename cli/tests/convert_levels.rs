//! `seawall convert envoy`: what a route or a virtual host says of the filter, which in Envoy replaces all of what is around it.

mod common;

use common::{piped, round_trip};
use serde_json::{json, Value};

fn converted(text: &str) -> Value {
    round_trip(&piped(&["convert", "envoy", "-"], text));
    let ran = piped(&["convert", "envoy", "-", "--format", "json"], text);
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

const SWITCH: &str = "\"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig";

/// A filter with this in it.
fn filter(more: &str) -> String {
    format!("\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: p, filter_enabled: {{default_value: {{numerator: 100}}}}, filter_enforced: {{default_value: {{numerator: 100}}}}, token_bucket: {{max_tokens: 1, fill_interval: 1s}}, {more}")
}

/// A connection manager: its filter, what its virtual host says of it, and what its route says.
fn manager(entry: &str, plugin: &str, host: &str, route: &str) -> String {
    let of = |settings: &str| match settings {
        "" => String::new(),
        settings => format!("typed_per_filter_config: {{limits: {{{settings}}}}}, "),
    };
    // Routes before the filters: the order of fields says nothing.
    format!(
        "route_config: {{virtual_hosts: [{{name: v, domains: ['*'], routes: [{{{}name: r, match: {{prefix: /}}}}], {}}}]}}\nhttp_filters: [{{name: limits, {entry}typed_config: {{{plugin}}}}}]\n",
        of(route),
        of(host)
    )
}

#[test]
fn a_filter_that_is_switched_off_is_off_here_too() {
    let off = format!("{SWITCH}, disabled: true");
    let on = format!("{SWITCH}, disabled: false");
    let with = |more: &str| format!("{SWITCH}, {more}config: {{{}}}", filter(""));
    let (host, route) = ("virtual host \"v\"", "route \"r\"");
    let limits = filter("");
    let enabled = |found: &Value, of: &str| found["routes"][of]["enabled"].clone();
    for (entry, at_host, at_route, plugin, of_host, of_route) in [
        ("", off.as_str(), "", None, json!(false), Value::Null),
        ("", "", off.as_str(), None, Value::Null, json!(false)),
        (
            "",
            off.as_str(),
            on.as_str(),
            None,
            json!(false),
            json!(true),
        ),
        (
            "",
            off.as_str(),
            off.as_str(),
            None,
            json!(false),
            Value::Null,
        ),
        // Settings of its own switch it on.
        (
            "",
            off.as_str(),
            limits.as_str(),
            None,
            json!(false),
            json!(true),
        ),
        ("", off.as_str(), &with(""), None, json!(false), json!(true)),
        (
            "",
            "",
            &with("disabled: true, "),
            None,
            Value::Null,
            json!(false),
        ),
        ("", "", on.as_str(), None, Value::Null, Value::Null),
        (
            "disabled: true, ",
            "",
            limits.as_str(),
            Some(&json!(false)),
            Value::Null,
            json!(true),
        ),
    ] {
        let text = manager(entry, &filter(""), at_host, at_route);
        let found = converted(&text);
        assert_eq!(found["plugin"].get("enabled"), plugin, "{text}");
        assert_eq!(enabled(&found, host), of_host, "{text}");
        assert_eq!(enabled(&found, route), of_route, "{text}");
        let has_limits =
            at_route.contains("LocalRateLimit") && !at_route.contains("disabled: true");
        let limits = found["routes"][route].get("limits");
        assert_eq!(limits.is_some(), has_limits, "{text}");
    }
    // Another filter is none of ours.
    let other = manager("", &filter(""), "", &off).replace("{limits: ", "{other: ");
    assert_eq!(converted(&other)["routes"], json!({}));
}

#[test]
fn nothing_of_the_answer_around_shows_through() {
    let loud = filter("status: {code: 503}, response_headers_to_add: [{header: {key: x-a, value: b}}], enable_x_ratelimit_headers: DRAFT_VERSION_03");
    let other = filter("response_headers_to_add: [{header: {key: x-c, value: d}}]");
    let plain = filter("");
    let quiet = json!({"status": 429});
    let whole = json!({"status": 503, "headers": {"x-a": "b"}});
    for (plugin, host, route, of_host, of_route) in [
        (&loud, "", plain.as_str(), None, Some(&quiet)),
        (&loud, plain.as_str(), plain.as_str(), Some(&quiet), None),
        (
            &loud,
            plain.as_str(),
            loud.as_str(),
            Some(&quiet),
            Some(&whole),
        ),
        (
            &plain,
            loud.as_str(),
            plain.as_str(),
            Some(&whole),
            Some(&quiet),
        ),
        (&loud, "", loud.as_str(), None, None),
        (&plain, "", plain.as_str(), None, None),
        (
            &loud,
            "",
            other.as_str(),
            None,
            Some(&json!({"status": 429, "headers": {"x-c": "d"}})),
        ),
    ] {
        let text = manager("", plugin, host, route);
        let found = converted(&text);
        let answer = |of: &str| found["routes"][of].get("answer");
        assert_eq!(answer("virtual host \"v\""), of_host, "{text}");
        assert_eq!(answer("route \"r\""), of_route, "{text}");
        let said = found["remarks"]
            .to_string()
            .contains("carry \\\"x-a\\\" as well");
        let lacks = |answer: &Value| answer["headers"]["x-a"].is_null();
        let lost = [of_host, of_route].into_iter().flatten().any(lacks);
        assert_eq!(said, lost, "{text}");
    }
    let found = converted(&manager("", &loud, "", &plain));
    assert_eq!(found["plugin"]["headers"], "both");
    assert_eq!(found["routes"]["route \"r\""]["headers"], "ietf");
}

#[test]
fn a_filter_without_limits_has_none_that_would_be_here_nevertheless() {
    let text = "\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit\nstat_prefix: p\n";
    let remarks = |text: &str| converted(text)["remarks"].to_string();
    assert!(!remarks(text).contains("nevertheless"), "{}", remarks(text));
    let limited = format!("{text}token_bucket: {{max_tokens: 1, fill_interval: 1s}}\n");
    assert!(remarks(&limited).contains("nevertheless"));
}

#[test]
fn masks_of_addresses_are_prefixes() {
    for (masks, key) in [
        (
            "v4_prefix_mask_len: 24",
            json!({"ipv4_prefix": 24, "ipv6_prefix": 128}),
        ),
        (
            "v6_prefix_mask_len: {value: 56}",
            json!({"ipv4_prefix": 32, "ipv6_prefix": 56}),
        ),
    ] {
        let found = converted(&format!(
            "\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
rate_limits: [{{actions: [{{masked_remote_address: {{{masks}}}}}]}}]
descriptors:
- {{entries: [{{key: masked_remote_address}}], token_bucket: {{max_tokens: 3, fill_interval: 1s}}}}
- {{entries: [{{key: masked_remote_address, value: 10.0.0.0/24}}], token_bucket: {{max_tokens: 3, fill_interval: 1s}}}}
"
        ));
        let limits = found["plugin"]["limits"].as_array().unwrap();
        assert_eq!(limits[0]["key"], json!([{ "client_address": key }]));
        assert_eq!(limits[1]["match"], json!({"cidr": "10.0.0.0/24"}));
    }
}

/// What refuses nothing has no share of which it refuses.
#[test]
fn a_descriptor_in_shadow_mode_has_no_share() {
    let share = filter("descriptors: [{entries: [{key: x}], shadow_mode: true, token_bucket: {max_tokens: 1, fill_interval: 1s}}]")
        .replace("filter_enforced: {default_value: {numerator: 100}}", "filter_enforced: {default_value: {numerator: 25}}");
    let found = converted(&format!("{{{share}}}"));
    let limits = found["plugin"]["limits"].as_array().unwrap();
    assert_eq!(limits[0]["enforce_percent"], 25.0);
    assert_eq!(limits[1].get("enforce_percent"), None);
    assert_eq!(limits[1]["shadow"], true);
}

#[test]
fn a_whole_route_configuration_takes_the_place_of_the_filter() {
    let wide = |settings: &str| {
        manager("", &filter("status: {code: 503}"), "", "").replace(
            "route_config: {",
            &format!("route_config: {{typed_per_filter_config: {{limits: {{{settings}}}}}, "),
        )
    };
    let found = converted(&wide(&filter("").replace("max_tokens: 1", "max_tokens: 7")));
    let limits = found["plugin"]["limits"].as_array().unwrap();
    assert_eq!(limits.len(), 1, "{found}");
    assert_eq!(limits[0]["burst"], 7, "{found}");
    assert_eq!(found["plugin"].get("answer"), None, "{found}");
    assert!(found["remarks"].to_string().contains("as in Envoy"));
    let found = converted(&wide(&format!("{SWITCH}, disabled: true")));
    assert_eq!(found["plugin"]["enabled"], false);
    assert_eq!(found["plugin"]["limits"][0]["requests"], 1, "{found}");
}

#[test]
fn actions_of_routes_fill_the_descriptors_of_the_filter() {
    let descriptor = |key: &str| {
        format!("descriptors: [{{entries: [{{key: {key}}}], token_bucket: {{max_tokens: 3, fill_interval: 1s}}}}]")
    };
    let acting = |actions: &str| {
        let text = manager("", &filter(&descriptor("tenant")), "", "");
        let routes = "match: {prefix: /}, route: {cluster: c, rate_limits: [";
        text.replace("match: {prefix: /}", &format!("{routes}{actions}]}}"))
    };
    let by = |header: &str| {
        format!(
            "{{actions: [{{request_headers: {{header_name: {header}, descriptor_key: tenant}}}}]}}"
        )
    };
    let found = converted(&acting(&by("X-Account")));
    let limits = found["plugin"]["limits"].as_array().unwrap();
    assert_eq!(limits[1]["key"], json!([{"header": "x-account"}]));
    let remarks = found["remarks"].to_string();
    assert!(remarks.contains("actions of routes"), "{remarks}");
    assert!(!remarks.contains("differ"), "{remarks}");
    let found = converted(&acting(&format!("{}, {}", by("x-a"), by("x-b"))));
    let remarks = found["remarks"].to_string();
    assert!(remarks.contains("several actions that differ"), "{remarks}");
    let found = converted(&acting(""));
    let remarks = found["remarks"].to_string();
    assert!(remarks.contains("no action in this"), "{remarks}");
}
