//! Which fields are stored with a response, and how a later response updates them (RFC 9111, sections 3.1, 3.2 and 4.3.4).

use super::directives::{list_of, Qualified, ResponseDirectives};
use seawall_core::headers::Headers;

/// Fields of the connection or of a proxy, never stored (RFC 9111, section 3.1; RFC 9110, section 7.6.1). `Age` and
/// `Content-Length` are made anew for every answer.
const NEVER_STORED: [&[u8]; 12] = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"age",
    b"content-length",
];

/// Begins what Envoys tell each other about this one request, such as that a machine is to be taken out.
const OF_ENVOY: &[u8] = b"x-envoy-";

/// Describe the stored body, so an answer without a body must not change them.
const OF_THE_BODY: [&[u8]; 2] = [b"content-encoding", b"content-range"];

/// The response chosen by, and the body decoded by, fields that are not stored would be the wrong one for somebody.
const INDISPENSABLE: [&str; 2] = ["vary", "content-encoding"];

/// What is left out besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leave<'a> {
    /// Names in lower case.
    pub named: &'a [String],
    /// `Set-Cookie` as well.
    pub cookies: bool,
}

fn qualified<'a>(directives: &'a ResponseDirectives) -> impl Iterator<Item = &'a String> + 'a {
    [&directives.no_cache, &directives.private]
        .into_iter()
        .filter_map(|list| match list {
            Qualified::Fields(names) => Some(names.iter()),
            _ => None,
        })
        .flatten()
}

/// The fields to store: without those of the connection, those nominated by `Connection`, and those that `no-cache` or
/// `private` name.
pub fn to_store<'a>(
    headers: &'a Headers,
    directives: &ResponseDirectives,
    leave: Leave<'_>,
) -> Vec<(&'a [u8], &'a [u8])> {
    let nominated: Vec<Vec<u8>> = headers
        .all("connection")
        .flat_map(list_of)
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let left = |name: &[u8]| {
        name.starts_with(b":")
            || name.starts_with(OF_ENVOY)
            || NEVER_STORED.contains(&name)
            || nominated.iter().any(|field| field == name)
            || qualified(directives).any(|field| field.as_bytes() == name)
            || leave.named.iter().any(|field| field.as_bytes() == name)
            || (leave.cookies && matches!(name, b"set-cookie" | b"set-cookie2"))
    };
    headers.iter().filter(|(name, _)| !left(name)).collect()
}

/// True where a field without which the response is of no use is not among those to store.
pub fn lacks_the_indispensable(headers: &Headers, stored: &[(&[u8], &[u8])]) -> bool {
    INDISPENSABLE.iter().any(|field| {
        headers.get(field).is_some() && !stored.iter().any(|(name, _)| *name == field.as_bytes())
    })
}

/// What a response says to its client alone: cookies and the fields that `no-cache` and `private` name, as far as they are
/// not among those to `shown` to all.
pub fn for_its_client<'a>(
    headers: &'a Headers,
    directives: &ResponseDirectives,
    shown: &Headers,
) -> Vec<(&'a [u8], &'a [u8])> {
    let is_own = |name: &[u8]| {
        name == b"set-cookie" || qualified(directives).any(|field| field.as_bytes() == name)
    };
    if !headers.iter().any(|(name, _)| is_own(name)) {
        return Vec::new();
    }
    let mut own = to_store(headers, &ResponseDirectives::default(), Leave::default());
    own.retain(|(name, _)| is_own(name) && !shown.iter().any(|(known, _)| known == *name));
    own
}

/// True where an entity tag that comes names other bytes than those that are stored. Origins that compress on the way out weaken
/// or take away the tag of what they compressed, and send a 304 with the strong one of the file.
fn names_another_body(stored: &Headers, fresh: &Headers) -> bool {
    let Some(tag) = fresh.get("etag").filter(|tag| !tag.starts_with(b"W/")) else {
        return false;
    };
    match stored.get("etag") {
        Some(own) => own != tag,
        None => stored.get("content-encoding").is_some(),
    }
}

/// Stored fields updated by those of a 304 or of a response to `HEAD`: every field that comes replaces the stored lines
/// of its name, except those that describe the stored body, and a strong entity tag that is not its own.
pub fn updated<'a>(
    stored: &'a Headers,
    fresh: &'a Headers,
    directives: &ResponseDirectives,
    leave: Leave<'_>,
) -> Vec<(&'a [u8], &'a [u8])> {
    let mut incoming = to_store(fresh, directives, leave);
    let keeps_tag = names_another_body(stored, fresh);
    incoming.retain(|(name, _)| !OF_THE_BODY.contains(name) && (!keeps_tag || *name != b"etag"));
    let mut fields: Vec<(&[u8], &[u8])> = stored
        .iter()
        .filter(|(name, _)| !incoming.iter().any(|(new, _)| new == name))
        .collect();
    fields.extend(incoming);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fields: &[(&[u8], &[u8])]) -> Vec<String> {
        fields
            .iter()
            .map(|(name, value)| {
                format!(
                    "{}: {}",
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(value)
                )
            })
            .collect()
    }

    fn directives(headers: &Headers) -> ResponseDirectives {
        ResponseDirectives::read(headers, "cache-control").unwrap_or_default()
    }

    #[test]
    fn fields_of_the_connection_stay_behind() {
        let headers = Headers::from_pairs(&[
            (":status", "200"),
            ("connection", "A, b"),
            ("connection", "keep-alive"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("keep-alive", "1"),
            ("te", "x"),
            ("proxy-authenticate", "x"),
            ("transfer-encoding", "chunked"),
            ("age", "3"),
            ("content-length", "5"),
            ("cache-control", "max-age=1, no-cache=\"d\", private=\"E\""),
            ("d", "4"),
            ("e", "5"),
            ("set-cookie", "x"),
        ]);
        let kept = to_store(
            &headers,
            &directives(&headers),
            Leave {
                cookies: true,
                ..Leave::default()
            },
        );
        assert_eq!(
            names(&kept),
            [
                "c: 3",
                "cache-control: max-age=1, no-cache=\"d\", private=\"E\""
            ]
        );
    }

    #[test]
    fn an_update_replaces_lines_and_leaves_what_describes_the_body() {
        let stored = Headers::from_pairs(&[
            ("a", "1"),
            ("a", "2"),
            ("b", "3"),
            ("content-encoding", "gzip"),
            ("etag", "\"x\""),
        ]);
        let fresh = Headers::from_pairs(&[
            (":status", "304"),
            ("a", "9"),
            ("c", "4"),
            ("content-encoding", "br"),
            ("content-length", "0"),
        ]);
        let fields = updated(
            &stored,
            &fresh,
            &ResponseDirectives::default(),
            Leave::default(),
        );
        assert_eq!(
            names(&fields),
            [
                "b: 3",
                "content-encoding: gzip",
                "etag: \"x\"",
                "a: 9",
                "c: 4"
            ]
        );
    }
}
