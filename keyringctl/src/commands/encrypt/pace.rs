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
mod tests;
