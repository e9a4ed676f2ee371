//! The Gregorian calendar in UTC.

/// The epoch in days from the first of March of the year 0.
pub const EPOCH_DAY: u32 = 719_468;

#[inline]
fn leap(year: u32) -> bool {
    let divides = |by: u32| year.checked_rem(by) == Some(0);
    (divides(4) && !divides(100)) || divides(400)
}

/// How many days a month has; months count from 1.
#[inline]
pub fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the first of March of the year 0 to the first of a month; `None` before that, and where 32 bits do not hold them. Years are
/// taken to begin in March, so that the day that comes and goes is the last one.
#[inline]
pub fn days_before(year: u32, month: u32) -> Option<u32> {
    let (year, month) = if month <= 2 {
        (year.checked_sub(1)?, month.checked_add(9)?)
    } else {
        (year, month.checked_sub(3)?)
    };
    let leaps = (year / 4)
        .checked_sub(year / 100)?
        .checked_add(year / 400)?;
    let in_year = month.checked_mul(153)?.checked_add(2)? / 5;
    year.checked_mul(365)?
        .checked_add(leaps)?
        .checked_add(in_year)
}

/// Year, month and day of the day that is so many days from the epoch.
pub fn civil(days: u64) -> (u64, u64, u64) {
    // Days counted from the first of March of year 0, in eras of 400 years.
    let days = days.saturating_add(u64::from(EPOCH_DAY));
    let era = days / 146_097;
    let of_era = days.saturating_sub(era.saturating_mul(146_097));
    let year_of_era = of_era
        .saturating_sub(of_era / 1_460)
        .saturating_add(of_era / 36_524)
        .saturating_sub(of_era / 146_096)
        / 365;
    let of_year = of_era.saturating_sub(
        year_of_era
            .saturating_mul(365)
            .saturating_add(year_of_era / 4)
            .saturating_sub(year_of_era / 100),
    );
    let month_from_march = of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = of_year
        .saturating_sub(month_from_march.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(1);
    let month = if month_from_march < 10 {
        month_from_march.saturating_add(3)
    } else {
        month_from_march.saturating_sub(9)
    };
    let year = era
        .saturating_mul(400)
        .saturating_add(year_of_era)
        .saturating_add(u64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn each_day_follows_the_one_before() {
        let mut expected = (1970, 1, 1);
        // To the year 2554, where 64 bits of nanoseconds end.
        for day in 0..213_504 {
            assert_eq!(civil(day), expected);
            let (year, month, of_month) = expected;
            let first = days_before(year as u32, month as u32).unwrap();
            assert_eq!(u64::from(first - EPOCH_DAY) + of_month - 1, day);
            let last = u64::from(days_in(year as u32, month as u32));
            expected = match (month, of_month) {
                (12, 31) => (year + 1, 1, 1),
                (_, of_month) if of_month == last => (year, month + 1, 1),
                _ => (year, month, of_month + 1),
            };
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(days_in(2100, 2), 28);
    }

    #[test]
    fn what_is_out_of_range_is_no_panic() {
        assert_eq!(days_before(0, 1), None);
        assert_eq!(days_before(u32::MAX, 12), None);
        civil(u64::MAX);
    }
}
