//! The cache key: which parts of a request tell responses apart.
//!
//! Everything that may change the answer must be in the key, or one client's answer is served to another. So the path is
//! taken as it came, nothing is decoded or folded in it, and a query parameter is left out only where no usual reading of
//! it could find another parameter inside.

use crate::http::directives::list_of;
use crate::http::request::{Method, Request, UNKEYED_INPUT};
use crate::http::vary::normalised;
use seawall_core::hash::{Fingerprint, KeyHasher, Secret};
use seawall_core::headers::Headers;

/// Longer keys are not cached.
pub const MOST_BYTES: usize = 8 * 1024;

/// What of the query is in the key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Query {
    /// All of it as it came.
    #[default]
    All,
    /// All of it, parameters in the order of their names; those of one name keep their order.
    Sorted,
    /// Nothing of it.
    None,
    /// These parameters, sorted.
    Include(Vec<Pattern>),
    /// All but these, sorted.
    Exclude(Vec<Pattern>),
}

/// A parameter's name, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The name, or the part before `*`.
    pub text: String,
    /// It ended in `*`.
    pub prefix: bool,
}

impl Pattern {
    /// Reads `name` or `prefix*`.
    pub fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Pattern {
                text: start.to_owned(),
                prefix: true,
            },
            None => Pattern {
                text: text.to_owned(),
                prefix: false,
            },
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        self.matches_by(name, |a, b| a == b)
    }

    /// True also for a name that some origins take for this one: ASP.NET in any case, PHP with `.` for `_`.
    fn may_match(&self, name: &[u8]) -> bool {
        let folded = |byte: u8| match byte {
            b'.' => b'_',
            byte => byte.to_ascii_lowercase(),
        };
        self.matches_by(name, |a, b| folded(a) == folded(b))
    }

    fn matches_by(&self, name: &[u8], equal: impl Fn(u8, u8) -> bool) -> bool {
        let text = self.text.as_bytes();
        let long_enough = if self.prefix {
            name.len() >= text.len()
        } else {
            name.len() == text.len()
        };
        long_enough && text.iter().zip(name).all(|(a, b)| equal(*a, *b))
    }
}

/// What makes the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// `:scheme`
    pub scheme: bool,
    /// `:authority`
    pub host: bool,
    /// Which parameters.
    pub query: Query,
    /// Request fields, lower case.
    pub headers: Vec<String>,
    /// Cookies by name.
    pub cookies: Vec<String>,
    /// The method: `HEAD` is then not answered from a stored `GET`.
    pub method: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            scheme: true,
            host: true,
            query: Query::All,
            headers: Vec::new(),
            cookies: Vec::new(),
            method: false,
        }
    }
}

fn head(key: &mut Vec<u8>, mark: u8, length: usize) {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    key.extend_from_slice(&[mark, a, b, c, d]);
}

fn part(key: &mut Vec<u8>, mark: u8, value: &[u8]) {
    head(key, mark, value.len());
    key.extend_from_slice(value);
}

/// The host and the path of a request in the form in which purges by prefix compare them: `example.com/a/b`.
pub fn location(authority: &[u8], path: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(authority.len().saturating_add(path.len()));
    add_location(&mut text, authority, path);
    text
}

/// A path without its query, and the query with its question mark.
pub(crate) fn split(whole: &[u8]) -> (&[u8], &[u8]) {
    let at = whole.iter().position(|byte| *byte == b'?');
    whole
        .split_at_checked(at.unwrap_or(whole.len()))
        .unwrap_or((whole, b""))
}

/// Nearly every host has none, and the first look says so: capitals lack a bit that all else in a host has but `_` and brackets.
fn has_capitals(host: &[u8]) -> bool {
    let common = host.iter().fold(0x20, |common, byte| common & byte);
    common == 0 && host.iter().any(u8::is_ascii_uppercase)
}

/// True where the host had capitals.
fn add_location(text: &mut Vec<u8>, authority: &[u8], path: &[u8]) -> bool {
    let start = text.len();
    text.extend_from_slice(authority);
    let is_mixed = has_capitals(authority);
    if let Some(host) = text.get_mut(start..).filter(|_| is_mixed) {
        host.make_ascii_lowercase();
    }
    text.extend_from_slice(path);
    is_mixed
}

impl Recipe {
    /// The key of a request; `None` where it is too long to be one.
    ///
    /// It begins with the length of [`location`] without the query and that location, for purges by prefix.
    pub fn key(&self, request: &Request) -> Option<Vec<u8>> {
        self.make(request, true)
    }

    /// The key of a request to the same URL that has none of the fields which frameworks believe in, and the host in lower
    /// case: a method that was overridden by one of them changes what others get without it.
    pub fn key_of_url(&self, request: &Request) -> Option<Vec<u8>> {
        self.make(request, false)
    }

    /// The URL of a request, as far as it tells answers apart: for purges of one URL, and invalidation over all keys of it.
    pub fn url(&self, request: &Request) -> Vec<u8> {
        let (path, query) = split(request.path());
        let host: &[u8] = if self.host { request.authority() } else { b"" };
        let mut url = location(host, path);
        self.query(&mut url, query);
        url
    }

    /// The same for a request whose [`Recipe::key`] is known, which has all of it but the query.
    pub fn url_by_key(&self, key: &[u8], request: &Request) -> Vec<u8> {
        let Some(location) = location_of(key) else {
            return self.url(request);
        };
        let host = if self.host { request.authority() } else { b"" };
        let path = location.len().saturating_sub(host.len());
        let query = request.path().get(path..).unwrap_or_default();
        let mut url =
            Vec::with_capacity(location.len().saturating_add(query.len()).saturating_add(5));
        url.extend_from_slice(location);
        self.query(&mut url, query);
        url
    }

    /// True where parts of requests besides the URL make the key: one URL then has several.
    pub fn is_parted(&self) -> bool {
        !self.headers.is_empty() || !self.cookies.is_empty()
    }

    fn make(&self, request: &Request, as_it_came: bool) -> Option<Vec<u8>> {
        let whole = request.path();
        let (path, query) = split(whole);
        let host: &[u8] = if self.host { request.authority() } else { b"" };
        let mut key = Vec::with_capacity(whole.len().saturating_add(host.len()).saturating_add(48));
        head(&mut key, b'l', host.len().saturating_add(path.len()));
        let is_mixed = add_location(&mut key, host, path);
        // The host on its own, so that `a` + `b/c` and `a/b` + `/c` differ whatever a host may contain.
        part(
            &mut key,
            b'h',
            &u32::try_from(host.len()).unwrap_or(u32::MAX).to_le_bytes(),
        );
        if as_it_came && is_mixed {
            // The same host by the RFCs, and not to every origin: what one that takes it for another says is not for all.
            part(&mut key, b'H', host);
        }
        if self.scheme {
            part(&mut key, b's', request.scheme());
        }
        if self.method {
            // What changes or purges the URL, and a `POST` that is stored for it, mean what `GET` gets.
            let is_head = request.method == Method::Head;
            let method: &[u8] = if is_head { b"HEAD" } else { b"GET" };
            part(&mut key, b'm', method);
        }
        self.query(&mut key, query);
        let believed: &[&str] = if as_it_came && request.unkeyed_input {
            &UNKEYED_INPUT
        } else {
            &[]
        };
        for field in believed {
            if !self.headers.iter().any(|name| name == field) {
                self.field(&mut key, &request.headers, field, false);
            }
        }
        for field in &self.headers {
            self.field(&mut key, &request.headers, field, true);
        }
        for cookie in &self.cookies {
            key.push(b'c');
            // Of several with one name some origins take the first, some the last.
            for value in cookie_values(&request.headers, cookie) {
                part(&mut key, b'=', value);
            }
        }
        (key.len() <= MOST_BYTES).then_some(key)
    }

    fn field(&self, key: &mut Vec<u8>, headers: &Headers, field: &str, mark_missing: bool) {
        let value = if field == "forwarded" && !mark_missing {
            forwarded(headers)
        } else {
            normalised(headers, field)
        };
        match value {
            Some(value) => {
                part(key, b'f', field.as_bytes());
                part(key, b'=', &value);
            }
            None if mark_missing => part(key, b'-', field.as_bytes()),
            None => {}
        }
    }

    fn query(&self, key: &mut Vec<u8>, query: &[u8]) {
        let raw = query.strip_prefix(b"?");
        let kept = |keep: &dyn Fn(&[u8]) -> bool| -> Vec<&[u8]> {
            let parameters = raw.unwrap_or_default().split(|byte| *byte == b'&');
            let mut kept: Vec<&[u8]> = parameters
                .filter(|parameter| !parameter.is_empty() && keep(parameter))
                .collect();
            kept.sort_by(|a, b| name_of(a).cmp(name_of(b)));
            kept
        };
        let kept = match &self.query {
            Query::None => return,
            Query::All => {
                if !query.is_empty() {
                    part(key, b'q', query);
                }
                return;
            }
            Query::Sorted => kept(&|_| true),
            Query::Include(names) => {
                let named = |name: &[u8]| names.iter().any(|pattern| pattern.may_match(name));
                kept(&|parameter| ambiguous(parameter) || named(name_of(parameter)))
            }
            Query::Exclude(names) => {
                let named = |name: &[u8]| names.iter().any(|pattern| pattern.matches(name));
                kept(&|parameter| ambiguous(parameter) || !named(name_of(parameter)))
            }
        };
        for parameter in kept {
            part(key, b'p', parameter);
        }
    }
}

/// `Forwarded` (RFC 7239) without what differs for every client and shapes no answer: `for` and `by`.
fn forwarded(headers: &Headers) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let pairs = headers.all("forwarded").flat_map(list_of);
    for pair in pairs.flat_map(|element| element.split(|byte| *byte == b';')) {
        let pair = pair.trim_ascii();
        let quotes = pair.iter().filter(|byte| **byte == b'"').count();
        let value = pair.iter().position(|byte| *byte == b'=');
        let name = pair.get(..value.unwrap_or(pair.len())).unwrap_or(pair);
        let of_client = name.eq_ignore_ascii_case(b"for") || name.eq_ignore_ascii_case(b"by");
        // A quote that stays open may hide another pair.
        if !of_client || quotes % 2 == 1 {
            part(&mut kept, b'f', pair);
        }
    }
    (!kept.is_empty()).then_some(kept)
}

fn name_of(parameter: &[u8]) -> &[u8] {
    parameter
        .split(|byte| *byte == b'=')
        .next()
        .unwrap_or_default()
}

/// True where an origin may read another parameter than its name says: `;` separates in some frameworks, and an encoded
/// name may be any name.
fn ambiguous(parameter: &[u8]) -> bool {
    parameter.contains(&b';')
        || name_of(parameter)
            .iter()
            .any(|byte| matches!(byte, b'%' | b'+' | b'[' | 0x80..))
}

/// The values of the cookies of one name, over all `Cookie` lines.
pub fn cookie_values<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .all("cookie")
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let mut halves = pair.trim_ascii().splitn(2, |byte| *byte == b'=');
            // Origins trim names: with the space left on, one cookie would count for another.
            (halves.next()?.trim_ascii_end() == name.as_bytes())
                .then(|| halves.next().unwrap_or_default())
        })
}

/// The key of a variant: that of the URL, the salt of its list of variants, and what the request has in these fields.
pub fn variant(primary: &[u8], salt: u64, fields: &[String], request: &Headers) -> Vec<u8> {
    let mut key = primary.to_vec();
    part(&mut key, b'v', &salt.to_le_bytes());
    for field in fields {
        part(&mut key, b'f', field.as_bytes());
        match normalised(request, field) {
            Some(value) => part(&mut key, b'=', &value),
            None => key.push(b'-'),
        }
    }
    key
}

/// The fingerprint under which a key is looked up.
pub fn fingerprint(secret: &Secret, key: &[u8]) -> Fingerprint {
    KeyHasher::new(secret).part(key).finish()
}

/// [`location`] out of a key.
pub fn location_of(key: &[u8]) -> Option<&[u8]> {
    let rest = key.strip_prefix(b"l")?;
    let (length, rest) = rest.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    rest.get(..usize::try_from(length).ok()?)
}

/// The tags of a response: `Surrogate-Key` is separated by spaces, `Cache-Tag` by commas.
pub fn tags(headers: &Headers) -> impl Iterator<Item = &[u8]> {
    let surrogate = headers
        .all("surrogate-key")
        .flat_map(|line| line.split(u8::is_ascii_whitespace))
        .filter(|tag| !tag.is_empty());
    surrogate.chain(headers.all("cache-tag").flat_map(list_of))
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
