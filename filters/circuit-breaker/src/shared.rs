//! What the workers do with the breakers they share.

use crate::breaker::window::Tally;
use crate::breaker::{self, Admission, Reason, Record, State, Transition};
use crate::filter::{Call, Shared, Ticket};
use crate::outcome::{Outcome, DELAY_INJECTED};
use crate::overdue::Watched;
use crate::settings::Settings;
use crate::table::{find, slot_name};
use crate::tallies::Asked;
use seawall_core::generation::Seen;
use seawall_core::host::Host;
use seawall_core::log::identity;
use seawall_core::time::{Span, Timestamp};
use std::rc::Rc;

/// In adaptive mode each worker lets at least one call in this time through.
const FLOOR: Span = Span::from_secs(1);

/// What was decided on a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admitted {
    pub(crate) admission: Admission,
    /// The epoch it belongs to.
    pub(crate) epoch: u32,
    /// Why the breaker was opened last.
    pub(crate) reason: Reason,
    /// The generation it was decided in.
    pub(crate) seen: Option<u64>,
}

impl Default for Admitted {
    /// By a breaker that has never failed.
    fn default() -> Self {
        Admitted {
            admission: Admission::Pass {
                tell: false,
                rough: false,
            },
            epoch: 0,
            reason: Reason::None,
            seen: None,
        }
    }
}

impl Admitted {
    fn of(admission: Admission, record: &Record) -> Self {
        Admitted {
            admission,
            epoch: record.epoch,
            reason: record.reason,
            seen: None,
        }
    }
}

/// What became of what a worker wanted to tell.
enum Told {
    /// The others know.
    Yes,
    /// Nobody asks for it any more.
    Quiet,
    /// It was of another epoch.
    Late,
}

impl Shared {
    /// Decides on a call. `None` when the host fails: the call passes.
    pub(crate) fn admit(
        &self,
        host: &dyn Host,
        settings: &Rc<Settings>,
        ticket: &Rc<Ticket>,
        now: Timestamp,
        whole: bool,
    ) -> Option<Admitted> {
        let present = self.copies.present(host, now);
        let recalled = present.and_then(|present| {
            // Most calls: the breaker has never failed, and a record of it need not even be made up.
            self.copies.recall(ticket.key, present, |copy| match copy {
                None => Some(Admitted::default()),
                Some(record) => match self.decide(host, settings, ticket, now, whole, record) {
                    (_, admitted, None) => Some(admitted),
                    // It is time for a change, which is made below.
                    (_, _, Some(_)) => None,
                },
            })
        });
        let seen = present.map(Seen::number);
        if let Some(Some(admitted)) = recalled {
            return Some(Admitted { seen, ..admitted });
        }
        let absent = || Some(Admitted::default());
        let whose = || identity(host);
        let changed = self.change(host, settings, ticket, now, whose, absent, |record| {
            self.decide(host, settings, ticket, now, whole, record)
        })?;
        if let (Some(present), false) = (present, changed.written) {
            self.copies.keep(ticket.key, present, changed.before);
        }
        Some(Admitted {
            seen,
            ..changed.result
        })
    }

    /// Whether failures in a row are being counted that began after the call did, so that its success ends the row. A healthy
    /// call does not read for that: its worker knows from the calls that it has admitted since, and from its own failures, whether
    /// a breaker has changed. Where there is no generation, nobody knows, and every call reads.
    pub(crate) fn ends_a_row(&self, host: &dyn Host, call: &Call) -> bool {
        let policy = &call.settings.policy;
        if policy.failure_threshold < 2
            || policy.adaptive.is_some()
            || (call.seen.is_some() && call.seen == self.copies.latest())
        {
            return false;
        }
        let slot = slot_name(call.ticket.key.slot(self.slots));
        let bytes = host.shared_get(&slot).ok().flatten();
        let record = find(
            bytes.as_ref().map(|(bytes, _)| bytes.as_slice()),
            call.ticket.key,
        );
        record.is_some_and(|record| {
            record.state == State::Closed && record.epoch == call.epoch && record.count > 0
        })
    }

    /// What a breaker does with a call now, and what that makes of it.
    fn decide(
        &self,
        host: &dyn Host,
        settings: &Settings,
        ticket: &Ticket,
        now: Timestamp,
        whole: bool,
        record: &Record,
    ) -> (Record, Admitted, Option<Transition>) {
        let policy = &settings.policy;
        let chance = || Shared::chance(host);
        if policy.adaptive.is_some() && record.state == State::Closed {
            // What this worker has not told yet is known here.
            let mut seen = *record;
            if let Ok(tallies) = self.tallies.try_borrow() {
                let pending = tallies.pending(ticket.key, record.epoch);
                seen.window.merge(policy.window, now, &pending);
            }
            let (_, admission, _) = seen.admit(policy, now, &chance);
            return (*record, Admitted::of(admission, record), None);
        }
        let (next, admission, transition) = record.admit_when(whole, policy, now, &chance);
        (next, Admitted::of(admission, &next), transition)
    }

    /// A probe has been sent to its end.
    #[cold]
    pub(crate) fn sent(&self, host: &dyn Host, call: &mut Call, now: Timestamp) {
        let Some(lease) = call.lease else { return };
        let (settings, epoch) = (Rc::clone(&call.settings), call.epoch);
        let absent = || Some(None);
        let changed = self.change(
            host,
            &settings,
            &call.ticket,
            now,
            String::new,
            absent,
            |record| match record.sent((epoch, lease), &settings.policy, now) {
                Some((next, lease)) => (next, Some(lease), None),
                None => (*record, None, None),
            },
        );
        call.lease = changed.and_then(|changed| changed.result).or(Some(lease));
    }

    /// Adaptive mode refuses: counts it, and says whether the floor lets it through all the same.
    pub(crate) fn is_due(
        &self,
        host: &dyn Host,
        settings: &Rc<Settings>,
        ticket: &Rc<Ticket>,
        epoch: u32,
        now: Timestamp,
    ) -> bool {
        let Ok(mut tallies) = self.tallies.try_borrow_mut() else {
            return true;
        };
        let order = self.next_order();
        if tallies.is_due(settings, ticket, epoch, order, FLOOR, now) {
            return true;
        }
        tallies.count(settings, ticket, epoch, order, now, Tally::REFUSED);
        tallies.ask(ticket.key, true);
        drop(tallies);
        self.keep_ticking(host);
        false
    }

    /// As which of this worker's calls the next one is let through.
    pub(crate) fn next_order(&self) -> u64 {
        self.admitted.get().wrapping_add(1)
    }

    /// A call has worked. Told at once only where it matters at once.
    pub(crate) fn succeeded(&self, host: &dyn Host, call: &Call) {
        if call.tell || call.lease.is_some() {
            return self.settle(host, call, Outcome::Success, None, false);
        }
        if call.settings.policy.counts_calls() {
            if let Ok(mut tallies) = self.tallies.try_borrow_mut() {
                // Not at the time it began, which may be outside of the window, nor by one more look at the clock.
                let now = self.looked.get();
                let (epoch, order) = (call.epoch, call.order);
                let (settings, ticket) = (&call.settings, &call.ticket);
                tallies.count(settings, ticket, epoch, order, now, Tally::SUCCESS);
                if call.rough {
                    tallies.ask(call.ticket.key, true);
                }
            }
            self.keep_ticking(host);
        }
    }

    /// Takes the result of a call, and tells what this worker has counted.
    pub(crate) fn settle(
        &self,
        host: &dyn Host,
        call: &Call,
        outcome: Outcome,
        retry_after: Option<Span>,
        opens: bool,
    ) {
        let (policy, ticket) = (&call.settings.policy, &call.ticket);
        if matches!(outcome, Outcome::Failure | Outcome::Slow) {
            self.metrics.failures.increment(host);
        }
        let Ok(now) = self.now(host) else {
            return self.report(host, "the clock");
        };
        if call.lease.is_some() {
            let probes = &self.metrics.probes;
            let counter = match outcome {
                Outcome::Success | Outcome::Neutral => probes.succeeded,
                Outcome::Failure | Outcome::Slow => probes.failed,
                Outcome::Ignored => probes.ignored,
            };
            counter.increment(host);
        }
        let pending = self.tallies.try_borrow().map_or_else(
            |_| Default::default(),
            |tallies| tallies.pending(ticket.key, call.epoch),
        );
        let chance = || Shared::chance(host);
        let result = breaker::Result {
            epoch: call.epoch,
            lease: call.lease,
            outcome,
            retry_after,
            opens,
        };
        let absent = || None;
        let whose = || match (&call.whose, outcome) {
            (Some(whose), _) => whose.to_string(),
            // Counted by the timer, or on the occasion of another request.
            (None, Outcome::Slow) => String::new(),
            (None, _) => identity(host),
        };
        let changed = self.change(host, &call.settings, ticket, now, whose, absent, |record| {
            let (next, transition) = record.settle(policy, &result, &pending, now, &chance);
            let told = next != *record && next.state == State::Closed;
            (next, told, transition)
        });
        let Some(changed) = changed else { return };
        if !policy.counts_calls() {
            return;
        }
        if changed.result && changed.placed {
            if let Ok(mut tallies) = self.tallies.try_borrow_mut() {
                let order = self.next_order();
                tallies.told_and_asked(&call.settings, ticket, call.epoch, order);
            }
            self.keep_ticking(host);
        }
        if changed.alarming {
            self.sound_alarm(host);
        }
    }

    /// Tells the others what this worker has counted for keys that fail somewhere; of all keys the `last` time, for nobody can ask
    /// afterwards.
    pub(crate) fn tell(&self, host: &dyn Host, now: Timestamp, last: bool) {
        let Ok(mut tallies) = self.tallies.try_borrow_mut() else {
            return;
        };
        if tallies.is_empty() {
            return;
        }
        if last || self.hears_alarm(host) {
            tallies.ask_all();
        }
        let asked = tallies.asked();
        drop(tallies);
        for Asked {
            settings,
            ticket,
            epoch,
        } in asked
        {
            let pending = self.tallies.try_borrow().map_or_else(
                |_| Default::default(),
                |tallies| tallies.pending(ticket.key, epoch),
            );
            let policy = &settings.policy;
            let chance = || Shared::chance(host);
            let absent = || None;
            let whose = String::new;
            let told = self.change(host, &settings, &ticket, now, whose, absent, |record| {
                if record.epoch != epoch || record.state != State::Closed {
                    return (*record, Told::Late, None);
                }
                if !last && !record.is_rough(policy, now) {
                    return (*record, Told::Quiet, None);
                }
                let (next, transition) = record.report(policy, epoch, &pending, now, &chance);
                (next, Told::Yes, transition)
            });
            let (Some(told), Ok(mut tallies)) = (told, self.tallies.try_borrow_mut()) else {
                continue;
            };
            if !matches!(told.result, Told::Quiet) {
                tallies.told(ticket.key);
            }
            tallies.ask(ticket.key, matches!(told.result, Told::Yes));
        }
    }

    /// Counts the calls whose deadline has passed, whoever they belong to. True when the host acts on another request now.
    pub(crate) fn count_overdue(&self, host: &dyn Host, now: Timestamp) -> bool {
        let mut elsewhere = false;
        // Taken one by one: counting calls the host, and nothing may be borrowed meanwhile.
        while let Some(call) = self
            .watch
            .try_borrow_mut()
            .ok()
            .and_then(|mut watch| watch.take_overdue(now))
        {
            if call.answered {
                self.settle(host, &call, Outcome::Success, None, false);
                continue;
            }
            elsewhere = true;
            if !self.is_held_up(host, &call) {
                self.count_late(host, &call);
            }
        }
        elsewhere
    }

    /// Whether Envoy's fault filter has held a call up: then it counts by its end alone, whenever that is. The host acts on
    /// its request afterwards.
    pub(crate) fn is_held_up(&self, host: &dyn Host, call: &Call) -> bool {
        if host.act_on(call.context).is_err() {
            return false;
        }
        let flags = host.property("response\0flags").ok().flatten();
        let flags = flags.and_then(|bytes| bytes.try_into().ok());
        flags.is_some_and(|flags| u64::from_le_bytes(flags) & DELAY_INJECTED != 0)
    }

    /// Counts a call that has no response headers in time.
    pub(crate) fn count_late(&self, host: &dyn Host, call: &Call) {
        self.metrics.overdue.increment(host);
        self.settle(host, call, Outcome::Slow, None, false);
    }

    /// Watches a call that has a deadline.
    pub(crate) fn watch(
        &self,
        host: &dyn Host,
        deadline: Timestamp,
        call: Call,
    ) -> Option<Watched> {
        let watched = self.watch.try_borrow_mut().ok()?.add(deadline, call);
        self.keep_ticking(host);
        watched
    }
}
