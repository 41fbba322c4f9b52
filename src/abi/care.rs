// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks after a keyring in use whose copies are not all up to date: takes copies back that were away, and takes over
//! what another program has changed. A thread of its own does that, so that a status query writes nothing and waits
//! for nothing; it runs only while there is something to look after.

use super::component::log;
use super::instance;
use crate::keyring::Keyring;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the copies are seen to while one of them is not up to date.
const EVERY: Duration = Duration::from_secs(5);
/// Its stack in bytes.
const STACK: usize = 1 << 20;

/// The thread at work.
struct Care {
    /// The process that it is a thread of: it does not follow into a fork.
    process: u32,
    stop: Sender<()>,
    thread: JoinHandle<()>,
    /// It looks after nothing any more, and is about to end.
    done: bool,
}

impl Care {
    /// Tells the thread to end and waits until it has. It catches no panic, and has told it if it had one.
    fn end(self) {
        drop(self.stop);
        if self.process == std::process::id() {
            let _ = self.thread.join();
        } else {
            // There is nothing in this process to wait for, or to detach from.
            std::mem::forget(self.thread);
        }
    }
}

static CARE: Mutex<Option<Care>> = Mutex::new(None);

fn care() -> MutexGuard<'static, Option<Care>> {
    CARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread when the keyring needs it. Not to be called at a server's start: `mysqld --daemonize` forks
/// afterwards, and a lock that the thread held then would be held for ever.
pub(super) fn start_for(keyring: &Keyring) {
    if instance::needs_care(keyring) {
        start();
    }
}

/// Starts the thread, unless it runs.
pub(super) fn start() {
    let mut care = care();
    let process = std::process::id();
    if care.as_ref().is_some_and(|care| care.process == process && !care.done && !care.thread.is_finished()) {
        return;
    }
    // It holds no lock any more, and is all but gone: the library must not be unloaded before it is.
    if let Some(before) = care.take() {
        before.end();
    }
    let (stop, stopped) = channel();
    let named = std::thread::Builder::new().name("keyring-care".to_owned()).stack_size(STACK);
    // Without a thread, the next change does its work.
    if let Ok(thread) = named.spawn(move || look_after(&stopped)) {
        *care = Some(Care { process, stop, thread, done: false });
    }
}

/// Ends the thread, and waits until it has put down what it has in hand: as long as a change may take, while the locks of
/// the copies are held elsewhere or a volume hangs. To be called before the library is unloaded.
pub(super) fn stop() {
    // The lock is given back first: the thread takes it at its end.
    let running = care().take();
    if let Some(running) = running {
        running.end();
    }
}

/// The thread. It must not wait for anything that a caller of [`stop`] may hold, as the server's registry of services.
fn look_after(stopped: &Receiver<()>) {
    log::leave_registry_alone();
    let goes_on = || matches!(stopped.try_recv(), Err(TryRecvError::Empty));
    while goes_on() {
        instance::tend(goes_on);
        // Held, so that whoever starts the thread either sees it at work or gone.
        let mut care = care();
        if !instance::get().is_some_and(|keyring| instance::needs_care(&keyring)) {
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
