// SPDX-License-Identifier: GPL-2.0-or-later
//! Shows how far a run is on standard error: a bar on a terminal, and elsewhere a line each minute.

use super::pace::Pace;
use crate::show::{visible, warn};
use crate::terminal::{Color, Screen};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::stderr;
use std::time::{Duration, Instant};

pub(super) struct Progress {
    /// Whether anything is shown.
    shown: bool,
    /// Columns of the terminal, if there is one.
    width: Option<usize>,
    bar: ProgressBar,
    pace: Pace,
    /// The current step.
    what: String,
}

impl Progress {
    /// Shows nothing unless `shown` is set.
    pub(super) fn new(shown: bool) -> Progress {
        let width = Screen::of(&stderr(), Color::Never).width;
        let target = match width {
            Some(_) if shown => ProgressDrawTarget::stderr(),
            _ => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        Progress { shown, width, bar, pace: Pace::new(Instant::now()), what: String::new() }
    }

    /// Sets how many bytes there are to process in total, and how many steps follow that process no table.
    pub(super) fn set_total(&mut self, bytes: u64, waits: u32) {
        self.pace.set_total(bytes, waits);
        self.show();
    }

    /// Starts a step.
    pub(super) fn begin(&mut self, what: &str) {
        self.what = visible(what);
        self.pace.begin(Instant::now());
        self.show();
    }

    /// Shows how far the current step of `bytes` bytes is, from 0 to 1, if that is known.
    pub(super) fn set(&mut self, bytes: u64, fraction: Option<f64>) {
        if let Some(fraction) = fraction {
            self.pace.reach(bytes, fraction);
        }
        self.show();
    }

    /// Ends the current step, which processed `bytes` bytes; none if it must be tried again.
    pub(super) fn end(&mut self, bytes: u64) {
        self.pace.end(bytes, Instant::now());
        self.what.clear();
        self.show();
    }

    /// Leaves out `bytes` bytes: their step has failed.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.pace.skip(bytes);
        self.show();
    }

    /// Ends a step that processed no table, such as an undo tablespace.
    pub(super) fn end_wait(&mut self, took: Duration) {
        self.pace.end_wait(took);
        self.what.clear();
        self.show();
    }

    /// Draws the bar, or prints the line of a minute if it is due.
    pub(super) fn show(&mut self) {
        let now = Instant::now();
        match self.width {
            _ if !self.shown => {}
            Some(width) => self.bar.set_message(self.pace.bar(&self.what, now, width)),
            None if self.pace.is_due(now) => warn(self.pace.text(&self.what, now)),
            None => {}
        }
    }

    /// Shows a message above the bar.
    pub(super) fn note(&self, text: &str) {
        self.bar.suspend(|| warn(text));
    }

    /// Hides the bar while `print` runs.
    pub(super) fn suspended(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
