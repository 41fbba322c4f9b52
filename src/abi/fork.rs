// SPDX-License-Identifier: GPL-2.0-or-later
//! `mysqld --daemonize` forks after the component has opened its keyring, and memory that is locked is not locked in the
//! child.

use super::level::Level;
use super::services::log;
use crate::secret;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The process that locked the keys' memory; 0 as long as no fork is expected.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// Has [`lock_memory_again`] look for a fork from now on. The component is loaded before the server forks; the plugin is
/// loaded after that, and need not pay for asking.
pub(super) fn expect_one() {
    // If the process is known already, it may be another one meanwhile: `lock_memory_again` finds that.
    let _ = PROCESS.compare_exchange(0, process::id(), Ordering::Relaxed, Ordering::Relaxed);
}

/// Locks all memory that holds keys, if this is another process than the one that locked it. The server forks while no
/// call is in progress here: so no lock of this library is held by a thread that the child does not have.
pub(super) fn lock_memory_again() {
    let locked_by = PROCESS.load(Ordering::Relaxed);
    // To ask which process this is takes a system call. A reader asks only once.
    if locked_by == 0
        || locked_by == process::id()
        || PROCESS.swap(process::id(), Ordering::Relaxed) != locked_by
    {
        return;
    }
    secret::lock_again(|address, len| {
        // SAFETY: changes no byte of the mapping, which is the keyring's own and stays while this runs.
        unsafe { rustix::mm::mlock(std::ptr::without_provenance_mut(address), len) }.is_ok()
    });
    log_lock_failure();
}

/// Warns once if memory could not be locked.
pub(super) fn log_lock_failure() {
    if secret::lock_failure_to_report() {
        log(
            Level::Warning,
            "some memory that holds keys could not be locked and may be written to swap: raise the server's \
             limit (LimitMEMLOCK= in its systemd unit, or ulimit -l)",
        );
    }
}
