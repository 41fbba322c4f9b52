// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks after the open keyring while not all of its copies are up to date: brings copies up to date, and adopts what
//! another program changed. A thread does that, so that a status query writes nothing and waits for nothing. It runs
//! only while there is something to do.

use super::component::registry;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the copies are looked after.
const EVERY: Duration = Duration::from_secs(5);
/// The stack of the thread in bytes.
const STACK: usize = 1 << 20;

/// What the thread does, and whether there is something to do.
#[derive(Clone, Copy)]
pub(super) struct Work {
    pub is_due: fn() -> bool,
    /// Ends early when the function that it is given says no.
    pub run: fn(&dyn Fn() -> bool),
}

/// The running thread.
struct Care {
    /// The process that it belongs to. It does not exist in a forked child.
    process: u32,
    stop: Sender<()>,
    thread: JoinHandle<()>,
    /// It does nothing any more, and is about to end.
    done: bool,
}

impl Care {
    /// Tells the thread to end, and waits until it has. If it panicked, the panic was reported to standard error.
    fn end(self) {
        drop(self.stop);
        if self.process == std::process::id() {
            let _ = self.thread.join();
        } else {
            // This process has no such thread to wait for, or to detach from.
            std::mem::forget(self.thread);
        }
    }
}

static CARE: Mutex<Option<Care>> = Mutex::new(None);

fn care() -> MutexGuard<'static, Option<Care>> {
    CARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread, unless it runs. Must not be called at a server's start: `mysqld --daemonize` forks after that, and
/// in the child a lock that the thread held would stay locked for ever.
pub(super) fn start(work: Work) {
    let mut care = care();
    let process = std::process::id();
    if care.as_ref().is_some_and(|care| care.process == process && !care.done && !care.thread.is_finished()) {
        return;
    }
    // It holds no lock any more and has almost ended. The library must not be unloaded before it has.
    if let Some(before) = care.take() {
        before.end();
    }
    let (stop, stopped) = channel();
    let named = std::thread::Builder::new().name("keyring-care".to_owned()).stack_size(STACK);
    // If there can be no thread, the next change does its work.
    if let Ok(thread) = named.spawn(move || look_after(work, &stopped)) {
        *care = Some(Care { process, stop, thread, done: false });
    }
}

/// Ends the thread, and waits until it has completed what it is doing. That takes as long as a change may take if other
/// programs hold the locks of the copies, or a volume hangs. Must be called before the library is unloaded.
pub(super) fn stop() {
    // Unlocked first, because the thread takes this lock at its end.
    let running = care().take();
    if let Some(running) = running {
        running.end();
    }
}

/// The thread. It must not wait for anything that a caller of [`stop`] may hold, such as the server's registry of
/// services.
fn look_after(work: Work, stopped: &Receiver<()>) {
    registry::leave_alone();
    let goes_on = || matches!(stopped.try_recv(), Err(TryRecvError::Empty));
    while goes_on() {
        (work.run)(&goes_on);
        // Locked, so that `start` finds the thread either working or done.
        let mut care = care();
        if !(work.is_due)() {
            if let Some(care) = care.as_mut() {
                care.done = true;
            }
            return;
        }
        drop(care);
        if !matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}
