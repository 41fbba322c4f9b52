// SPDX-License-Identifier: GPL-2.0-or-later
//! How many tables a run may work on at a time, so that clients' statements stay fast: one at first, one more when they have
//! been fast for a while, and one less when they are too slow.

use std::time::{Duration, Instant};

/// How long clients' statements must have been fast before one more table is worked on.
const FAST_FOR: Duration = Duration::from_secs(10);
/// How long a change takes until it shows in what is measured.
const SETTLES: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(super) struct Lanes {
    open: usize,
    most: usize,
    limit: Duration,
    /// When the number last changed.
    changed: Option<Instant>,
    /// Since when clients' statements have been fast.
    fast: Option<Instant>,
}

impl Lanes {
    pub(super) fn new(most: usize, limit: Duration) -> Lanes {
        Lanes { open: 1, most, limit, changed: None, fast: None }
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Takes a measurement into account; `None`: clients run no statements.
    pub(super) fn adjust(&mut self, now: Instant, p99: Option<Duration>) {
        let p99 = p99.unwrap_or_default();
        self.fast = if p99 * 2 < self.limit { self.fast.or(Some(now)) } else { None };
        let passed = |since: Option<Instant>| since.map(|since| now.saturating_duration_since(since));
        if p99 > self.limit && self.open > 1 && passed(self.changed).is_none_or(|time| time >= SETTLES) {
            self.set(now, self.open - 1);
        } else if self.open < self.most && passed(self.fast).is_some_and(|time| time >= FAST_FOR) {
            self.set(now, self.open + 1);
        }
    }

    fn set(&mut self, now: Instant, open: usize) {
        (self.open, self.changed, self.fast) = (open, Some(now), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_run_while_clients_are_fast_and_fewer_when_they_are_slow() {
        let start = Instant::now();
        let mut lanes = Lanes::new(3, Duration::from_millis(100));
        let mut after = |seconds, ms: u64| {
            lanes.adjust(start + Duration::from_secs(seconds), Some(Duration::from_millis(ms)));
            lanes.open()
        };
        assert_eq!([after(0, 10), after(9, 10), after(10, 10)], [1, 1, 2]);
        assert_eq!([after(11, 10), after(20, 10), after(21, 10)], [2, 2, 3]);
        assert_eq!([after(40, 10), after(60, 10)], [3, 3]);
        // One less at a time, when the last change shows.
        assert_eq!([after(61, 101), after(63, 300), after(66, 300)], [2, 2, 1]);
        assert_eq!([after(80, 300), after(81, 50), after(95, 50)], [1, 1, 1]);
        assert_eq!([after(96, 49), after(105, 51), after(106, 49), after(115, 49)], [1, 1, 1, 1]);
        assert_eq!(after(116, 49), 2);
    }
}
