//! Windows of the calendar in UTC: durations counted from the epoch, ISO weeks, months and years.

use seawall_core::calendar::{civil, days_before, EPOCH_DAY};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// How time is cut into windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// So many nanoseconds each, counted from the epoch: an hour starts on the hour, a day at midnight.
    Every(u64),
    /// From Monday to Sunday.
    Week,
    /// From the first of a month on.
    Month,
    /// From the first of January on.
    Year,
}

impl Window {
    /// Start and end, in nanoseconds since the epoch, of the window that `now` is in. The end belongs to the next one.
    pub fn around(self, now: u64) -> (u64, u64) {
        match self {
            Window::Every(length) => aligned(now, length.max(1), 0),
            // The epoch was a Thursday.
            Window::Week => aligned(now, DAY.saturating_mul(7), DAY.saturating_mul(3)),
            Window::Month => {
                let (year, month) = month_of(now);
                let next = match month {
                    12 => first_of(year.saturating_add(1), 1),
                    month => first_of(year, month.saturating_add(1)),
                };
                (first_of(year, month), next)
            }
            Window::Year => {
                let (year, _) = month_of(now);
                (first_of(year, 1), first_of(year.saturating_add(1), 1))
            }
        }
    }

    /// The longest such window in nanoseconds.
    pub fn longest(self) -> u64 {
        match self {
            Window::Every(length) => length,
            Window::Week => DAY.saturating_mul(7),
            Window::Month => DAY.saturating_mul(31),
            Window::Year => DAY.saturating_mul(366),
        }
    }
}

fn aligned(now: u64, length: u64, shift: u64) -> (u64, u64) {
    let into = now
        .saturating_add(shift)
        .checked_rem(length)
        .unwrap_or_default();
    let start = now.saturating_sub(into);
    (start, now.saturating_add(length.saturating_sub(into)))
}

fn first_of(year: u64, month: u64) -> u64 {
    let (year, month) = (u32::try_from(year), u32::try_from(month));
    let days = year.ok().zip(month.ok());
    let days = days.and_then(|(year, month)| days_before(year, month)?.checked_sub(EPOCH_DAY));
    u64::from(days.unwrap_or_default()).saturating_mul(DAY)
}

/// Year and month (1 to 12).
fn month_of(now: u64) -> (u64, u64) {
    let (year, month, _) = civil(now / DAY);
    (year, month)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn windows_start_where_the_calendar_says() {
        // 2024-02-29 12:34:56 UTC, a Thursday in a leap year.
        let now = 1_709_210_096 * SECOND;
        for (window, start, end) in [
            (Window::Every(SECOND), 1_709_210_096, 1_709_210_097),
            (Window::Every(3_600 * SECOND), 1_709_208_000, 1_709_211_600),
            (Window::Every(DAY), 1_709_164_800, 1_709_251_200),
            (Window::Week, 1_708_905_600, 1_709_510_400),
            (Window::Month, 1_706_745_600, 1_709_251_200),
            (Window::Year, 1_704_067_200, 1_735_689_600),
        ] {
            assert_eq!(
                window.around(now),
                (start * SECOND, end * SECOND),
                "{window:?}"
            );
        }
    }

    #[test]
    fn every_window_follows_the_one_before_without_a_gap() {
        for window in [
            Window::Month,
            Window::Year,
            Window::Week,
            Window::Every(DAY),
        ] {
            let mut at = 0;
            for _ in 0..1_000 {
                let (start, end) = window.around(at);
                assert!(start <= at && at < end, "{window:?} at {at}");
                assert!(end - start <= window.longest());
                assert_eq!(window.around(end - 1), (start, end));
                if end > u64::MAX - window.longest() {
                    break;
                }
                at = end;
            }
        }
    }
}
