// SPDX-License-Identifier: GPL-2.0-or-later
//! What the drill is doing: a bar on a terminal, and otherwise a line at the beginning of each step.

use crate::show::warn;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// The progress of one step. The bar is removed at its end.
pub(super) struct Progress(ProgressBar);

/// What a step counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Things,
}

impl Progress {
    /// Begins a step with `all` units.
    pub(super) fn begin(what: &str, all: u64, unit: Unit) -> Progress {
        let is_shown = std::io::stderr().is_terminal();
        if !is_shown {
            warn(format_args!("{what} ..."));
        }
        let numbers = match unit {
            Unit::Bytes => "{bytes}/{total_bytes}",
            Unit::Things => "{pos}/{len}",
        };
        let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(&format!("{{bar:30}} {numbers} {{msg}}, {{eta}} left"));
        let bar = ProgressBar::with_draw_target(Some(all), target)
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
            .with_message(what.to_owned());
        Progress(bar)
    }

    pub(super) fn add(&self, n: u64) {
        self.0.inc(n);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.set_position(n);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
