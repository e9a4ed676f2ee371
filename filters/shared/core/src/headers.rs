//! A header map as the ABI hands it over: one buffer, read in place.
//!
//! Layout (proxy-wasm ABI): the number of pairs, then two lengths per pair, then each name and value followed by a zero
//! byte; integers are 32-bit little-endian. Reading keeps that buffer, so a map costs one allocation however many fields
//! it has. Values are bytes: HTTP allows octets that are not UTF-8 (RFC 9110, section 5.5).

/// Whether a byte may be in a token, such as the name of a field (RFC 9110, section 5.6.2).
pub fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a text may be the name of a field (RFC 9110, section 5.1).
pub fn is_field_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_of_token)
}

/// Whether a text may be the value of a field (RFC 9110, section 5.5).
pub fn is_field_value(text: &str) -> bool {
    let printable = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    text.bytes().all(printable)
}

/// The fields of a header map, in order, repeated ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    bytes: Vec<u8>,
    count: usize,
}

/// The two lengths of a pair, read as one number.
#[inline]
fn lengths(pair: [u8; 8]) -> (u32, u32) {
    let pair = u64::from_le_bytes(pair);
    (pair as u32, (pair >> 32) as u32)
}

impl Headers {
    /// Reads the ABI's form. `None` when the buffer does not hold what its lengths say; what it holds besides is left out.
    pub fn from_abi(mut bytes: Vec<u8>) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Headers::default());
        }
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count);
        let (pairs, _) = rest.split_at_checked((count as usize).checked_mul(8)?)?;
        // 64 bits hold the sum of as many lengths as 32 bits can count.
        let mut lines = u64::from(count).wrapping_mul(2);
        for pair in pairs.as_chunks::<8>().0 {
            let (name, value) = lengths(*pair);
            lines = lines.wrapping_add(u64::from(name));
            lines = lines.wrapping_add(u64::from(value));
        }
        let lines = usize::try_from(lines).ok()?;
        let end = pairs.len().checked_add(4)?.checked_add(lines)?;
        if end > bytes.len() {
            return None;
        }
        bytes.truncate(end);
        Some(Headers {
            bytes,
            count: count as usize,
        })
    }

    /// Builds a map from pairs.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Self {
        let mut bytes = Vec::with_capacity(room(pairs).saturating_add(4));
        write_pairs(&mut bytes, pairs);
        Headers {
            bytes,
            count: pairs.len(),
        }
    }

    /// The same map with more lines at its end.
    pub fn with_more<N: AsRef<[u8]>, V: AsRef<[u8]>>(&self, pairs: &[(N, V)]) -> Self {
        let lengths = self.count.saturating_mul(8).saturating_add(4);
        let (Some(known), Some(lines)) = (self.bytes.get(4..lengths), self.bytes.get(lengths..))
        else {
            return Headers::from_pairs(pairs);
        };
        let count = self.count.saturating_add(pairs.len());
        let mut bytes = Vec::with_capacity(self.bytes.len().saturating_add(room(pairs)));
        bytes.extend_from_slice(&length(count));
        bytes.extend_from_slice(known);
        write_lengths(&mut bytes, pairs);
        bytes.extend_from_slice(lines);
        write_lines(&mut bytes, pairs);
        Headers { bytes, count }
    }

    /// The ABI's form.
    pub fn as_abi(&self) -> &[u8] {
        if self.bytes.is_empty() {
            &[0, 0, 0, 0]
        } else {
            &self.bytes
        }
    }

    /// The number of field lines.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there is no field.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All field lines in order: name in lower case, value as it came.
    pub fn iter(&self) -> Iter<'_> {
        self.lines()
    }

    #[inline(always)]
    fn lines(&self) -> Iter<'_> {
        let end = self.count.saturating_mul(8).saturating_add(4);
        let pairs = self.bytes.get(4..end).unwrap_or_default();
        Iter {
            pairs: pairs.as_chunks().0.iter(),
            lines: self.bytes.get(end..).unwrap_or_default(),
            at: 0,
        }
    }

    /// The lines whose names have a length that is wanted, in order. All others are passed without a look at them.
    #[inline]
    pub fn of_lengths<'a>(
        &'a self,
        wanted: impl Fn(usize) -> bool + 'a,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + 'a {
        let mut lines = self.iter();
        std::iter::from_fn(move || loop {
            let line = lines.next_line()?;
            if wanted(line.name_size) {
                return lines.parts(&line);
            }
        })
    }

    /// The first value of a field, by its lower-case name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.lines().next_of(name.as_bytes())
    }

    /// Every value of a field, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        let mut lines = self.iter();
        std::iter::from_fn(move || lines.next_of(name.as_bytes()))
    }

    /// All lines of a list field joined by a comma and a space (RFC 9110, section 5.3); `None` when there is none.
    pub fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let mut joined: Option<Vec<u8>> = None;
        for value in self.all(name) {
            match &mut joined {
                None => joined = Some(value.to_vec()),
                Some(bytes) => {
                    bytes.extend_from_slice(b", ");
                    bytes.extend_from_slice(value);
                }
            }
        }
        joined
    }
}

/// Writes pairs in the ABI's form at the end of `out`.
pub fn write_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(out: &mut Vec<u8>, pairs: &[(N, V)]) {
    out.extend_from_slice(&length(pairs.len()));
    write_lengths(out, pairs);
    write_lines(out, pairs);
}

/// The bytes that pairs take.
fn room<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> usize {
    pairs.iter().fold(0, |sum, (name, value)| {
        sum.saturating_add(10)
            .saturating_add(name.as_ref().len())
            .saturating_add(value.as_ref().len())
    })
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

fn write_lengths<N: AsRef<[u8]>, V: AsRef<[u8]>>(out: &mut Vec<u8>, pairs: &[(N, V)]) {
    for (name, value) in pairs {
        out.extend_from_slice(&length(name.as_ref().len()));
        out.extend_from_slice(&length(value.as_ref().len()));
    }
}

fn write_lines<N: AsRef<[u8]>, V: AsRef<[u8]>>(out: &mut Vec<u8>, pairs: &[(N, V)]) {
    for (name, value) in pairs {
        out.extend_from_slice(name.as_ref());
        out.push(0);
        out.extend_from_slice(value.as_ref());
        out.push(0);
    }
}

/// Goes over the field lines of a map.
#[derive(Debug)]
pub struct Iter<'a> {
    /// Two lengths for each line that is left.
    pairs: std::slice::Iter<'a, [u8; 8]>,
    /// All lines, and where the next one begins.
    lines: &'a [u8],
    at: usize,
}

/// Where a line is, and how much of it is the name: the rest is the value, each followed by a zero.
struct Line {
    name_size: usize,
    start: usize,
    end: usize,
}

impl<'a> Iter<'a> {
    /// The next line, by its lengths alone: most lines are of no interest, and are not looked at.
    #[inline(always)]
    fn next_line(&mut self) -> Option<Line> {
        let (name, value) = lengths(*self.pairs.next()?);
        let (name_size, start) = (name as usize, self.at);
        // That all of them together fit was seen when the map was made.
        self.at = start
            .wrapping_add(name_size)
            .wrapping_add(value as usize)
            .wrapping_add(2);
        Some(Line {
            name_size,
            start,
            end: self.at,
        })
    }

    #[inline(always)]
    fn parts(&self, line: &Line) -> Option<(&'a [u8], &'a [u8])> {
        let bytes = self.lines.get(line.start..line.end)?;
        let (name, rest) = bytes.split_at_checked(line.name_size)?;
        match rest {
            [_, value @ .., _] => Some((name, value)),
            _ => None,
        }
    }

    /// The value of the next line of this name. Most fields that a filter asks for are not there.
    #[inline(always)]
    fn next_of(&mut self, name: &[u8]) -> Option<&'a [u8]> {
        loop {
            let line = self.next_line()?;
            if line.name_size == name.len() {
                let (known, value) = self.parts(&line)?;
                if known == name {
                    return Some(value);
                }
            }
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.next_line()?;
        self.parts(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_repeated_fields_in_order() {
        let headers = Headers::from_pairs(&[("vary", "a"), ("x", "1"), ("vary", "b")]);
        assert_eq!(headers.all("vary").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(headers.get("vary"), Some(&b"a"[..]));
        assert_eq!(headers.joined("vary"), Some(b"a, b".to_vec()));
        assert_eq!(headers.joined("none"), None);
        assert_eq!(headers.len(), 3);
    }

    #[test]
    fn an_empty_buffer_is_an_empty_map() {
        assert!(Headers::from_abi(Vec::new()).unwrap().is_empty());
        assert_eq!(Headers::default().as_abi(), &[0, 0, 0, 0]);
    }

    #[test]
    fn what_follows_the_last_line_is_left_out() {
        let headers = Headers::from_pairs(&[("a", "1")]);
        let mut longer = headers.as_abi().to_vec();
        longer.extend_from_slice(b"rest");
        assert_eq!(Headers::from_abi(longer), Some(headers));
    }

    proptest! {
        #[test]
        fn more_lines_come_last(first in proptest::collection::vec(("[a-z]{1,8}", "[ -~]{0,9}"), 0..5),
                                more in proptest::collection::vec(("[a-z]{1,8}", "[ -~]{0,9}"), 0..5)) {
            let all: Vec<_> = first.iter().chain(&more).cloned().collect();
            let built = Headers::from_pairs(&first).with_more(&more);
            prop_assert_eq!(&built, &Headers::from_pairs(&all));
            prop_assert_eq!(Headers::default().with_more(&more), Headers::from_pairs(&more));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(headers) = Headers::from_abi(bytes) {
                prop_assert_eq!(headers.iter().count(), headers.len());
            }
        }

        #[test]
        fn what_is_written_is_read(pairs in proptest::collection::vec(("[a-z]{1,8}", proptest::collection::vec(any::<u8>(), 0..20)), 0..20)) {
            let built = Headers::from_pairs(&pairs);
            let headers = Headers::from_abi(built.as_abi().to_vec()).unwrap();
            let read: Vec<_> = headers.iter().map(|(n, v)| (String::from_utf8(n.to_vec()).unwrap(), v.to_vec())).collect();
            prop_assert_eq!(read, pairs);
        }
    }
}
