//! What the filter counts. All names begin with `seawall.response_cache.`.

use crate::http::storable::Refusal;
use seawall_core::host::Host;
use seawall_core::metrics::{Counter, Gauge};
use std::cell::Cell;

/// A count that the timer brings in: a host call less for what is frequent.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counter: Counter,
    counted: Cell<u64>,
}

impl Tally {
    fn define(host: &dyn Host, name: &str) -> Self {
        Tally {
            counter: Counter::define(host, name),
            counted: Cell::default(),
        }
    }

    /// Counts one.
    pub fn increment(&self) {
        self.counted.set(self.counted.get().saturating_add(1));
    }

    fn flush(&self, host: &dyn Host) {
        self.counter.add(host, self.counted.take());
    }
}

/// The counters and gauges.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Answered from a fresh entry.
    pub hits: Tally,
    /// Gone to the origin for want of an entry.
    pub misses: Tally,
    /// Passed the cache by.
    pub bypasses: Tally,
    /// Answered 504, for only what is stored was wanted.
    pub only_if_cached: Tally,
    /// Answered stale while the entry is refreshed.
    pub stale_while_revalidate: Tally,
    /// Answered stale instead of an error.
    pub stale_if_error: Tally,
    /// Of those, without asking: the request that they waited for had failed.
    pub stale_if_error_coalesced: Tally,
    /// Answered stale because the client accepts it.
    pub stale_max_stale: Tally,
    /// Gone to the origin to refresh what is stored.
    pub refreshes: Tally,
    /// Of those, before the entry had expired.
    pub refreshes_early: Tally,
    /// Of those, without a client's request.
    pub refreshes_background: Tally,
    /// 304 answers of the origin that made an entry fresh again.
    pub revalidated: Tally,
    /// Requests that waited for another one's answer.
    pub coalesced: Tally,
    /// Of those, waited too long.
    pub waits_timed_out: Counter,
    /// Answers stored.
    pub stored: Counter,
    /// Answers not stored, by reason.
    pub rejected: Vec<(Refusal, Tally)>,
    /// Entries given up for others.
    pub evicted: Counter,
    /// Entries invalidated by unsafe methods.
    pub invalidated: Tally,
    /// Purges done.
    pub purges: Counter,
    /// Purge requests refused.
    pub purges_refused: Counter,
    /// Bytes of all entries.
    pub bytes: Gauge,
    /// Times that the host failed and traffic passed.
    pub errors: Counter,
    /// Route settings that are wrong.
    pub config_errors: Counter,
}

impl Metrics {
    /// Makes them known to the host.
    pub fn define(host: &dyn Host) -> Self {
        let counter = |name: &str| Counter::define(host, &format!("seawall.response_cache.{name}"));
        let tally = |name: &str| Tally::define(host, &format!("seawall.response_cache.{name}"));
        Metrics {
            hits: tally("hits"),
            misses: tally("misses"),
            bypasses: tally("bypasses"),
            only_if_cached: tally("only_if_cached"),
            stale_while_revalidate: tally("stale.while_revalidate"),
            stale_if_error: tally("stale.if_error"),
            stale_if_error_coalesced: tally("stale.if_error_coalesced"),
            stale_max_stale: tally("stale.max_stale"),
            refreshes: tally("refreshes"),
            refreshes_early: tally("refreshes_early"),
            refreshes_background: tally("refreshes_background"),
            revalidated: tally("revalidated"),
            coalesced: tally("coalesced"),
            waits_timed_out: counter("waits_timed_out"),
            stored: counter("stored"),
            rejected: Refusal::ALL
                .iter()
                .map(|refusal| (*refusal, tally(&format!("rejected.{}", refusal.name()))))
                .collect(),
            evicted: counter("evicted"),
            invalidated: tally("invalidated"),
            purges: counter("purges"),
            purges_refused: counter("purges_refused"),
            bytes: Gauge::define(host, "seawall.response_cache.bytes"),
            errors: counter("errors"),
            config_errors: counter("config_errors"),
        }
    }

    /// Counts an answer that was not stored.
    pub fn reject(&self, refusal: Refusal) {
        if let Some((_, tally)) = self.rejected.iter().find(|(known, _)| *known == refusal) {
            tally.increment();
        }
    }

    /// Brings in what was counted since the last time.
    pub fn flush(&self, host: &dyn Host) {
        for tally in [
            &self.hits,
            &self.misses,
            &self.bypasses,
            &self.only_if_cached,
            &self.stale_while_revalidate,
            &self.stale_if_error,
            &self.stale_if_error_coalesced,
            &self.stale_max_stale,
            &self.refreshes,
            &self.refreshes_early,
            &self.refreshes_background,
            &self.revalidated,
            &self.coalesced,
            &self.invalidated,
        ] {
            tally.flush(host);
        }
        for (_, tally) in &self.rejected {
            tally.flush(host);
        }
    }
}
