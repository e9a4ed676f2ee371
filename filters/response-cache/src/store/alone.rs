//! Keys of which a worker knows that nothing is stored for them and that nobody waits for their answers: what cannot be
//! stored is then sent on without a look at shared data.

use seawall_core::generation::Seen;
use seawall_core::hash::Fingerprint;
use seawall_core::time::Timestamp;

/// A power of two. Keys that share a place take it from each other.
const PLACES: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Known {
    fingerprint: Fingerprint,
    seen: Seen,
    until: Timestamp,
}

/// The keys: at most 64 KiB, and nothing before the first one.
#[derive(Debug, Default)]
pub struct Alone(Vec<Option<Known>>);

fn place(fingerprint: Fingerprint) -> usize {
    (fingerprint.0 as usize) & PLACES.saturating_sub(1)
}

impl Alone {
    /// Remembers a key that was absent at `seen`, until then.
    pub fn remember(&mut self, fingerprint: Fingerprint, seen: Seen, until: Timestamp) {
        if self.0.is_empty() {
            self.0.resize(PLACES, None);
        }
        if let Some(known) = self.0.get_mut(place(fingerprint)) {
            *known = Some(Known {
                fingerprint,
                seen,
                until,
            });
        }
    }

    /// True for a key that is still what it was when it was remembered.
    pub fn knows(&self, fingerprint: Fingerprint, present: Seen, now: Timestamp) -> bool {
        let known = self.0.get(place(fingerprint)).copied().flatten();
        known.is_some_and(|known| {
            known.fingerprint == fingerprint && now < known.until && known.seen.holds_at(present)
        })
    }
}
