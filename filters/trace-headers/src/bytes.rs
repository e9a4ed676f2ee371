//! What a byte may be part of, looked up: what others sent is judged byte by byte, and a table takes a fraction of the
//! instructions that comparisons do.

/// The key of a member of `tracestate`.
pub const STATE_KEY: u8 = 1;
/// Its value.
pub const STATE_VALUE: u8 = 2;
/// A request id that is taken over.
pub const ID: u8 = 4;
/// What goes into a log as it is.
pub const LOGGED: u8 = 8;
/// The key of a member of `baggage`: a token.
pub const TOKEN: u8 = 16;
/// ASCII that can be seen, and the space.
pub const PRINTABLE: u8 = 32;
/// The same and the tab.
pub const PRINTABLE_OR_TAB: u8 = 64;

const fn parts(byte: u8) -> u8 {
    let printable = PRINTABLE | PRINTABLE_OR_TAB;
    let value = printable | STATE_VALUE;
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => value | STATE_KEY | ID | LOGGED | TOKEN,
        b'A'..=b'Z' | b'.' => value | ID | LOGGED | TOKEN,
        b'*' => value | STATE_KEY | TOKEN,
        b'@' | b'/' => value | STATE_KEY | LOGGED,
        b'|' | b'~' | b'+' => value | LOGGED | TOKEN,
        b'!' | b'#'..=b'\'' | b'^' | b'`' => value | TOKEN,
        b':' => value | LOGGED,
        b'=' => printable | LOGGED,
        b',' => printable,
        b' '..=b'~' => value,
        b'\t' => PRINTABLE_OR_TAB,
        _ => 0,
    }
}

static PARTS: [u8; 256] = {
    let mut all = [0; 256];
    let (mut rest, mut byte): (&mut [u8], u8) = (&mut all, 0);
    while let [place, others @ ..] = rest {
        *place = parts(byte);
        rest = others;
        byte = byte.wrapping_add(1);
    }
    all
};

/// Whether a byte may be part of that.
#[inline(always)]
pub fn may_be(part: u8, byte: u8) -> bool {
    PARTS
        .get(usize::from(byte))
        .is_some_and(|parts| parts & part != 0)
}

/// How many bytes at the front may be part of that.
#[inline(never)]
pub fn prefix(part: u8, bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| !may_be(part, *byte));
    end.unwrap_or(bytes.len())
}

/// Whether every byte may be part of that.
pub fn all(part: u8, bytes: &[u8]) -> bool {
    prefix(part, bytes) == bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::headers::is_of_token;

    #[test]
    fn the_table_is_what_the_specifications_say() {
        for byte in 0..=255u8 {
            let may = |part| may_be(part, byte);
            let lower = byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let printable = matches!(byte, 0x20..=0x7e);
            assert_eq!(may(STATE_KEY), lower || b"_-*/@".contains(&byte));
            assert_eq!(may(STATE_VALUE), printable && !b",=".contains(&byte));
            let alphanumeric = byte.is_ascii_alphanumeric();
            assert_eq!(may(ID), alphanumeric || b"._-".contains(&byte));
            assert_eq!(may(LOGGED), alphanumeric || b"._-@+:/=~|".contains(&byte));
            assert_eq!(may(TOKEN), is_of_token(byte), "{byte}");
            assert_eq!(may(PRINTABLE), printable);
            assert_eq!(may(PRINTABLE_OR_TAB), printable || byte == b'\t');
        }
    }

    #[test]
    fn the_first_byte_that_may_not_be_ends_it() {
        assert_eq!(prefix(ID, b"abc def"), 3);
        assert_eq!((prefix(ID, b""), prefix(ID, b"!")), (0, 0));
        assert!(all(ID, b"abc") && all(ID, b"") && !all(ID, b"abc "));
    }
}
