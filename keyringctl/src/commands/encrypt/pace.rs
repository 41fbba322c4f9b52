// SPDX-License-Identifier: GPL-2.0-or-later
//! How far a run of `encrypt apply` is, and how long the rest takes. It knows no clock: each call says what time it is.

use super::sizes;
use crate::terminal::columns_of;
use std::time::{Duration, Instant};

/// Time between two status lines where no bar is shown.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// The time of a step that processes no table, until one was measured: an undo tablespace, or the redo log.
const WAIT: Duration = Duration::from_secs(5);
/// Time after which the speed is known.
const MEASURED_AFTER: Duration = Duration::from_secs(2);
/// How many times the bytes of all tables are more than one such step counts.
const BYTES_PER_WAIT: u64 = 50;

pub(super) struct Pace {
    total: u64,
    /// Bytes of the finished steps, also of those that failed.
    done: u64,
    /// Bytes of the current step that are done.
    current: u64,
    /// Bytes that were processed, and the time that this took.
    measured: (u64, Duration),
    began: Instant,
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
            current: 0,
            measured: (0, Duration::ZERO),
            began: now,
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

    pub(super) fn begin(&mut self, now: Instant) {
        (self.began, self.current) = (now, 0);
    }

    /// The current step of `bytes` bytes is so far, from 0 to 1.
    pub(super) fn reach(&mut self, bytes: u64, fraction: f64) {
        self.current = (bytes as f64 * fraction.clamp(0.0, 1.0)) as u64;
    }

    /// The current step has processed `bytes` bytes; none if it must be tried again.
    pub(super) fn end(&mut self, bytes: u64, now: Instant) {
        if bytes > 0 {
            let (measured, time) = self.measured;
            let took = now.saturating_duration_since(self.began);
            self.measured = (measured.saturating_add(bytes), time + took);
        }
        self.skip(bytes);
    }

    /// Nothing is left to do for so many bytes: the step has failed.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes).min(self.total);
        self.current = 0;
    }

    /// A step that processed no table has ended.
    pub(super) fn end_wait(&mut self, took: Duration) {
        self.waits_done = (self.waits_done + 1).min(self.waits);
        self.waited += took;
    }

    fn processed(&self) -> u64 {
        self.done.saturating_add(self.current).min(self.total)
    }

    /// How much of everything is done, from 0 to 100. It is 100 only at the end.
    fn percent(&self) -> u64 {
        let wait = u128::from((self.total / BYTES_PER_WAIT).max(1));
        let all = u128::from(self.total) + wait * u128::from(self.waits);
        let done = u128::from(self.processed()) + wait * u128::from(self.waits_done);
        (done * 100).checked_div(all).map_or(0, |percent| percent.min(100) as u64)
    }

    /// How long the rest takes, if the speed is known.
    fn left(&self, now: Instant) -> Option<Duration> {
        let (mut bytes, mut time) = self.measured;
        if self.current > 0 {
            bytes = bytes.saturating_add(self.current);
            time += now.saturating_duration_since(self.began);
        }
        let left = self.total - self.processed();
        let of_bytes = match left {
            0 => Duration::ZERO,
            _ if bytes == 0 || time < MEASURED_AFTER => return None,
            _ => Duration::try_from_secs_f64(time.as_secs_f64() * (left as f64 / bytes as f64)).ok()?,
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

    /// What is shown, with the name of the current step.
    pub(super) fn text(&self, what: &str, now: Instant) -> String {
        let mut text = format!("{} %", self.percent());
        if self.total > 0 {
            text += &format!(", {} of {}", sizes::bytes(self.processed()), sizes::bytes(self.total));
        }
        if let Some(left) = self.left(now).filter(|left| *left >= Duration::from_secs(1)) {
            text += &format!(", {} left", sizes::time(left));
        }
        if what.is_empty() { text } else { format!("{text}: {what}") }
    }

    /// The same after a bar, in one line of a terminal. A name that does not fit is shortened.
    pub(super) fn bar(&self, what: &str, now: Instant, width: usize) -> String {
        // The last column stays free: some terminals begin a new line after it.
        let width = width.saturating_sub(1);
        let bar = (width / 6).clamp(4, 30);
        let full = (bar as u64 * self.percent() / 100) as usize;
        let text = self.text(what, now);
        let line = format!("{}{} {text}", "\u{2588}".repeat(full), "\u{2591}".repeat(bar - full));
        shortened(&line, width)
    }
}

/// A text in so many columns, with dots at its end if it is shortened.
fn shortened(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let mut end = text.len();
    while let Some((at, _)) = text[..end].char_indices().next_back() {
        end = at;
        if columns_of(&text[..end]) + 3 <= columns {
            break;
        }
    }
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn time_left_counts_undo_and_redo_steps() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(4 * GB, 3);
        assert_eq!(pace.text("a.t", start), "0 %, 0 B of 4.0 GB: a.t", "nothing is known about the speed");
        pace.begin(start);
        pace.reach(2 * GB, 0.5);
        assert_eq!(pace.left(start + seconds(10)), Some(seconds(30 + 3 * 5)));
        pace.end(2 * GB, start + seconds(20));
        pace.begin(start + seconds(20));
        pace.end(2 * GB, start + seconds(40));
        assert_eq!(pace.left(start + seconds(40)), Some(seconds(3 * 5)));
        pace.end_wait(seconds(60));
        assert_eq!(pace.text("", start + seconds(100)), "96 %, 4.0 GB of 4.0 GB, 2 min left");
        pace.end_wait(seconds(60));
        pace.end_wait(seconds(60));
        assert_eq!(pace.text("", start + seconds(220)), "100 %, 4.0 GB of 4.0 GB");
    }

    #[test]
    fn progress_is_never_over_100_percent() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(GB, 1);
        for _ in 0..3 {
            pace.begin(start);
            // The server's estimate was too low, and the table has grown since it was measured.
            pace.reach(2 * GB, 1.7);
            assert!(pace.percent() <= 100 && pace.processed() <= GB);
            pace.end(2 * GB, start + seconds(5));
            pace.end_wait(seconds(1));
            assert_eq!(pace.text("a.t", start + seconds(5)), "100 %, 1.0 GB of 1.0 GB: a.t");
        }
        pace.skip(u64::MAX);
        assert_eq!((pace.percent(), pace.processed()), (100, GB));
    }

    #[test]
    fn a_run_without_tables_counts_its_steps() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.text("settings", start), "0 %: settings");
        pace.set_total(0, 4);
        pace.end_wait(seconds(2));
        assert_eq!(pace.text("", start), "25 %, 6 s left");
    }

    #[test]
    fn a_table_that_failed_is_left_out_of_the_speed() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(4 * GB, 0);
        pace.begin(start);
        pace.end(0, start + seconds(50));
        pace.skip(2 * GB);
        assert_eq!((pace.percent(), pace.left(start + seconds(50))), (50, None));
        pace.begin(start + seconds(50));
        pace.end(GB, start + seconds(60));
        assert_eq!(pace.left(start + seconds(60)), Some(seconds(10)));
    }

    #[test]
    fn a_status_line_is_due_once_a_minute() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let due: Vec<_> = (1..=180).filter(|s| pace.is_due(start + seconds(*s))).collect();
        assert_eq!(due, [60, 120, 180]);
    }

    #[test]
    fn the_bar_fits_the_terminal() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.set_total(4 * GB, 3);
        pace.begin(start);
        pace.end(2 * GB, start + seconds(20));
        let long = "\u{60a3}\u{8005}".repeat(30);
        for width in [20, 40, 60, 80, 200] {
            for what in ["", "clinic.patients", &long] {
                let bar = pace.bar(what, start + seconds(20), width);
                assert!(columns_of(&bar) < width, "{bar}");
            }
        }
        let bar = pace.bar(&format!("clinic.{long}"), start + seconds(20), 80);
        let begin = format!("{}{} ", "\u{2588}".repeat(6), "\u{2591}".repeat(7));
        assert_eq!(
            bar,
            format!(
                "{begin}47 %, 2.0 GB of 4.0 GB, 35 s left: clinic.\u{60a3}\u{8005}\u{60a3}\u{8005}\u{60a3}\u{8005}\u{60a3}\u{8005}\u{60a3}\u{8005}..."
            )
        );
    }
}
