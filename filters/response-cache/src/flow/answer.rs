//! An answer made from what is stored: whole, a range, 304 or 416, for `GET` and `HEAD`.

use super::exchange::{Exchange, Phase};
use super::request::Next;
use super::Cx;
use crate::entry::{Content, Entry};
use crate::http::range::{read, Ranged};
use crate::http::request::Method;
use crate::text::push_number;
use seawall_core::headers::Headers;
use seawall_core::host::{self, Host};
use seawall_core::reply::Reply;
use seawall_core::time::Timestamp;

/// An answer.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// What is stored, where all of its fields are sent.
    pub whole: Option<&'a Headers>,
    /// The fields besides, without `:status` and `Content-Length`.
    pub fields: Vec<(&'a str, &'a [u8])>,
    /// `Content-Range`, where there is one.
    pub content_range: Option<String>,
    /// The body.
    pub body: &'a [u8],
    /// The length of the body, also where `HEAD` sends none.
    pub length: usize,
}

/// Fields of the body that a 304 leaves out; what it must send (RFC 9110, section 15.4.5) stays.
fn describes_body(name: &str) -> bool {
    name.starts_with("content-") && name != "content-location" && name != "content-security-policy"
}

/// Fields of the bytes that are sent, whole or in part, which are wrong for a part of what they came with (RFC 9110, section 14.4;
/// RFC 9530, section 2). `Repr-Digest` is of the whole in any case.
fn is_of_all_bytes(name: &str) -> bool {
    matches!(name, "content-range" | "content-digest" | "content-md5")
}

fn says_freshness(name: &str) -> bool {
    matches!(name, "etag" | "last-modified" | "expires") || name.ends_with("cache-control")
}

fn named(headers: &Headers) -> impl Iterator<Item = (&str, &[u8])> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
}

/// What must be done about an answer once Envoy has made a local reply of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retouch {
    /// To its type.
    pub kind: Retype,
    /// Its length, which is zero, comes back. Envoy takes it from an answer without a body; a `GET` gets it from the codec, but
    /// a `HEAD` over HTTP/1.1 would be told of chunks.
    pub empty: bool,
}

/// What must be done about the type: Envoy gives a body without a type one, and takes it from an answer without a body, such as
/// an empty style sheet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Retype {
    /// Nothing.
    #[default]
    No,
    /// What Envoy added goes.
    Remove,
    /// What Envoy took comes back.
    Restore(Vec<u8>),
}

impl<'a> Answer<'a> {
    /// What must be done about it. `method` is that of the request.
    pub fn retouch(&self, method: Method) -> Retouch {
        Retouch {
            kind: self.retype(),
            empty: method == Method::Head
                && self.body.is_empty()
                && !matches!(self.status, 204 | 304),
        }
    }

    fn retype(&self) -> Retype {
        let stored = self.whole.and_then(|headers| headers.get("content-type"));
        let kind = stored.or_else(|| {
            let mut fields = self.fields.iter();
            let found = fields.find(|(name, _)| *name == "content-type");
            found.map(|(_, kind)| *kind)
        });
        match kind {
            Some(kind) if self.body.is_empty() => Retype::Restore(kind.to_vec()),
            None if !self.body.is_empty() => Retype::Remove,
            _ => Retype::No,
        }
    }

    /// Makes a local reply of it.
    pub fn send(&self, host: &dyn Host, details: &str) -> host::Answer<()> {
        let reply = Reply {
            status: u32::from(self.status),
            headers: &self.fields,
            body: self.body,
            grpc_status: None,
            details,
        };
        match self.whole {
            Some(headers) => host.reply_after(headers, &reply),
            None => host.reply(&reply),
        }
    }

    /// Takes up only some of the stored fields.
    fn keep(&mut self, keeps: &dyn Fn(&str) -> bool) {
        if let Some(headers) = self.whole.take() {
            self.fields
                .extend(named(headers).filter(|(name, _)| keeps(name)));
        }
    }

    /// All fields.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + '_ {
        let stored = self.whole.into_iter().flat_map(named);
        stored.chain(self.fields.iter().copied())
    }

    /// The answer to a request; `None` when the entry is no response.
    pub fn of(entry: &'a Entry, exchange: &Exchange) -> Option<Self> {
        let Content::Response {
            meta,
            headers,
            body,
        } = &entry.content
        else {
            return None;
        };
        let mut answer = Answer {
            status: meta.status,
            whole: Some(headers),
            // Room for those that every answer has besides.
            fields: Vec::with_capacity(4),
            content_range: None,
            body,
            length: body.len(),
        };
        let request = &exchange.request;
        // Conditions are for what went well (RFC 9110, section 13.2.1).
        if !(200..300).contains(&meta.status) {
            return Some(answer);
        }
        if request.conditions.not_modified(headers, meta.arrived) {
            answer.status = 304;
            answer.keep(&|name| !describes_body(name));
            answer.body = &[];
            answer.length = 0;
            return Some(answer);
        }
        // Ranges are for what would be a 200 (section 14.2).
        let is_whole = meta.status == 200 && request.method == Method::Get;
        let range = request.range.as_ref().filter(|_| is_whole);
        let Some(range) = range.filter(|_| request.conditions.range_holds(headers, meta.arrived))
        else {
            return Some(answer);
        };
        match read(range, body.len()) {
            Ranged::Whole => {}
            Ranged::Part { first, last } => {
                answer.status = 206;
                answer.keep(&|name| !is_of_all_bytes(name));
                answer.body = body.get(first..=last).unwrap_or_default();
                answer.length = answer.body.len();
                answer.content_range = Some(format!("bytes {first}-{last}/{}", body.len()));
            }
            Ranged::Unsatisfiable => {
                answer.status = 416;
                // Nothing that would let a cache in front take it for the answer to the URL.
                answer.keep(&|name| !describes_body(name) && !says_freshness(name));
                answer.content_range = Some(format!("bytes */{}", body.len()));
                answer.body = &[];
                answer.length = 0;
            }
        }
        Some(answer)
    }
}

/// Appends the age of an entry in whole seconds, as the `Age` field has it.
pub fn push_age(text: &mut String, entry: &Entry, now: Timestamp) {
    let age = match &entry.content {
        Content::Response { meta, .. } => meta.age(now).as_secs(),
        Content::Variants { .. } => 0,
    };
    push_number(text, age);
}

/// `only-if-cached` without anything to use (RFC 9111, section 5.2.1.7).
pub(super) fn gateway_timeout(cx: Cx<'_>, exchange: &mut Exchange) -> Next {
    let status = exchange
        .settings
        .cache_status
        .as_deref()
        .map(|name| format!("{name}; detail=only-if-cached"));
    let fields: Vec<(&str, &[u8])> = status
        .iter()
        .map(|status| ("cache-status", status.as_bytes()))
        .collect();
    let replied = cx.host.reply(&Reply {
        status: 504,
        headers: &fields,
        body: b"",
        grpc_status: None,
        details: "seawall.response_cache.only_if_cached",
    });
    if replied.is_err() {
        return Next::Forward;
    }
    cx.core.metrics.only_if_cached.increment();
    exchange.phase = Phase::Answered;
    Next::Replied
}
