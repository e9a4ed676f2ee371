//! Claims of a verified JSON web token, as Envoy hands over what is in metadata: a text as it is, a number as a double of eight
//! bytes (little-endian), a boolean as one byte, lists and objects in a form of their own.

use crate::headers::{write_pairs, Headers};
use std::borrow::Cow;

/// Lists and objects in each other: beyond it they are left as they came. Tokens have a handful.
const DEEPEST: u32 = 32;

/// Up to here doubles leave no whole number out.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// A claim as it is written in the token: a text, a whole number or a boolean. `None` for anything else.
///
/// The host does not say which it is. What is UTF-8 without control characters is a text; of the numbers, only a few from 2^44
/// on have such bytes.
pub fn written(claim: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(claim).ok();
    if let Some(text) = text.filter(|text| !text.chars().any(char::is_control)) {
        return Some(Cow::Borrowed(text));
    }
    match claim {
        [0] => return Some(Cow::Borrowed("false")),
        [1] => return Some(Cow::Borrowed("true")),
        _ => {}
    }
    let number = f64::from_le_bytes(claim.try_into().ok()?);
    let is_whole = number.trunc() == number && number.abs() < LARGEST;
    is_whole.then(|| Cow::Owned((number as i64).to_string()))
}

/// A claim that is a list or an object with what it holds in order, and anything else as it is. The host writes the fields of an
/// object in another order each time, so that without this one token would have many values.
pub fn ordered(claim: Vec<u8>) -> Vec<u8> {
    order(&claim, DEEPEST).unwrap_or(claim)
}

/// `None` for what is neither list nor object: these are pairs to the host, of an element and nothing, or of a name and a value.
fn order(claim: &[u8], depth: u32) -> Option<Vec<u8>> {
    let depth = depth.checked_sub(1)?;
    let held = Headers::from_abi(claim.to_vec())?;
    let inside = |part: &[u8]| order(part, depth).unwrap_or_else(|| part.to_vec());
    let pairs = held
        .iter()
        .map(|(name, value)| (inside(name), inside(value)));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    let mut written = Vec::with_capacity(claim.len());
    write_pairs(&mut written, &pairs);
    // What only begins like pairs is something else.
    (written.len() == claim.len()).then_some(written)
}

#[cfg(test)]
mod tests {
    use super::{ordered, written};
    use proptest::prelude::*;

    #[test]
    fn texts_whole_numbers_and_booleans_are_told_apart() {
        for text in [
            "",
            "a",
            "1",
            "acme-llc",
            "12345678",
            "XbcdefgB",
            "gr\u{fc}n",
        ] {
            assert_eq!(written(text.as_bytes()).as_deref(), Some(text));
        }
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (42.0, "42"),
            (-5.0, "-5"),
            (1_099_511_627_776.0, "1099511627776"),
            (9_007_199_254_740_991.0, "9007199254740991"),
        ] {
            let bytes = f64::to_le_bytes(number);
            assert_eq!(written(&bytes).as_deref(), Some(text));
        }
        assert_eq!(written(&[0]).as_deref(), Some("false"));
        assert_eq!(written(&[1]).as_deref(), Some("true"));
    }

    #[test]
    fn anything_else_is_nothing() {
        let numbers = [
            1.5,
            9_007_199_254_740_992.0,
            f64::NAN,
            f64::INFINITY,
            5e-324,
        ];
        for bytes in numbers.map(f64::to_le_bytes) {
            assert_eq!(written(&bytes), None);
        }
        for bytes in [&b"\xff"[..], b"a\0b", b"\x02", b"\x01\0\0\0\x05\0\0\0"] {
            assert_eq!(written(bytes), None, "{bytes:?}");
        }
    }

    fn pairs(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        crate::headers::write_pairs(&mut bytes, pairs);
        bytes
    }

    #[test]
    fn the_fields_of_an_object_have_no_order() {
        let (inner, turned) = (
            pairs(&[(b"x", b"1"), (b"y", b"2")]),
            pairs(&[(b"y", b"2"), (b"x", b"1")]),
        );
        let one = ordered(pairs(&[(b"a", &inner), (b"b", b"")]));
        assert_eq!(ordered(pairs(&[(b"b", b""), (b"a", &turned)])), one);
        assert_ne!(ordered(pairs(&[(b"b", b"1"), (b"a", &turned)])), one);
        // A list of objects.
        let list = ordered(pairs(&[(&inner, b"")]));
        assert_eq!(ordered(pairs(&[(&turned, b"")])), list);
        assert_ne!(list, ordered(inner));
    }

    #[test]
    fn what_is_no_list_and_no_object_stays() {
        let mut longer = pairs(&[(b"b", b"2"), (b"a", b"1")]);
        longer.push(b'x');
        for claim in [longer, b"text".to_vec(), Vec::new(), vec![255; 40]] {
            assert_eq!(ordered(claim.clone()), claim);
        }
        // Deeper than any token: no order, and no end of the stack.
        let mut deep = pairs(&[(b"b", b"2"), (b"a", b"1")]);
        for _ in 0..4000 {
            deep = pairs(&[(b"d", &deep)]);
        }
        assert_eq!(ordered(deep.clone()), deep);
    }

    proptest! {
        #[test]
        fn any_bytes_keep_their_length(claim in proptest::collection::vec(0..6u8, 0..120)) {
            let once = ordered(claim.clone());
            prop_assert_eq!(once.len(), claim.len());
            prop_assert_eq!(ordered(once.clone()), once);
        }
    }
}
