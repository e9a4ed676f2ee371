//! Whose breaker a call has.

use crate::settings::Part;
use seawall_core::hash::{Fingerprint, KeyHasher, Secret};
use seawall_core::host::{Host, Map};

/// The key of the request at hand, and the values of its parts.
///
/// Calls without a header that is part of the key share a breaker. A cluster, a route's name or a host that is missing is the
/// configuration's fault: the call has no breaker.
///
/// # Errors
/// The part that is missing.
pub(crate) fn key_of<'a>(
    host: &dyn Host,
    secret: &Secret,
    parts: &'a [Part],
) -> Result<(Fingerprint, Vec<Vec<u8>>), &'a Part> {
    let mut hasher = KeyHasher::new(secret);
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        let (kind, value) = match part {
            Part::Cluster => ("cluster", host.property(&["xds", "cluster_name"])),
            Part::Route => ("route", host.property(&["xds", "route_name"])),
            Part::Host => ("host", host.header(Map::Request, ":authority")),
            Part::Header(field) => (field.as_str(), host.header(Map::Request, field)),
        };
        hasher.part(kind.as_bytes());
        match value.ok().flatten().filter(|value| !value.is_empty()) {
            Some(value) => {
                hasher.part(&value);
                values.push(value);
            }
            None if matches!(part, Part::Header(_)) => {
                hasher.missing();
                values.push(Vec::new());
            }
            None => return Err(part),
        }
    }
    Ok((hasher.finish(), values))
}
