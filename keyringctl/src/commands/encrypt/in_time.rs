// SPDX-License-Identifier: GPL-2.0-or-later
//! Ends a run within a second after Ctrl-C, whatever it waits for. Most of what it does is cancelled sooner. But a statement of
//! somebody else, or of this run, may hold what a query needs, for example while `ALTER TABLESPACE` waits for a transaction; and
//! some short statements are not cancelled. A run that ends there leaves no more behind than one that is killed.

use super::held_up::HeldUp;
use super::shared::{Shared, State};
use crate::commands::command_line::command_line;
use crate::commands::output::counted;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result, ServerError};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How often it looks for the signal.
const TICK: Duration = Duration::from_millis(50);
/// How long the work may go on after it.
const WORK: Duration = Duration::from_millis(850);
/// How long until the summary must be there, which asks the server what is left.
const SUMMARY: Duration = Duration::from_secs(3);
/// How many names the last line lists.
const MOST: usize = 10;
/// The exit code of a run that was stopped.
const STOPPED: i32 = 1;

/// Tells that the run has ended, also if it panics.
struct Ended<'a>(&'a AtomicBool, Thread);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.unpark();
    }
}

/// Does the work of a run. If it does not end in time after the user asked to stop, `say` says what is left, and the program
/// ends.
///
/// # Errors
/// Those of the work. After the user asked to stop, it does not matter that the server is gone.
pub(super) fn in_time(
    shared: &Shared<'_>,
    held_up: HeldUp,
    say: impl Fn(&mut State<'_>) + Send + Sync,
    work: impl FnOnce() -> Result<Verdict>,
) -> Result<Verdict> {
    let say = &say;
    let done = thread::scope(|scope| {
        let watch = scope.spawn(move || {
            if is_late(shared, &held_up) {
                let state = &mut *shared.lock();
                state.progress.clear();
                say(state);
                // If the reader is gone, nobody reads it.
                let _ = state.out.finish();
                process::exit(STOPPED);
            }
        });
        let _ended = Ended(&shared.has_ended, watch.thread().clone());
        work()
    });
    match done {
        Err(Error::Server(ServerError { silent: true, .. })) if shared.stop.is_signalled() => {
            say(&mut shared.lock());
            Ok(Verdict::NotFine)
        }
        done => done,
    }
}

/// Waits until the run has ended, or should have. Says meanwhile what it waits for.
fn is_late(shared: &Shared<'_>, held_up: &HeldUp) -> bool {
    let mut signalled: Option<Instant> = None;
    while !shared.has_ended.load(Ordering::Relaxed) {
        if signalled.is_none() && shared.stop.is_signalled() {
            signalled = Some(Instant::now());
        }
        let limit = if shared.is_closing.load(Ordering::Relaxed) { SUMMARY } else { WORK };
        if signalled.is_some_and(|at| at.elapsed() >= limit) {
            return true;
        }
        for line in held_up.news() {
            shared.lock().print_wait(line);
        }
        thread::park_timeout(TICK);
    }
    false
}

/// Says what a run of apply has done and left, as far as that is known without asking the server.
pub(super) fn say_stopped(state: &mut State<'_>) {
    let State { out, account, left, .. } = state;
    account.interrupted = true;
    account.left.clone_from(left);
    out.line("");
    out.line(format!(
        "Stopped. {} done{}. To continue, run: {}",
        counted(account.done.len(), "step"),
        listed(left),
        command_line()
    ));
    out.document(account);
}

fn listed(left: &[String]) -> String {
    match left.len() {
        0 => String::new(),
        n if n <= MOST => format!(", {n} left: {}", left.join(", ")),
        n => format!(", {n} left: {} and {} more", left[..MOST].join(", "), n - MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named_up_to_a_limit() {
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&["a.t".to_owned(), "a.u".to_owned()]), ", 2 left: a.t, a.u");
        let many: Vec<_> = (0..12).map(|n| format!("a.t{n}")).collect();
        assert!(listed(&many).starts_with(", 12 left: a.t0, ") && listed(&many).ends_with("a.t9 and 2 more"));
    }
}
