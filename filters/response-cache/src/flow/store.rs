//! From a response to an entry.

use super::exchange::{Exchange, Fetch};
use super::lookup::{find, sent, sent_at};
use super::Cx;
use crate::config::Cookies;
use crate::entry::{Content, Entry, Meta};
use crate::http::age::{initial, Times};
use crate::http::directives::{Qualified, ResponseDirectives};
use crate::http::fields::{lacks_the_indispensable, to_store, Leave};
use crate::http::freshness::{lifetime, Lifetime, Source};
use crate::http::storable::{decide, Circumstances, Refusal};
use crate::http::{target, vary};
use crate::key::variant;
use crate::purge::number_of_url;
use crate::store::{Found, Insert};
use seawall_core::date;
use seawall_core::headers::Headers;
use seawall_core::time::{Span, Timestamp};
use std::rc::Rc;

/// Lists of fields that a URL may vary by, the latest first; older ones are forgotten.
const MOST_LISTS: usize = 4;

/// Lost races for a list of variants after which it is written whatever is there.
const MOST_RACES: u32 = 8;

/// What will be stored once the body is complete.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Facts.
    pub meta: Meta,
    /// The fields that are stored.
    pub headers: Headers,
    /// The generation of what it is an update of.
    pub updates: Option<u64>,
}

impl Pending {
    /// True when it can be used without asking the origin again: otherwise nobody gains by waiting for it.
    pub fn is_shared(&self) -> bool {
        let later = self.meta.while_revalidate;
        !self.meta.no_cache && self.meta.lifetime.saturating_add(later) > self.meta.initial_age
    }
}

/// Which fields a route does not store.
pub fn leave(exchange: &Exchange) -> Leave<'static> {
    Leave {
        named: &[],
        cookies: exchange.settings.cookies == Cookies::Strip,
    }
}

/// The directives that count: those of a target field, else those of `Cache-Control`; and whether it was the former.
pub fn directives(exchange: &Exchange, headers: &Headers) -> (ResponseDirectives, bool) {
    match target::read(headers, &exchange.settings.target_fields) {
        Some(directives) => (directives, true),
        None => (
            ResponseDirectives::read(headers, "cache-control").unwrap_or_default(),
            false,
        ),
    }
}

/// The directives of an answer, and whether they come from a target field.
pub type Said = (ResponseDirectives, bool);

/// Why a response is not stored, where that can be said without knowing the time: nearly always.
pub fn refused(
    exchange: &Exchange,
    fetch: &Fetch,
    status: u16,
    all: &Headers,
    said: &Said,
) -> Option<Refusal> {
    let policy = exchange.settings.policy(status);
    let (directives, targeted) = said;
    let lifetime = lifetime(
        status,
        all,
        directives,
        *targeted,
        Timestamp::EPOCH,
        &policy,
    );
    let timeless = !matches!(lifetime.source, Source::Expires | Source::Heuristic);
    judge(exchange, fetch, status, all, directives, lifetime)
        .err()
        .filter(|refusal| timeless || *refusal != Refusal::NoFreshness)
}

fn judge(
    exchange: &Exchange,
    fetch: &Fetch,
    status: u16,
    all: &Headers,
    directives: &ResponseDirectives,
    lifetime: Lifetime,
) -> Result<(), Refusal> {
    let settings = &exchange.settings;
    if !fetch.store {
        let said = exchange.request.directives.no_store && !settings.ignore_client_directives;
        return Err(if said {
            Refusal::RequestNoStore
        } else {
            Refusal::Rule
        });
    }
    let given = Circumstances {
        authorization: exchange.has_credentials(),
        cookies: settings.cookies != Cookies::Refuse,
    };
    decide(status, all, directives, lifetime, given)
}

/// Decides whether a response is stored. `all` are its fields as they came, or the updated ones of a 304.
///
/// # Errors
/// Why not.
pub fn prepare(
    cx: Cx<'_>,
    exchange: &Exchange,
    fetch: &Fetch,
    status: u16,
    all: &Headers,
    said: Said,
    arrived: Timestamp,
) -> Result<Pending, Refusal> {
    let settings = &exchange.settings;
    let (directives, targeted) = said;
    let policy = settings.policy(status);
    let lifetime = lifetime(status, all, &directives, targeted, arrived, &policy);
    judge(exchange, fetch, status, all, &directives, lifetime)?;
    let times = Times {
        request: exchange.asked,
        response: arrived,
    };
    let forced = lifetime.source == Source::Forced;
    let mut fields = to_store(all, &directives, leave(exchange));
    if lacks_the_indispensable(all, &fields) {
        return Err(Refusal::Malformed);
    }
    // What has no date, or none that can be read, was made when it arrived (RFC 9110, section 6.6.1).
    let sent = all.get("date").and_then(|text| date::parse(text, arrived));
    let date = sent.is_none().then(|| date::format(arrived));
    if let Some(date) = &date {
        fields.retain(|(name, _)| *name != b"date");
        fields.push((b"date", date.as_bytes()));
    }
    let stale = stale(exchange, &directives);
    Ok(Pending {
        meta: Meta {
            generation: cx.worker.table.bits(),
            epoch: exchange.epoch,
            status,
            asked: exchange.asked,
            arrived,
            // A forced lifetime counts from here, whatever clocks and caches before say.
            initial_age: if forced {
                Span::ZERO
            } else {
                initial(all, sent.unwrap_or(arrived), times)
            },
            lifetime: lifetime.span,
            delta: arrived.since(exchange.asked),
            while_revalidate: stale.0,
            if_error: stale.1,
            no_cache: directives.no_cache == Qualified::Whole && !forced,
            must_revalidate: stale.2,
            no_max_stale: directives.s_maxage.is_some(),
            immutable: directives.immutable,
            url: number_of_url(
                cx.worker.table.secret(),
                &settings.key.url_by_key(&exchange.key, &exchange.request),
            ),
        },
        headers: Headers::from_pairs(&fields),
        updates: None,
    })
}

/// Stale use: while revalidated, on error, and whether it is forbidden.
///
/// `s-maxage` forbids it as `proxy-revalidate` does (RFC 9111, section 5.2.2.10), unless the same response grants it by
/// the directives of RFC 5861, and not where it is `s-maxage` that lets others have what was made for somebody's credentials;
/// the operator's own grants never override the origin's prohibitions.
fn stale(exchange: &Exchange, directives: &ResponseDirectives) -> (Span, Span, bool) {
    let strict = directives.must_revalidate || directives.proxy_revalidate;
    let grants = [directives.stale_while_revalidate, directives.stale_if_error];
    let granted = grants.into_iter().flatten().any(|seconds| seconds > 0)
        && (directives.public || !exchange.has_credentials());
    let shared = directives.s_maxage.is_some();
    if strict || (shared && !granted) {
        return (Span::ZERO, Span::ZERO, true);
    }
    let policy = exchange.settings.stale;
    let span = |given: Option<u64>, default: Span| match given {
        Some(seconds) => Span::from_secs(seconds),
        None if shared => Span::ZERO,
        None => default,
    };
    (
        span(directives.stale_while_revalidate, policy.while_revalidate),
        span(directives.stale_if_error, policy.if_error),
        false,
    )
}

/// Stores.
///
/// # Errors
/// Why it was not stored.
pub fn store(
    cx: Cx<'_>,
    exchange: &Exchange,
    fetch: &Fetch,
    pending: Pending,
    body: Rc<Vec<u8>>,
) -> Result<(), Refusal> {
    if let (Some(leader), Some(fingerprint)) = (fetch.leader, exchange.flight()) {
        if cx.worker.is_outdated(cx.host, fingerprint, leader) {
            return Err(Refusal::Outdated);
        }
    }
    let insert = Insert {
        until: pending.meta.usable_until(),
        asked: exchange.asked,
        updates: pending.updates,
        expects: None,
        now: cx.now,
        known: fetch
            .leader
            .and_then(|leader| cx.worker.take_bucket(leader)),
    };
    let fields = vary::fields(&pending.headers);
    let dated_before = is_dated_before(&pending, cx.now);
    let present = if fields.is_empty() && exchange.salt.is_none() && !dated_before {
        None
    } else {
        primary(cx, exchange, &insert)?
    };
    // Without `Vary` it is one for all: in the place of all variants, or beside them where one of them may be more recent.
    let beside = salt_of(present.as_ref()).is_some()
        && match pending.updates {
            Some(_) => exchange.salt.is_some(),
            None => dated_before,
        };
    let key = if fields.is_empty() && !beside {
        exchange.key.clone()
    } else {
        let salt = variants(cx, exchange, present, &fields, &insert)?;
        variant(&exchange.key, salt, &fields, &exchange.request.headers)
    };
    // Dates have seconds, so that what took less cannot be older.
    if cx.now.since(exchange.asked) >= Span::from_secs(1) && is_older(cx, &key, &pending) {
        return Err(Refusal::Outdated);
    }
    let Pending { meta, headers, .. } = pending;
    let content = Content::Response {
        meta,
        headers,
        body,
    };
    cx.worker
        .table
        .insert(cx.host, Entry { key, content }, insert)?;
    cx.core.metrics.stored.increment(cx.host);
    Ok(())
}

/// True where what is stored already may have been sent later. Which variants there are cannot be told from their list, which has
/// only names of fields; but none is dated later than now, clocks that are ahead aside.
fn is_dated_before(pending: &Pending, now: Timestamp) -> bool {
    sent_at(&pending.headers, &pending.meta).0.as_secs() < now.as_secs()
}

/// True where another request has stored something more recent meanwhile (RFC 9111, section 4).
fn is_older(cx: Cx<'_>, key: &[u8], pending: &Pending) -> bool {
    let present = cx.worker.table.find(cx.host, key, cx.now).ok().flatten();
    let Some(present) = present else {
        return false;
    };
    let Content::Response { meta, .. } = &present.entry.content else {
        return false;
    };
    meta.asked > pending.meta.asked && sent(&present) > sent_at(&pending.headers, &pending.meta)
}

fn salt_of(found: Option<&Found>) -> Option<u64> {
    match &found?.entry.content {
        Content::Variants { salt, .. } => Some(*salt),
        Content::Response { .. } => None,
    }
}

/// What the URL itself has, if an answer that was asked for so may still be stored for it.
fn primary(cx: Cx<'_>, exchange: &Exchange, insert: &Insert) -> Result<Option<Found>, Refusal> {
    let table = &cx.worker.table;
    let fingerprint = table.fingerprint(&exchange.key);
    let present = find(cx, false, fingerprint, &exchange.key).map_err(|_| Refusal::Internal)?;
    match (exchange.salt, salt_of(present.as_ref())) {
        // The flight was that of a variant, and all variants are gone since.
        (Some(known), salt) if salt != Some(known) => return Err(Refusal::Outdated),
        // There were no variants when it went out; since then there may have been others, which are gone.
        (None, Some(_)) => match table.is_overtaken(cx.host, &exchange.key, insert) {
            Ok(false) => {}
            Ok(true) => return Err(Refusal::Outdated),
            Err(_) => return Err(Refusal::Internal),
        },
        _ => {}
    }
    Ok(present)
}

/// Makes sure that the URL's list of variants names these fields, and those that others have added meanwhile; the salt of its
/// keys.
fn variants(
    cx: Cx<'_>,
    exchange: &Exchange,
    mut present: Option<Found>,
    fields: &[String],
    insert: &Insert,
) -> Result<u64, Refusal> {
    let table = &cx.worker.table;
    let mut read = Some(table.generation_read());
    let mut races = 0u32;
    loop {
        let (salt, since, mut lists) = match present.as_ref().map(|found| &found.entry.content) {
            Some(Content::Variants {
                salt, epoch, lists, ..
            }) => (*salt, *epoch, lists.clone()),
            _ => (table.bits(), 0, Vec::new()),
        };
        if lists.first().is_some_and(|first| first == fields) {
            return Ok(salt);
        }
        lists.retain(|list| list != fields);
        lists.insert(0, fields.to_vec());
        lists.truncate(MOST_LISTS);
        let content = Content::Variants {
            generation: table.bits(),
            // A purge that hits this answer alone leaves the others of the list.
            epoch: exchange.epoch.max(since),
            salt,
            lists,
        };
        let entry = Entry {
            key: exchange.key.clone(),
            content,
        };
        let insert_list = Insert {
            // It lives as long as it is used.
            until: Timestamp(u64::MAX),
            asked: exchange.asked,
            updates: None,
            expects: read,
            now: cx.now,
            known: None,
        };
        match table.insert(cx.host, entry, insert_list) {
            Err(Refusal::Outdated) if read.is_some() => {
                present = primary(cx, exchange, insert)?;
                races = races.saturating_add(1);
                let again = table.generation_read();
                // What cannot be read again is nobody's: whoever was to write it may have died before.
                read = Some(again).filter(|_| read != Some(again) && races < MOST_RACES);
            }
            stored => return stored.map(|()| salt),
        }
    }
}
