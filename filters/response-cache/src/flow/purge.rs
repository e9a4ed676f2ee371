//! Purge requests: who may, what they ask for, and the answer.
//!
//! `PURGE /path` removes one URL with all its variants. `seawall-purge: prefix` removes everything whose path begins so,
//! `seawall-purge: all` everything, and tags in `surrogate-key` or `cache-tag` what carries one of them. With
//! `seawall-purge-mode: soft` it becomes stale instead.

use super::exchange::{Exchange, Phase};
use super::invalidate::forget;
use super::request::Next;
use super::Cx;
use crate::config::Purge;
use crate::http::request::Request;
use crate::key::{location, split, tags, Recipe};
use crate::purge::{exact_tag, What};
use seawall_core::network::peer;
use seawall_core::reply::Reply;
use serde_json::{json, Value};

/// Compares without telling by its duration where the difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn allowed(cx: Cx<'_>, request: &Request, rules: &Purge) -> bool {
    let by_secret = rules.secret.as_ref().is_some_and(|(field, secret)| {
        request
            .headers
            .get(field)
            .is_some_and(|value| equal(value, secret.as_bytes()))
    });
    if by_secret || rules.cidrs.is_empty() {
        return by_secret;
    }
    let address = cx.host.property("source\0address").ok().flatten();
    address
        .and_then(|address| peer(&address))
        .is_some_and(|peer| rules.cidrs.iter().any(|cidr| cidr.contains(peer)))
}

/// Answers a purge request.
pub fn answer(cx: Cx<'_>, exchange: &mut Exchange, request: Request, rules: &Purge) -> Next {
    let (status, answer) = if allowed(cx, &request, rules) {
        run(cx, exchange, request)
    } else {
        cx.core.metrics.purges_refused.increment(cx.host);
        (403, json!({"error": "purging is not allowed from here"}))
    };
    let replied = cx.host.reply(&Reply {
        status,
        headers: &[("content-type", b"application/json")],
        body: answer.to_string().as_bytes(),
        grpc_status: None,
        details: "seawall.response_cache.purge",
    });
    if replied.is_err() {
        return Next::Forward;
    }
    exchange.phase = Phase::Answered;
    Next::Replied
}

fn run(cx: Cx<'_>, exchange: &Exchange, request: Request) -> (u32, Value) {
    let text = |field: &str, default: &str| -> Result<String, ()> {
        match request.headers.get(field) {
            Some(value) => String::from_utf8(value.to_ascii_lowercase()).map_err(|_| ()),
            None => Ok(default.to_owned()),
        }
    };
    let soft = match text("seawall-purge-mode", "hard").as_deref() {
        Ok("hard") => false,
        Ok("soft") => true,
        _ => {
            return (
                400,
                json!({"error": "seawall-purge-mode must be hard or soft"}),
            )
        }
    };
    let mode = if soft { "soft" } else { "hard" };
    let names: Vec<Vec<u8>> = tags(&request.headers).map(<[u8]>::to_vec).collect();
    let default = if names.is_empty() { "key" } else { "tag" };
    let kind = text("seawall-purge", default).unwrap_or_default();
    let place = location(request.authority(), request.path());
    let target = String::from_utf8_lossy(&place).into_owned();
    let what = match kind.as_str() {
        "key" => {
            return key(cx, exchange, &request, soft, mode, &target);
        }
        "prefix" => What::Prefix(location(request.authority(), split(request.path()).0)),
        "tag" if names.is_empty() => {
            return (
                400,
                json!({"error": "tags are missing: surrogate-key or cache-tag"}),
            );
        }
        "tag" => What::Tags(names.clone()),
        "all" => What::All,
        _ => {
            return (
                400,
                json!({"error": "seawall-purge must be key, prefix, tag or all"}),
            );
        }
    };
    let target = match &what {
        What::All => json!("*"),
        What::Prefix(prefix) => json!(String::from_utf8_lossy(prefix)),
        What::Tags(names) => names
            .iter()
            .map(|name| String::from_utf8_lossy(name))
            .collect(),
    };
    match cx
        .worker
        .purges
        .purge(cx.host, cx.worker.table.secret(), &what, soft, cx.now)
    {
        Ok(number) => {
            cx.core.metrics.purges.increment(cx.host);
            (
                200,
                json!({"purged": kind, "mode": mode, "target": target, "number": number}),
            )
        }
        Err(_) => {
            cx.core.failed(cx.host, "a purge failed");
            (
                503,
                json!({"error": "shared data cannot be written; nothing was purged"}),
            )
        }
    }
}

/// One URL: its variants, and its answers for other parts of the key, through the list of purges.
fn key(
    cx: Cx<'_>,
    exchange: &Exchange,
    request: &Request,
    soft: bool,
    mode: &str,
    target: &str,
) -> (u32, Value) {
    // By the key of this route, and by the ordinary one, for routes may differ.
    let recipe = &exchange.settings.key;
    let mut tags = vec![exact_tag(&recipe.url(request))];
    let ordinary = exact_tag(&Recipe::default().url(request));
    if !tags.contains(&ordinary) {
        tags.push(ordinary);
    }
    let what = What::Tags(tags);
    let Ok(number) = cx
        .worker
        .purges
        .purge(cx.host, cx.worker.table.secret(), &what, soft, cx.now)
    else {
        cx.core.failed(cx.host, "a purge failed");
        return (
            503,
            json!({"error": "shared data cannot be written; nothing was purged"}),
        );
    };
    if !soft {
        // Frees the memory at once where the key is known.
        if let Some(key) = recipe.key(request) {
            forget(cx, &key);
        }
    }
    cx.core.metrics.purges.increment(cx.host);
    (
        200,
        json!({"purged": "key", "mode": mode, "target": target, "number": number}),
    )
}
