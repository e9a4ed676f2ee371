//! When the upstream says to come back: `Retry-After` (RFC 9110, section 10.2.3), in seconds or as a date.

use seawall_core::time::{Span, Timestamp};

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// The time that is asked for; `None` for what is neither seconds nor a date.
pub fn parse(value: &[u8], now: Timestamp) -> Option<Span> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long time.
        return Some(Span::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    Some(date(text)?.since(now))
}

/// A date in the form `Sun, 06 Nov 1994 08:49:37 GMT`, or in one of the two obsolete ones (RFC 9110, section 5.6.7).
fn date(text: &str) -> Option<Timestamp> {
    let text = text.to_ascii_lowercase();
    let words: Vec<&str> = text
        .split([' ', ',', '-'])
        .filter(|word| !word.is_empty())
        .collect();
    let (day, month, year, clock) = match *words.as_slice() {
        [_, day, month, year, clock, "gmt"] => (day, month, year, clock),
        // asctime: `sun nov  6 08:49:37 1994`
        [_, month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? as i64;
    let day: i64 = number(day, 1, 31)?;
    let year = match year.len() {
        4 => number(year, 1970, 9999)?,
        // RFC 850; what would be far in the future is of the last century.
        2 => match number(year, 0, 99)? {
            year @ 70.. => year.checked_add(1900)?,
            year => year.checked_add(2000)?,
        },
        _ => return None,
    };
    let mut parts = clock.split(':');
    let hour = number(parts.next()?, 0, 23)?;
    let minute = number(parts.next()?, 0, 59)?;
    let second = number(parts.next()?, 0, 60)?;
    let seconds = days(year, month, day)?
        .checked_mul(86_400)?
        .checked_add(hour.checked_mul(3600)?)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)?;
    Some(Timestamp::from_secs(u64::try_from(seconds).ok()?))
}

fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = text.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// Days from the epoch to a day of the Gregorian calendar; months count from 0. Years begin in March, so that the day that
/// comes and goes is the last one.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let (year, month) = if month < 2 {
        (year.checked_sub(1)?, month.checked_add(10)?)
    } else {
        (year, month.checked_sub(2)?)
    };
    let in_year = month
        .checked_mul(306)?
        .checked_add(5)?
        .checked_div(10)?
        .checked_add(day)?
        .checked_sub(1)?;
    year.checked_mul(365)?
        .checked_add(year.checked_div(4)?)?
        .checked_sub(year.checked_div(100)?)?
        .checked_add(year.checked_div(400)?)?
        .checked_add(in_year)?
        .checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_and_all_three_forms_of_dates() {
        let now = Timestamp::from_secs(784_111_770);
        for (text, seconds) in [
            ("7", Some(7)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
            ("Sun Nov  6 08:49:37 1994", Some(7)),
            ("Sun, 06 Nov 1993 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(
                parse(text.as_bytes(), now),
                seconds.map(Span::from_secs),
                "{text}"
            );
        }
        assert_eq!(parse(b"99999999999999999999999", now), Some(Span::MAX));
        assert_eq!(
            date("Tue, 29 Feb 2028 00:00:00 GMT"),
            Some(Timestamp::from_secs(1_835_395_200))
        );
        assert_eq!(
            date("Wed, 01 Mar 2028 00:00:00 GMT"),
            Some(Timestamp::from_secs(1_835_481_600))
        );
    }

    proptest! {
        #[test]
        fn nothing_that_an_upstream_sends_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes, Timestamp::from_secs(1));
        }

        #[test]
        fn nor_what_looks_like_a_date(text in "[a-z]{3},? [0-9]{1,3} [A-Z][a-z]{2} [0-9]{2,5} [0-9]{1,2}:[0-9]{2}:[0-9]{2} GMT") {
            let _ = parse(text.as_bytes(), Timestamp::from_secs(1));
        }
    }
}
