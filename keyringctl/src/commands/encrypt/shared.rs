// SPDX-License-Identifier: GPL-2.0-or-later
//! What all workers of a run share: its output and progress, the report of what was done, the connections that were lost, the
//! conditions under which it waits, and the user's request to stop.

use super::super::output::Output;
use super::apply_report::ApplyReport;
use super::losses::Losses;
use super::progress::Progress;
use super::stop::StopSignal;
use super::throttle::Throttle;
use crate::show::warn;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the workers share.
pub(super) struct Shared<'a> {
    pub stop: StopSignal,
    /// Whether the work of the run has ended, so that only the summary is left.
    pub is_closing: AtomicBool,
    pub has_ended: AtomicBool,
    /// Whether a statement of this run or of another one still holds locks, so that nobody looks at the tablespaces.
    pub is_left: AtomicBool,
    /// One worker at a time asks whether to wait.
    throttle: Mutex<Throttle>,
    state: Mutex<State<'a>>,
}

/// What a worker has for itself while it changes it. It asks the server nothing meanwhile.
pub(super) struct State<'a> {
    pub out: &'a mut Output,
    pub progress: Progress,
    pub account: ApplyReport,
    pub losses: Losses,
    /// The tables that are left, as far as the run knows.
    pub left: Vec<String>,
}

impl<'a> Shared<'a> {
    pub(super) fn new(stop: StopSignal, throttle: Throttle, out: &'a mut Output) -> Shared<'a> {
        let progress = Progress::new(!out.is_json());
        let account = ApplyReport::default();
        let state = State { out, progress, account, losses: Losses::default(), left: Vec::new() };
        Shared {
            stop,
            is_closing: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            throttle: Mutex::new(throttle),
            state: Mutex::new(state),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<'a>> {
        locked(&self.state)
    }

    pub(super) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        locked(&self.throttle)
    }
}

impl Shared<'_> {
    /// Tells the user if no statement would begin now, while `what` runs. Cancelling it would lose its work.
    pub(super) fn tell_overload(&self, what: &str) {
        let mut throttle = self.throttle();
        let Some(wait) = throttle.why_not().filter(|wait| throttle.is_news(&wait.cause)) else { return };
        drop(throttle);
        self.lock().print_line(format_args!(
            "NOTE    {}. No other statement begins meanwhile. The one for {what} continues, because cancelling it would lose its work: press Ctrl-C to do so",
            wait.why
        ));
    }
}

/// Locks. A worker that panicked left nothing half-changed that matters more than the others' work.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State<'_> {
    /// Prints at once what the run waits for; on standard error if there is a document on standard output.
    pub(super) fn print_wait(&mut self, line: impl std::fmt::Display) {
        if self.out.is_json() {
            self.progress.suspended(|| warn(line));
        } else {
            self.print_line(line);
        }
    }

    /// Prints a line at once.
    pub(super) fn print_line(&mut self, line: impl std::fmt::Display) {
        let State { out, progress, .. } = self;
        out.line(line);
        progress.suspended(|| out.flush_text());
    }
}
