//! Target fields such as `CDN-Cache-Control` (RFC 9213): a Structured Fields dictionary (RFC 9651) that, where it is
//! there and valid, stands in for `Cache-Control` and `Expires`; where it is not valid, it is as if it were not there.

use super::directives::{Qualified, ResponseDirectives, Seconds, MOST_SECONDS};
use seawall_core::headers::{is_of_token, Headers};

/// The directives of the first field of `targets` that is there, not empty and valid.
pub fn read(headers: &Headers, targets: &[String]) -> Option<ResponseDirectives> {
    targets.iter().find_map(|field| {
        let joined = headers.joined(field)?;
        let members = dictionary(&joined)?;
        (!members.is_empty()).then(|| directives(&members))
    })
}

#[derive(Debug, Clone, PartialEq)]
enum Item {
    Integer(i64),
    Boolean(bool),
    Text(Vec<u8>),
    Other,
}

fn directives(members: &[(String, Item)]) -> ResponseDirectives {
    let mut found = ResponseDirectives::default();
    for (name, item) in members {
        // A value of another type than the directive has is ignored (RFC 9213, section 2.1).
        let number = match item {
            Item::Integer(number) => Some(u64::try_from(*number).unwrap_or(0).min(MOST_SECONDS)),
            _ => None,
        };
        let set = *item == Item::Boolean(true);
        let fields = |item: &Item| match item {
            Item::Boolean(true) => Qualified::Whole,
            Item::Text(text) => Qualified::fields(text),
            _ => Qualified::Absent,
        };
        match name.as_str() {
            "max-age" => found.max_age = number.map(Seconds::Of),
            "s-maxage" => found.s_maxage = number.map(Seconds::Of),
            "stale-while-revalidate" => found.stale_while_revalidate = number,
            "stale-if-error" => found.stale_if_error = number,
            "no-cache" => found.no_cache = fields(item),
            "private" => found.private = fields(item),
            "no-store" => found.no_store = set,
            "public" => found.public = set,
            "must-revalidate" => found.must_revalidate = set,
            "proxy-revalidate" => found.proxy_revalidate = set,
            "must-understand" => found.must_understand = set,
            "immutable" => found.immutable = set,
            _ => {}
        }
    }
    found
}

/// The members of a dictionary, or `None` where it is not one. Of a repeated key the last value counts; to find that among
/// thousands is left to who reads them in order.
fn dictionary(bytes: &[u8]) -> Option<Vec<(String, Item)>> {
    let mut input = Input(bytes);
    let mut members: Vec<(String, Item)> = Vec::new();
    input.spaces();
    if input.0.is_empty() {
        return Some(members);
    }
    loop {
        let name = input.key()?;
        let item = if input.take(b'=') {
            let item = input.member()?;
            input.parameters()?;
            item
        } else {
            input.parameters()?;
            Item::Boolean(true)
        };
        members.push((name, item));
        input.white();
        if input.0.is_empty() {
            return Some(members);
        }
        if !input.take(b',') {
            return None;
        }
        input.white();
        // A comma at the end is an error.
        if input.0.is_empty() {
            return None;
        }
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn spaces(&mut self) {
        while self.take(b' ') {}
    }

    fn white(&mut self) {
        while self.take(b' ') || self.take(b'\t') {}
    }

    fn run(&mut self, accepts: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().take_while(|byte| accepts(**byte)).count();
        let (run, rest) = self.0.split_at_checked(length).unwrap_or((self.0, &[]));
        self.0 = rest;
        run
    }

    fn key(&mut self) -> Option<String> {
        let starts = self.peek()?;
        if !(starts.is_ascii_lowercase() || starts == b'*') {
            return None;
        }
        let name = self.run(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'_' | b'-' | b'.' | b'*')
        });
        Some(String::from_utf8_lossy(name).into_owned())
    }

    fn member(&mut self) -> Option<Item> {
        if !self.take(b'(') {
            return self.bare();
        }
        loop {
            self.spaces();
            if self.take(b')') {
                return Some(Item::Other);
            }
            self.bare()?;
            self.parameters()?;
            if !matches!(self.peek()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.spaces();
            self.key()?;
            if self.take(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn bare(&mut self) -> Option<Item> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => {
                self.next();
                match self.next()? {
                    b'0' => Some(Item::Boolean(false)),
                    b'1' => Some(Item::Boolean(true)),
                    _ => None,
                }
            }
            b':' => {
                self.next();
                let digits =
                    self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
                let padding = self.run(|byte| byte == b'=').len();
                // Padding may be missing (RFC 9651, section 4.2.7), but not be too much.
                let whole = match digits.len() & 3 {
                    0 => padding == 0,
                    2 => padding <= 2,
                    3 => padding <= 1,
                    _ => false,
                };
                (whole && self.take(b':')).then_some(Item::Other)
            }
            b'@' => {
                self.next();
                match self.number()? {
                    Item::Integer(_) => Some(Item::Other),
                    _ => None,
                }
            }
            b'%' => {
                self.next();
                self.display_string()
            }
            first if first.is_ascii_alphabetic() || first == b'*' => {
                self.run(|byte| is_of_token(byte) || matches!(byte, b':' | b'/'));
                Some(Item::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Item> {
        let negative = self.take(b'-');
        let digits = self.run(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > 15 {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.run(|byte| byte.is_ascii_digit());
            let fits = (1..=3).contains(&fraction.len()) && digits.len() <= 12;
            return fits.then_some(Item::Other);
        }
        let number: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Item::Integer(if negative {
            number.checked_neg()?
        } else {
            number
        }))
    }

    /// Text beyond ASCII, encoded with percent signs and lower-case digits (RFC 9651, section 4.2.10).
    fn display_string(&mut self) -> Option<Item> {
        if !self.take(b'"') {
            return None;
        }
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return std::str::from_utf8(&text).ok().map(|_| Item::Other),
                b'%' => {
                    let (high, low) = (digit(self.next()?)?, digit(self.next()?)?);
                    text.push(high.wrapping_mul(16) | low);
                }
                byte @ 0x20..=0x7e => text.push(byte),
                _ => return None,
            }
        }
    }

    fn string(&mut self) -> Option<Item> {
        self.next();
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Some(Item::Text(text)),
                b'\\' => match self.next()? {
                    byte @ (b'"' | b'\\') => text.push(byte),
                    _ => return None,
                },
                byte @ 0x20..=0x7e => text.push(byte),
                _ => return None,
            }
        }
    }
}

/// The value of a hexadecimal digit; only lower case counts.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cdn(lines: &[&str]) -> Option<ResponseDirectives> {
        let pairs: Vec<_> = lines
            .iter()
            .map(|line| ("cdn-cache-control", *line))
            .collect();
        read(
            &Headers::from_pairs(&pairs),
            &["cdn-cache-control".to_owned()],
        )
    }

    #[test]
    fn valid_dictionaries_are_read() {
        assert_eq!(
            cdn(&["foobar, max-age=3600"]).unwrap().max_age,
            Some(Seconds::Of(3600))
        );
        assert_eq!(
            cdn(&["max-age=99999999999"]).unwrap().max_age,
            Some(Seconds::Of(MOST_SECONDS))
        );
        assert_eq!(
            cdn(&["max-age=1", "max-age=5"]).unwrap().max_age,
            Some(Seconds::Of(5))
        );
        assert_eq!(cdn(&["private"]).unwrap().private, Qualified::Whole);
        assert!(
            cdn(&["no-store;x=1;y=\"z\", a=(1 b \"c\");d"])
                .unwrap()
                .no_store
        );
        assert!(!cdn(&["no-store=?0"]).unwrap().no_store);
        assert_eq!(cdn(&["max-age=-1"]).unwrap().max_age, Some(Seconds::Of(0)));
        assert!(cdn(&["a=%\"gr%c3%bcn, %25\", no-store"]).unwrap().no_store);
    }

    #[test]
    fn invalid_or_empty_ones_are_as_if_not_there() {
        for line in [
            "",
            "  ",
            "max-age=10000, &&&&&",
            "max-age =100",
            "max-age= 100",
            "MaX-aGe=3600",
            "max-age=1,",
            "a=\"x",
            "a=(1",
            "a=1.2345",
            "a=@x",
            "a=%x",
            "a=%\"%C3%BC\"",
            "a=%\"%c3\"",
            "a=%\"%c\"",
            "a=%\"x",
            "a=:x",
            "a=\u{e9}",
        ] {
            assert_eq!(cdn(&[line]), None, "{line}");
        }
        assert_eq!(cdn(&["max-age=\"10000\""]).unwrap().max_age, None);
    }

    #[test]
    fn the_first_target_that_is_there_wins() {
        let headers = Headers::from_pairs(&[
            ("cdn-cache-control", "max-age=1"),
            ("seawall-cache-control", "max-age=2"),
        ]);
        let targets = [
            "seawall-cache-control".to_owned(),
            "cdn-cache-control".to_owned(),
        ];
        assert_eq!(
            read(&headers, &targets).unwrap().max_age,
            Some(Seconds::Of(2))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = dictionary(&line);
        }
    }
}
