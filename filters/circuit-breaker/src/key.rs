//! Whose breaker a call has.

use crate::filter::Ticket;
use crate::settings::{Part, Settings};
use seawall_core::authority;
use seawall_core::hash::{Fingerprint, KeyHasher, Secret};
use seawall_core::host::{Host, Map};
use std::cell::RefCell;
use std::rc::Rc;

/// Tickets that a worker keeps at hand, so that a key that was hashed a moment ago is not hashed again.
const RECENT: usize = 16;

/// So much of a value is shown.
pub(crate) const MOST_SHOWN: usize = 64;

/// A ticket with longer values is made anew each time.
const MOST_BYTES: usize = 256;

/// The values of a key's parts; one that is missing is empty.
///
/// Calls without a header that is part of the key share a breaker. A cluster, a route's name or a host that is missing is the
/// configuration's fault: the call has no breaker.
///
/// # Errors
/// The part that is missing.
fn values_of<'a>(host: &dyn Host, parts: &'a [Part]) -> Result<Vec<Vec<u8>>, &'a Part> {
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        let value = match part {
            Part::Cluster => host.property("xds\0cluster_name"),
            Part::Route => host.property("xds\0route_name"),
            Part::Host => host.header(Map::Request, ":authority"),
            Part::Header(field) => host.header(Map::Request, field),
        };
        let mut value = value.ok().flatten().unwrap_or_default();
        if matches!(part, Part::Host) {
            value = authority::host(value);
        }
        if value.is_empty() && !matches!(part, Part::Header(_)) {
            return Err(part);
        }
        values.push(value);
    }
    Ok(values)
}

fn fingerprint(secret: &Secret, parts: &[Part], values: &[Vec<u8>]) -> Fingerprint {
    let mut hasher = KeyHasher::new(secret);
    for (part, value) in parts.iter().zip(values) {
        if let Part::Header(_) = part {
            // A header may be called as another part is, and its value is the client's choice.
            hasher.part(b"header");
        }
        hasher.part(part.name().as_bytes());
        if value.is_empty() {
            hasher.missing();
        } else {
            hasher.part(value);
        }
    }
    hasher.finish()
}

/// A ticket, and for whose key.
#[derive(Debug, Clone)]
struct Kept {
    settings: Rc<Settings>,
    ticket: Rc<Ticket>,
}

/// Leaves of what clients choose only what the log and the response header show of it, since a ticket may be kept for long.
fn shorten(parts: &[Part], values: &mut [Vec<u8>]) {
    for (part, value) in parts.iter().zip(values) {
        if matches!(part, Part::Host | Part::Header(_)) && value.len() > MOST_SHOWN {
            // One more byte, by which is seen that something is missing.
            value.truncate(MOST_SHOWN.saturating_add(1));
            value.shrink_to_fit();
        }
    }
}

/// The tickets of late.
#[derive(Debug)]
pub(crate) struct Tickets(RefCell<Vec<Option<Kept>>>);

impl Default for Tickets {
    fn default() -> Self {
        Tickets(RefCell::new(vec![None; RECENT]))
    }
}

/// Where a ticket is kept. Whoever aims at a place gains nothing: a ticket that is not there is made.
fn place(values: &[Vec<u8>]) -> usize {
    let mut mixed = 0usize;
    for value in values {
        let end = value.last().copied().unwrap_or_default();
        mixed = mixed
            .wrapping_mul(7)
            .wrapping_add(value.len())
            .wrapping_add(usize::from(end).wrapping_mul(3));
    }
    mixed % RECENT
}

impl Tickets {
    /// The ticket of the request at hand.
    ///
    /// # Errors
    /// The part of the key that is missing.
    pub(crate) fn of_request<'a>(
        &self,
        host: &dyn Host,
        secret: &Secret,
        settings: &'a Rc<Settings>,
    ) -> Result<Rc<Ticket>, &'a Part> {
        let mut values = values_of(host, &settings.key)?;
        let place = place(&values);
        if let Ok(recent) = self.0.try_borrow() {
            if let Some(Some(kept)) = recent.get(place) {
                if Rc::ptr_eq(&kept.settings, settings) && kept.ticket.values == values {
                    return Ok(Rc::clone(&kept.ticket));
                }
            }
        }
        let key = fingerprint(secret, &settings.key, &values);
        let short = values.iter().map(Vec::len).sum::<usize>() <= MOST_BYTES;
        if !short {
            shorten(&settings.key, &mut values);
        }
        let ticket = Rc::new(Ticket { key, values });
        if short {
            if let Ok(mut recent) = self.0.try_borrow_mut() {
                if let Some(kept) = recent.get_mut(place) {
                    *kept = Some(Kept {
                        settings: Rc::clone(settings),
                        ticket: Rc::clone(&ticket),
                    });
                }
            }
        }
        Ok(ticket)
    }
}
