// SPDX-License-Identifier: GPL-2.0-or-later
//! The one keyring that this loaded library serves.

use super::care;
use super::services::{Level, log};
use crate::config::Config;
use crate::error::{BadRequest, Error, Refusal, Result};
use crate::keyring::{Keyring, Severity, Status, Trust};
use crate::secret;
use crate::store::fs::Fs;
use crate::store::real::RealFs;
use crate::store::volume;
use std::iter;
use std::path::PathBuf;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

static CURRENT: RwLock<Option<Arc<Keyring>>> = RwLock::new(None);
/// How often another one took its place.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// How often a call follows keyrings that give way to others.
const MOST_TURNS: u32 = 1000;

/// The open keyring, while it is one that [`set_unsettled`] or [`replace`] put to use and nobody has settled. Changed with
/// [`CURRENT`], so that a keyring that gave way is never taken for the one in its place.
static UNSETTLED: Mark<Keyring> = Mark::none();

/// The process that locked the keys' memory; 0 while none that may fork has.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The open keyring.
pub(super) fn get() -> Option<Arc<Keyring>> {
    lock_memory_after_fork();
    CURRENT.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Has [`get`] look for a fork from now on: the component is loaded before `mysqld --daemonize` forks. The plugin is
/// loaded after that, and need not pay for asking.
pub(super) fn expect_fork() {
    // Where it is known already, the process may be another one meanwhile: that is for `get` to find.
    let _ = PROCESS.compare_exchange(0, process::id(), Ordering::Relaxed, Ordering::Relaxed);
}

/// A fork does not take locks along. The server forks while no call is under way here, so that all memory that holds
/// keys is the open keyring's, and no lock of this library is held by a thread that the child does not have.
fn lock_memory_after_fork() {
    let locked_by = PROCESS.load(Ordering::Relaxed);
    // Asking which process this is costs a system call: a fetch does not come here, but for the first one of a thread.
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
    tell_lock_failure();
}

fn tell_lock_failure() {
    if secret::lock_failure_to_report() {
        log(
            Level::Warning,
            "some memory that holds keys could not be locked and may be written to swap: raise the server's \
             limit (LimitMEMLOCK= in its systemd unit, or ulimit -l)",
        );
    }
}

/// How often another keyring, or none, took the place of the one that is open. Whoever keeps what [`get`] answered asks
/// for this first: while it is the same, so is the open keyring.
pub(super) fn count() -> u64 {
    COUNT.load(Ordering::Acquire)
}

/// Runs an operation on the open keyring, and again when that one gave way to another meanwhile.
pub(super) fn on_open<R>(operation: impl Fn(&Arc<Keyring>) -> Result<R>) -> Result<R> {
    let once = || {
        let keyring = get().ok_or(Error::BadRequest(BadRequest::Unavailable))?;
        let done = operation(&keyring);
        care::start_for(&keyring);
        done
    };
    // An administrator's statement is behind each turn, so that few are enough.
    for _ in 0..MOST_TURNS {
        match once() {
            Err(Error::BadRequest(BadRequest::Retired)) => {}
            done => return done,
        }
    }
    once()
}

/// The status of the open keyring, for a client that asks.
pub(super) fn status() -> Option<Status> {
    let keyring = get()?;
    let status = keyring.status();
    care::start_for(&keyring);
    Some(status)
}

/// Puts another one in its place, or none. The old one goes when the last call on it has ended.
pub(super) fn set(keyring: Option<Arc<Keyring>>) {
    put(keyring, false);
}

/// As [`set`], with one from [`open_untouched`]; [`settle_if_due`] writes what that did not.
pub(super) fn set_unsettled(keyring: Arc<Keyring>) {
    put(Some(keyring), true);
}

fn put(keyring: Option<Arc<Keyring>>, unsettled: bool) {
    let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
    UNSETTLED.set(keyring.as_ref().filter(|_| unsettled));
    let old = std::mem::replace(&mut *current, keyring);
    COUNT.fetch_add(1, Ordering::Release);
    drop(current);
    drop(old);
}

/// Opens the keyring of `config`, brings its copies up to date and tells the log what it found.
pub(super) fn open(config: &Config, trust: Trust) -> Result<Arc<Keyring>> {
    let keyring = open_and_tell(config, trust)?;
    settle(&keyring);
    Ok(keyring)
}

/// As [`open`] at a server's start, but writes nothing: [`set_unsettled`] puts it to use.
pub(super) fn open_untouched(config: &Config) -> Result<Arc<Keyring>> {
    let config = Config { auto_create: false, ..config.clone() };
    open_and_tell(&config, Trust::Witness)
}

/// Does what [`open_untouched`] or [`replace`] left to be done, if `keyring` is the one that they opened and still in use.
pub(super) fn settle_if_due(keyring: &Arc<Keyring>) {
    if UNSETTLED.take(keyring) {
        settle(keyring);
    }
}

/// Whether [`settle_if_due`] has something to do.
pub(super) fn is_unsettled() -> bool {
    UNSETTLED.is_set()
}

fn open_and_tell(config: &Config, trust: Trust) -> Result<Arc<Keyring>> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let config = &without_datadir(config)?;
    let (keyring, notes) = Keyring::open(&fs, config, trust, report)?;
    let status = keyring.known_status();
    log(
        Level::Note,
        &format!(
            "opened the keyring {} at {}: {} keys, generation {}",
            status.id,
            config.path.display(),
            status.keys,
            status.generation
        ),
    );
    for note in notes {
        let level = if note.is_damage() { Level::Warning } else { Level::Note };
        log(level, &format!("{}: {note}", config.path.display()));
    }
    tell_lock_failure();
    Ok(Arc::new(keyring))
}

/// The witness belongs into a data directory. `mysqld --initialize` makes its own after it has loaded
/// components, `mysql_migrate_keyring` names a directory with nothing but a configuration, and mysqld migrates
/// keys wherever it was started: there it has no place, and only the rule about the volume is kept.
fn without_datadir(config: &Config) -> Result<Config> {
    let mut config = config.clone();
    let other = |dir: &mut PathBuf| !dir.join("mysql.ibd").exists();
    if let Some(dir) = config.datadir.take_if(other)
        && let Some(there) = dir.ancestors().find(|dir| dir.is_dir())
        && !config.allow_same_device
    {
        for path in iter::once(&config.path).chain(&config.mirrors) {
            match volume::check_device(&RealFs, path, there) {
                // What is not there is told when it is opened.
                Ok(()) | Err(Error::Refusal(Refusal::Missing { .. })) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(config)
}

/// The keyring can be used whether this succeeds or not.
fn settle(keyring: &Keyring) {
    match keyring.settle() {
        // The one in its place is settled by itself.
        Ok(()) | Err(Error::BadRequest(BadRequest::Retired)) => {}
        Err(e) => log(Level::Warning, &e.to_string()),
    }
}

/// Opens the keyring that is to take the place of the one in use, for an administrator who waits for the
/// answer.
pub(super) fn open_other(config: &Config) -> Result<Arc<Keyring>> {
    let config = Config { wait: 0, ..config.clone() };
    let open = || open_and_tell(&config, Trust::Administrator);
    let (old, new, missing) = loop {
        let Some(old) = get() else { return open() };
        match old.open_successor(open) {
            // Another session was faster: the one in use is another now.
            Err(Error::BadRequest(BadRequest::Retired)) => {}
            opened => {
                let (new, missing) = opened?;
                break (old, new, missing);
            }
        }
    };
    if missing > 0 {
        log(
            Level::Warning,
            &format!(
                "{missing} keys of the keyring at {} are not in the one at {}: data encrypted with them cannot \
                 be read after a restart with the new one",
                old.path().display(),
                config.path.display()
            ),
        );
    }
    Ok(new)
}

/// Puts a keyring from [`open_other`] in the place of the one in use, between two changes of that one. No file is
/// touched: copies that are not up to date are seen to afterwards, on a thread of its own.
pub(super) fn replace(new: &Arc<Keyring>) -> Result<()> {
    loop {
        let swap = || set_unsettled(Arc::clone(new));
        let done = match get() {
            Some(old) => old.give_way(new, swap),
            None => {
                swap();
                Ok(())
            }
        };
        match done {
            // Another session was faster: the one in use is another now.
            Err(Error::BadRequest(BadRequest::Retired)) => {}
            done => {
                done?;
                care::start();
                return Ok(());
            }
        }
    }
}

/// Takes what a keyring in use reports to the error log.
fn report(severity: Severity, message: &str) {
    let level = match severity {
        Severity::Warning => Level::Warning,
        Severity::Note => Level::Note,
    };
    log(level, message);
}

/// Which of several shared values is meant: the address of one that is in use somewhere, or none.
struct Mark<T>(AtomicPtr<T>);

impl<T> Mark<T> {
    const fn none() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    fn set(&self, value: Option<&Arc<T>>) {
        self.0.store(value.map_or(ptr::null_mut(), Self::address), Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        !self.0.load(Ordering::Relaxed).is_null()
    }

    /// Whether `value` was meant. If so, it is no longer.
    fn take(&self, value: &Arc<T>) -> bool {
        // Every change asks: a load costs less.
        self.is_set()
            && self
                .0
                .compare_exchange(Self::address(value), ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn address(value: &Arc<T>) -> *mut T {
        Arc::as_ptr(value).cast_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marked_one_takes_the_mark_and_once() {
        let (mark, old, new) = (Mark::none(), Arc::new(1), Arc::new(1));
        assert!(!mark.is_set() && !mark.take(&new));
        mark.set(Some(&new));
        assert!(!mark.take(&old) && mark.is_set());
        assert!(mark.take(&Arc::clone(&new)) && !mark.take(&new) && !mark.is_set());
        mark.set(Some(&new));
        mark.set(None);
        assert!(!mark.take(&new));
    }
}
