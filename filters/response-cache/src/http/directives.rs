//! `Cache-Control` (RFC 9111, section 5.2): directives of a request or a response, from any number of field lines.
//!
//! Rules for odd input, all on the safe side: of a directive that is repeated the first counts (section 4.2.1); a number
//! that is none makes the response stale rather than fresh (the same section); a string without its closing quote makes
//! the whole field malformed, and what has a malformed field is not stored.

use seawall_core::headers::Headers;

/// A number of seconds in a directive. Larger numbers are as good as this one (RFC 9111, section 1.2.2).
pub const MOST_SECONDS: u64 = 1 << 31;

/// As long as the longest name of a directive, `stale-while-revalidate`.
const LONGEST: usize = 22;

/// An argument in seconds, as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seconds {
    /// A number, at most [`MOST_SECONDS`].
    Of(u64),
    /// Something else, or nothing where a number is required.
    Invalid,
}

impl Seconds {
    /// The number; an invalid one is zero, which makes a lifetime end at once.
    pub fn or_zero(self) -> u64 {
        match self {
            Seconds::Of(seconds) => seconds,
            Seconds::Invalid => 0,
        }
    }
}

/// A directive that may name fields: `no-cache` or `no-cache="set-cookie"`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Qualified {
    /// Not there.
    #[default]
    Absent,
    /// There, without a list: it covers the whole response.
    Whole,
    /// There for these fields only; names in lower case.
    Fields(Vec<String>),
}

impl Qualified {
    /// There, for the fields of a list.
    pub(super) fn fields(list: &[u8]) -> Self {
        let names: Vec<String> = list
            .split(|byte| *byte == b',')
            .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        // A list that names nothing is no restriction to certain fields: the whole response, to be safe.
        if names.is_empty() {
            Qualified::Whole
        } else {
            Qualified::Fields(names)
        }
    }
}

/// The directives of a response.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseDirectives {
    /// `max-age`
    pub max_age: Option<Seconds>,
    /// `s-maxage`
    pub s_maxage: Option<Seconds>,
    /// `stale-while-revalidate` (RFC 5861)
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861)
    pub stale_if_error: Option<u64>,
    /// `no-cache`
    pub no_cache: Qualified,
    /// `private`
    pub private: Qualified,
    /// `no-store`
    pub no_store: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `immutable` (RFC 8246): not revalidated while it is fresh, unless a client asks for it.
    pub immutable: bool,
    /// The field could not be read to its end.
    pub malformed: bool,
}

/// The directives of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestDirectives {
    /// `no-cache`
    pub no_cache: bool,
    /// `no-store`
    pub no_store: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `max-age`
    pub max_age: Option<u64>,
    /// `min-fresh`
    pub min_fresh: Option<u64>,
    /// `max-stale`, without an argument any staleness.
    pub max_stale: Option<u64>,
    /// `stale-if-error` (RFC 5861, section 4)
    pub stale_if_error: Option<u64>,
}

/// Reads digits. RFC 9111, section 1.2.2: what overflows is the largest number known.
pub fn seconds(text: &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // What is held below the limit after each digit cannot overflow with the next one.
        let longer = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        number = longer.min(MOST_SECONDS);
    }
    (!text.is_empty()).then_some(number)
}

fn argument(value: Option<&[u8]>) -> Seconds {
    value
        .and_then(seconds)
        .map_or(Seconds::Invalid, Seconds::Of)
}

fn qualified(value: Option<&[u8]>) -> Qualified {
    value.map_or(Qualified::Whole, Qualified::fields)
}

fn first<T>(place: &mut Option<T>, value: T) {
    if place.is_none() {
        *place = Some(value);
    }
}

/// The stricter of two occurrences: the whole response rather than some fields, more fields rather than fewer.
fn stricter(place: &mut Qualified, value: Qualified) {
    let old = std::mem::take(place);
    *place = match (old, value) {
        (Qualified::Absent, new) => new,
        (Qualified::Fields(mut some), Qualified::Fields(more)) => {
            some.extend(more);
            Qualified::Fields(some)
        }
        _ => Qualified::Whole,
    };
}

impl ResponseDirectives {
    /// Reads all lines of `field`; `None` when there is none.
    pub fn read(headers: &Headers, field: &str) -> Option<Self> {
        let mut found: Option<ResponseDirectives> = None;
        for line in headers.all(field) {
            found.get_or_insert_with(Self::default).add(line);
        }
        found
    }

    fn add(&mut self, line: &[u8]) {
        let complete = each_directive(line, |name, value| self.directive(name, value));
        self.malformed |= !complete;
    }

    fn directive(&mut self, name: &[u8], value: Option<&[u8]>) {
        match name {
            b"max-age" => first(&mut self.max_age, argument(value)),
            b"s-maxage" => first(&mut self.s_maxage, argument(value)),
            b"stale-while-revalidate" => {
                first(&mut self.stale_while_revalidate, argument(value).or_zero());
            }
            b"stale-if-error" => first(&mut self.stale_if_error, argument(value).or_zero()),
            b"no-cache" => stricter(&mut self.no_cache, qualified(value)),
            b"private" => stricter(&mut self.private, qualified(value)),
            b"no-store" => self.no_store = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"immutable" => self.immutable = true,
            _ => {}
        }
    }
}

impl RequestDirectives {
    /// Adds the directives of a field line.
    pub fn add(&mut self, line: &[u8]) {
        let complete = each_directive(line, |name, value| self.directive(name, value));
        if !complete {
            // A client whose wish cannot be read gets a new answer.
            self.no_cache = true;
        }
    }

    fn directive(&mut self, name: &[u8], value: Option<&[u8]>) {
        let number = value.and_then(seconds);
        match name {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            // Numbers that are none are ignored: the client asked for nothing that can be understood.
            b"max-age" => first_number(&mut self.max_age, number),
            b"min-fresh" => first_number(&mut self.min_fresh, number),
            b"max-stale" if value.is_none() => first(&mut self.max_stale, MOST_SECONDS),
            b"max-stale" => first_number(&mut self.max_stale, number),
            b"stale-if-error" => first_number(&mut self.stale_if_error, number),
            _ => {}
        }
    }
}

fn first_number(place: &mut Option<u64>, number: Option<u64>) {
    if place.is_none() {
        *place = number;
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

/// Takes a directive: its name and its argument.
type Found<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// Calls `found` for every directive: name in lower case, argument without its quotes. False when a quote stays open.
///
/// White space around `=` is not allowed by the grammar: a number with it is none (so the response is stale), while
/// `no-store` and the like are recognised with or without an argument.
fn each_directive(line: &[u8], mut found: impl FnMut(&[u8], Option<&[u8]>)) -> bool {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let (item, next, complete) = split_item(rest);
        let item = trim(item);
        if is_several(item) {
            prohibitions(item, &mut found);
        } else if !item.is_empty() {
            directive(item, &mut found);
        }
        if !complete {
            return false;
        }
        match next {
            Some(next) => rest = next,
            None => return true,
        }
    }
}

/// Whether a byte, and those after it, are outside of quoted strings.
fn outside_quotes() -> impl FnMut(u8) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        !quoted
    }
}

/// True where blanks or semicolons stand inside of a member, as some origins separate directives.
fn is_several(item: &[u8]) -> bool {
    let mut outside = outside_quotes();
    item.iter()
        .any(|byte| outside(*byte) && matches!(byte, b' ' | b'\t' | b';'))
}

/// What such a member may have meant to forbid. It permits nothing, and a lifetime in it cannot be read.
fn prohibitions(item: &[u8], found: &mut Found<'_>) {
    let mut outside = outside_quotes();
    let pieces = item.split(|byte| outside(*byte) && matches!(byte, b' ' | b'\t' | b';' | b'='));
    for piece in pieces {
        match piece.to_ascii_lowercase().as_slice() {
            b"no-store" => found(b"no-store", None),
            b"no-cache" => found(b"no-cache", None),
            b"private" => found(b"private", None),
            b"max-age" => found(b"max-age", None),
            b"s-maxage" => found(b"s-maxage", None),
            b"stale-while-revalidate" => found(b"stale-while-revalidate", None),
            b"stale-if-error" => found(b"stale-if-error", None),
            // Nor does it share what was for somebody's credentials.
            b"must-revalidate" | b"proxy-revalidate" => found(b"proxy-revalidate", None),
            _ => {}
        }
    }
}

fn directive(item: &[u8], found: &mut impl FnMut(&[u8], Option<&[u8]>)) {
    let mut halves = item.splitn(2, |byte| *byte == b'=');
    let name = halves.next().unwrap_or_default();
    let value = halves.next();
    let name = trim(name);
    let mut lower = [0; LONGEST];
    // What is longer is none that anybody knows.
    let Some(place) = lower.get_mut(..name.len()) else {
        return;
    };
    for (place, byte) in place.iter_mut().zip(name) {
        *place = byte.to_ascii_lowercase();
    }
    match value {
        None => found(place, None),
        Some(value) => match unquote(value) {
            Some(text) => found(place, Some(&text)),
            None => found(place, Some(value)),
        },
    }
}

/// The content of a quoted string, or `None` when it is not one.
fn unquote(value: &[u8]) -> Option<Vec<u8>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut text = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        text.push(if *byte == b'\\' {
            *bytes.next()?
        } else {
            *byte
        });
    }
    Some(text)
}

/// The bytes up to the next comma outside quotes, what follows it, and whether all quotes were closed.
fn split_item(bytes: &[u8]) -> (&[u8], Option<&[u8]>, bool) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                let item = bytes.get(..at).unwrap_or_default();
                return (item, bytes.get(at.saturating_add(1)..), true);
            }
            _ => {}
        }
    }
    (bytes, None, !quoted)
}

/// The members of a comma-separated list over all lines of a field, quotes respected.
pub fn list<'a>(headers: &'a Headers, field: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
    headers.all(field).flat_map(list_of)
}

/// The members of one line of a list field, quotes respected; empty ones are left out.
pub fn list_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    members_of(line).filter(|item| !item.is_empty())
}

/// The members of one line of a list field, quotes respected.
pub fn members_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let (item, next, _) = split_item(rest?);
        rest = next;
        Some(trim(item))
    })
}

#[cfg(test)]
#[path = "directives_tests.rs"]
mod tests;
