//! `Vary` (RFC 9111, section 4.1): which request fields choose among the responses of one URL, and when two requests have
//! the same.
//!
//! Fields match after the normalisation that section 4.1 allows: lines of a list joined, white space around commas
//! dropped, but for fields that are known to be no lists; `accept-language` and `accept-encoding`, whose syntax is known, also without regard to case and to the order
//! of members of equal weight.

use super::directives::{list, members_of};
use seawall_core::headers::{is_of_token, Headers};

/// More fields than this in `Vary` are as good as `*`.
pub const MOST_FIELDS: usize = 16;

/// True when the response varies by what no cache can see, by too much, or by what is no name: some origins write
/// `Vary: Accept-Encoding Cookie`.
pub fn is_star(headers: &Headers) -> bool {
    let mut count = 0usize;
    list(headers, "vary").any(|member| {
        count = count.saturating_add(1);
        member == b"*" || count > MOST_FIELDS || !member.iter().copied().all(is_of_token)
    })
}

/// The fields that a response varies by: those named by `Vary`, and `accept-encoding` where its body is encoded; lower
/// case, sorted, each once.
pub fn fields(headers: &Headers) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    // There are few, or it would not be stored: each is put into its place.
    let mut add = |name: String| {
        if let Err(at) = names.binary_search(&name) {
            names.insert(at, name);
        }
    };
    for name in list(headers, "vary") {
        add(String::from_utf8_lossy(name).to_ascii_lowercase());
    }
    // A body that was encoded for one client is of no use to who cannot decode it, whether the origin says so or not.
    let encoded = list(headers, "content-encoding").any(|coding| coding != b"identity");
    if encoded {
        add("accept-encoding".to_owned());
    }
    names
}

/// The value of a request field in the form in which it is compared; `None` when the request does not have it.
pub fn normalised(request: &Headers, field: &str) -> Option<Vec<u8>> {
    // Hosts write it as a pseudo-header.
    let field = if field == "host" { ":authority" } else { field };
    request.get(field)?;
    let known = matches!(
        field,
        "accept-language" | "accept-encoding" | "accept-charset"
    );
    if is_no_list(field) {
        let lines: Vec<&[u8]> = request.all(field).map(<[u8]>::trim_ascii).collect();
        return Some(lines.join(&b", "[..]));
    }
    if !known {
        // Whether empty members mean anything is for who defined the field.
        let members: Vec<&[u8]> = request.all(field).flat_map(members_of).collect();
        return Some(members.join(&b","[..]));
    }
    let mut members: Vec<Vec<u8>> = list(request, field).map(weighted).collect();
    members.sort_unstable();
    members.dedup();
    Some(members.join(&b","[..]))
}

/// Fields that are known to be no lists: a comma in them separates nothing, and white space around it counts.
fn is_no_list(field: &str) -> bool {
    matches!(
        field,
        "authorization"
            | "cookie"
            | "from"
            | "origin"
            | "proxy-authorization"
            | "referer"
            | "user-agent"
            | ":authority"
    )
}

/// A member such as `De ; Q=1.0` in one form: lower case, without white space, without a weight of one.
fn weighted(member: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = member
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(u8::to_ascii_lowercase)
        .collect();
    for whole in [&b";q=1.000"[..], b";q=1.00", b";q=1.0", b";q=1."] {
        if text.ends_with(whole) {
            text.truncate(text.len().saturating_sub(whole.len()));
        }
    }
    if text.ends_with(b";q=1") {
        text.truncate(text.len().saturating_sub(4));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(field: &str, lines: &[&str]) -> Option<String> {
        let pairs: Vec<_> = lines.iter().map(|line| (field, *line)).collect();
        normalised(&Headers::from_pairs(&pairs), field)
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    proptest! {
        #[test]
        fn names_are_in_order_and_each_is_there_once(lines in proptest::collection::vec("[a-cA-C, ]{0,8}", 0..4), encoded in any::<bool>()) {
            let mut pairs: Vec<_> = lines.iter().map(|line| ("vary", line.as_str())).collect();
            let mut expected: Vec<String> = lines.iter().flat_map(|line| line.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
            if encoded {
                pairs.push(("content-encoding", "gzip"));
                expected.push("accept-encoding".to_owned());
            }
            expected.retain(|name| !name.is_empty());
            expected.sort();
            expected.dedup();
            prop_assert_eq!(fields(&Headers::from_pairs(&pairs)), expected);
        }
    }

    #[test]
    fn a_star_anywhere() {
        for lines in [
            vec!["*"],
            vec!["*, *"],
            vec![", *"],
            vec!["", "*"],
            vec!["Foo, *"],
            vec!["*", "foo"],
        ] {
            let pairs: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
            assert!(is_star(&Headers::from_pairs(&pairs)), "{lines:?}");
        }
        let many: Vec<_> = (0..17).map(|n| ("vary", format!("f{n}"))).collect();
        assert!(is_star(&Headers::from_pairs(&many)));
        assert!(!is_star(&Headers::from_pairs(&[("vary", "Foo, Bar")])));
    }

    #[test]
    fn names_are_a_set() {
        let headers = Headers::from_pairs(&[("vary", "Foo, bar"), ("vary", "FOO")]);
        assert_eq!(fields(&headers), ["bar", "foo"]);
    }

    #[test]
    fn what_is_encoded_is_for_who_accepts_it() {
        let of = |pairs: &[(&str, &str)]| fields(&Headers::from_pairs(pairs));
        assert_eq!(of(&[("content-encoding", "gzip")]), ["accept-encoding"]);
        assert_eq!(
            of(&[("content-encoding", "br"), ("vary", "Accept-Encoding, x")]),
            ["accept-encoding", "x"]
        );
        assert!(of(&[("content-encoding", "identity")]).is_empty());
    }

    #[test]
    fn the_host_is_a_field_like_any_other() {
        let of = |host: &str| normalised(&Headers::from_pairs(&[(":authority", host)]), "host");
        assert_ne!(of("a"), of("b"));
        assert!(of("a").is_some());
    }

    #[test]
    fn values_that_mean_the_same_match() {
        assert_eq!(value("foo", &["1", "2"]), value("foo", &[" 1,2 "]));
        assert_ne!(value("foo", &["1, 2"]), value("foo", &["2, 1"]));
        for other in [", 1", "1,", "1,,2", ","] {
            assert_ne!(value("foo", &["1"]), value("foo", &[other]), "{other}");
        }
        assert_eq!(
            value("accept-encoding", &["gzip,, br,"]),
            value("accept-encoding", &["gzip, br"])
        );
        assert_eq!(
            value("accept-language", &["en, de"]),
            value("accept-language", &["De;q=1.0", "eN"])
        );
        assert_ne!(
            value("accept-language", &["en, de;q=0.5"]),
            value("accept-language", &["en, de"])
        );
        assert_eq!(
            value("accept-encoding", &["gzip, br"]),
            value("accept-encoding", &["br,GZIP"])
        );
        assert_ne!(value("foo", &[]), value("foo", &[""]));
        for field in ["cookie", "user-agent", "authorization"] {
            assert_ne!(
                value(field, &["a=1, 2"]),
                value(field, &["a=1,2"]),
                "{field}"
            );
            assert_eq!(
                value(field, &["a=1", "2"]),
                value(field, &["a=1, 2"]),
                "{field}"
            );
        }
    }

    proptest! {
        #[test]
        fn different_opaque_values_stay_different(a in "[a-z0-9]{1,8}", b in "[a-z0-9]{1,8}") {
            prop_assert_eq!(a == b, value("foo", &[&a]) == value("foo", &[&b]));
        }
    }
}
