// SPDX-License-Identifier: GPL-2.0-or-later
//! A progress bar with bytes and remaining time, shown only on a terminal.

use crate::show::{visible, warn};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

const TEMPLATE: &str =
    "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}, {eta} left: {prefix} {msg}";

pub(super) struct Progress {
    bar: ProgressBar,
    /// Bytes of the finished steps.
    done: u64,
}

impl Progress {
    /// Creates the bar. It is drawn only if `shown` is set and standard error is a terminal.
    pub(super) fn new(shown: bool) -> Progress {
        let target = if shown && std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Progress { bar, done: 0 }
    }

    /// Sets how many bytes there are to process in total.
    pub(super) fn set_total(&self, bytes: u64) {
        self.bar.set_length(bytes);
        self.bar.enable_steady_tick(Duration::from_millis(250));
    }

    /// Starts a step.
    pub(super) fn begin(&self, what: &str) {
        self.bar.set_prefix(visible(what));
        self.bar.set_message("");
    }

    /// Shows how far the current step of `bytes` bytes is, from 0 to 1.
    pub(super) fn set(&self, bytes: u64, fraction: Option<f64>) {
        if let Some(fraction) = fraction {
            self.bar.set_position(self.done.saturating_add((bytes as f64 * fraction) as u64));
        }
    }

    /// Ends the current step, which processed `bytes` bytes.
    pub(super) fn end(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        self.bar.set_position(self.done);
        self.bar.set_prefix("");
    }

    /// Shows a message beside the bar, or on standard error if there is no bar.
    pub(super) fn note(&self, text: &str) {
        if self.bar.is_hidden() {
            warn(text);
        }
        self.bar.set_message(visible(text));
    }

    /// Hides the bar while `print` runs.
    pub(super) fn suspended(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
