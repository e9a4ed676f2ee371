//! Why a filter decides as it does, in words.

use super::drive::{Driven, Scene};
use crate::filters::Filter;
use seawall_circuit_breaker as breaker;
use seawall_core::config::{decimal, load};
use seawall_core::testing::{FakeHost, World};
use seawall_rate_limit::config::{Cost, Limit, Missing};
use seawall_rate_limit::key::address::Prefixes;
use seawall_rate_limit::key::{Facts, Part};
use seawall_rate_limit::rules::one_matches;
use seawall_response_cache::key::{Pattern, Query};
use serde_json::Value;
use std::net::IpAddr;

pub(super) fn reasons(
    filter: Filter,
    settings: &Value,
    scene: &Scene<'_>,
    driven: &Driven,
) -> Vec<String> {
    match filter {
        Filter::RateLimit => limits(settings, scene),
        Filter::ResponseCache => cache(settings, driven),
        Filter::CircuitBreaker => breaker(settings, scene),
        Filter::TraceHeaders => trace(driven),
    }
}

/// A host that knows nothing but the request.
fn host(scene: &Scene<'_>) -> FakeHost {
    let host = FakeHost::new(&World::new(), 1);
    host.open(1);
    host.put_request(scene.headers.to_vec());
    for (name, value) in scene.properties() {
        host.put_property(name, &value);
    }
    host
}

fn limits(settings: &Value, scene: &Scene<'_>) -> Vec<String> {
    let Ok(settings) = load::<seawall_rate_limit::config::Settings>(settings) else {
        return Vec::new();
    };
    let host = host(scene);
    let Ok(facts) = Facts::new(&host, settings.headers_needed) else {
        return Vec::new();
    };
    if one_matches(&settings.exempt, &facts) == Ok(true) {
        return vec!["it is exempt from all limits".to_owned()];
    }
    let mut because = Vec::new();
    for limit in &settings.limits {
        let parts = settings
            .keys
            .get(limit.key)
            .map(Vec::as_slice)
            .unwrap_or_default();
        because.push(format!(
            "limit {:?} {}",
            limit.name,
            one_limit(limit, parts, &facts)
        ));
    }
    if because.is_empty() {
        because.push("there are no limits".to_owned());
    }
    because
}

fn one_limit(limit: &Limit, parts: &[Part], facts: &Facts<'_>) -> String {
    if !limit.matches.is_empty() && one_matches(&limit.matches, facts) != Ok(true) {
        return "is not for it: no rule of match fits".to_owned();
    }
    if one_matches(&limit.exempt, facts) == Ok(true) {
        return "is not for it: a rule of exempt fits".to_owned();
    }
    let values: Vec<Option<Vec<u8>>> = parts
        .iter()
        .map(|part| {
            part.value(facts)
                .ok()
                .flatten()
                .map(|value| value.into_owned())
        })
        .collect();
    let missing = values.iter().any(Option::is_none);
    if missing && limit.missing == Missing::Skip {
        return format!("is not for it: {} (missing: skip)", key(parts, &values));
    }
    if missing && limit.missing == Missing::Deny {
        return format!("refuses it: {} (missing: deny)", key(parts, &values));
    }
    let tier = limit.overrides.iter().enumerate().find(|(_, tier)| {
        let same = tier
            .values
            .iter()
            .zip(&values)
            .all(|(wanted, value)| wanted.is_none() || wanted == value);
        same && (tier.matches.is_empty() || one_matches(&tier.matches, facts) == Ok(true))
    });
    let plan = tier.map_or(&limit.plan, |(_, tier)| &tier.plan);
    let mut text = format!("counts it for {}", key(parts, &values));
    if let Some((index, _)) = tier {
        text.push_str(&format!(", by overrides[{index}]"));
    }
    if plan.quota.is_none() {
        text.push_str(", without a limit");
        return text;
    }
    text.push_str(&format!(": {}", plan.policy));
    match &limit.cost {
        Cost::Fixed(1) => {}
        Cost::Fixed(cost) => text.push_str(&format!("; it costs {cost}")),
        Cost::Header {
            name,
            default,
            min,
            max,
        } => text.push_str(&format!(
            "; it costs what {name} says, {default} without, at least {min}, at most {max}"
        )),
    }
    if limit.shadow || limit.enforce <= 0.0 {
        text.push_str("; nothing is refused (shadow)");
    } else if limit.enforce < 1.0 {
        text.push_str(&format!(
            "; {} % of what is too much is refused",
            decimal(limit.enforce * 100.0)
        ));
    }
    if plan.fleet.is_some() {
        text.push_str("; a service keeps it for the whole fleet");
    }
    text
}

fn key(parts: &[Part], values: &[Option<Vec<u8>>]) -> String {
    if parts.is_empty() {
        return "all requests together".to_owned();
    }
    let one = |(part, value): (&Part, &Option<Vec<u8>>)| {
        let name = match part {
            Part::Header(name) => format!("header {name}"),
            Part::Cookie(name) => format!("cookie {name}"),
            Part::Query(name) => format!("query {name}"),
            Part::ClientAddress { .. } => "client address".to_owned(),
            Part::Path => "path".to_owned(),
            Part::PathPrefix(count) => format!("first {count} segments of the path"),
            Part::PathSegment(number) => format!("segment {number} of the path"),
            Part::Method => "method".to_owned(),
            Part::Host => "host".to_owned(),
            Part::Route => "route".to_owned(),
            Part::Cluster => "cluster".to_owned(),
            Part::Claim(path) => format!("claim {}", path.join(".")),
            Part::Constant(_) => "constant".to_owned(),
        };
        match (part, value) {
            (_, None) => format!("{name} missing"),
            (Part::ClientAddress { prefixes, .. }, Some(bytes)) => {
                format!("{name} {}", address(bytes, *prefixes))
            }
            (_, Some(value)) => format!("{name} {:?}", String::from_utf8_lossy(value)),
        }
    };
    parts
        .iter()
        .zip(values)
        .map(one)
        .collect::<Vec<_>>()
        .join(" and ")
}

/// A client's address as it is in the key, and the prefix that it was cut to.
fn address(bytes: &[u8], prefixes: Prefixes) -> String {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| (IpAddr::from(bytes), prefixes.ipv4, 32));
    let v6 = <[u8; 16]>::try_from(bytes).map(|bytes| (IpAddr::from(bytes), prefixes.ipv6, 128));
    match v4.or(v6) {
        Ok((address, length, whole)) if length < whole => format!("{address}/{length}"),
        Ok((address, ..)) => address.to_string(),
        Err(_) => String::new(),
    }
}

/// Names as they are written in the settings.
fn listed(names: &[Pattern]) -> String {
    let names = names.iter().map(|name| {
        let star = if name.prefix { "*" } else { "" };
        format!("{}{star}", name.text)
    });
    names.collect::<Vec<_>>().join(", ")
}

fn cache(settings: &Value, driven: &Driven) -> Vec<String> {
    let Ok(settings) = load::<seawall_response_cache::config::Settings>(settings) else {
        return Vec::new();
    };
    let mut because = Vec::new();
    let status = driven
        .answer
        .iter()
        .find(|(name, _)| name == "cache-status");
    if let Some((_, value)) = status {
        because.push(format!(
            "the cache is empty, and says {}",
            String::from_utf8_lossy(value)
        ));
    }
    let recipe = &settings.key;
    let mut parts = Vec::new();
    if recipe.scheme {
        parts.push("scheme".to_owned());
    }
    if recipe.host {
        parts.push("host".to_owned());
    }
    parts.push(match &recipe.query {
        Query::All => "path and query as they came".to_owned(),
        Query::Sorted => "path, and query with its parameters sorted".to_owned(),
        Query::None => "path without the query".to_owned(),
        Query::Include(names) => format!("path, and of the query {}", listed(names)),
        Query::Exclude(names) => format!("path, and the query without {}", listed(names)),
    });
    parts.extend(recipe.headers.iter().map(|name| format!("header {name}")));
    parts.extend(recipe.cookies.iter().map(|name| format!("cookie {name}")));
    because.push(format!("answers are told apart by {}", parts.join(", ")));
    because.push(match &driven.repeated {
        Some(reply) => format!(
            "the same request right after it is answered from the cache: {}",
            reply.status
        ),
        None => "the same request right after it goes to the upstream as well".to_owned(),
    });
    because
}

fn breaker(settings: &Value, scene: &Scene<'_>) -> Vec<String> {
    let Ok(settings) = load::<breaker::Settings>(settings) else {
        return Vec::new();
    };
    let mut because = Vec::new();
    let part = |part: &breaker::Part| match part {
        breaker::Part::Cluster => format!("cluster {:?}", scene.cluster),
        breaker::Part::Route => format!("route {:?}", scene.route),
        breaker::Part::Host => format!("host {:?}", scene.request.host),
        breaker::Part::Header(name) => {
            format!("header {name} {:?}", scene.request.values(name).join(","))
        }
    };
    because.push(match settings.mode {
        breaker::Mode::Enforce => "its breaker is closed".to_owned(),
        breaker::Mode::Shadow => {
            "its breaker is closed, and refuses nothing (mode: shadow)".to_owned()
        }
        breaker::Mode::ForcedOpen => "everything is refused (mode: forced_open)".to_owned(),
        breaker::Mode::ForcedClosed => {
            "everything passes and nothing counts (mode: forced_closed)".to_owned()
        }
    });
    because.push(format!(
        "the breaker is that of {}",
        settings
            .key
            .iter()
            .map(part)
            .collect::<Vec<_>>()
            .join(" and ")
    ));
    let policy = &settings.policy;
    let mut opens = Vec::new();
    if policy.failure_threshold > 0 {
        opens.push(format!("{} failures in a row", policy.failure_threshold));
    }
    if policy.failure_percentage.is_finite() {
        opens.push(format!(
            "{} % failures of at least {} calls in {}",
            policy.failure_percentage, policy.minimum_calls, policy.window
        ));
    }
    if policy.slow_percentage.is_finite() && policy.slow_after.is_some() {
        opens.push(format!(
            "{} % overdue of at least {} calls in {}",
            policy.slow_percentage, policy.minimum_calls, policy.window
        ));
    }
    if !opens.is_empty() {
        because.push(format!(
            "it opens for {} after {}",
            policy.open_for,
            opens.join(", or ")
        ));
    }
    let signals = breaker::Signals {
        status: u32::from(scene.request.status),
        details: Some(b"via_upstream"),
        ..breaker::Signals::default()
    };
    let verdict = breaker::classify(&settings.rules, &signals);
    let outcome = match verdict.outcome {
        breaker::Outcome::Success => "a success",
        breaker::Outcome::Failure => "a failure",
        breaker::Outcome::Slow => "overdue",
        breaker::Outcome::Neutral => "neither a success nor a failure",
        breaker::Outcome::Ignored => "nothing",
    };
    because.push(format!(
        "an answer of {} counts as {outcome}",
        scene.request.status
    ));
    because
}

/// What trace-headers counts, as sentences.
fn trace(driven: &Driven) -> Vec<String> {
    let sentence = |name: &String| {
        Some(match name.strip_prefix("seawall.trace_headers.")? {
            "traces_started" => "it has no trace: one is started",
            "traces_continued" => "its trace is continued",
            "traces_untrusted" => {
                "its trace is from somebody who is not trusted: another one is started"
            }
            "traceparent_invalid" => "its trace header cannot be read",
            "tracestate_invalid" => "its tracestate breaks the grammar and is dropped",
            "tracestate_truncated" => "its tracestate is too long and is cut",
            "baggage_dropped" => "members of its baggage are dropped",
            "conflicts" => "its headers name different traces",
            "request_ids_created" => "it has no request id: one is made",
            "request_ids_kept" => "its request id is kept",
            "request_ids_replaced" => "its request id is not safe or not trusted: it is replaced",
            _ => return None,
        })
    };
    driven
        .counts
        .iter()
        .filter_map(sentence)
        .map(str::to_owned)
        .collect()
}
