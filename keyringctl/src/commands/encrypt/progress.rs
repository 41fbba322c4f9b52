// SPDX-License-Identifier: GPL-2.0-or-later
//! Shows how far a run is on standard error: a bar on a terminal, with a line for each step if several run at once, and
//! elsewhere a line each minute.

use super::pace::Pace;
use super::stage::Stage;
use crate::show::{visible, warn};
use crate::terminal::{Color, Screen, columns_of};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::stderr;
use std::ops::Range;
use std::time::{Duration, Instant};

/// How many steps that run at once have a line of their own.
const MOST_LINES: usize = 8;

pub(super) struct Progress {
    /// Whether anything is shown.
    shown: bool,
    /// Columns of the terminal, if there is one.
    width: Option<usize>,
    screen: MultiProgress,
    lines: Vec<ProgressBar>,
    pace: Pace,
}

impl Progress {
    /// Shows nothing unless `shown` is set.
    pub(super) fn new(shown: bool) -> Progress {
        let width = Screen::of(&stderr(), Color::Never).width;
        let target = match width {
            Some(_) if shown => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        };
        let screen = MultiProgress::with_draw_target(target);
        Progress { shown, width, screen, lines: Vec::new(), pace: Pace::new(Instant::now()) }
    }

    /// Sets how many bytes there are to process in total, and how many steps follow that process no table.
    pub(super) fn set_total(&mut self, bytes: u64, waits: u32) {
        self.pace.set_total(bytes, waits);
        self.show();
    }

    /// A worker begins a statement, which does this share of a step of `bytes` bytes.
    pub(super) fn begin(&mut self, worker: usize, what: &str, bytes: u64, share: Range<f64>) {
        self.pace.begin(worker, &visible(what), bytes, share, Instant::now());
        self.show();
    }

    /// Shows what the server reports about a worker's statement.
    pub(super) fn reach(&mut self, worker: usize, stage: Option<&Stage>) {
        self.pace.reach(worker, stage, Instant::now());
        self.show();
    }

    /// A worker's statement has ended.
    pub(super) fn end_statement(&mut self, worker: usize, succeeded: bool) {
        self.pace.end_statement(worker, succeeded, Instant::now());
        self.show();
    }

    /// A worker's step of `bytes` bytes has ended: nothing is left to do for it, or it has failed.
    pub(super) fn end(&mut self, worker: usize, bytes: u64) {
        self.pace.end(worker, bytes);
        self.show();
    }

    /// A worker's step has ended, and is to be tried again later.
    pub(super) fn give_up(&mut self, worker: usize) {
        self.pace.give_up(worker);
        self.show();
    }

    /// Ends a step that processed no table, such as an undo tablespace.
    pub(super) fn end_wait(&mut self, took: Duration) {
        self.pace.end_wait(took);
        self.show();
    }

    /// Draws the lines, or prints that of a minute if it is due.
    pub(super) fn show(&mut self) {
        let now = Instant::now();
        match self.width {
            _ if !self.shown => {}
            Some(width) => self.draw(&lines(&self.pace, now, width)),
            None if self.pace.is_due(now) => warn(line(&self.pace, now)),
            None => {}
        }
    }

    fn draw(&mut self, texts: &[String]) {
        while self.lines.len() < texts.len() {
            let line = self.screen.add(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                line.set_style(style);
            }
            self.lines.push(line);
        }
        for line in self.lines.drain(texts.len()..) {
            line.finish_and_clear();
            self.screen.remove(&line);
        }
        for (line, text) in self.lines.iter().zip(texts) {
            line.set_message(text.clone());
        }
    }

    /// Shows a message above the lines.
    pub(super) fn note(&self, text: &str) {
        self.screen.suspend(|| warn(text));
    }

    /// Hides the lines while `print` runs.
    pub(super) fn suspended(&self, print: impl FnOnce()) {
        self.screen.suspend(print);
    }

    pub(super) fn clear(&mut self) {
        self.draw(&[]);
    }
}

/// Everything in one line, where there is no terminal.
fn line(pace: &Pace, now: Instant) -> String {
    let steps = pace.steps();
    let overall = pace.overall(now);
    if steps.is_empty() { overall } else { format!("{overall}: {}", steps.join(", ")) }
}

/// The lines of a terminal: everything in one after a bar, and if several steps run at once, a line for each. What does
/// not fit is shortened.
fn lines(pace: &Pace, now: Instant, width: usize) -> Vec<String> {
    // The last column stays free: some terminals begin a new line after it.
    let width = width.saturating_sub(1);
    let bar = pace.bar((width / 6).clamp(4, 30));
    let steps = pace.steps();
    let mut lines = match steps.len() {
        0 | 1 => vec![format!("{bar} {}", line(pace, now))],
        _ => vec![format!("{bar} {}", pace.overall(now))],
    };
    if steps.len() > 1 {
        lines.extend(steps.iter().take(MOST_LINES).map(|step| format!("  {step}")));
        if let Some(more) = steps.len().checked_sub(MOST_LINES).filter(|more| *more > 0) {
            lines.push(format!("  and {more} more"));
        }
    }
    lines.iter().map(|line| shortened(line, width)).collect()
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
    use super::super::pace::WHOLE;
    use super::*;

    const GB: u64 = 1_000_000_000;

    /// The progress after 20 s, with so many steps at once.
    fn after_half(steps: &[&str]) -> (Pace, Instant) {
        let start = Instant::now();
        let now = start + Duration::from_secs(20);
        let mut pace = Pace::new(start);
        pace.set_total(4 * GB, 3);
        pace.begin(0, "a.t", 2 * GB, WHOLE, start);
        pace.end_statement(0, true, now);
        pace.end(0, 2 * GB);
        for (worker, step) in steps.iter().enumerate() {
            pace.begin(worker, step, GB / 10, WHOLE, now);
        }
        (pace, now)
    }

    #[test]
    fn the_bar_fits_the_terminal() {
        let long = "\u{60a3}\u{8005}".repeat(30);
        for width in [20, 40, 60, 80, 200] {
            for steps in [vec![], vec!["clinic.patients"], vec![&*long], vec![&*long, "clinic.patients"]] {
                let (pace, now) = after_half(&steps);
                let lines = lines(&pace, now, width);
                assert_eq!(lines.len(), if steps.len() > 1 { 3 } else { 1 });
                for line in lines {
                    assert!(columns_of(&line) < width, "{line}");
                }
            }
        }
        let name = format!("clinic.{long}");
        let (pace, now) = after_half(&[&name]);
        let begin = format!("{}{} ", "\u{2588}".repeat(6), "\u{2591}".repeat(7));
        assert_eq!(
            lines(&pace, now, 80),
            [format!(
                "{begin}47 %, 2.0 GB of 4.0 GB, 100 MB/s, 35 s left: clinic.\u{60a3}\u{8005}\u{60a3}\u{8005}\u{60a3}..."
            )]
        );
    }

    #[test]
    fn each_of_several_steps_has_a_line_and_a_status_line_names_all() {
        let (mut pace, now) = after_half(&["a.t", "a.u"]);
        let copied = Stage { name: "stage/sql/copy to tmp table".to_owned(), completed: 3, estimated: 4 };
        pace.reach(1, Some(&copied), now);
        assert_eq!(lines(&pace, now, 80)[1..], ["  a.t 0 %", "  a.u 75 %"]);
        assert!(line(&pace, now).ends_with(" left: a.t 0 %, a.u 75 %"), "{}", line(&pace, now));
        let names: Vec<_> = (0..12).map(|n| format!("a.t{n}")).collect();
        let (pace, now) = after_half(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let lines = lines(&pace, now, 80);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (10, "  and 4 more"));
    }
}
