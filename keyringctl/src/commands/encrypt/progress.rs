// SPDX-License-Identifier: GPL-2.0-or-later
//! A progress bar with bytes and time left, on a terminal only.

use crate::commands::output::visible;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

const TEMPLATE: &str =
    "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}, {eta} left: {prefix} {msg}";

pub(super) struct Progress {
    bar: ProgressBar,
    /// Bytes of what has ended.
    done: u64,
}

impl Progress {
    /// `shown`: when there is a terminal to show it on.
    pub fn new(shown: bool) -> Progress {
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

    /// So many bytes are to be done in all.
    pub fn set_total(&self, bytes: u64) {
        self.bar.set_length(bytes);
        self.bar.enable_steady_tick(Duration::from_millis(250));
    }

    pub fn begin(&self, what: &str) {
        self.bar.set_prefix(visible(what));
        self.bar.set_message("");
    }

    /// What is in hand has come so far.
    pub fn set(&self, bytes: u64, fraction: Option<f64>) {
        if let Some(fraction) = fraction {
            self.bar.set_position(self.done + (bytes as f64 * fraction) as u64);
        }
    }

    /// What was in hand has ended, with so many bytes done.
    pub fn end(&mut self, bytes: u64) {
        self.done += bytes;
        self.bar.set_position(self.done);
        self.bar.set_prefix("");
    }

    pub fn note(&self, text: &str) {
        let text = visible(text);
        if self.bar.is_hidden() {
            eprintln!("keyringctl: {text}");
        }
        self.bar.set_message(text);
    }

    /// Prints while the bar is out of the way.
    pub fn suspended(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
