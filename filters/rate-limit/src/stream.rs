//! One request: asked on its way in, settled on its way out.

use crate::answer::{self, Shown};
use crate::claims::{collect, Claimed, Collected};
use crate::config::{Charge, OnError, Settings};
use crate::filter::Filter;
use crate::key::Facts;
use crate::quota::Quota;
use crate::table::{self, Settlement};
use seawall_core::host::{Failure, Host, Map};
use seawall_core::plugin::{Flow, Stream};
use seawall_core::reply::Reply;
use seawall_core::shared::UpdateError;
use seawall_core::time::{Span, Timestamp};
use std::rc::Rc;

/// How many times its whole quota a key may owe for what a response turned out to cost.
const DEBT: u64 = 10;

/// A request on its way through the filter.
#[derive(Debug)]
pub struct Request {
    filter: Option<Rc<Filter>>,
    settings: Option<Rc<Settings>>,
    shown: Vec<Remembered>,
    open: Vec<Open>,
    at: Timestamp,
}

/// What a limit said, for the response's fields.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    limit: usize,
    tier: Option<usize>,
    most: u64,
    remaining: u64,
    more: Option<Span>,
}

/// A charge that is not final yet.
#[derive(Debug, Clone, Copy)]
struct Open {
    limit: usize,
    quota: Quota,
    place: (u32, u64),
    /// What was charged.
    charged: u64,
    /// What the request costs, unless the response says otherwise.
    cost: u64,
}

impl Request {
    pub(crate) fn new(filter: Option<Rc<Filter>>) -> Self {
        Request {
            filter,
            settings: None,
            shown: Vec::new(),
            open: Vec::new(),
            at: Timestamp::EPOCH,
        }
    }

    fn decide(
        &mut self,
        host: &dyn Host,
        filter: &Filter,
        settings: &Rc<Settings>,
    ) -> Result<Flow, UpdateError> {
        let facts = Facts::new(host, settings.headers_needed).map_err(UpdateError::Host)?;
        self.at = host.now().map_err(UpdateError::Host)?;
        let collected = collect(host, filter, settings, &facts).map_err(UpdateError::Host)?;
        let claimed = match collected {
            Collected::Exempt => {
                self.note(host, settings, "exempt", None);
                return Ok(Flow::Continue);
            }
            Collected::Incomplete(limit) => {
                let name = settings.limits.get(limit).map(|limit| limit.name.as_str());
                let violated = [name.unwrap_or_default()];
                self.note(host, settings, "refused", None);
                return refuse(host, &facts, settings, &violated, None, false, &[]);
            }
            Collected::Claims(claimed) if claimed.is_empty() => return Ok(Flow::Continue),
            Collected::Claims(claimed) => claimed,
        };
        let claims: Vec<_> = claimed.iter().map(|claimed| claimed.claim).collect();
        let decision = table::decide(host, &filter.table, self.at, &claims).inspect_err(|_| {
            for claimed in &claimed {
                filter.counters(host, claimed.limit).errors.increment(host);
            }
        })?;
        if let Some(first) = claimed.first() {
            let metrics = filter.counters(host, first.limit);
            metrics
                .swap_retries
                .add(host, u64::from(decision.conflicts));
        }
        for claim in &decision.evicted {
            if let Some(claimed) = claimed.get(*claim) {
                let metrics = filter.counters(host, claimed.limit);
                metrics.live_evictions.increment(host);
            }
        }
        let spoken = || claimed.iter().zip(&decision.verdicts);
        for (claimed, verdict) in spoken() {
            let metrics = filter.counters(host, claimed.limit);
            match (verdict.admitted, claimed.claim.enforced) {
                (true, _) if decision.admitted => metrics.allowed.increment(host),
                (true, _) => {}
                (false, true) => metrics.refused.increment(host),
                (false, false) => metrics.shadow_refused.increment(host),
            }
        }
        let shadowed =
            spoken().any(|(claimed, verdict)| !claimed.claim.enforced && !verdict.admitted);
        self.shown
            .extend(spoken().filter(|(claimed, _)| claimed.claim.enforced).map(
                |(claimed, verdict)| Remembered {
                    limit: claimed.index,
                    tier: claimed.tier,
                    most: claimed.claim.quota.most(),
                    remaining: verdict.remaining,
                    more: verdict.more,
                },
            ));
        if decision.admitted {
            for (claimed, verdict) in spoken() {
                self.keep_open(claimed, verdict.admitted);
            }
            let word = if shadowed {
                "shadow_refused"
            } else {
                "allowed"
            };
            self.note(host, settings, word, None);
            return Ok(Flow::Continue);
        }
        let mut wait = Some(Span::ZERO);
        let mut banned = false;
        let mut violated = Vec::new();
        for (claimed, verdict) in spoken() {
            if verdict.admitted || !claimed.claim.enforced {
                continue;
            }
            violated.push(claimed.limit.name.as_str());
            let mut own = verdict.wait;
            if claimed.limit.count_refused || claimed.limit.penalty.is_some() {
                let counted = claimed.limit.count_refused;
                let noted =
                    table::now_refused(host, &filter.table, self.at, &claimed.claim, counted);
                match noted {
                    Ok(noted) => {
                        banned |= noted.banned.is_some();
                        own = own
                            .map(|own| own.max(noted.wait).max(noted.banned.unwrap_or_default()));
                    }
                    Err(error) => {
                        filter.trouble(host, || format!("a refusal is not noted: {error:?}"))
                    }
                }
            }
            wait = wait.zip(own).map(|(wait, own)| wait.max(own));
        }
        self.note(host, settings, "refused", violated.first().copied());
        let shown = self.shown(settings);
        refuse(host, &facts, settings, &violated, wait, banned, &shown)
    }

    fn keep_open(&mut self, claimed: &Claimed<'_>, charged: bool) {
        let claim = &claimed.claim;
        let concurrent = matches!(claim.quota, Quota::Concurrency(_)) && claim.ask.cost > 0;
        // A shadow limit that is exceeded is charged nothing, so there is nothing to settle.
        if charged && (concurrent || claimed.limit.charge.is_some()) {
            self.open.push(Open {
                limit: claimed.index,
                quota: *claim.quota,
                place: (claim.slot, claim.tag),
                charged: claim.ask.cost,
                cost: claimed.cost,
            });
        }
    }

    fn shown<'s>(&self, settings: &'s Settings) -> Vec<Shown<'s>> {
        let of = |remembered: &Remembered| {
            let limit = settings.limits.get(remembered.limit)?;
            let tier = remembered.tier.and_then(|tier| limit.overrides.get(tier));
            let plan = tier.map_or(&limit.plan, |tier| &tier.plan);
            Some(Shown {
                name: &limit.name,
                policy: &plan.policy,
                most: remembered.most,
                remaining: remembered.remaining,
                more: remembered.more,
            })
        };
        self.shown.iter().filter_map(of).collect()
    }

    /// Leaves the decision for the access log.
    fn note(&self, host: &dyn Host, settings: &Settings, decision: &str, limit: Option<&str>) {
        if !settings.access_log {
            return;
        }
        let tightest = self.shown.iter().min_by_key(|shown| shown.remaining);
        let name = tightest
            .and_then(|shown| settings.limits.get(shown.limit))
            .map(|limit| limit.name.as_str());
        // A log line without it is no reason to fail a request.
        let set = |what: &str, value: &str| {
            let _ = host.set_property(&[what], value.as_bytes());
        };
        set("seawall.rate_limit.decision", decision);
        if let Some(name) = limit.or(name) {
            set("seawall.rate_limit.limit", name);
        }
        if let Some(shown) = tightest {
            set("seawall.rate_limit.remaining", &shown.remaining.to_string());
        }
    }

    fn settle(&self, host: &dyn Host, filter: &Filter, open: &Open, cost: u64) {
        let settlement = if cost < open.charged {
            Settlement::Refund(self.at, open.charged.saturating_sub(cost))
        } else {
            Settlement::Add(cost.saturating_sub(open.charged), DEBT)
        };
        let now = host.now().map_err(UpdateError::Host);
        let settled = now.and_then(|now| {
            table::settle(
                host,
                &filter.table,
                now,
                open.place,
                &open.quota,
                settlement,
            )
        });
        if let Err(error) = settled {
            filter.trouble(host, || format!("a charge is not settled: {error:?}"));
        }
    }

    /// Settles what depends on the response.
    fn charge_by_response(&mut self, host: &dyn Host, filter: &Filter, settings: &Settings) {
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
                Ok(cost) => self.settle(host, filter, &open, cost),
                Err(error) => filter.trouble(host, || format!("a response has no cost: {error:?}")),
            }
            self.open.swap_remove(index);
        }
    }
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
        if !charge.costs(u16::try_from(status).unwrap_or_default()) {
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

fn refuse(
    host: &dyn Host,
    facts: &Facts<'_>,
    settings: &Settings,
    violated: &[&str],
    wait: Option<Span>,
    banned: bool,
    shown: &[Shown<'_>],
) -> Result<Flow, UpdateError> {
    let refusal = answer::Refusal {
        violated,
        wait,
        banned,
        shown,
    };
    answer::refuse(host, facts, &settings.answers, settings.headers, &refusal)
        .map_err(UpdateError::Host)?;
    Ok(Flow::Pause)
}

impl Stream for Request {
    fn request_headers(&mut self, host: &dyn Host, _end_of_stream: bool) -> Flow {
        let Some(filter) = self.filter.clone() else {
            return Flow::Continue;
        };
        let settings = filter.settings(host);
        if !settings.enabled || settings.limits.is_empty() {
            return Flow::Continue;
        }
        let decided = self.decide(host, &filter, &settings);
        match decided {
            Ok(Flow::Pause) => Flow::Pause,
            Ok(Flow::Continue) => {
                if !self.shown.is_empty() || !self.open.is_empty() {
                    self.settings = Some(settings);
                }
                Flow::Continue
            }
            Err(error) => {
                filter.trouble(host, || {
                    format!("a request could not be decided about: {error:?}")
                });
                self.note(host, &settings, "error", None);
                match settings.on_error {
                    OnError::Allow => Flow::Continue,
                    OnError::Deny => unavailable(host),
                }
            }
        }
    }

    fn response_headers(&mut self, host: &dyn Host, _end_of_stream: bool) -> Flow {
        let (Some(filter), Some(settings)) = (self.filter.clone(), self.settings.clone()) else {
            return Flow::Continue;
        };
        let shown = self.shown(&settings);
        if let Err(error) = answer::add(host, settings.headers, &shown) {
            filter.trouble(host, || {
                format!("a response has no rate limit fields: {error:?}")
            });
        }
        self.charge_by_response(host, &filter, &settings);
        Flow::Continue
    }

    fn log(&mut self, host: &dyn Host) {
        let Some(filter) = self.filter.clone() else {
            return;
        };
        // What a response would have settled stays charged when there was none; a place among others is free again.
        for open in std::mem::take(&mut self.open) {
            if matches!(open.quota, Quota::Concurrency(_)) {
                self.settle(host, &filter, &open, 0);
            }
        }
    }
}

/// Nobody knows whether the request would be admitted, and that is to mean no.
fn unavailable(host: &dyn Host) -> Flow {
    let reply = Reply {
        status: 503,
        headers: &[("content-type", b"text/plain")],
        body: b"rate limit unavailable\n",
        grpc_status: None,
        details: "rate_limit_error",
    };
    match host.reply(&reply) {
        Ok(()) => Flow::Pause,
        // A request that is held without an answer would hang for ever.
        Err(_) => Flow::Continue,
    }
}
