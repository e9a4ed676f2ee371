//! Calls of the recent past, in ten cells of time that are forgotten one by one.
//!
//! A window reaches back between nine and ten tenths of its length: the cell that is being filled is part of it. Cells are
//! numbered from the epoch, so that the windows of several workers can be added up.

use seawall_core::time::{Span, Timestamp};

/// Cells of a window.
pub const CELLS: usize = 10;

/// The same number where cells are numbered.
const NUMBERS: u64 = 10;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Calls that said something about the dependency.
    pub calls: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// Those of them that were overdue.
    pub slow: u32,
    /// Calls that were refused and so are not among those.
    pub refused: u32,
}

impl Tally {
    /// A call that worked.
    pub const SUCCESS: Tally = Tally {
        calls: 1,
        failures: 0,
        slow: 0,
        refused: 0,
    };
    /// A call that failed.
    pub const FAILURE: Tally = Tally {
        failures: 1,
        ..Tally::SUCCESS
    };
    /// A call that was overdue.
    pub const SLOW: Tally = Tally {
        slow: 1,
        ..Tally::SUCCESS
    };
    /// A call that was refused.
    pub const REFUSED: Tally = Tally {
        calls: 0,
        failures: 0,
        slow: 0,
        refused: 1,
    };

    /// True when nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Tally::default()
    }

    /// True when a call failed or was overdue.
    pub fn is_rough(&self) -> bool {
        self.failures > 0 || self.slow > 0
    }

    fn add(&mut self, other: Tally) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.slow = self.slow.saturating_add(other.slow);
        self.refused = self.refused.saturating_add(other.refused);
    }
}

/// The window itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The length of a cell in nanoseconds; zero before anything was counted.
    pub(crate) width: u64,
    /// The number of the newest cell.
    pub(crate) latest: u64,
    /// A cell is at its number modulo [`CELLS`].
    pub(crate) cells: [Tally; CELLS],
}

fn width(length: Span) -> u64 {
    (length.0 / NUMBERS).max(1)
}

impl Window {
    /// Counts something now.
    pub fn add(&mut self, length: Span, now: Timestamp, tally: Tally) {
        self.move_to(width(length), now);
        let latest = self.latest;
        if let Some(cell) = self.cell(latest) {
            cell.add(tally);
        }
    }

    /// Adds another window to this one, cell by cell. What is too old by now is left out.
    pub fn merge(&mut self, length: Span, now: Timestamp, other: &Window) {
        self.move_to(width(length), now);
        if other.width != self.width {
            return;
        }
        for back in 0..NUMBERS {
            let Some(number) = other.latest.checked_sub(back) else {
                return;
            };
            let tally = other.at(number);
            // A cell of the future is one of a clock that was ahead: it counts as now.
            let number = number.min(self.latest);
            if self.latest.saturating_sub(number) < NUMBERS {
                if let Some(cell) = self.cell(number) {
                    cell.add(tally);
                }
            }
        }
    }

    /// The sum of what is in the window now.
    pub fn sum(&self, length: Span, now: Timestamp) -> Tally {
        let mut sum = Tally::default();
        let width = width(length);
        if self.width != width {
            return sum;
        }
        let present = now.0.checked_div(width).unwrap_or_default();
        // A clock that stepped back by a whole window has left nothing that can be compared with.
        if self.latest.saturating_sub(present) >= NUMBERS {
            return sum;
        }
        let oldest = present
            .max(self.latest)
            .saturating_sub(NUMBERS.saturating_sub(1));
        for back in 0..NUMBERS {
            let Some(number) = self.latest.checked_sub(back).filter(|n| *n >= oldest) else {
                break;
            };
            sum.add(self.at(number));
        }
        sum
    }

    /// True when a call failed or was overdue within it, whatever its length.
    pub fn is_rough(&self, now: Timestamp) -> bool {
        let length = Span(self.width.saturating_mul(NUMBERS));
        self.width > 0 && self.sum(length, now).is_rough()
    }

    /// True when nothing is in it, however old.
    pub fn is_empty(&self) -> bool {
        self.cells.iter().all(Tally::is_zero)
    }

    fn at(&self, number: u64) -> Tally {
        let index = (number % NUMBERS) as usize;
        self.cells.get(index).copied().unwrap_or_default()
    }

    fn cell(&mut self, number: u64) -> Option<&mut Tally> {
        self.cells.get_mut((number % NUMBERS) as usize)
    }

    /// Makes the cell of this time the newest one.
    fn move_to(&mut self, width: u64, now: Timestamp) {
        let present = now.0.checked_div(width).unwrap_or_default();
        let ahead = present.saturating_sub(self.latest);
        let behind = self.latest.saturating_sub(present);
        if self.width != width || ahead >= NUMBERS || behind >= NUMBERS {
            *self = Window {
                width,
                latest: present,
                cells: [Tally::default(); CELLS],
            };
            return;
        }
        // Within a window, a step back goes on counting where the clock has been.
        for _ in 0..ahead {
            self.latest = self.latest.saturating_add(1);
            let latest = self.latest;
            if let Some(cell) = self.cell(latest) {
                *cell = Tally::default();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "test code")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: Span = Span::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn what_is_older_than_the_window_is_gone() {
        let mut window = Window::default();
        window.add(LENGTH, at(0), Tally::FAILURE);
        window.add(LENGTH, at(5), Tally::SUCCESS);
        assert_eq!(window.sum(LENGTH, at(9)).failures, 1);
        assert_eq!(window.sum(LENGTH, at(10)).failures, 0);
        assert_eq!(window.sum(LENGTH, at(10)).calls, 1);
        window.add(LENGTH, at(1000), Tally::SUCCESS);
        assert_eq!(window.sum(LENGTH, at(1000)).calls, 1);
    }

    #[test]
    fn a_clock_that_steps_back_keeps_what_is_near_and_drops_what_is_far() {
        let mut window = Window::default();
        window.add(LENGTH, at(100), Tally::FAILURE);
        assert_eq!(window.sum(LENGTH, at(97)).failures, 1);
        window.add(LENGTH, at(97), Tally::FAILURE);
        assert_eq!(window.sum(LENGTH, at(100)).failures, 2);
        assert_eq!(window.sum(LENGTH, at(50)).failures, 0);
        window.add(LENGTH, at(50), Tally::SUCCESS);
        assert_eq!(window.sum(LENGTH, at(50)).calls, 1);
    }

    #[test]
    fn another_length_begins_anew() {
        let mut window = Window::default();
        window.add(LENGTH, at(0), Tally::FAILURE);
        assert_eq!(window.sum(Span::from_secs(20), at(0)), Tally::default());
        window.add(Span::from_secs(20), at(0), Tally::SUCCESS);
        assert_eq!(window.sum(Span::from_secs(20), at(0)), Tally::SUCCESS);
        assert!(!window.is_empty());
    }

    proptest! {
        /// Whoever counts what: added up it is what one counter over all of it says, and that is what an exact count says.
        #[test]
        fn windows_of_several_workers_add_up(events in proptest::collection::vec((0..4usize, 0..400u64), 0..200)) {
            let mut times: Vec<(usize, u64)> = events;
            times.sort_by_key(|(_, second)| *second);
            let now = at(400);
            let (mut workers, mut one) = ([Window::default(); 4], Window::default());
            for (worker, second) in &times {
                workers[*worker].add(LENGTH, at(*second), Tally::FAILURE);
                one.add(LENGTH, at(*second), Tally::FAILURE);
            }
            let mut all = Window::default();
            for worker in &workers {
                all.merge(LENGTH, now, worker);
            }
            let exact = times.iter().filter(|(_, second)| *second > 390).count() as u32;
            prop_assert_eq!(all.sum(LENGTH, now).failures, exact);
            prop_assert_eq!(one.sum(LENGTH, now).failures, exact);
        }
    }
}
