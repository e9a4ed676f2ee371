//! What is kept of a request until its response: what to tell, and what to settle.

use crate::answer::Shown;
use crate::config::{Charge, Settings};
use crate::few::Few;
use crate::filter::Filter;
use crate::outcome::Outcome;
use crate::quota::{Quota, DEBT};
use crate::table::{self, Settlement};
use seawall_core::grpc;
use seawall_core::host::{Failure, Host, Map};
use seawall_core::shared::UpdateError;
use seawall_core::time::{Span, Timestamp};
use std::cell::RefCell;
use std::rc::Rc;

/// A request that others may go on with.
pub(crate) type Shared = Rc<RefCell<Exchange>>;

/// A request on its way.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// What it was decided by; none when there is nothing to tell and nothing to settle.
    pub(crate) settings: Option<Rc<Settings>>,
    pub(crate) told: Few<Told>,
    pub(crate) open: Vec<Open>,
    pub(crate) at: Timestamp,
}

/// What a limit said, for the response's fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) limit: usize,
    pub(crate) tier: Option<usize>,
    pub(crate) most: u64,
    pub(crate) remaining: u64,
    pub(crate) more: Option<Span>,
}

/// A charge that is not final yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    pub(crate) limit: usize,
    pub(crate) quota: Quota,
    pub(crate) place: (u32, u64),
    /// When the charge counts as made.
    pub(crate) at: Timestamp,
    /// What was charged.
    pub(crate) charged: u64,
    /// What the request costs, unless the response says otherwise.
    pub(crate) cost: u64,
}

impl Exchange {
    pub(crate) fn shown<'s>(&self, settings: &'s Settings) -> Few<Shown<'s>> {
        let of = |told: &Told| {
            let limit = settings.limits.get(told.limit)?;
            let tier = told.tier.and_then(|tier| limit.overrides.get(tier));
            let plan = tier.map_or(&limit.plan, |tier| &tier.plan);
            Some(Shown {
                name: &limit.name,
                policy: &plan.policy,
                most: told.most,
                remaining: told.remaining,
                more: told.more,
            })
        };
        self.told.iter().filter_map(of).collect()
    }

    /// What a limit said has changed meanwhile.
    pub(crate) fn now_left(&mut self, limit: usize, left: Option<table::Left>) {
        let of_limit = |told: &&mut Told| told.limit == limit;
        let told = self.told.as_mut_slice().iter_mut().find(of_limit);
        if let (Some(told), Some((remaining, more))) = (told, left) {
            (told.remaining, told.more) = (remaining, more);
        }
    }

    /// Leaves the decision for the access log.
    pub(crate) fn note(
        &self,
        host: &dyn Host,
        settings: &Settings,
        outcome: Outcome,
        limit: Option<&str>,
    ) {
        if settings.access_log {
            self.write_note(host, settings, outcome, limit);
        }
    }

    #[inline(never)]
    fn write_note(
        &self,
        host: &dyn Host,
        settings: &Settings,
        outcome: Outcome,
        limit: Option<&str>,
    ) {
        let name_of = |told: &Told| settings.limits.get(told.limit).map(|of| of.name.as_str());
        let tightest = match limit {
            Some(_) => self.told.iter().find(|told| name_of(told) == limit),
            None => self.told.iter().min_by_key(|told| told.remaining),
        };
        let name = tightest.and_then(name_of);
        // A log line without it is no reason to fail a request.
        let set = |what: &str, value: &str| {
            let _ = host.set_property(what, value.as_bytes());
        };
        set("seawall.rate_limit.decision", outcome.word());
        if let Some(name) = limit.or(name) {
            set("seawall.rate_limit.limit", name);
        }
        if let Some(told) = tightest {
            set("seawall.rate_limit.remaining", &told.remaining.to_string());
        }
    }

    /// Settles what depends on the response.
    pub(crate) fn charge_by_response(
        &mut self,
        host: &dyn Host,
        filter: &Filter,
        settings: &Settings,
    ) {
        if self.open.is_empty() {
            return;
        }
        self.settle_charges(host, filter, settings);
    }

    #[inline(never)]
    fn settle_charges(&mut self, host: &dyn Host, filter: &Filter, settings: &Settings) {
        let mut index = 0;
        while let Some(open) = self.open.get(index).copied() {
            let charge = settings
                .limits
                .get(open.limit)
                .and_then(|limit| limit.charge.as_ref());
            let Some(charge) = charge else {
                index = index.saturating_add(1);
                continue;
            };
            match final_cost(host, charge, open.cost) {
                Ok(cost) if cost == open.charged => {}
                Ok(cost) => {
                    let left = settle(host, filter, &open, cost);
                    self.now_left(open.limit, left);
                }
                Err(error) => filter.trouble(host, || format!("a response has no cost: {error:?}")),
            }
            self.open.swap_remove(index);
        }
    }

    /// Gives back what a request holds while it lasts, and settles what no response has settled here; what went without any
    /// stays charged.
    pub(crate) fn release(&mut self, host: &dyn Host, filter: &Filter) {
        let Some(settings) = self.settings.take() else {
            return;
        };
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            give_back(host, filter, &settings, open);
        }
    }
}

#[inline(never)]
fn give_back(host: &dyn Host, filter: &Filter, settings: &Settings, open: Vec<Open>) {
    // A filter behind this one may have answered in the place of a response without a body: that goes to the client
    // directly, and only its status is known here.
    let mut status = None;
    for open in open {
        let limit = settings.limits.get(open.limit);
        let cost = match limit.and_then(|limit| limit.charge.as_ref()) {
            None if matches!(open.quota, Quota::Concurrency(_)) => 0,
            Some(charge) if !charge.statuses.is_empty() => {
                match *status.get_or_insert_with(|| answered(host)) {
                    0 => continue,
                    status if !charge.costs(status) => 0,
                    _ if charge.header.is_none() => open.cost,
                    _ => continue,
                }
            }
            _ => continue,
        };
        if cost != open.charged {
            settle(host, filter, &open, cost);
        }
    }
}

/// The status that the client got; 0 where it got none. A status that only announces one is none, such as the 100 by which
/// Envoy asks for a body; the one that does end a request, 101, comes by as a response.
fn answered(host: &dyn Host) -> u16 {
    let code = host.property("response\0code").ok().flatten();
    let code = code.and_then(|bytes| bytes.try_into().ok());
    let code = u16::try_from(code.map_or(0, u64::from_le_bytes)).unwrap_or_default();
    if code < 200 {
        0
    } else {
        code
    }
}

/// Makes a charge what it costs after all. Returns what is left then.
pub(crate) fn settle(
    host: &dyn Host,
    filter: &Filter,
    open: &Open,
    cost: u64,
) -> Option<table::Left> {
    let settlement = if cost < open.charged {
        Settlement::Refund(open.at, open.charged.saturating_sub(cost))
    } else {
        Settlement::Add(cost.saturating_sub(open.charged), DEBT)
    };
    let now = host.now().map_err(UpdateError::Host);
    let settled = now.and_then(|now| {
        table::settle(
            host,
            &filter.table(host),
            now,
            open.place,
            &open.quota,
            settlement,
        )
    });
    settled.unwrap_or_else(|error| {
        filter.trouble(host, || format!("a charge is not settled: {error:?}"));
        None
    })
}

/// What a response costs.
fn final_cost(host: &dyn Host, charge: &Charge, cost: u64) -> Result<u64, Failure> {
    let text = |value: Option<Vec<u8>>| {
        let value = value?;
        let text = std::str::from_utf8(&value).ok()?.trim();
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| {
            // More digits than fit are more than fits.
            text.parse::<u64>().unwrap_or(u64::MAX)
        })
    };
    if !charge.statuses.is_empty() {
        let status = text(host.header(Map::Response, ":status")?).unwrap_or_default();
        let mut status = u16::try_from(status).unwrap_or_default();
        // Envoy's own refusals have 200 for whoever says that the request is gRPC: nobody shall escape a limit on them so.
        if status == 200 {
            let called = text(host.header(Map::Response, "grpc-status")?);
            status = called.map_or(status, grpc::http_status);
        }
        if !charge.costs(status) {
            return Ok(0);
        }
    }
    let Some(name) = &charge.header else {
        return Ok(cost);
    };
    let value = host.header(Map::Response, name)?;
    let said = value.filter(|value| !value.trim_ascii().is_empty());
    Ok(text(said).unwrap_or(cost))
}
