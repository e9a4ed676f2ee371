//! Base64 as protobuf's JSON has it: of either alphabet, with or without the signs at its end.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;

const EITHER: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes; none where a sign is of neither alphabet, or one is left over.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.replace('-', "+").replace('_', "/");
    EITHER.decode(text).ok()
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
