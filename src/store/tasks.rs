// SPDX-License-Identifier: GPL-2.0-or-later
//! Steps on copies, with a limit on how long they take.

use super::deadline::{self, Late, Limits, Task};
use crate::config::is_remote;
use crate::error::{BadRequest, Error, Failure, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Limit for a whole change, or for opening a keyring: locking, reading and writing, on all copies.
pub const CHANGE_WAIT: Duration = Duration::from_secs(30);
/// How long a step of a change waits for a slow copy once enough others have done it, and how long one at a remote
/// takes at most.
pub(crate) const SLOW_WAIT: Duration = Duration::from_secs(10);
/// Limit for a look at a copy for a status query.
pub const PROBE_WAIT: Duration = Duration::from_secs(5);
/// Interval between attempts to take a lock that another program holds.
pub(crate) const LOCK_STEP: Duration = Duration::from_millis(5);

/// Runs one task for at most `limit`.
///
/// # Errors
/// That of the task. If the copy did not answer in time, this task fails, and so do all others on the path until it
/// answers.
pub(crate) fn run<T: Send + 'static>(task: Task<Result<T>>, limit: Duration) -> Result<T> {
    side_by_side([task], Limits::within(limit)).pop().unwrap_or(Err(BadRequest::Unavailable.into()))
}

/// Runs tasks on copies side by side, as [`deadline::side_by_side`], and returns the results in the same order.
pub(crate) fn side_by_side<T: Send + 'static>(
    work: impl IntoIterator<Item = Task<Result<T>>>,
    limits: Limits,
) -> Vec<Result<T>> {
    let work: Vec<_> = work.into_iter().collect();
    let paths: Vec<PathBuf> = work.iter().map(|task| task.path.clone()).collect();
    let done = deadline::side_by_side(work, limits, Result::is_ok);
    paths.iter().zip(done).map(|(path, done)| finished(path, done)).collect()
}

/// Turns the result of a task into that of its work.
fn finished<T>(path: &Path, done: std::result::Result<Result<T>, Late>) -> Result<T> {
    done.unwrap_or_else(|late| {
        Err(match late {
            Late::Hung(waited) => {
                let seconds = waited.as_secs_f64().round() as u64;
                Error::Failure(Failure::Hung { path: path.to_owned(), seconds })
            }
            Late::NotStarted(e) => Error::Failure(Failure::System(e)),
            Late::Panicked if is_remote(path) => Error::remote("work on", path, "an internal error"),
            Late::Panicked => Error::io("work on", path, io::Error::other("an internal error")),
        })
    })
}
