// SPDX-License-Identifier: GPL-2.0-or-later
//! A limit on how long volumes may keep a call waiting (invariant 7). A system call on a hung mount
//! cannot be broken off, so it runs on a thread of its own and is left behind. Work on several volumes
//! runs side by side: it takes as long as the slowest.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Stack of an I/O thread in bytes.
const STACK: usize = 256 * 1024;

/// Why work was not done.
#[derive(Debug)]
pub enum Late {
    /// It, or work on this path before it, was waited for so long and has not ended.
    Hung(Duration),
    /// No thread could be started.
    NotStarted(io::Error),
    /// It panicked.
    Panicked,
}

/// How long work on several volumes is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Nothing is waited for any longer than until then.
    pub until: Instant,
    /// So much of the work must succeed; it is waited for until then.
    pub enough: usize,
    /// Once enough has succeeded, the rest is waited for until it has taken so long altogether.
    pub slow: Duration,
}

impl Limits {
    /// Waits for all of the work, for at most `limit` from now on.
    pub(crate) fn within(limit: Duration) -> Self {
        Self { until: Instant::now() + limit, enough: usize::MAX, slow: limit }
    }
}

/// Something to be done on the volume of a path.
pub struct Task<T> {
    /// The path.
    pub path: PathBuf,
    /// What is done there, on a thread of its own.
    pub run: Box<dyn FnOnce() -> T + Send>,
}

/// A thread that was left behind, and how long it was waited for.
#[derive(Debug)]
struct LeftBehind {
    /// Alive while the thread goes on.
    thread: Weak<()>,
    waited: Duration,
    /// The process that it is a thread of: it does not follow into a fork.
    process: u32,
}

/// The threads left behind on each path, of the whole process: however often a keyring is opened again, no more is
/// begun on a path while some of it hangs.
static LEFT_BEHIND: Mutex<Option<HashMap<PathBuf, Vec<LeftBehind>>>> = Mutex::new(None);

fn left_behind() -> MutexGuard<'static, Option<HashMap<PathBuf, Vec<LeftBehind>>>> {
    LEFT_BEHIND.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long work was waited for that hangs on this path.
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

/// Runs work on one path, for at most `limit`.
///
/// # Errors
/// [`Late`]. After [`Late::Hung`] the work may still be done some day.
pub fn run<T: Send + 'static>(
    path: &Path,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Late> {
    let work = Task { path: path.to_owned(), run: Box::new(work) };
    side_by_side(vec![work], Limits::within(limit), |_| true).pop().unwrap_or(Err(Late::Panicked))
}

/// Runs work on several paths side by side and answers what each came to, in their order. `succeeded` tells which
/// answers count as success. A task that is not waited for any longer is left behind.
pub(crate) fn side_by_side<T: Send + 'static>(
    work: Vec<Task<T>>,
    limits: Limits,
    succeeded: impl Fn(&T) -> bool,
) -> Vec<Result<T, Late>> {
    let began = Instant::now();
    let (send, receive) = channel();
    let mut answers: Vec<Option<Result<T, Late>>> = Vec::with_capacity(work.len());
    let mut running = Vec::new();
    for (index, Task { path, run }) in work.into_iter().enumerate() {
        if let Some(since) = hanging(&path) {
            answers.push(Some(Err(Late::Hung(since))));
            continue;
        }
        let (alive, send) = (Arc::new(()), send.clone());
        let thread = Arc::downgrade(&alive);
        let started =
            std::thread::Builder::new().name("keyring-io".to_owned()).stack_size(STACK).spawn(move || {
                // Nobody may be waiting any more.
                let _ = send.send((index, catch_unwind(AssertUnwindSafe(run))));
                drop(alive);
            });
        match started {
            Ok(_) => {
                running.push((index, path, thread));
                answers.push(None);
            }
            Err(e) => answers.push(Some(Err(Late::NotStarted(e)))),
        }
    }
    drop(send);
    let mut good = 0;
    let mut waiting = running.len();
    while waiting > 0 {
        let until = if good >= limits.enough { limits.until.min(began + limits.slow) } else { limits.until };
        match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((index, done)) => {
                waiting -= 1;
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
    for (index, path, thread) in running {
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
        Task { path: path.into(), run: Box::new(run) }
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
    fn hung_work_is_left_behind_and_no_more_begun_until_it_ends() {
        let path = Path::new("/hung/one");
        let (release, wait) = channel::<()>();
        let hung = run(path, SHORT, move || wait.recv());
        assert!(matches!(hung, Err(Late::Hung(_))));
        // Whoever works on that path, and however often.
        for _ in 0..3 {
            assert!(matches!(run(path, LONG, || unreachable!()), Err(Late::Hung(_))));
        }
        assert_eq!(run(Path::new("/hung/other"), LONG, || 7).unwrap(), 7);
        release.send(()).unwrap();
        ended("/hung/one");
        assert_eq!(run(path, LONG, || 7).unwrap(), 7);
    }

    #[test]
    fn of_two_that_hang_on_one_path_both_must_end() {
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
    fn work_runs_side_by_side_and_answers_in_order() {
        // Each waits for the other: one after the other they would never end.
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
    fn what_is_slow_is_left_behind_when_enough_has_succeeded() {
        let (release, hung) = hangs("/enough/hung");
        let all = vec![task("/enough/a", || true), hung, task("/enough/b", || false)];
        let limits = Limits { until: Instant::now() + LONG, enough: 1, slow: SHORT };
        let done = side_by_side(all, limits, |good| *good);
        assert!(matches!(done[..], [Ok(true), Err(Late::Hung(_)), Ok(false)]), "{done:?}");
        drop(release);
        ended("/enough/hung");
        // What failed does not count: the slow one is needed, and waited for.
        let (release, slow) = hangs("/enough/slow");
        let all = vec![task("/enough/a", || false), slow];
        let limits = Limits { until: Instant::now() + LONG, enough: 1, slow: Duration::ZERO };
        let releasing = std::thread::spawn(move || {
            std::thread::sleep(SHORT);
            drop(release);
        });
        assert!(matches!(side_by_side(all, limits, |good| *good)[..], [Ok(false), Ok(true)]));
        releasing.join().unwrap();
    }

    #[test]
    fn a_thread_of_the_process_that_forked_is_not_waited_for() {
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
    fn a_panic_is_told() {
        let path = Path::new("/panic");
        assert!(matches!(run(path, LONG, || panic!("on purpose")), Err(Late::Panicked)));
        assert_eq!(run(path, LONG, || 7).unwrap(), 7);
    }
}
