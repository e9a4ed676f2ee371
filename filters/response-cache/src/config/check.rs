//! The parts of the configuration, each checked and turned into what the filter works with.

use super::raw::{RawAlgorithm, RawKey, RawPurge, RawQuery, RawRefresh, RawRule};
use super::rules::Rule;
use super::settings::{Background, Purge, Refresh};
use crate::http::storable::is_storable;
use crate::key::{Pattern, Query, Recipe};
use crate::refresh::Algorithm;
use seawall_core::config::ConfigErrors;
use seawall_core::headers::is_field_name;
use seawall_core::network::Cidr;
use seawall_core::time::Span;
use std::collections::BTreeMap;

const BACKGROUND_TIMEOUT: Span = Span::from_secs(10);

pub(super) fn is_token(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_short_field_name(text: &str) -> bool {
    text.len() <= 256 && is_field_name(text)
}

/// Field names in lower case; each that is none is an error.
pub(super) fn names(list: Vec<String>, path: &str, errors: &mut ConfigErrors) -> Vec<String> {
    for (at, name) in list.iter().enumerate() {
        if !is_short_field_name(name) {
            errors.add(
                format!("{path}[{at}]"),
                format!("must be a header name, got {name:?}"),
            );
        }
    }
    list.iter().map(|name| name.to_ascii_lowercase()).collect()
}

pub(super) fn by_status(
    raw: Option<BTreeMap<String, Span>>,
    negative: Option<Span>,
    errors: &mut ConfigErrors,
) -> Vec<(u16, Span)> {
    let mut found = Vec::new();
    for (status, span) in raw.unwrap_or_default() {
        let number = match status.strip_suffix("xx") {
            Some(class) if class.len() == 1 => {
                class.parse().ok().filter(|class| (2..=5).contains(class))
            }
            Some(_) => None,
            // Not `+200` nor `0200`.
            None if status.len() == 3 => status.parse().ok(),
            None => None,
        };
        match number {
            Some(number) if number < 6 || ((200..=599).contains(&number) && is_storable(number)) => found.push((number, span)),
            _ => errors.add(
                format!("ttl_by_status.{status}"),
                "must be a final status from 200 to 599 other than 206, 304, 416, 428, 429, 431 and 511, or a class such as 4xx"
                    .to_owned(),
            ),
        }
    }
    if let Some(span) = negative {
        for status in [404, 405, 410, 414, 501] {
            if !found.iter().any(|(known, _)| *known == status) {
                found.push((status, span));
            }
        }
    }
    found
}

pub(super) fn refresh(raw: RawRefresh, errors: &mut ConfigErrors) -> Refresh {
    let beta = raw.beta.unwrap_or(1.0);
    if !(beta > 0.0 && beta <= 1000.0) {
        errors.add(
            "refresh.beta",
            format!("must be above 0 and at most 1000, got {beta}"),
        );
    }
    let probability = raw.probability.unwrap_or(0.1);
    if !(probability > 0.0 && probability <= 1.0) {
        errors.add(
            "refresh.probability",
            format!("must be above 0 and at most 1, got {probability}"),
        );
    }
    let window = raw.window.unwrap_or(Span::from_secs(30));
    let algorithm = match raw.algorithm.unwrap_or(RawAlgorithm::Xfetch) {
        RawAlgorithm::Off => Algorithm::Off,
        RawAlgorithm::Xfetch => Algorithm::Xfetch { beta },
        RawAlgorithm::Window => Algorithm::Window {
            window,
            probability,
        },
    };
    let background = raw.background.unwrap_or_default();
    let timeout = background.timeout.unwrap_or(BACKGROUND_TIMEOUT);
    if timeout < Span::from_millis(1) {
        errors.add(
            "refresh.background.timeout",
            format!("must be at least 1ms, got {timeout}"),
        );
    }
    if background.cluster.as_deref() == Some("") {
        errors.add(
            "refresh.background.cluster",
            "must name a cluster, got \"\"",
        );
    }
    Refresh {
        algorithm,
        background: background.enabled.unwrap_or(false).then_some(Background {
            cluster: background.cluster,
            timeout,
        }),
    }
}

pub(super) fn recipe(raw: RawKey, errors: &mut ConfigErrors) -> Recipe {
    let lists = (raw.include, raw.exclude);
    let query = match (raw.query, lists) {
        (_, (Some(_), Some(_))) => {
            errors.add("key.include", "cannot be set together with key.exclude");
            Query::All
        }
        (Some(RawQuery::All | RawQuery::None), (Some(_), _) | (_, Some(_))) => {
            errors.add(
                "key.query",
                "must be sorted, or absent, where key.include or key.exclude is set",
            );
            Query::All
        }
        (_, (Some(include), None)) => Query::Include(patterns(&include, "key.include", errors)),
        (_, (None, Some(exclude))) => Query::Exclude(patterns(&exclude, "key.exclude", errors)),
        (None | Some(RawQuery::All), (None, None)) => Query::All,
        (Some(RawQuery::Sorted), (None, None)) => Query::Sorted,
        (Some(RawQuery::None), (None, None)) => Query::None,
    };
    let mut headers = names(raw.headers.unwrap_or_default(), "key.headers", errors);
    if let Some(tenant) = raw.tenant {
        if !is_short_field_name(&tenant) {
            errors.add(
                "key.tenant",
                format!("must be a header name, got {tenant:?}"),
            );
        }
        headers.push(tenant.to_ascii_lowercase());
    }
    let cookies = raw.cookies.unwrap_or_default();
    for (at, cookie) in cookies.iter().enumerate() {
        if !is_short_field_name(cookie) {
            errors.add(
                format!("key.cookies[{at}]"),
                format!("must be a cookie name, got {cookie:?}"),
            );
        }
    }
    Recipe {
        scheme: raw.scheme.unwrap_or(true),
        host: raw.host.unwrap_or(true),
        query,
        headers,
        cookies,
        method: raw.method.unwrap_or(false),
    }
}

fn patterns(list: &[String], path: &str, errors: &mut ConfigErrors) -> Vec<Pattern> {
    for (at, text) in list.iter().enumerate() {
        let inner = text.strip_suffix('*').unwrap_or(text);
        if text.is_empty() || inner.contains(['*', '&', '=', '%', ';', '+']) {
            errors.add(
                format!("{path}[{at}]"),
                format!("must be a parameter name, with * at its end at most, got {text:?}"),
            );
        }
    }
    list.iter().map(|text| Pattern::new(text)).collect()
}

pub(super) fn rules(raw: Option<Vec<RawRule>>, path: &str, errors: &mut ConfigErrors) -> Vec<Rule> {
    let raw = raw.unwrap_or_default();
    for (at, rule) in raw.iter().enumerate() {
        let place = format!("{path}[{at}]");
        let fields = [&rule.header, &rule.cookie, &rule.path, &rule.path_prefix];
        if fields.iter().all(|field| field.is_none()) {
            errors.add(
                place.clone(),
                "must have one of header, cookie, path, path_prefix",
            );
        }
        if rule.value.is_some() && rule.header.is_some() == rule.cookie.is_some() {
            errors.add(
                format!("{place}.value"),
                "needs either header or cookie beside it",
            );
        }
        if let Some(name) = rule
            .header
            .as_ref()
            .filter(|name| !is_short_field_name(name))
        {
            errors.add(
                format!("{place}.header"),
                format!("must be a header name, got {name:?}"),
            );
        }
        if let Some(name) = rule
            .cookie
            .as_ref()
            .filter(|name| !is_short_field_name(name))
        {
            errors.add(
                format!("{place}.cookie"),
                format!("must be a cookie name, got {name:?}"),
            );
        }
        // What can never hold would leave open what it was to close.
        for (field, text) in [("path", &rule.path), ("path_prefix", &rule.path_prefix)] {
            let text = text.as_ref();
            if let Some(text) = text.filter(|text| !text.starts_with('/') || text.contains('?')) {
                errors.add(
                    format!("{place}.{field}"),
                    format!("must begin with / and have no query, got {text:?}"),
                );
            }
        }
    }
    raw.into_iter()
        .map(|rule| Rule {
            header: rule.header.map(|name| name.to_ascii_lowercase()),
            cookie: rule.cookie,
            value: rule.value,
            path: rule.path,
            path_prefix: rule.path_prefix,
        })
        .collect()
}

pub(super) fn purge(raw: RawPurge, errors: &mut ConfigErrors) -> Option<Purge> {
    let mut cidrs = Vec::new();
    let named = raw.cidrs.unwrap_or_default();
    let nobody = named.is_empty() && raw.secret_header.is_none() && raw.secret.is_none();
    for (at, text) in named.iter().enumerate() {
        match Cidr::parse(text) {
            Some(cidr) => cidrs.push(cidr),
            None => errors.add(
                format!("purge.cidrs[{at}]"),
                format!("must be {}, got {text:?}", Cidr::ALLOWED),
            ),
        }
    }
    let secret = match (raw.secret_header, raw.secret) {
        (Some(name), Some(value)) => {
            if !is_short_field_name(&name) {
                errors.add(
                    "purge.secret_header",
                    format!("must be a header name, got {name:?}"),
                );
            }
            if value.len() < 8 {
                errors.add("purge.secret", "must have at least 8 characters");
            }
            Some((name.to_ascii_lowercase(), value))
        }
        (None, None) => None,
        (Some(_), None) => {
            errors.add("purge.secret", "is missing beside secret_header");
            None
        }
        (None, Some(_)) => {
            errors.add("purge.secret_header", "is missing beside secret");
            None
        }
    };
    // What was named and is wrong has been said already.
    if nobody {
        errors.add(
            "purge",
            "must have cidrs, or secret_header and secret: otherwise nobody could purge",
        );
    }
    let method = raw.method.unwrap_or_else(|| "PURGE".to_owned());
    let reserved = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "REPORT",
        "QUERY", "SEARCH", "PROPFIND",
    ];
    if !is_token(&method) || reserved.contains(&method.as_str()) {
        errors.add(
            "purge.method",
            format!("must be a method of its own such as PURGE, got {method:?}"),
        );
    }
    Some(Purge {
        method,
        cidrs,
        secret,
    })
}
