//! What is known of a request on its way.

use super::answer::Retouch;
use super::status::Forward;
use crate::config::Settings;
use crate::flight::of_credentials;
use crate::http::directives::RequestDirectives;
use crate::http::request::Request;
use crate::store::Found;
use seawall_core::hash::Fingerprint;
use seawall_core::time::Timestamp;
use std::cell::RefCell;
use std::rc::Rc;

/// A request and where it stands.
#[derive(Debug)]
pub struct Exchange {
    /// The id for [`seawall_core::host::Host::act_on`].
    pub context: u32,
    /// Where it stands.
    pub phase: Phase,
    /// What it asks for.
    pub request: Request,
    /// The settings of its route.
    pub settings: Rc<Settings>,
    /// Its cache key.
    pub key: Vec<u8>,
    /// The fingerprint of the key.
    pub fingerprint: Option<Fingerprint>,
    /// When it went to the origin.
    pub asked: Timestamp,
    /// The number of the last purge at that time.
    pub epoch: u64,
    /// Why it went there.
    pub forward: Option<Forward>,
    /// It waited for another request.
    pub collapsed: bool,
    /// It has looked again after it could have led.
    pub looked_again: bool,
    /// Until when it waits.
    pub deadline: Option<Timestamp>,
    /// What is still to be done about its answer.
    pub retouch: Retouch,
    /// The salt of the URL's variants, where its flight is that of one variant.
    pub salt: Option<u64>,
}

/// A request that others may have to wake. Empty while somebody works on it, so that nothing is borrowed meanwhile.
pub type Shared = Rc<RefCell<Option<Box<Exchange>>>>;

impl Exchange {
    /// A request of which nothing is known yet.
    pub fn new(context: u32, settings: Rc<Settings>, now: Timestamp) -> Self {
        Exchange {
            context,
            phase: Phase::Pass,
            request: Request::default(),
            settings,
            key: Vec::new(),
            fingerprint: None,
            asked: now,
            epoch: 0,
            forward: None,
            collapsed: false,
            looked_again: false,
            deadline: None,
            retouch: Retouch::default(),
            salt: None,
        }
    }

    /// What its client asks of caches: nothing where clients are not listened to.
    pub fn directives(&self) -> RequestDirectives {
        if self.settings.ignore_client_directives {
            RequestDirectives::default()
        } else {
            self.request.directives.clone()
        }
    }

    /// A rule keeps its answers from being stored.
    pub fn is_ruled_out(&self) -> bool {
        let mut rules = self.settings.no_store.iter();
        rules.any(|rule| rule.holds(&self.request))
    }

    /// It has credentials that are no part of its key.
    pub fn has_credentials(&self) -> bool {
        let keyed = || {
            let names = &self.settings.key.headers;
            names.iter().any(|name| name == "authorization")
        };
        self.request.authorization && !keyed()
    }

    /// The flight that it leads or waits for. Who has credentials has one with others of that kind: their answers are seldom
    /// for all, and say nothing of what is answered without.
    pub fn flight(&self) -> Option<Fingerprint> {
        let fingerprint = self.fingerprint?;
        Some(if self.has_credentials() {
            of_credentials(fingerprint)
        } else {
            fingerprint
        })
    }
}

/// Where a request stands.
#[derive(Debug, Default)]
pub enum Phase {
    /// Passes; its response is none of our business, but for `Cache-Status`.
    #[default]
    Pass,
    /// Waits for another request's answer.
    Waiting,
    /// Answered by us.
    Answered,
    /// On its way to the origin.
    Fetching(Fetch),
    /// Its response is being stored.
    Filling(Fill),
    /// Its response's body is replaced by this one.
    Replacing(Option<Vec<u8>>),
    /// Invalidates what is stored, if it goes well.
    Unsafe,
    /// Over.
    Done,
}

/// A request on its way to the origin.
#[derive(Debug, Clone, Default)]
pub struct Fetch {
    /// The number of the flight that it leads.
    pub leader: Option<u64>,
    /// What is stored already.
    pub stale: Option<Found>,
    /// It carries the validators of what is stored.
    pub validating: bool,
    /// Its answer may be stored, as far as the request goes.
    pub store: bool,
    /// What it brings counts as asked for then, where that is later: an invalidation before that is its own.
    pub counts_from: Option<Timestamp>,
    /// It goes alone, for an answer of this key could not be shared.
    pub unshared: bool,
}

/// A response on its way into the cache.
#[derive(Debug)]
pub struct Fill {
    /// The request's side.
    pub fetch: Fetch,
    /// What will be stored.
    pub pending: super::store::Pending,
    /// The body so far.
    pub body: Vec<u8>,
    /// What `Content-Length` promised.
    pub promised: Option<usize>,
}
