//! What the access log gets to see, as properties: `%FILTER_STATE(wasm.seawall.trace_headers.<name>:PLAIN)%`.

use super::identity::Identity;
use crate::bytes::{may_be, LOGGED};
use crate::config::{Settings, Source};
use crate::ids::request_id::LONGEST;
use crate::interop::{Field, Inbound};
use crate::w3c::trim;
use seawall_core::claim::written;
use seawall_core::headers::Headers;
use seawall_core::host::Host;

/// A value from outside, safe to log: what is not a letter, a digit or one of `._-@+:/=~|` becomes `_`, and what is
/// beyond 128 bytes goes.
pub fn printable(value: &[u8]) -> Vec<u8> {
    let safe = |byte: &u8| {
        if may_be(LOGGED, *byte) {
            *byte
        } else {
            b'_'
        }
    };
    trim(value).iter().take(LONGEST).map(safe).collect()
}

/// The value of a cookie.
fn cookie<'a>(inbound: &Inbound<'a>, name: &str) -> Option<&'a [u8]> {
    for line in inbound.all(Field::Cookie) {
        for pair in line.split(|byte| *byte == b';') {
            let value = trim(pair).strip_prefix(name.as_bytes());
            if let Some([b'=', value @ ..]) = value {
                return Some(value);
            }
        }
    }
    None
}

/// A value that is not worth a failed request: a property that the host refuses is missing in the log.
fn set(host: &dyn Host, name: &str, value: &[u8]) {
    if !value.is_empty() {
        let _ = host.set_property(name, value);
    }
}

/// Tenant and user: the property, and where its value is.
fn sources(settings: &Settings) -> [(&'static str, Option<&Source>); 2] {
    [
        (
            "seawall.trace_headers.tenant_id",
            settings.tenant_id.as_ref(),
        ),
        ("seawall.trace_headers.user_id", settings.user_id.as_ref()),
    ]
}

/// Tenant and user, where the request's headers say it.
#[inline(never)]
pub fn from_request(
    host: &dyn Host,
    settings: &Settings,
    headers: &Headers,
    inbound: &Inbound<'_>,
) {
    for (name, source) in sources(settings) {
        let value = match source {
            Some(Source::Header(header)) => headers.get(header),
            Some(Source::Cookie(name)) => cookie(inbound, name),
            Some(Source::Claim(_)) | None => None,
        };
        if let Some(value) = value {
            set(host, name, &printable(value));
        }
    }
}

/// Tenant and user, where a token says it. A filter further on has verified that token, so it is known with the response, or
/// at the end where none came.
#[inline(never)]
pub fn from_claims(host: &dyn Host, settings: &Settings) {
    for (name, source) in sources(settings) {
        if let Some(Source::Claim(steps)) = source {
            let mut path = "metadata\0filter_metadata".to_owned();
            for step in steps {
                path.push('\0');
                path.push_str(step);
            }
            let value = host.property(&path).ok().flatten().unwrap_or_default();
            set(host, name, &claim(&value));
        }
    }
}

/// A claim for the log: lists and objects, which the host gives with their lengths as whole numbers, are not for it.
fn claim(value: &[u8]) -> Vec<u8> {
    match written(value) {
        Some(text) => printable(text.as_bytes()),
        None if value.contains(&0) => Vec::new(),
        None => printable(value),
    }
}

/// The ids, for a log that cannot find them in the request's headers.
#[inline(never)]
pub fn ids(host: &dyn Host, identity: &Identity) {
    let position = &identity.position;
    set(
        host,
        "seawall.trace_headers.request_id",
        identity.request_id.as_bytes(),
    );
    set(
        host,
        "seawall.trace_headers.trace_id",
        &position.trace_id.digits(),
    );
    set(
        host,
        "seawall.trace_headers.span_id",
        &position.span_id.digits(),
    );
}

/// Ids that were sent and not taken over.
#[inline(never)]
pub fn refused(host: &dyn Host, request_id: Option<&[u8]>, traceparent: Option<&[u8]>) {
    for (name, value) in [
        ("seawall.trace_headers.inbound_request_id", request_id),
        ("seawall.trace_headers.inbound_traceparent", traceparent),
    ] {
        if let Some(value) = value {
            set(host, name, &printable(value));
        }
    }
}
