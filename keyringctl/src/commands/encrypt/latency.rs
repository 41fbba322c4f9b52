// SPDX-License-Identifier: GPL-2.0-or-later
//! How long clients' statements take. The server counts each statement by its duration, in buckets. The difference between two
//! looks at the counts is what ended in between.
//!
//! A statement that waits is in no count until it has ended, so those that run for longer than the limit are added. This run's
//! own statements are not counted: the server does not measure these connections.

use crate::error::{Error, Result};
use crate::server::{NOT_MEASURED, Privileges, Session};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How far back statements count.
const WINDOW: Duration = Duration::from_secs(5);
/// The server's time unit here, a picosecond, in a nanosecond.
const PICOSECONDS: u64 = 1000;

/// How many statements there are of each duration: the upper ends of the server's buckets, in picoseconds.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Counts(BTreeMap<u64, u64>);

impl Counts {
    /// Asks the server, for all statements since its start.
    fn query(session: &mut Session) -> Result<Counts> {
        let rows = session.rows::<(u64, u64)>(
            "SELECT BUCKET_TIMER_HIGH, COUNT_BUCKET FROM performance_schema.events_statements_histogram_global
             WHERE COUNT_BUCKET > 0",
        )?;
        Ok(Counts(rows.into_iter().collect()))
    }

    /// What was added since an earlier look. `None`: the counts began anew meanwhile.
    fn since(&self, earlier: &Counts) -> Option<Counts> {
        if earlier.0.iter().any(|(end, count)| self.0.get(end).is_none_or(|now| now < count)) {
            return None;
        }
        let added = self.0.iter().map(|(end, now)| (*end, now - earlier.0.get(end).unwrap_or(&0)));
        Some(Counts(added.filter(|(_, count)| *count > 0).collect()))
    }

    /// Adds a statement of this duration, in picoseconds.
    fn add(&mut self, duration: u64) {
        *self.0.entry(duration).or_default() += 1;
    }

    /// How long the slowest takes of the fastest 99 of 100 statements. The slowest statement alone tells nothing: without
    /// others, it would hold up the run on a quiet server.
    fn p99(&self) -> Option<Duration> {
        let all: u64 = self.0.values().sum();
        let rank = (all - all / 100).min(all.checked_sub(1)?);
        let mut below = 0;
        let (end, _) = self.0.iter().find(|(_, count)| {
            below += **count;
            rank > 0 && below >= rank
        })?;
        Some(Duration::from_nanos(end / PICOSECONDS))
    }
}

/// Measures the p99 of the last seconds.
pub(super) struct Meter {
    limit: Duration,
    looks: VecDeque<(Instant, Counts)>,
}

impl Meter {
    pub(super) fn new(limit: Duration) -> Meter {
        Meter { limit, looks: VecDeque::new() }
    }

    /// Returns the p99 of the statements of the last seconds; `None`: there were none, or this is the first look.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn look(&mut self, session: &mut Session) -> Result<Option<Duration>> {
        let counts = Counts::query(session)?;
        let running = waiting(session, self.limit)?;
        Ok(self.add(Instant::now(), counts, &running))
    }

    fn add(&mut self, now: Instant, counts: Counts, running: &[u64]) -> Option<Duration> {
        // The first of those that are kept is the last one that is old enough.
        while self.looks.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.looks.pop_front();
        }
        let ended = self.looks.front().and_then(|(_, first)| counts.since(first));
        if ended.is_none() {
            self.looks.clear();
        }
        self.looks.push_back((now, counts));
        let mut statements = ended?;
        for duration in running {
            statements.add(*duration);
        }
        statements.p99()
    }
}

/// The statements that have run for longer than `limit`, but not for longer than statements count: how long, in picoseconds.
fn waiting(session: &mut Session, limit: Duration) -> Result<Vec<u64>> {
    let picoseconds = |time: Duration| time.as_nanos().saturating_mul(u128::from(PICOSECONDS));
    session.rows(&format!(
        "SELECT TIMER_WAIT FROM performance_schema.events_statements_current
         WHERE END_EVENT_ID IS NULL AND NESTING_EVENT_ID IS NULL AND TIMER_WAIT BETWEEN {} AND {}",
        picoseconds(limit),
        picoseconds(WINDOW + limit)
    ))
}

/// Leaves the statements of a connection out of the server's counts, also when the connection is made anew.
///
/// # Errors
/// What the server answers.
pub(super) fn leave_out(session: &mut Session) -> Result<()> {
    session.run(NOT_MEASURED)
}

/// Has the server report the stages of the ALTER that a connection runs now. The statement itself is not counted, because it
/// was not measured when it began. Returns whether the connection runs one.
pub(super) fn show_stages(watch: &mut Session, connection: u32) -> bool {
    let alters = format!(
        "SELECT 1 FROM performance_schema.threads WHERE PROCESSLIST_ID = {connection} AND PROCESSLIST_INFO LIKE 'ALTER %'"
    );
    watch.first_now::<i64>(&alters).is_some() && watch.run(&measured(connection, "YES")).is_ok()
}

/// Leaves the next statements of that connection out again.
pub(super) fn hide_stages(watch: &mut Session, connection: u32) {
    let _ = watch.run(&measured(connection, "NO"));
}

fn measured(connection: u32, is: &str) -> String {
    format!("UPDATE performance_schema.threads SET INSTRUMENTED = '{is}' WHERE PROCESSLIST_ID = {connection}")
}

/// Returns why clients' statements cannot be measured on that server, and what to do.
///
/// # Errors
/// The connection is lost.
pub(super) fn refusal(session: &mut Session) -> Result<Option<String>> {
    let switches = "SELECT COUNT(*) FROM performance_schema.setup_consumers
         WHERE NAME IN ('global_instrumentation', 'thread_instrumentation') AND ENABLED = 'YES'";
    let instruments = "SELECT COUNT(*) FROM performance_schema.setup_instruments
         WHERE NAME IN ('statement/sql/select', 'statement/sql/update') AND ENABLED = 'YES' AND TIMED = 'YES'";
    let mut number = |query: &str| session.first::<i64>(query);
    let seen = number(switches).and_then(|on| Ok((on, number(instruments)?)));
    let denied = match seen {
        Ok((Some(2), Some(2))) => {
            match leave_out(session)
                .and_then(|()| Counts::query(session))
                .and_then(|_| waiting(session, WINDOW))
            {
                Ok(_) => return Ok(None),
                Err(e) => e,
            }
        }
        Ok(_) => {
            return Ok(Some(
                "--max-p99: the server does not measure statements. Set performance_schema=ON in its option file; if it is ON, run in the server: UPDATE performance_schema.setup_consumers SET ENABLED = 'YES' WHERE NAME IN ('global_instrumentation', 'thread_instrumentation'); UPDATE performance_schema.setup_instruments SET ENABLED = 'YES', TIMED = 'YES' WHERE NAME LIKE 'statement/sql/%';"
                    .to_owned(),
            ));
        }
        Err(e) => e,
    };
    let Error::Server(e) = denied else { return Err(denied) };
    if e.silent {
        return Err(Error::Server(e));
    }
    let grant = Privileges::query(session)?.grant_on_schema(&["SELECT", "UPDATE"], "performance_schema");
    Ok(Some(format!("--max-p99: {}. As an administrator, run: {grant}", e.why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000_000;

    fn counts(of: &[(u64, u64)]) -> Counts {
        Counts(of.iter().map(|(ms, count)| (ms * MS, *count)).collect())
    }

    #[test]
    fn the_p99_is_the_bucket_of_the_statement_of_that_rank() {
        for (of, p99) in [
            (&[][..], None),
            (&[(900, 1)], None),
            (&[(1, 1), (900, 1)], Some(1)),
            (&[(900, 2)], Some(900)),
            (&[(1, 98), (900, 2)], Some(900)),
            (&[(1, 99), (900, 1)], Some(1)),
            (&[(1, 990), (5, 9), (900, 1)], Some(1)),
            (&[(1, 989), (5, 10), (900, 1)], Some(5)),
            (&[(1, 9899), (900, 101)], Some(900)),
            (&[(1, 9900), (900, 100)], Some(1)),
        ] {
            assert_eq!(counts(of).p99(), p99.map(Duration::from_millis), "{of:?}");
        }
    }

    #[test]
    fn only_what_was_added_between_two_looks_counts() {
        let (before, after) = (counts(&[(1, 1000), (50, 7)]), counts(&[(1, 1010), (50, 7), (80, 3)]));
        assert_eq!(after.since(&before), Some(counts(&[(1, 10), (80, 3)])));
        assert_eq!(after.since(&after), Some(counts(&[])));
    }

    #[test]
    fn counts_that_began_anew_are_no_difference() {
        let before = counts(&[(1, 1000), (50, 7)]);
        assert_eq!(counts(&[(1, 2000)]).since(&before), None);
        assert_eq!(counts(&[(1, 2000), (50, 6)]).since(&before), None);
    }

    #[test]
    fn statements_count_for_some_seconds_and_those_that_wait_at_once() {
        let mut meter = Meter::new(Duration::from_millis(50));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(meter.add(at(0), counts(&[(400, 9999)]), &[]), None);
        assert_eq!(meter.add(at(1), counts(&[(2, 100), (400, 9999)]), &[]), ms(2));
        assert_eq!(meter.add(at(2), counts(&[(2, 200), (300, 9), (400, 9999)]), &[]), ms(300));
        assert_eq!(meter.add(at(6), counts(&[(2, 300), (300, 9), (400, 9999)]), &[]), ms(300));
        assert_eq!(meter.add(at(8), counts(&[(2, 400), (300, 9), (400, 9999)]), &[]), ms(2));
        let waiting = [60 * MS, 70 * MS, 70 * MS];
        assert_eq!(meter.add(at(9), counts(&[(2, 410), (300, 9), (400, 9999)]), &waiting), ms(60));
        // After a restart of the server.
        assert_eq!(meter.add(at(10), counts(&[(700, 50)]), &waiting), None);
        assert_eq!(meter.add(at(11), counts(&[(2, 10), (700, 50)]), &[]), ms(2));
    }
}
