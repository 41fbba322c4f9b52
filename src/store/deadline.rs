// SPDX-License-Identifier: GPL-2.0-or-later
//! A limit on how long a volume may keep a call waiting (invariant 7). A system call on a hung mount
//! cannot be broken off, so it runs on a thread of its own and is left behind.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Stack of an I/O thread in bytes.
const STACK: usize = 256 * 1024;

/// Why work was not done.
#[derive(Debug)]
pub enum Late {
    /// It, or work before it, has not ended in time.
    Hung,
    /// No thread could be started.
    NotStarted(io::Error),
    /// It panicked.
    Panicked,
}

/// Runs work on one volume; as long as some of it hangs, no more is begun.
#[derive(Clone, Debug, Default)]
pub struct Deadline {
    /// Alive while the work that was left behind goes on.
    left_behind: Arc<Mutex<Weak<()>>>,
}

impl Deadline {
    /// Runs `work`, for at most `limit`.
    ///
    /// # Errors
    /// [`Late`]. After [`Late::Hung`] the work may still be done some day.
    pub fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Late> {
        if self.lock().upgrade().is_some() {
            return Err(Late::Hung);
        }
        let alive = Arc::new(());
        let working = Arc::downgrade(&alive);
        let (send, receive) = sync_channel(1);
        std::thread::Builder::new()
            .name("keyring-io".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                // Nobody may be waiting any more.
                let _ = send.send(catch_unwind(AssertUnwindSafe(work)));
                drop(alive);
            })
            .map_err(Late::NotStarted)?;
        match receive.recv_timeout(limit) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(payload)) => {
                // Dropping a payload may panic again.
                std::mem::forget(payload);
                Err(Late::Panicked)
            }
            Err(RecvTimeoutError::Disconnected) => Err(Late::Panicked),
            Err(RecvTimeoutError::Timeout) => {
                *self.lock() = working;
                Err(Late::Hung)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Weak<()>> {
        self.left_behind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn hung_work_is_left_behind_and_no_more_begun_until_it_ends() {
        let deadline = Deadline::default();
        let (release, wait) = channel::<()>();
        let hung = deadline.run(Duration::from_millis(20), move || wait.recv());
        assert!(matches!(hung, Err(Late::Hung)));
        let begun = deadline.run(Duration::from_secs(10), || unreachable!());
        assert!(matches!(begun, Err(Late::Hung)));
        release.send(()).unwrap();
        while deadline.lock().upgrade().is_some() {
            std::thread::yield_now();
        }
        assert_eq!(deadline.run(Duration::from_secs(10), || 7).unwrap(), 7);
    }

    #[test]
    fn a_panic_is_told() {
        let deadline = Deadline::default();
        assert!(matches!(
            deadline.run(Duration::from_secs(10), || panic!("on purpose")),
            Err(Late::Panicked)
        ));
        assert_eq!(deadline.run(Duration::from_secs(10), || 7).unwrap(), 7);
    }
}
