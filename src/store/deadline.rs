// SPDX-License-Identifier: GPL-2.0-or-later
//! A limit on how long volumes may keep a call waiting (invariant 7).
//!
//! A system call on a hung mount cannot be cancelled. Therefore it runs in a separate thread, which is left
//! behind when the time is up. Tasks on several volumes run side by side, so together they take as long as
//! the slowest.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Stack size of an I/O thread in bytes.
pub(crate) const STACK: usize = 256 * 1024;
/// Stack size of a thread that speaks TLS with a remote, in bytes. In mysqld, a build without
/// optimisation touched 540 KiB.
pub(crate) const REMOTE_STACK: usize = 2 * 1024 * 1024;

/// How long after its own deadline a thread that keeps to one counts as hung.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// Why a task has no result.
#[derive(Debug)]
pub enum Late {
    /// It, or an earlier task on this path, has not ended after this time.
    Hung(Duration),
    /// The thread could not be started.
    NotStarted(io::Error),
    /// The task panicked.
    Panicked,
}

/// How long tasks on several volumes are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The time at which waiting ends in any case.
    pub until: Instant,
    /// Number of tasks that must succeed.
    pub enough: usize,
    /// How long the remaining tasks may take in total once `enough` have succeeded.
    pub slow: Duration,
}

impl Limits {
    /// Waits for all tasks, for at most `limit` from now on.
    pub(crate) fn within(limit: Duration) -> Self {
        Self { until: Instant::now() + limit, enough: usize::MAX, slow: limit }
    }
}

/// Where a task works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// On a volume. It may hang for any time.
    Volume,
    /// At a remote. The task ends by the time that it is given.
    Remote,
}

/// A task on the copy at a path.
pub struct Task<T> {
    /// The path.
    pub path: PathBuf,
    /// Where it works.
    pub place: Place,
    /// The function that runs in the task's thread, given the time by which it should have ended.
    run: Box<dyn FnOnce(Instant) -> T + Send>,
}

impl<T> Task<T> {
    /// A task on the copy at `path`.
    pub fn new(path: &Path, place: Place, run: impl FnOnce(Instant) -> T + Send + 'static) -> Self {
        Self { path: path.to_owned(), place, run: Box::new(run) }
    }
}

/// A thread that was left behind.
#[derive(Debug)]
struct LeftBehind {
    /// Dead once the thread has ended.
    thread: Weak<()>,
    waited: Duration,
    /// The process of the thread. A fork of the process does not have the thread.
    process: u32,
}

/// The threads left behind in this process, by path. While one of them hangs, no further task is started on
/// its path, however often a keyring is opened.
static LEFT_BEHIND: Mutex<Option<HashMap<PathBuf, Vec<LeftBehind>>>> = Mutex::new(None);

fn left_behind() -> MutexGuard<'static, Option<HashMap<PathBuf, Vec<LeftBehind>>>> {
    LEFT_BEHIND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns how long a task was waited for that still hangs on this path.
fn hanging(path: &Path) -> Option<Duration> {
    let mut all = left_behind();
    let all = all.as_mut()?;
    let threads = all.get_mut(path)?;
    let process = std::process::id();
    threads.retain(|t| t.process == process && t.thread.strong_count() > 0);
    let longest = threads.iter().map(|t| t.waited).max();
    if longest.is_none() {
        all.remove(path);
    }
    longest
}

/// Runs `work` on one path, for at most `limit`.
///
/// # Errors
/// [`Late`]. After [`Late::Hung`] the work may still be completed at any later time.
pub fn run<T: Send + 'static>(
    path: &Path,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Late> {
    let work = Task::new(path, Place::Volume, |_| work());
    side_by_side(vec![work], Limits::within(limit), |_| true).pop().unwrap_or(Err(Late::Panicked))
}

/// Runs tasks side by side and returns their results in the same order. `succeeded` tells which results count
/// as success. Tasks that have not ended when `limits` are reached are left behind, except that a task at a remote is
/// always waited for: it ends by the time that it is given.
pub(crate) fn side_by_side<T: Send + 'static>(
    work: Vec<Task<T>>,
    limits: Limits,
    succeeded: impl Fn(&T) -> bool,
) -> Vec<Result<T, Late>> {
    let began = Instant::now();
    let ends = limits.until.min(began + limits.slow);
    let (send, receive) = channel();
    let mut answers: Vec<Option<Result<T, Late>>> = Vec::with_capacity(work.len());
    let mut running = Vec::new();
    for (index, Task { path, place, run }) in work.into_iter().enumerate() {
        if let Some(since) = hanging(&path) {
            answers.push(Some(Err(Late::Hung(since))));
            continue;
        }
        let (alive, send) = (Arc::new(()), send.clone());
        let thread = Arc::downgrade(&alive);
        let stack = if place == Place::Remote { REMOTE_STACK } else { STACK };
        let started =
            std::thread::Builder::new().name("keyring-io".to_owned()).stack_size(stack).spawn(move || {
                // The receiver is gone if nobody waits any more.
                let _ = send.send((index, catch_unwind(AssertUnwindSafe(|| run(ends)))));
                drop(alive);
            });
        match started {
            Ok(_) => {
                running.push((index, path, place, thread));
                answers.push(None);
            }
            Err(e) => answers.push(Some(Err(Late::NotStarted(e)))),
        }
    }
    drop(send);
    let mut good = 0;
    let mut waiting = running.len();
    let mut at_remotes = running.iter().filter(|(_, _, place, _)| *place == Place::Remote).count();
    while waiting > 0 {
        let until = if good >= limits.enough { ends } else { limits.until };
        let until = if at_remotes > 0 { until.max(ends + GRACE) } else { until };
        match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((index, done)) => {
                waiting -= 1;
                let at_remote = running.iter().any(|(i, _, place, _)| *i == index && *place == Place::Remote);
                at_remotes -= usize::from(at_remote);
                let answer = done.map_err(|payload| {
                    // Dropping a payload may panic again.
                    std::mem::forget(payload);
                    Late::Panicked
                });
                good += usize::from(answer.as_ref().is_ok_and(&succeeded));
                if let Some(place) = answers.get_mut(index) {
                    *place = Some(answer);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    let process = std::process::id();
    for (index, path, _, thread) in running {
        if let Some(place @ None) = answers.get_mut(index) {
            let waited = began.elapsed();
            *place = Some(Err(Late::Hung(waited)));
            let mut all = left_behind();
            let threads = all.get_or_insert_default().entry(path).or_default();
            threads.push(LeftBehind { thread, waited, process });
        }
    }
    answers.into_iter().map(|answer| answer.unwrap_or(Err(Late::Panicked))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender};

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    fn task<T>(path: &str, run: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        Task::new(Path::new(path), Place::Volume, |_| run())
    }

    fn hangs(path: &str) -> (Sender<()>, Task<bool>) {
        let (release, wait): (Sender<()>, Receiver<()>) = channel();
        (release, task(path, move || wait.recv().is_err()))
    }

    fn ended(path: &str) {
        while hanging(Path::new(path)).is_some() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_hung_task_blocks_its_path_until_it_ends() {
        let path = Path::new("/hung/one");
        let (release, wait) = channel::<()>();
        let hung = run(path, SHORT, move || wait.recv());
        assert!(matches!(hung, Err(Late::Hung(_))));
        // No further task is started on that path.
        for _ in 0..3 {
            assert!(matches!(run(path, LONG, || unreachable!()), Err(Late::Hung(_))));
        }
        assert_eq!(run(Path::new("/hung/other"), LONG, || 7).unwrap(), 7);
        release.send(()).unwrap();
        ended("/hung/one");
        assert_eq!(run(path, LONG, || 7).unwrap(), 7);
    }

    #[test]
    fn a_path_is_blocked_until_all_its_hung_tasks_end() {
        let ((first, a), (second, b)) = (hangs("/both"), hangs("/both"));
        let done = side_by_side(vec![a, b], Limits::within(SHORT), |_| true);
        assert!(done.iter().all(|d| matches!(d, Err(Late::Hung(_)))));
        drop(second);
        while left_behind().as_ref().unwrap()[Path::new("/both")].iter().all(|t| t.thread.strong_count() > 0)
        {
            std::thread::yield_now();
        }
        assert!(hanging(Path::new("/both")).is_some());
        drop(first);
        ended("/both");
    }

    #[test]
    fn tasks_run_side_by_side_and_results_keep_their_order() {
        // Each waits for the other, so they would never end one after the other.
        let (to_a, from_b) = channel();
        let (to_b, from_a) = channel();
        let a = task("/side/a", move || {
            to_b.send(1).unwrap();
            from_b.recv().unwrap()
        });
        let b = task("/side/b", move || {
            to_a.send(2).unwrap();
            from_a.recv().unwrap()
        });
        let done: Vec<_> = side_by_side(vec![a, b], Limits::within(LONG), |_| true)
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(done, [2, 1]);
    }

    #[test]
    fn a_slow_task_is_left_behind_once_enough_have_succeeded() {
        let (release, hung) = hangs("/enough/hung");
        let all = vec![task("/enough/a", || true), hung];
        let limits = Limits { until: Instant::now() + LONG, enough: 1, slow: SHORT };
        let done = side_by_side(all, limits, |good| *good);
        assert!(matches!(done[..], [Ok(true), Err(Late::Hung(_))]), "{done:?}");
        drop(release);
        ended("/enough/hung");
        // A failed task does not count, so the slow one is needed and waited for. It ends only after the other was judged.
        let (release, slow) = hangs("/enough/slow");
        let release = std::cell::Cell::new(Some(release));
        let all = vec![task("/enough/b", || false), slow];
        let limits = Limits { until: Instant::now() + LONG, enough: 1, slow: Duration::ZERO };
        let done = side_by_side(all, limits, |good| {
            drop(release.take());
            *good
        });
        assert!(matches!(done[..], [Ok(false), Ok(true)]), "{done:?}");
    }

    #[test]
    fn a_thread_of_the_parent_process_does_not_block() {
        let alive = Arc::new(());
        let left = LeftBehind {
            thread: Arc::downgrade(&alive),
            waited: SHORT,
            process: std::process::id().wrapping_add(1),
        };
        left_behind().get_or_insert_default().insert("/forked".into(), vec![left]);
        assert_eq!(run(Path::new("/forked"), LONG, || 7).unwrap(), 7);
    }

    #[test]
    fn a_panic_is_reported() {
        let path = Path::new("/panic");
        assert!(matches!(run(path, LONG, || panic!("on purpose")), Err(Late::Panicked)));
        assert_eq!(run(path, LONG, || 7).unwrap(), 7);
    }
}
