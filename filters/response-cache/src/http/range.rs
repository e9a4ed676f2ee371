//! Ranges of a stored full response (RFC 9110, section 14). One range is served; a request for several gets the whole
//! response, which a server may always do (section 14.2).

/// What a `Range` field asks for, given a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranged {
    /// Not understood or several: the whole response.
    Whole,
    /// These bytes, both ends included.
    Part {
        /// The first byte.
        first: usize,
        /// The last byte.
        last: usize,
    },
    /// Nothing of it is there: 416.
    Unsatisfiable,
}

fn number(text: &str) -> Option<usize> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Larger than can be: beyond every end.
    Some(text.parse().unwrap_or(usize::MAX))
}

/// Reads a `Range` field for a body of `length` bytes.
pub fn read(field: &[u8], length: usize) -> Ranged {
    parse(field, length).unwrap_or(Ranged::Whole)
}

fn parse(field: &[u8], length: usize) -> Option<Ranged> {
    let text = std::str::from_utf8(field).ok()?.trim();
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let end = length.checked_sub(1);
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match end {
            Some(end) if suffix > 0 => Ranged::Part {
                first: length.saturating_sub(suffix),
                last: end,
            },
            _ => Ranged::Unsatisfiable,
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() {
        usize::MAX
    } else {
        number(last)?
    };
    if last < first {
        return None;
    }
    Some(match end {
        Some(end) if first <= end => Ranged::Part {
            first,
            last: last.min(end),
        },
        _ => Ranged::Unsatisfiable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms() {
        let part = |first, last| Ranged::Part { first, last };
        for (field, expected) in [
            ("bytes=0-1", part(0, 1)),
            ("bytes=1-", part(1, 9)),
            ("bytes=-1", part(9, 9)),
            ("bytes=-50", part(0, 9)),
            ("Bytes=0-99", part(0, 9)),
            ("bytes=10-", Ranged::Unsatisfiable),
            ("bytes=-0", Ranged::Unsatisfiable),
            ("bytes=0-1,3-4", Ranged::Whole),
            ("items=0-1", Ranged::Whole),
            ("bytes=2-1", Ranged::Whole),
            ("bytes=a-b", Ranged::Whole),
            ("bytes=-", Ranged::Whole),
            ("bytes", Ranged::Whole),
            ("bytes=0-99999999999999999999999", part(0, 9)),
        ] {
            assert_eq!(read(field.as_bytes(), 10), expected, "{field}");
        }
        assert_eq!(read(b"bytes=0-", 0), Ranged::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_lies_within(field in "bytes=[0-9]{0,3}-[0-9]{0,3}", length in 0usize..300) {
            if let Ranged::Part { first, last } = read(field.as_bytes(), length) {
                prop_assert!(first <= last && last < length);
            }
        }

        #[test]
        fn any_bytes_are_read(field in proptest::collection::vec(any::<u8>(), 0..30)) {
            let _ = read(&field, 100);
        }
    }
}
