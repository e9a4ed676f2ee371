//! Base64 as protobuf's JSON has it: of either alphabet, with or without the signs at its end.

/// The bytes; none where a sign is of neither alphabet, or one is left over.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for sign in text.bytes() {
        let six = match sign {
            b'A'..=b'Z' => sign.checked_sub(b'A')?,
            b'a'..=b'z' => sign.checked_sub(b'a')?.checked_add(26)?,
            b'0'..=b'9' => sign.checked_sub(b'0')?.checked_add(52)?,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = ((bits << 6) | u32::from(six)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    (count < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn either_alphabet_is_read_with_or_without_its_end() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("e30=", Some(b"{}")),
            ("e30", Some(b"{}")),
            ("eyJhIjoxfQ==", Some(b"{\"a\":1}")),
            ("+/8=", Some(b"\xfb\xff")),
            ("-_8", Some(b"\xfb\xff")),
            ("e", None),
            ("e3 0", None),
        ] {
            assert_eq!(decode(text).as_deref(), bytes, "{text}");
        }
    }
}
