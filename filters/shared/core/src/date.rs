//! HTTP dates (RFC 9110, section 5.6.7): the fixed form and the two obsolete ones, and nothing else.
//!
//! An own parser because a cache must treat every other form as invalid, which in `Expires` means "already expired"
//! (RFC 9111, section 5.3): forgiving libraries would turn `UTC` or two-digit years into years of freshness. Letters may
//! have any case (RFC 9111, section 4.2), a second of 60 is a leap second, the day name is not compared with the date.
//!
//! What a stored answer needs is `#[inline]`, for this crate is compiled for size and its readers are not.

use crate::calendar::{civil, days_before, days_in, EPOCH_DAY};
use crate::time::Timestamp;

const MONTHS: [[u8; 3]; 12] = [
    *b"jan", *b"feb", *b"mar", *b"apr", *b"may", *b"jun", *b"jul", *b"aug", *b"sep", *b"oct",
    *b"nov", *b"dec",
];
const DAYS: [[u8; 3]; 7] = [
    *b"mon", *b"tue", *b"wed", *b"thu", *b"fri", *b"sat", *b"sun",
];
const LONG_DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Reads a date; `now` decides the century of a two-digit year. Dates before 1970 are the epoch.
#[inline]
pub fn parse(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    let text = text.trim_ascii();
    imf_fixdate(text).or_else(|| obsolete(text, now))
}

#[cold]
fn obsolete(text: &[u8], now: Timestamp) -> Option<Timestamp> {
    let lower = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    rfc850(&lower, now).or_else(|| asctime(&lower))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the form that is sent today: every letter has its place, and nearly every date is one.
#[inline]
pub fn imf_fixdate(text: &[u8]) -> Option<Timestamp> {
    let lower = <[u8; 29]>::try_from(text)
        .ok()?
        .map(|byte| byte.to_ascii_lowercase());
    let [w0, w1, w2, b',', b' ', d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ', time @ .., b' ', b'g', b'm', b't'] =
        lower
    else {
        return None;
    };
    let [h0, h1, b':', n0, n1, b':', s0, s1] = time else {
        return None;
    };
    if !DAYS.contains(&[w0, w1, w2]) {
        return None;
    }
    let century = two(y0, y1)?.saturating_mul(100);
    point(
        century.saturating_add(two(y2, y3)?),
        month([m0, m1, m2])?,
        two(d0, d1)?,
        of_day(two(h0, h1)?, two(n0, n1)?, two(s0, s1)?)?,
    )
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<u32> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u32::from(byte & 0x0f));
    Some(digit(tens)?.saturating_mul(10).saturating_add(digit(ones)?))
}

/// `sunday, 06-nov-94 08:49:37 gmt`
fn rfc850(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (day_name, rest) = text.split_once(", ")?;
    if !LONG_DAYS.contains(&day_name) {
        return None;
    }
    let mut parts = rest.split(' ');
    let mut date = parts.next()?.split('-');
    let day = number(date.next()?, 2)?;
    let month = month(date.next()?.as_bytes().try_into().ok()?)?;
    let short = number(date.next()?, 2)?;
    if date.next().is_some() {
        return None;
    }
    let time = clock(parts.next()?)?;
    gmt_and_end(&mut parts)?;
    // More than 50 years ahead means the most recent year in the past with these digits.
    let this_year = year_of(now);
    let century = this_year.saturating_sub(this_year.checked_rem(100)?);
    let mut year = century.saturating_add(short);
    if year > this_year.saturating_add(50) {
        year = year.saturating_sub(100);
    }
    point(year, month, day, time)
}

/// `sun nov  6 08:49:37 1994`
fn asctime(text: &str) -> Option<Timestamp> {
    let (day_name, rest) = text.split_once(' ')?;
    if !DAYS.iter().any(|day| day == day_name.as_bytes()) {
        return None;
    }
    let (month_name, rest) = rest.split_once(' ')?;
    let month = month(month_name.as_bytes().try_into().ok()?)?;
    let (day, rest) = rest.split_at_checked(2)?;
    let day = match day.strip_prefix(' ') {
        Some(digit) => number(digit, 1)?,
        None => number(day, 2)?,
    };
    let mut parts = rest.strip_prefix(' ')?.split(' ');
    let time = clock(parts.next()?)?;
    let year = number(parts.next()?, 4)?;
    if parts.next().is_some() {
        return None;
    }
    point(year, month, day, time)
}

fn gmt_and_end<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<()> {
    (parts.next()? == "gmt" && parts.next().is_none()).then_some(())
}

fn number(text: &str, digits: usize) -> Option<u32> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[inline]
fn month(text: [u8; 3]) -> Option<u32> {
    let at = MONTHS.iter().position(|name| *name == text)?;
    u32::try_from(at).ok()?.checked_add(1)
}

fn clock(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let hour = number(parts.next()?, 2)?;
    let minute = number(parts.next()?, 2)?;
    let second = number(parts.next()?, 2)?;
    if parts.next().is_some() {
        return None;
    }
    of_day(hour, minute, second)
}

/// Seconds since midnight.
#[inline]
fn of_day(hour: u32, minute: u32, second: u32) -> Option<u32> {
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    hour.checked_mul(3600)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)
}

#[inline]
fn point(year: u32, month: u32, day: u32, time: u32) -> Option<Timestamp> {
    if day == 0 || day > days_in(year, month) || year == 0 {
        return None;
    }
    let days = days_before(year, month)?.checked_add(day.checked_sub(1)?)?;
    // What lies before the epoch is as expired as the epoch itself.
    let Some(days) = days.checked_sub(EPOCH_DAY) else {
        return Some(Timestamp::EPOCH);
    };
    let secs = u64::from(days).checked_mul(86_400)?;
    Some(Timestamp::from_secs(secs.checked_add(u64::from(time))?))
}

fn year_of(now: Timestamp) -> u32 {
    u32::try_from(civil(now.as_secs() / 86_400).0).unwrap_or(u32::MAX)
}

/// Writes the fixed form.
pub fn format(time: Timestamp) -> String {
    let secs = time.as_secs();
    let (year, month, day) = civil(secs / 86_400);
    let of_day = secs.checked_rem(86_400).unwrap_or_default();
    let pick = |names: &[[u8; 3]], at: u64| -> String {
        let name = usize::try_from(at)
            .ok()
            .and_then(|at| names.get(at).copied());
        let [first, rest @ ..] = name.unwrap_or(*b"jan");
        let mut text = String::from(char::from(first.to_ascii_uppercase()));
        text.extend(rest.map(char::from));
        text
    };
    // The epoch was a Thursday.
    let weekday = (secs / 86_400)
        .saturating_add(3)
        .checked_rem(7)
        .unwrap_or_default();
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        pick(&DAYS, weekday),
        pick(&MONTHS, month.saturating_sub(1)),
        of_day / 3_600,
        (of_day / 60).checked_rem(60).unwrap_or_default(),
        of_day.checked_rem(60).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    #[test]
    fn reads_the_three_forms_in_any_case() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "SUN, 06 NOV 1994 08:49:37 gMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(
                parse(text.as_bytes(), NOW),
                Some(Timestamp::from_secs(784_111_777)),
                "{text}"
            );
        }
        assert_eq!(
            parse(b"Tue, 29 Feb 2028 23:59:60 GMT", NOW),
            Some(Timestamp::from_secs(1_835_481_600))
        );
        assert_eq!(
            parse(b"Thursday, 18-Aug-50 02:01:18 GMT", NOW),
            Some(Timestamp::from_secs(2_544_400_878))
        );
        assert_eq!(
            parse(b"Thu, 01 Jan 1601 00:00:00 GMT", NOW),
            Some(Timestamp::EPOCH)
        );
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "0",
            "-1",
            "now",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 32 Aug 2050 02:01:18 GMT",
            "Tue, 29 Feb 2027 00:00:00 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT x",
            "2050-08-18T02:01:18Z",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
        ] {
            assert_eq!(parse(text.as_bytes(), NOW), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in proptest::collection::vec(any::<u8>(), 0..40), now in any::<u64>()) {
            let _ = parse(&text, Timestamp(now));
            let _ = format(Timestamp(now));
        }

        #[test]
        fn reads_what_it_writes(secs in 0u64..253_402_300_799) {
            let time = Timestamp(secs.saturating_mul(1_000_000_000));
            prop_assert_eq!(parse(format(time).as_bytes(), NOW), Some(Timestamp::from_secs(time.as_secs())));
        }
    }
}
