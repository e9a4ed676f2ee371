//! Hexadecimal, as trace headers write it.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn digit(value: u8) -> u8 {
    DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0')
}

/// Four bytes as eight lower-case digits, all at once: a loop over single ones costs a request more than all else about
/// its ids.
#[inline]
pub fn digits(bytes: [u8; 4]) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
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

/// Writes bytes as lower-case hexadecimal at the end of `out`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
}

/// Writes bytes as lower-case hexadecimal into `out`, from `at` on. What does not fit is left out.
pub fn write(bytes: &[u8], out: &mut [u8], at: usize) {
    let (fours, rest) = bytes.as_chunks::<4>();
    let (places, left) = out.get_mut(at..).unwrap_or_default().as_chunks_mut::<8>();
    let mut free = places.iter_mut();
    for four in fours {
        match free.next() {
            Some(place) => *place = digits(*four),
            None => return,
        }
    }
    let last = match free.next() {
        Some(place) => &mut place[..],
        None => left,
    };
    for (place, byte) in last.chunks_exact_mut(2).zip(rest) {
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
    fn four_at_once_are_as_one_by_one() {
        for byte in 0..=255u8 {
            let bytes = [byte, byte.wrapping_mul(7), !byte, byte ^ 0x5a];
            let mut out = Vec::new();
            encode(&bytes, &mut out);
            assert_eq!(digits(bytes)[..], out);
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
