// SPDX-License-Identifier: GPL-2.0-or-later
//! How far a run of `encrypt apply` is, and how long the rest takes. It knows no clock: each call says what time it is.

use super::sizes;
use super::stage::{Advance, Stage};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Time between two status lines where no bar is shown.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// The time of a step that processes no table, until one was measured: an undo tablespace, or the redo log.
const WAIT: Duration = Duration::from_secs(5);
/// Time after which the speed is known.
const MEASURED_AFTER: Duration = Duration::from_secs(2);
/// How many times the bytes of all tables are more than one such step counts.
const BYTES_PER_WAIT: u64 = 50;
/// All of a table's work.
pub(super) const WHOLE: Range<f64> = 0.0..1.0;

/// The step of a worker: a table, or a tablespace.
struct Running {
    what: String,
    bytes: u64,
    /// The share of the step's work that the present statement does, or the last one did.
    share: Range<f64>,
    /// The share that was done before this run.
    before: f64,
    /// How far the present statement is.
    advance: Advance,
    fraction: f64,
    /// When the present statement began. `None`: none runs.
    began: Option<Instant>,
    /// How long its earlier statements took.
    took: Duration,
}

impl Running {
    /// The share of the step that is done.
    fn done(&self) -> f64 {
        self.share.start + (self.share.end - self.share.start) * self.fraction
    }

    fn bytes_done(&self) -> u64 {
        (self.bytes as f64 * self.done()) as u64
    }

    /// What this run has processed of it, and the time that this took.
    fn measured(&self, now: Instant) -> (u64, Duration) {
        let bytes = self.bytes as f64 * (self.done() - self.before).max(0.0);
        let present = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        (bytes as u64, self.took + present)
    }
}

pub(super) struct Pace {
    total: u64,
    /// Bytes of the finished steps, also of those that failed.
    done: u64,
    /// The most bytes that were ever processed: a step that must be tried again does not turn the progress back.
    most: u64,
    /// The steps of the workers.
    running: BTreeMap<usize, Running>,
    /// Bytes that were processed, and the time that this took, added up over the workers.
    measured: (u64, Duration),
    waits: u32,
    waits_done: u32,
    waited: Duration,
    reported: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace {
            total: 0,
            done: 0,
            most: 0,
            running: BTreeMap::new(),
            measured: (0, Duration::ZERO),
            waits: 0,
            waits_done: 0,
            waited: Duration::ZERO,
            reported: now,
        }
    }

    /// Sets how many bytes there are to process, and how many steps follow that process no table.
    pub(super) fn set_total(&mut self, bytes: u64, waits: u32) {
        (self.total, self.waits) = (bytes, waits);
    }

    /// A worker begins a statement, which does this share of a step of `bytes` bytes.
    pub(super) fn begin(&mut self, worker: usize, what: &str, bytes: u64, share: Range<f64>, now: Instant) {
        let earlier =
            self.running.remove(&worker).filter(|step| step.bytes == bytes && step.share.end <= share.start);
        let (before, took) = earlier.map_or((share.start, Duration::ZERO), |step| (step.before, step.took));
        let what = what.to_owned();
        let advance = Advance::default();
        self.running.insert(
            worker,
            Running { what, bytes, share, before, advance, fraction: 0.0, began: Some(now), took },
        );
    }

    /// Takes note of what the server reports about a worker's statement.
    pub(super) fn reach(&mut self, worker: usize, stage: Option<&Stage>, now: Instant) {
        if let Some(step) = self.running.get_mut(&worker)
            && let Some(began) = step.began
        {
            step.fraction = step.advance.look(stage, now.saturating_duration_since(began));
        }
        self.most = self.processed();
    }

    /// A worker's statement has ended. If it failed, its time does not count.
    pub(super) fn end_statement(&mut self, worker: usize, succeeded: bool, now: Instant) {
        let Some(step) = self.running.get_mut(&worker) else { return };
        if let Some(began) = step.began.take().filter(|_| succeeded) {
            step.took += now.saturating_duration_since(began);
            step.fraction = 1.0;
            if step.share.end >= WHOLE.end && step.bytes > 0 {
                let (bytes, time) = step.measured(now);
                self.measured = (self.measured.0.saturating_add(bytes), self.measured.1 + time);
            }
        }
        self.most = self.processed();
    }

    /// A worker's step of `bytes` bytes has ended: nothing is left to do for it, or it has failed.
    pub(super) fn end(&mut self, worker: usize, bytes: u64) {
        self.done = self.done.saturating_add(bytes).min(self.total);
        self.give_up(worker);
    }

    /// A worker's step has ended, and is to be tried again later.
    pub(super) fn give_up(&mut self, worker: usize) {
        self.running.remove(&worker);
        self.most = self.processed();
    }

    /// A step that processed no table has ended.
    pub(super) fn end_wait(&mut self, took: Duration) {
        self.running.clear();
        self.waits_done = (self.waits_done + 1).min(self.waits);
        self.waited += took;
    }

    fn processed(&self) -> u64 {
        let present = self.running.values().map(Running::bytes_done).fold(0, u64::saturating_add);
        self.done.saturating_add(present).max(self.most).min(self.total)
    }

    /// How much of everything is done, from 0 to 100. It is 100 only at the end.
    fn percent(&self) -> u64 {
        let wait = u128::from((self.total / BYTES_PER_WAIT).max(1));
        let all = u128::from(self.total) + wait * u128::from(self.waits);
        let done = u128::from(self.processed()) + wait * u128::from(self.waits_done);
        (done * 100).checked_div(all).map_or(0, |percent| percent.min(100) as u64)
    }

    /// Returns how many bytes one worker processes in a second, if that is known.
    fn speed(&self, now: Instant) -> Option<f64> {
        let (mut bytes, mut time) = self.measured;
        for step in self.running.values().filter(|step| step.began.is_some() && step.fraction > 0.0) {
            let (of_step, took) = step.measured(now);
            (bytes, time) = (bytes.saturating_add(of_step), time + took);
        }
        (bytes > 0 && time >= MEASURED_AFTER).then(|| bytes as f64 / time.as_secs_f64())
    }

    /// The workers that process bytes.
    fn workers(&self) -> usize {
        self.running.values().filter(|step| step.began.is_some() && step.bytes > 0).count()
    }

    /// How long the rest takes, if the speed is known.
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.total - self.processed();
        let of_bytes = match left {
            0 => Duration::ZERO,
            _ => {
                let speed = self.speed(now)?;
                let together = left as f64 / (speed * self.workers().max(1) as f64);
                // The last of several tables is one worker's alone.
                let alone = self.running.values().map(|step| step.bytes.saturating_sub(step.bytes_done()));
                let alone = alone.max().unwrap_or(0).min(left) as f64 / speed;
                Duration::try_from_secs_f64(together.max(alone)).ok()?
            }
        };
        let each = self.waited.checked_div(self.waits_done).unwrap_or(WAIT);
        Some(of_bytes + each.saturating_mul(self.waits - self.waits_done))
    }

    /// Whether a status line is due, and counts it as printed.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.reported) >= REPORT_EVERY;
        if is_due {
            self.reported = now;
        }
        is_due
    }

    /// How far everything is: `47 %, 2.0 GB of 4.0 GB, 21 MB/s, 35 s left`.
    pub(super) fn overall(&self, now: Instant) -> String {
        let mut text = format!("{} %", self.percent());
        if self.total > 0 {
            text += &format!(", {} of {}", sizes::bytes(self.processed()), sizes::bytes(self.total));
        }
        if let Some(speed) = self.speed(now).filter(|_| self.workers() > 0) {
            text += &format!(", {}/s", sizes::bytes((speed * self.workers() as f64) as u64));
        }
        if let Some(left) = self.left(now).filter(|left| *left >= Duration::from_secs(1)) {
            text += &format!(", {} left", sizes::time(left));
        }
        text
    }

    /// What runs: the name of each step, and how far it is if it is one of several.
    pub(super) fn steps(&self) -> Vec<String> {
        let step = |step: &Running| match self.running.len() {
            0 | 1 => step.what.clone(),
            _ => format!("{} {} %", step.what, (step.done() * 100.0) as u64),
        };
        self.running.values().map(step).collect()
    }

    /// The whole part of the bar that is full.
    pub(super) fn bar(&self, columns: usize) -> String {
        let full = (columns as u64 * self.percent() / 100) as usize;
        format!("{}{}", "\u{2588}".repeat(full), "\u{2591}".repeat(columns - full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stage(percent: u64) -> Stage {
        Stage { name: "stage/sql/copy to tmp table".to_owned(), completed: percent, estimated: 100 }
    }

    /// What a status line shows.
    fn text(pace: &Pace, now: Instant) -> String {
        let steps = pace.steps();
        let overall = pace.overall(now);
        if steps.is_empty() { overall } else { format!("{overall}: {}", steps.join(", ")) }
    }

    /// A step that one statement does, from `from` to `to` seconds after the start.
    fn one_step(pace: &mut Pace, bytes: u64, start: Instant, (from, to): (u64, u64), succeeded: bool) {
        pace.begin(0, "a.t", bytes, WHOLE, start + seconds(from));
        pace.end_statement(0, succeeded, start + seconds(to));
        pace.end(0, bytes);
    }

    #[test]
    fn time_left_counts_undo_and_redo_steps() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(4 * GB, 3);
        pace.begin(0, "a.t", 2 * GB, WHOLE, start);
        assert_eq!(text(&pace, start), "0 %, 0 B of 4.0 GB: a.t", "nothing is known about the speed");
        pace.reach(0, Some(&stage(50)), start + seconds(10));
        assert_eq!(pace.left(start + seconds(10)), Some(seconds(30 + 3 * 5)));
        assert_eq!(text(&pace, start + seconds(10)), "23 %, 1.0 GB of 4.0 GB, 100 MB/s, 45 s left: a.t");
        pace.end_statement(0, true, start + seconds(20));
        pace.end(0, 2 * GB);
        one_step(&mut pace, 2 * GB, start, (20, 40), true);
        assert_eq!(pace.left(start + seconds(40)), Some(seconds(3 * 5)));
        pace.end_wait(seconds(60));
        assert_eq!(text(&pace, start + seconds(100)), "96 %, 4.0 GB of 4.0 GB, 2 min left");
        pace.end_wait(seconds(60));
        pace.end_wait(seconds(60));
        assert_eq!(text(&pace, start + seconds(220)), "100 %, 4.0 GB of 4.0 GB");
    }

    #[test]
    fn progress_is_never_over_100_percent() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(GB, 1);
        for _ in 0..3 {
            pace.begin(0, "a.t", 2 * GB, WHOLE, start);
            // The server's estimate was too low, and the table has grown since it was measured.
            pace.reach(0, Some(&stage(170)), start + seconds(5));
            assert!(pace.percent() <= 100 && pace.processed() <= GB);
            pace.end_statement(0, true, start + seconds(5));
            pace.end(0, 2 * GB);
            pace.end_wait(seconds(1));
            assert_eq!(text(&pace, start + seconds(5)), "100 %, 1.0 GB of 1.0 GB");
        }
        pace.end(0, u64::MAX);
        assert_eq!((pace.percent(), pace.processed()), (100, GB));
    }

    #[test]
    fn a_run_without_tables_counts_its_steps() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.begin(0, "settings", 0, WHOLE, start);
        assert_eq!(text(&pace, start), "0 %: settings");
        pace.set_total(0, 4);
        pace.end_wait(seconds(2));
        assert_eq!(text(&pace, start), "25 %, 6 s left");
    }

    #[test]
    fn a_table_that_failed_is_left_out_of_the_speed() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(4 * GB, 0);
        one_step(&mut pace, 2 * GB, start, (0, 50), false);
        assert_eq!((pace.percent(), pace.left(start + seconds(50))), (50, None));
        one_step(&mut pace, GB, start, (50, 60), true);
        assert_eq!(pace.left(start + seconds(60)), Some(seconds(10)));
    }

    #[test]
    fn a_step_that_is_tried_again_does_not_turn_the_progress_back() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(2 * GB, 0);
        pace.begin(0, "a.t", GB, WHOLE, start);
        pace.reach(0, Some(&stage(80)), start + seconds(8));
        assert_eq!(pace.percent(), 40);
        pace.end_statement(0, false, start + seconds(9));
        pace.give_up(0);
        assert_eq!(pace.percent(), 40);
        pace.begin(0, "a.t", GB, WHOLE, start + seconds(20));
        pace.reach(0, Some(&stage(10)), start + seconds(21));
        assert_eq!(pace.percent(), 40);
        pace.reach(0, Some(&stage(90)), start + seconds(29));
        assert_eq!(pace.percent(), 45);
    }

    #[test]
    fn the_statements_of_a_table_count_with_their_shares() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(GB, 0);
        pace.begin(0, "a.t", GB, 0.0..0.4, start);
        pace.reach(0, Some(&stage(50)), start + seconds(2));
        assert_eq!(pace.percent(), 20);
        pace.end_statement(0, true, start + seconds(4));
        // The load is too high in the meantime, which does not count.
        assert_eq!(pace.percent(), 40);
        pace.begin(0, "a.t", GB, 0.4..1.0, start + seconds(100));
        assert_eq!(pace.percent(), 40);
        pace.reach(0, Some(&stage(50)), start + seconds(103));
        assert_eq!(pace.percent(), 70);
        assert_eq!(pace.left(start + seconds(103)), Some(seconds(3)));
        // A run that goes on with the second statement has done less than the whole table.
        let mut pace = Pace::new(start);
        pace.set_total(2 * GB, 0);
        pace.begin(0, "a.t", GB, 0.5..1.0, start);
        pace.end_statement(0, true, start + seconds(5));
        pace.end(0, GB);
        assert_eq!(pace.left(start + seconds(5)), Some(seconds(10)));
    }

    #[test]
    fn several_workers_are_faster_than_one_until_the_last_table() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(4 * GB, 0);
        for (worker, what) in [(0, "a.t"), (1, "a.u")] {
            pace.begin(worker, what, GB, WHOLE, start);
            pace.reach(worker, Some(&stage(50)), start + seconds(10));
        }
        assert_eq!(
            text(&pace, start + seconds(10)),
            "25 %, 1.0 GB of 4.0 GB, 100 MB/s, 30 s left: a.t 50 %, a.u 50 %"
        );
        for worker in [0, 1] {
            pace.end_statement(worker, true, start + seconds(20));
            pace.end(worker, GB);
        }
        // 2 GB in one table: a worker alone processes half as much.
        pace.begin(0, "a.v", 2 * GB, WHOLE, start + seconds(20));
        pace.begin(1, "a.w", 0, WHOLE, start + seconds(20));
        assert_eq!(pace.left(start + seconds(20)), Some(seconds(40)));
    }

    #[test]
    fn a_status_line_is_due_once_a_minute() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let due: Vec<_> = (1..=180).filter(|s| pace.is_due(start + seconds(*s))).collect();
        assert_eq!(due, [60, 120, 180]);
    }
}
