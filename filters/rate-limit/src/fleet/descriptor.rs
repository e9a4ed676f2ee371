//! A limit and the key of a request as a descriptor of Envoy's rate limit protocol.
//!
//! The first entry is `limit`, the limit's name; then one for each part of the key, named as Envoy's own actions name them
//! where they have a name: `remote_address`, `generic_key`, `destination_cluster`; a header, a cookie, a query parameter by
//! its name.

use super::wire;
use crate::config::{Limit, Plan};
use crate::key::address::Prefixes;
use crate::key::Part;
use seawall_core::hash::{KeyHasher, Secret};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A longer value, or one that is no plain text, is sent as its hash: services take UTF-8 only, and keep what they get.
const LONGEST: usize = 256;

/// The protocol has no empty values.
const MISSING: &str = "(none)";
const EMPTY: &str = "(empty)";

/// The descriptor of a limit for a request with these values of its key.
pub(crate) fn descriptor(
    limit: &Limit,
    plan: &Plan,
    parts: &[Part],
    values: &[Option<Vec<u8>>],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    wire::entry(&mut out, "limit", &limit.name);
    for (index, part) in parts.iter().enumerate() {
        let value = values.get(index).and_then(Option::as_deref);
        wire::entry(&mut out, name(part), &text(part, value));
    }
    if let Some((requests, unit)) = plan.fleet.as_ref().and_then(|fleet| fleet.numbers) {
        wire::numbers(&mut out, requests, unit);
    }
    out
}

fn name(part: &Part) -> &str {
    match part {
        Part::Header(name) | Part::Cookie(name) | Part::Query(name) => name,
        Part::ClientAddress { .. } => "remote_address",
        Part::Path => "path",
        Part::PathPrefix(_) => "path_prefix",
        Part::PathSegment(_) => "path_segment",
        Part::Method => "method",
        Part::Host => "host",
        Part::Route => "route",
        Part::Cluster => "destination_cluster",
        Part::Claim(path) => path.last().map_or("jwt_claim", String::as_str),
        Part::Constant(_) => "generic_key",
    }
}

fn text(part: &Part, value: Option<&[u8]>) -> String {
    let Some(value) = value else {
        return MISSING.to_owned();
    };
    if let Part::ClientAddress { prefixes, .. } = part {
        return address(value, *prefixes);
    }
    if value.is_empty() {
        return EMPTY.to_owned();
    }
    match std::str::from_utf8(value) {
        Ok(text) if text.len() <= LONGEST && !text.chars().any(char::is_control) => text.to_owned(),
        // The same for all Envoys, so without their secret.
        _ => {
            let hash = KeyHasher::new(&Secret([0; 16])).part(value).finish();
            format!("#{:032x}", hash.0)
        }
    }
}

fn address(bytes: &[u8], prefixes: Prefixes) -> String {
    let (address, length, whole) = if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        (Ipv4Addr::from(bytes).to_string(), prefixes.ipv4, 32)
    } else if let Ok(bytes) = <[u8; 16]>::try_from(bytes) {
        (Ipv6Addr::from(bytes).to_string(), prefixes.ipv6, 128)
    } else {
        return MISSING.to_owned();
    };
    if length >= whole {
        address
    } else {
        format!("{address}/{length}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_with_their_prefix() {
        let part = Part::ClientAddress {
            trusted_hops: 0,
            prefixes: Prefixes::default(),
        };
        assert_eq!(text(&part, Some(&[192, 0, 2, 7])), "192.0.2.7");
        let mut six = [0; 16];
        six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        assert_eq!(text(&part, Some(&six)), "2001:db8::/64");
        assert_eq!(text(&part, None), "(none)");
    }

    #[test]
    fn hostile_values_are_sent_as_hashes() {
        let part = Part::Header("x".to_owned());
        assert_eq!(text(&part, Some("gr\u{fc}n".as_bytes())), "gr\u{fc}n");
        assert_eq!(text(&part, Some(b"")), "(empty)");
        let long = vec![b'a'; 60_000];
        for hostile in [&b"\xff\xfe"[..], b"a\nb", b"a\0b", &long] {
            let sent = text(&part, Some(hostile));
            assert!(sent.starts_with('#') && sent.len() == 33, "{sent}");
        }
        assert_ne!(text(&part, Some(b"\xff")), text(&part, Some(b"\xfe")));
    }
}
