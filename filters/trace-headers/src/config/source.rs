//! Where the tenant and the user of a request are found.

use super::header_name;
use super::raw;
use seawall_core::config::ConfigErrors;

/// Where a value is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a request header.
    Header(String),
    /// In a cookie.
    Cookie(String),
    /// In dynamic metadata, as `jwt_authn` leaves the claims of a token that it has verified: the path below
    /// `metadata.filter_metadata`.
    Claim(Vec<String>),
}

pub(super) fn validate(
    path: &str,
    raw: Option<raw::Source>,
    errors: &mut ConfigErrors,
) -> Option<Source> {
    let raw = raw?;
    let header = header_name(&format!("{path}.header"), raw.header, errors);
    // Under that name the host has what a client calls `host`.
    let header = header.map(|name| {
        if name == "host" {
            ":authority".to_owned()
        } else {
            name
        }
    });
    let header = header.map(Source::Header);
    let cookie = raw.cookie.map(|name| {
        let good = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'=' && byte != b';');
        if !good {
            errors.add(
                format!("{path}.cookie"),
                format!("must be a cookie name, got {name:?}"),
            );
        }
        Source::Cookie(name)
    });
    let claim = raw.claim.map(|steps| {
        if steps.len() < 2
            || steps.len() > 8
            || steps
                .iter()
                .any(|step| step.is_empty() || step.contains('\0'))
        {
            errors.add(
                format!("{path}.claim"),
                format!("must be 2 to 8 steps such as [envoy.filters.http.jwt_authn, jwt_payload, sub], got {steps:?}"),
            );
        }
        Source::Claim(steps)
    });
    let mut given = [header, cookie, claim].into_iter().flatten();
    let (found, more) = (given.next(), given.count());
    if found.is_none() || more > 0 {
        let got = more.saturating_add(usize::from(found.is_some()));
        let allowed = "must have exactly one of header, cookie and claim";
        errors.add(path, format!("{allowed}, got {got}"));
    }
    found
}
