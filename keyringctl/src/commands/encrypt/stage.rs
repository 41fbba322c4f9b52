// SPDX-License-Identifier: GPL-2.0-or-later
//! How far a statement is, from what the server reports about the stage of a connection, and from the time.
//!
//! The server's own estimate is not enough: an online rebuild reports only how much it has read, which it then raises again
//! and again while it sorts and writes, and the encryption of a tablespace reports all pages as done before it has written
//! them. So each kind of stage counts only as the share of the time that it takes, and beyond that the statement advances
//! with the time, more and more slowly.

use std::time::Duration;

/// How far a statement is at most, as long as it has not ended.
const MOST: f64 = 0.99;

/// What the server reports about a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stage {
    /// `stage/sql/copy to tmp table`, for example.
    pub name: String,
    pub completed: u64,
    pub estimated: u64,
}

impl Stage {
    /// The share of a statement's time in which the stage reports that something advances.
    fn share(&self) -> f64 {
        match self.name.as_str() {
            name if name.starts_with("stage/sql/copy to tmp table") => 1.0,
            name if name.contains("alter tablespace") => 0.7,
            name if name.contains("read PK") => 0.5,
            // Sorting, inserting and the rest of an online rebuild, with all pages of it as the estimate.
            _ => 1.0,
        }
    }
}

/// How far a statement is.
#[derive(Default)]
pub(super) struct Advance {
    fraction: f64,
    /// The estimate with which the present stage began. The server raises it when it is reached.
    estimated: u64,
    stage: String,
    /// When all of the stage was done.
    full: Option<(Duration, f64)>,
}

impl Advance {
    /// Takes note of what the server reports `elapsed` after the statement has begun. Returns how far it is, from 0 to 1,
    /// and never less than before.
    pub(super) fn look(&mut self, stage: Option<&Stage>, elapsed: Duration) -> f64 {
        if let Some(stage) = stage.filter(|stage| stage.estimated > 0) {
            if self.stage != stage.name {
                (self.stage, self.estimated) = (stage.name.clone(), stage.estimated);
            }
            let done = (stage.completed as f64 / self.estimated.max(1) as f64).min(1.0) * stage.share();
            if done >= stage.share() && self.full.is_none() {
                self.full = Some((elapsed, done.max(self.fraction)));
            }
            self.fraction = self.fraction.max(done);
        }
        if let Some((at, fraction)) = self.full {
            // At first at the same speed, then ever slower, without an end. `exp` would need a newer C library.
            let rest = at.as_secs_f64() * (1.0 - fraction) / fraction.max(0.01);
            let since = elapsed.saturating_sub(at).as_secs_f64();
            if rest > 0.0 {
                let part = since / rest;
                let left = 1.0 / (1.0 + part + part * part / 2.0);
                self.fraction = self.fraction.max(fraction + (1.0 - fraction) * (1.0 - left));
            }
        }
        self.fraction = self.fraction.min(MOST);
        self.fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, completed: u64, estimated: u64) -> Stage {
        Stage { name: name.to_owned(), completed, estimated }
    }

    /// Follows a statement by what the server reported at each second.
    fn follow(name: &str, reports: &[(u64, u64)]) -> Vec<f64> {
        let mut advance = Advance::default();
        let mut at = Duration::ZERO;
        let mut look = |&(completed, estimated): &(u64, u64)| {
            at += Duration::from_secs(1);
            advance.look(Some(&stage(name, completed, estimated)), at)
        };
        reports.iter().map(&mut look).collect()
    }

    fn assert_advances(fractions: &[f64]) {
        assert!(fractions.windows(2).all(|pair| pair[0] <= pair[1]), "{fractions:?}");
        assert!(fractions.iter().all(|f| (0.0..1.0).contains(f)), "{fractions:?}");
    }

    #[test]
    fn a_copy_counts_rows_also_more_than_the_server_expected() {
        let seen = follow("stage/sql/copy to tmp table", &[(80, 320), (160, 320), (332, 320), (340, 320)]);
        assert_advances(&seen);
        assert_eq!(seen, [0.25, 0.5, MOST, MOST]);
    }

    #[test]
    fn an_online_rebuild_goes_on_while_the_server_reports_that_all_is_read() {
        let read = "stage/innodb/alter table (read PK and internal sort)";
        let seen = follow(
            read,
            &[
                (71_676, 89_464),
                (101_376, 101_376),
                (119_382, 119_382),
                (119_382, 119_382),
                (119_382, 119_382),
            ],
        );
        assert_advances(&seen);
        assert!(seen[0] < 0.5 && seen[1] >= 0.5 && seen[4] > 0.8, "{seen:?}");
        assert!(seen.windows(2).skip(1).all(|pair| pair[0] < pair[1]), "it stands still: {seen:?}");
    }

    #[test]
    fn a_later_stage_with_a_larger_estimate_does_not_turn_it_back() {
        let mut advance = Advance::default();
        let at = Duration::from_secs;
        let read = stage("stage/innodb/alter table (read PK and internal sort)", 100, 100);
        let first = advance.look(Some(&read), at(10));
        let insert = stage("stage/innodb/alter table (insert)", 100, 400);
        let second = advance.look(Some(&insert), at(11));
        let nothing = advance.look(None, at(12));
        assert_advances(&[first, second, nothing]);
    }

    #[test]
    fn the_encryption_of_a_tablespace_is_not_done_when_all_pages_are_counted() {
        let seen = follow(
            "stage/innodb/alter tablespace (encryption)",
            &[(6_953, 24_831), (16_234, 24_831), (24_831, 24_831), (24_831, 24_831)],
        );
        assert_advances(&seen);
        assert!(seen[2] < 0.75 && seen[3] > seen[2], "{seen:?}");
    }
}
