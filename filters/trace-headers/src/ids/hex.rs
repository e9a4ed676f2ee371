//! Hexadecimal, as trace headers write it: eight digits at once, for a loop over single ones costs a request more than all
//! else about its ids.

/// A one in each byte.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Four bytes as eight lower-case digits.
#[inline]
pub fn digits(bytes: [u8; 4]) -> [u8; 8] {
    let bytes = u64::from(u32::from_le_bytes(bytes));
    // A byte for each 16 bits, then half a byte for each 8, the upper half first.
    let pairs = (bytes | (bytes << 16)) & 0x0000_ffff_0000_ffff;
    let pairs = (pairs | (pairs << 8)) & 0x00ff_00ff_00ff_00ff;
    let halves = ((pairs >> 4) & 0x000f_000f_000f_000f) | ((pairs & 0x000f_000f_000f_000f) << 8);
    // 1 for those that are letters: 10 and 6 make 16.
    let letters = (halves.wrapping_add(ONES.wrapping_mul(6)) >> 4) & ONES;
    let digits = halves.wrapping_add(ONES.wrapping_mul(u64::from(b'0')));
    let beyond_nine = u64::from(b'a' - b'0' - 10);
    digits
        .wrapping_add(letters.wrapping_mul(beyond_nine))
        .to_le_bytes()
}

/// Eight lower-case digits as four bytes.
#[inline]
pub fn four(text: [u8; 8]) -> Option<[u8; 4]> {
    let bits = u64::from_le_bytes(text);
    // Half a byte for each digit: its lower half, and 9 more for a letter, as `a` ends with 1.
    let letters = (bits >> 6) & ONES;
    let halves = (bits & ONES.wrapping_mul(15)).wrapping_add(letters.wrapping_mul(9));
    let pairs = ((halves << 4) | (halves >> 8)) & 0x00ff_00ff_00ff_00ff;
    let pairs = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
    let bytes = ((pairs | (pairs >> 16)) as u32).to_le_bytes();
    // Anything but digits was not read as what it is, and so is not written again.
    (digits(bytes) == text).then_some(bytes)
}

/// Writes bytes, four by four, as lower-case hexadecimal to the front of `out`. What does not fit is left out.
pub fn write(bytes: &[u8], out: &mut [u8]) {
    let places = out.as_chunks_mut::<8>().0;
    for (place, four) in places.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *place = digits(*four);
    }
}

/// Exactly `2 * N` lower-case digits, as the W3C formats demand; `N` is a multiple of four.
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    let places = bytes.as_chunks_mut::<4>().0;
    for (place, digits) in places.iter_mut().zip(text.as_chunks::<8>().0) {
        *place = four(*digits)?;
    }
    Some(bytes)
}

/// 1 to `2 * N` digits of either case, padded with zeros on the left, as the older formats allow; `N` is at most 16.
pub fn decode_padded<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.is_empty() || text.len() > N.checked_mul(2)? {
        return None;
    }
    padded(text)?.last_chunk().copied()
}

fn padded(text: &[u8]) -> Option<[u8; 16]> {
    let mut digits = [b'0'; 32];
    for (place, digit) in digits.iter_mut().rev().zip(text.iter().rev()) {
        *place = digit.to_ascii_lowercase();
    }
    decode(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strict_is_lower_case_and_exact() {
        assert_eq!(decode(b"0aff09f1"), Some([0x0a, 0xff, 0x09, 0xf1]));
        for wrong in [&b"0AFF09F1"[..], b"0aff09f", b"0aff09f10", b"0ag009f1", b""] {
            assert_eq!(decode::<4>(wrong), None);
        }
    }

    #[test]
    fn padded_fills_the_left() {
        assert_eq!(decode_padded::<2>(b"F"), Some([0, 15]));
        assert_eq!(decode_padded::<2>(b"abc"), Some([0x0a, 0xbc]));
        for wrong in [&b""[..], b"abcde", b"0x"] {
            assert_eq!(decode_padded::<2>(wrong), None);
        }
    }

    /// One digit, as one would read it.
    fn value(digit: u8) -> Option<u8> {
        let lower = matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        let value = char::from(digit).to_digit(16).filter(|_| lower)?;
        Some(value as u8)
    }

    fn one_by_one(text: [u8; 8]) -> Option<[u8; 4]> {
        let mut bytes = [0; 4];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(bytes)
    }

    #[test]
    fn any_byte_at_any_place_is_a_digit_or_refused() {
        for place in 0..8 {
            for byte in 0..=255 {
                let mut text = *b"09afa90f";
                text[place] = byte;
                assert_eq!(four(text), one_by_one(text), "{text:?}");
            }
        }
    }

    #[test]
    fn any_two_bytes_beside_each_other_are_digits_or_refused() {
        for pair in 0..=u16::MAX {
            let [high, low] = pair.to_be_bytes();
            let text = [b'7', high, low, b'c', low, high, high, low];
            assert_eq!(four(text), one_by_one(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_one_by_one(text in proptest::collection::vec("[0-9a-fA-F]|[0-9a-f]|[^g]", 0..33)) {
            let text: Vec<u8> = text.concat().into_bytes();
            let folded = text.to_ascii_lowercase();
            let read = |text: &[u8], most: usize| {
                let digits: Option<Vec<u8>> = text.iter().copied().map(value).collect();
                let digits = digits.filter(|digits| (1..=most).contains(&digits.len()))?;
                Some(digits.iter().fold(0u128, |number, digit| number << 4 | u128::from(*digit)))
            };
            let exact = read(&text, 32).filter(|_| text.len() == 32);
            prop_assert_eq!(decode(&text).map(u128::from_be_bytes), exact);
            prop_assert_eq!(decode_padded(&text).map(u128::from_be_bytes), read(&folded, 32));
            let half = read(&folded, 16).map(|number| number as u64);
            prop_assert_eq!(decode_padded(&text).map(u64::from_be_bytes), half);
        }

        #[test]
        fn what_is_written_is_read(bytes: [u8; 16]) {
            let mut text = [b'.'; 33];
            write(&bytes, &mut text);
            prop_assert_eq!(decode(&text[..32]), Some(bytes));
            prop_assert_eq!(text[32], b'.', "what does not fit is left out");
        }
    }
}
