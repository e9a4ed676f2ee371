//! `seawall convert envoy`: the numbers of a bucket and the status of refusals, as Envoy reads them.

mod common;

use common::{piped, round_trip};
use serde_json::{json, Value};

/// The limits and the remarks of a filter with this in it.
fn of_bucket(rest: &str) -> (Value, String) {
    let text = format!(
        "\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
stat_prefix: p
filter_enabled: {{default_value: {{numerator: 100}}}}
filter_enforced: {{default_value: {{numerator: 100}}}}
{rest}
"
    );
    let ran = piped(&["convert", "envoy", "-"], &text);
    assert_eq!(ran.code, 0, "{}", ran.err);
    round_trip(&ran);
    let ran = piped(&["convert", "envoy", "-", "--format", "json"], &text);
    let found: Value = serde_json::from_str(&ran.out).unwrap();
    (found["plugin"].clone(), found["remarks"].to_string())
}

/// All of these are 10 and 5 to Envoy.
#[test]
fn a_bucket_is_read_as_protobuf_reads_it() {
    let limits = json!([{"name": "p", "requests": 5, "per": "1s", "burst": 10}]);
    for (most, fill) in [
        ("10", "5"),
        ("\"10\"", "\"5\""),
        ("10.0", "5.0"),
        ("1e1", "{value: 5}"),
    ] {
        let (plugin, remarks) = of_bucket(&format!(
            "token_bucket: {{max_tokens: {most}, tokens_per_fill: {fill}, fill_interval: 1s}}"
        ));
        assert_eq!(plugin["limits"], limits, "{most} {fill}: {remarks}");
        assert!(!remarks.contains("left out"), "{remarks}");
    }
    for absent in ["", "tokens_per_fill: null, "] {
        let bucket = format!("token_bucket: {{max_tokens: 10, {absent}fill_interval: 1s}}");
        let (plugin, _) = of_bucket(&bucket);
        assert_eq!(plugin["limits"][0]["requests"], 1, "{bucket}");
    }
    let share =
        "token_bucket: {max_tokens: 5, tokens_per_fill: 5, fill_interval: 1s}\nfilter_enforced: {default_value: {numerator: \"2500\", denominator: 1}}";
    assert_eq!(of_bucket(share).0["limits"][0]["enforce_percent"], 25.0);
}

#[test]
fn a_bucket_that_is_no_limit_is_said_to_be_left_out() {
    for (bucket, field) in [
        ("max_tokens: many, tokens_per_fill: 5", "max_tokens"),
        ("tokens_per_fill: 5", "max_tokens"),
        ("max_tokens: 0", "max_tokens"),
        ("max_tokens: 4294967295", "max_tokens"),
        ("max_tokens: 5, tokens_per_fill: 1.5", "tokens_per_fill"),
        ("max_tokens: 5, tokens_per_fill: true", "tokens_per_fill"),
    ] {
        let descriptor = format!(
            "descriptors:\n- {{entries: [{{key: a}}], token_bucket: {{{bucket}, fill_interval: 1s}}}}"
        );
        let whole = format!("token_bucket: {{{bucket}, fill_interval: 1s}}");
        for (text, name) in [(whole, "p"), (descriptor, "p-a")] {
            let (plugin, remarks) = of_bucket(&text);
            assert_eq!(plugin.get("limits"), None, "{text}");
            let said = format!("{name}: its {field} is no whole number from 1 to 1000000000, and the limit is left out");
            assert!(remarks.contains(&said), "{text}: {remarks}");
        }
    }
}

#[test]
fn a_status_may_be_called_by_its_name() {
    for (code, status, is_known) in [
        ("TooManyRequests", 429, true),
        ("ServiceUnavailable", 503, true),
        ("HTTPVersionNotSupported", 505, true),
        ("NetworkAuthenticationRequired", 511, true),
        // Neither case nor quotes count to Envoy.
        ("toomanyrequests", 429, true),
        ("\"503\"", 503, true),
        ("503", 503, true),
        // Envoy says 429 instead.
        ("OK", 429, false),
        ("200", 429, false),
        ("Teapot", 429, false),
        ("600", 429, false),
    ] {
        let (plugin, remarks) = of_bucket(&format!("status: {{code: {code}}}"));
        assert_eq!(plugin["answer"]["status"], status, "{code}");
        let is_said = remarks.contains("is none of an error, and is taken for 429");
        assert_ne!(is_said, is_known, "{code}: {remarks}");
    }
}
