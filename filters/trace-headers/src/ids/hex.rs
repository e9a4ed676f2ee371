//! Hexadecimal, as trace headers write it.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn digit(value: u8) -> u8 {
    DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0')
}

/// Writes bytes as lower-case hexadecimal at the end of `out`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
}

/// Writes bytes as lower-case hexadecimal into `out`, from `at` on. What does not fit is left out.
pub fn write(bytes: &[u8], out: &mut [u8], at: usize) {
    let places = out.get_mut(at..).unwrap_or_default().chunks_exact_mut(2);
    for (place, byte) in places.zip(bytes) {
        if let [high, low] = place {
            (*high, *low) = (digit(byte >> 4), digit(*byte));
        }
    }
}

fn value(digit: u8, upper: bool) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a')?.checked_add(10),
        b'A'..=b'F' if upper => digit.checked_sub(b'A')?.checked_add(10),
        _ => None,
    }
}

/// Exactly `2 * N` lower-case digits, as the W3C formats demand.
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != N.checked_mul(2)? {
        return None;
    }
    fill(text, false)
}

/// 1 to `2 * N` digits of either case, padded with zeros on the left, as the older formats allow.
pub fn decode_padded<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.is_empty() || text.len() > N.checked_mul(2)? {
        return None;
    }
    fill(text, true)
}

fn fill<const N: usize>(text: &[u8], upper: bool) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // From the right, so that what is missing on the left stays zero.
    for (byte, pair) in bytes.iter_mut().rev().zip(text.rchunks(2)) {
        *byte = match pair {
            [high, low] => (value(*high, upper)? << 4) | value(*low, upper)?,
            [low] => value(*low, upper)?,
            _ => return None,
        };
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_is_lower_case_and_exact() {
        assert_eq!(decode::<2>(b"0aff"), Some([0x0a, 0xff]));
        for wrong in [&b"0AFF"[..], b"0af", b"0aff0", b"0ag0", b""] {
            assert_eq!(decode::<2>(wrong), None);
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

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        encode(&[0, 0x9f, 0xff], &mut out);
        assert_eq!(out, b"009fff");
        assert_eq!(decode::<3>(&out), Some([0, 0x9f, 0xff]));
        let mut place = *b"......";
        write(&[0x9f, 0xff, 0], &mut place, 1);
        assert_eq!(&place, b".9fff.", "what does not fit is left out");
        write(&[1], &mut place, 7);
    }
}
