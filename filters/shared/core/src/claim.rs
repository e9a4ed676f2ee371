//! Claims of a verified JSON web token, as Envoy hands over what is in metadata: a text as it is, a number as a double of eight
//! bytes (little-endian), a boolean as one byte, lists and objects in a form of their own.

use std::borrow::Cow;

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

#[cfg(test)]
mod tests {
    use super::written;

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
}
