//! Names of numbered places in shared data.
//!
//! The host keeps shared data in a hash table of strings. Of the standard library that it is built with, strings of up to
//! [`LONGEST`] bytes lie in the table itself and longer ones behind a pointer each, so a short name saves every read and write
//! an allocation and a look at memory that is hardly ever in a cache.

use std::ops::Deref;

/// The longest name.
pub const LONGEST: usize = 22;

/// The name of a place: a prefix and eight hexadecimal digits, and one more for a part of it, without an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    text: [u8; LONGEST],
    length: usize,
}

// All of it is inlined: with the prefix a constant, little is left to do.
impl Name {
    /// The place of this number. Of the prefix 13 bytes count.
    #[inline]
    pub fn of(prefix: &str, number: u32) -> Self {
        let mut text = [0; LONGEST];
        let prefix = prefix.as_bytes();
        let length = prefix.len().min(LONGEST.saturating_sub(9));
        let (head, tail) = text.split_at_mut(length);
        head.iter_mut()
            .zip(prefix)
            .for_each(|(place, byte)| *place = *byte);
        let mut rest = number;
        for place in tail.iter_mut().take(8).rev() {
            *place = digit(rest);
            rest >>= 4;
        }
        Name {
            text,
            length: length.saturating_add(8),
        }
    }

    /// A part of it, one of 16.
    #[inline]
    pub fn part(mut self, part: usize) -> Self {
        if let Some(place) = self.text.get_mut(self.length) {
            *place = digit(part as u32);
            self.length = self.length.saturating_add(1);
        }
        self
    }
}

impl Deref for Name {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        let text = self.text.get(..self.length).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// The last hexadecimal digit of a number.
#[inline]
fn digit(number: u32) -> u8 {
    let value = (number & 0xf) as u8;
    let letter = if value < 10 {
        b'0'
    } else {
        b'a'.saturating_sub(10)
    };
    letter.saturating_add(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_short_name_of_its_own() {
        for (number, name) in [
            (0, "seawall.rl.00000000"),
            (0x1f3a, "seawall.rl.00001f3a"),
            (u32::MAX, "seawall.rl.ffffffff"),
        ] {
            assert_eq!(Name::of("seawall.rl.", number).deref(), name);
        }
        let part = Name::of("seawall.rc.e.", 7).part(15);
        assert_eq!(&*part, "seawall.rc.e.00000007f");
        assert_eq!(part.len(), LONGEST);
        assert_eq!(
            Name::of("a prefix too long", 7).deref(),
            "a prefix too 00000007"
        );
    }
}
