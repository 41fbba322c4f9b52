// SPDX-License-Identifier: GPL-2.0-or-later
//! The one keyring that this loaded library serves: opening it, changing it, and replacing it by another.

use super::audit;
use super::care::{self, Work};
use super::fork;
use super::level::Level;
use super::services::log;
use crate::config::{Config, is_remote};
use crate::error::{BadRequest, Error, Refusal, Result};
use crate::keyring::{Keyring, Severity, Status, Trust};
use crate::store::file::real::RealFs;
use crate::store::file::volume;
use crate::store::places::Places;
use std::iter;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

static CURRENT: RwLock<Option<Arc<Keyring>>> = RwLock::new(None);

/// How often [`CURRENT`] was replaced.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Held during every change of the open keyring, and while another keyring is opened and takes its place. So no change
/// is made on a keyring that was replaced. Fetches and status queries do not wait for it.
static CHANGING: Mutex<()> = Mutex::new(());

/// Why a server opens its keyring.
const START: &str = "the server starts";

/// Whether opening the open keyring left something to be written. Changed while [`CHANGING`] is held.
static UNSETTLED: AtomicBool = AtomicBool::new(false);

/// Why the component could not load the keyring that it was last told to load; empty if it could.
static LOAD_FAILURE: Mutex<String> = Mutex::new(String::new());

fn changing() -> MutexGuard<'static, ()> {
    CHANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the open keyring, to be read from. Changes go through [`change`].
pub(super) fn get() -> Option<Arc<Keyring>> {
    fork::lock_memory_again();
    CURRENT.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// How often another keyring, or none, took the place of the open one. As long as it stays the same, so does what
/// [`get`] returns.
pub(super) fn count() -> u64 {
    COUNT.load(Ordering::Acquire)
}

/// Reads from the open keyring.
pub(super) fn read<R>(operation: impl FnOnce(&Keyring) -> Result<R>) -> Result<R> {
    let keyring = get().ok_or(BadRequest::Unavailable)?;
    let done = operation(&keyring);
    start_care_for(&keyring);
    done
}

/// Changes the open keyring.
pub(super) fn change<R>(operation: impl FnOnce(&Keyring) -> Result<R>) -> Result<R> {
    let changing = changing();
    let keyring = get().ok_or(BadRequest::Unavailable)?;
    let done = operation(&keyring);
    drop(changing);
    start_care_for(&keyring);
    done
}

/// As [`change`], and first writes what opening the keyring has left to be written.
pub(super) fn settle_and_change<R>(operation: impl FnOnce(&Keyring) -> Result<R>) -> Result<R> {
    change(|keyring| {
        settle_if_due(keyring);
        operation(keyring)
    })
}

/// Writes what opening the keyring has left to be written, adopts what another program changed, and brings copies up to
/// date, as far as there is something to do; ends early when `goes_on` says no.
fn maintain(goes_on: &dyn Fn() -> bool) {
    let _changing = changing();
    audit::write_replaced();
    if let Some(keyring) = get() {
        settle_if_due(&keyring);
        if goes_on() && keyring.needs_care() {
            keyring.maintain();
        }
    }
}

/// Whether [`maintain`] may have something to do.
fn needs_care(keyring: &Keyring) -> bool {
    keyring.needs_care() || UNSETTLED.load(Ordering::Relaxed)
}

/// The thread's work: [`maintain`], while that may have something to do.
const CARE: Work = Work { is_due: || get().is_some_and(|keyring| needs_care(&keyring)), run: maintain };

/// Has the thread look after the keyring if that needs it.
fn start_care_for(keyring: &Keyring) {
    if needs_care(keyring) {
        care::start(CARE);
    }
}

/// The status of the open keyring, for a client that asks. During a change, or while the keyring is replaced, it is the
/// status that is known from before.
pub(super) fn status() -> Option<Status> {
    let idle = match CHANGING.try_lock() {
        Ok(idle) => Some(idle),
        Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    let keyring = get()?;
    let status = if idle.is_some() { keyring.status() } else { keyring.known_status() };
    drop(idle);
    start_care_for(&keyring);
    Some(status)
}

/// Records why the component could not load a keyring; an empty text if it could.
pub(super) fn set_load_failure(why: String) {
    *LOAD_FAILURE.lock().unwrap_or_else(PoisonError::into_inner) = why;
}

/// The last error to show: of the last load, which matters more than that of a call, or else of the keyring.
pub(super) fn last_error(status: Option<&Status>) -> String {
    let of_load = LOAD_FAILURE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if of_load.is_empty() { status.map_or(String::new(), |s| s.last_error.clone()) } else { of_load }
}

/// Puts a keyring from [`open`] to use, or none. The one before it goes when the last call on it has ended.
pub(super) fn set(keyring: Option<Arc<Keyring>>) {
    let _changing = changing();
    let old = put(keyring, false);
    audit::write_replaced();
    if let Some(old) = old {
        audit::closed(&old, "the server closed it");
    }
}

/// Puts a keyring from [`open_untouched`] to use.
pub(super) fn set_unsettled(keyring: Arc<Keyring>) {
    let _changing = changing();
    drop(put(Some(keyring), true));
}

/// Puts a keyring to use. Returns the one before it. [`CHANGING`] must be held.
fn put(keyring: Option<Arc<Keyring>>, unsettled: bool) -> Option<Arc<Keyring>> {
    UNSETTLED.store(unsettled, Ordering::Relaxed);
    let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *current, keyring);
    COUNT.fetch_add(1, Ordering::Release);
    drop(current);
    old
}

/// Opens the keyring of `config`, brings its copies up to date, and logs what it found.
pub(super) fn open(config: &Config, trust: Trust) -> Result<Arc<Keyring>> {
    let keyring = open_and_log(config, trust, START)?;
    settle(&keyring);
    Ok(keyring)
}

/// As [`open`] at a server's start, but writes nothing: [`settle_and_change`] and [`maintain`] do that.
pub(super) fn open_untouched(config: &Config) -> Result<Arc<Keyring>> {
    let config = Config { auto_create: false, ..config.clone() };
    open_and_log(&config, Trust::Witness, START)
}

/// Opens the keyring that is to replace the open one, for an administrator who waits for the answer. Nothing is written.
pub(super) fn open_other(config: &Config) -> Result<Arc<Keyring>> {
    let config = Config { wait: 0, ..config.clone() };
    // Both may be of the same files.
    let _changing = changing();
    let new = open_and_log(&config, Trust::Administrator, "an administrator named it, or had it read again")?;
    let Some(old) = get() else { return Ok(new) };
    let missing = old.check_successor(&new)?;
    if missing > 0 {
        log(
            Level::Warning,
            &format!(
                "{missing} keys of the keyring at {} are not in the one at {}: after a restart with the new one, the \
                 server cannot read data encrypted with them",
                old.path().display(),
                config.path.display()
            ),
        );
    }
    Ok(new)
}

/// Replaces the open keyring by one from [`open_other`]. No file is touched: the thread of [`care`] brings copies up to
/// date afterwards.
pub(super) fn replace(new: &Arc<Keyring>) -> Result<()> {
    let changing = changing();
    if let Some(old) = get() {
        old.hand_over_to(new)?;
    }
    if let Some(old) = put(Some(Arc::clone(new)), true) {
        audit::replaced(old);
    }
    drop(changing);
    care::start(CARE);
    Ok(())
}

/// [`CHANGING`] must be held.
fn settle_if_due(keyring: &Keyring) {
    // Every change asks: a load costs less than an exchange.
    if UNSETTLED.load(Ordering::Relaxed) {
        UNSETTLED.store(false, Ordering::Relaxed);
        settle(keyring);
    }
}

/// The keyring can be used whether this succeeds or not.
fn settle(keyring: &Keyring) {
    if let Err(e) = keyring.bring_up_to_date() {
        log(Level::Warning, &e.to_string());
    }
}

fn open_and_log(config: &Config, trust: Trust, why: &'static str) -> Result<Arc<Keyring>> {
    let places = Places::new(Arc::new(RealFs), &config.remotes);
    let opened = without_datadir(config)
        .and_then(|config| Keyring::open(&places, &config, trust, log_line))
        .inspect_err(|e| audit::not_opened(config, why, e));
    let (keyring, notes) = opened?;
    audit::opened(&keyring, config, why);
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
    fork::log_lock_failure();
    Ok(Arc::new(keyring))
}

/// Keeps the data directory in the configuration only if it is one, with a witness or a place for it. Otherwise applies
/// only the rule about the volume. `mysqld --initialize` creates its data directory after it has loaded components,
/// `mysql_migrate_keyring` names a directory with nothing but a configuration, and mysqld migrates keys wherever it was
/// started.
fn without_datadir(config: &Config) -> Result<Config> {
    let mut config = config.clone();
    let other = |dir: &mut PathBuf| !dir.join("mysql.ibd").exists();
    if let Some(dir) = config.datadir.take_if(other)
        && let Some(there) = dir.ancestors().find(|dir| dir.is_dir())
        && !config.allow_same_device
    {
        let files = iter::once(&config.path).chain(&config.mirrors).filter(|path| !is_remote(path));
        for path in files {
            match volume::check_device(&RealFs, path, there) {
                // Opening it says what is missing.
                Ok(()) | Err(Error::Refusal(Refusal::Missing { .. })) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(config)
}

/// Writes a line of an open keyring to the error log.
fn log_line(severity: Severity, message: &str) {
    let level = match severity {
        Severity::Warning => Level::Warning,
        Severity::Note => Level::Note,
    };
    log(level, message);
}
