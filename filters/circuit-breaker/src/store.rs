//! Breakers in shared data: read, decided on and swapped.

use crate::breaker::{Record, State, Transition};
use crate::filter::{Shared, Ticket};
use crate::settings::Settings;
use crate::table::{find, slot_name, Placed, Slot};
use seawall_core::host::{Host, Level};
use seawall_core::shared::{update, Step, UpdateError};
use seawall_core::time::Timestamp;

/// A lost race is tried again as often; with a few workers more than two in a row are rare.
const ATTEMPTS: u32 = 64;

/// The key of a number that changes when failures begin somewhere: what has been counted is to be told.
const ALARM: &str = "seawall.circuit_breaker.alarm";

/// What a change did.
pub(crate) struct Changed<R> {
    pub(crate) result: R,
    /// The breaker as it was; `None` had never failed.
    pub(crate) before: Option<Record>,
    /// It was changed.
    pub(crate) written: bool,
    /// Failures have begun.
    pub(crate) alarming: bool,
    /// It is in the table, or needed not be.
    pub(crate) placed: bool,
    /// The state of a breaker that was forgotten for it.
    pub(crate) gone: Option<State>,
}

impl Shared {
    /// Changes a breaker as `decide` says. One that is absent has never failed, and needs no decision where `absent` has one.
    /// `whose` is what leads to the request behind it, for the log.
    #[allow(clippy::too_many_arguments, reason = "each is said by every caller")]
    pub(crate) fn change<R>(
        &self,
        host: &dyn Host,
        settings: &Settings,
        ticket: &Ticket,
        now: Timestamp,
        whose: impl FnOnce() -> String,
        absent: impl Fn() -> Option<R>,
        decide: impl Fn(&Record) -> (Record, R, Option<Transition>),
    ) -> Option<Changed<R>> {
        let key = ticket.key;
        let updated = update(host, &slot_name(key.slot(self.slots)), ATTEMPTS, |bytes| {
            let before = find(bytes, key);
            let kept = |result| Changed {
                result,
                before,
                written: false,
                alarming: false,
                placed: true,
                gone: None,
            };
            if before.is_none() {
                if let Some(result) = absent() {
                    return Step::Keep((kept(result), None));
                }
            }
            let record = before.unwrap_or_default();
            let (next, result, transition) = decide(&record);
            let mut changed = kept(result);
            // The time of earlier ones may still be there: nobody writes only because they have left the window.
            changed.alarming =
                next.rough_since != record.rough_since && next.rough_since != Timestamp::EPOCH;
            if next == record {
                return Step::Keep((changed, transition));
            }
            let mut slot = Slot::decode(bytes);
            match slot.put(key, next, &settings.policy, now) {
                Placed::Nowhere => {
                    changed.placed = false;
                    return Step::Keep((changed, None));
                }
                Placed::InsteadOf(state) => changed.gone = Some(state),
                Placed::Free => {}
            }
            changed.written = true;
            Step::Write(slot.encode(), (changed, transition))
        });
        match updated {
            Ok(updated) => {
                let (changed, transition) = updated.result;
                if changed.written {
                    // First of all: from here on nobody's copy counts.
                    self.copies.changed(host);
                }
                if updated.conflicts > 0 {
                    let conflicts = u64::from(updated.conflicts);
                    self.metrics.swap_retries.add(host, conflicts);
                }
                if let Some(state) = changed.gone {
                    self.metrics.forgotten(host, state);
                }
                if !changed.placed {
                    self.metrics.table_full.increment(host);
                    self.full.log(host, Level::Warn, || {
                        "all breakers are in use, further keys have none: raise max_keys".to_owned()
                    });
                }
                if let Some(transition) = transition {
                    self.announce(host, settings, ticket, transition, &whose());
                }
                Some(changed)
            }
            Err(UpdateError::Contended) => {
                self.report(host, "too many workers change a breaker at once");
                None
            }
            Err(UpdateError::Host(failure)) => {
                self.report(host, &format!("shared data: {failure:?}"));
                None
            }
        }
    }

    /// Failures have begun: all workers are to tell what they have counted. Should nobody hear it, they tell with the next
    /// call that they see.
    pub(crate) fn sound_alarm(&self, host: &dyn Host) {
        let _ = update(host, ALARM, ATTEMPTS, |bytes| {
            let next = number(bytes).wrapping_add(1);
            Step::Write(next.to_le_bytes().to_vec(), ())
        });
    }

    /// Whether failures have begun somewhere since this was asked last.
    pub(crate) fn hears_alarm(&self, host: &dyn Host) -> bool {
        let alarm = host.shared_get(ALARM).ok().flatten();
        let alarm = number(alarm.as_ref().map(|(bytes, _)| bytes.as_slice()));
        self.alarm.replace(alarm) != alarm
    }
}

fn number(bytes: Option<&[u8]>) -> u64 {
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}
