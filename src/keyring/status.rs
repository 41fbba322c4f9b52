// SPDX-License-Identifier: GPL-2.0-or-later
//! The status of a keyring.

use crate::error::Error;
use crate::format::records::KeyRecord;
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The state of a keyring in the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum KeyringState {
    /// Every copy can be reached and is up to date.
    Attached,
    /// Some copy is missing, behind or out.
    Degraded,
    /// No copy can be reached, or none is up to date. Keys are read from memory.
    Detached,
    /// The configuration forbids changes.
    #[serde(rename = "READ_ONLY")]
    ReadOnly,
    /// No keyring is open.
    Unavailable,
}

impl fmt::Display for KeyringState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyringState::Attached => "ATTACHED",
            KeyringState::Degraded => "DEGRADED",
            KeyringState::Detached => "DETACHED",
            KeyringState::ReadOnly => "READ_ONLY",
            KeyringState::Unavailable => "UNAVAILABLE",
        })
    }
}

/// Begins the last error that a server shows while a failed reload leaves its old keyring in use.
pub const RELOAD_FAILED: &str = "cannot reload the keyring; the server keeps using the old one";

/// The state and counters of a keyring.
#[derive(Clone, Debug)]
pub struct Status {
    /// The state.
    pub state: KeyringState,
    /// Number of keys.
    pub keys: usize,
    /// Id of the keyring.
    pub id: Uuid,
    /// Generation of the keyring.
    pub generation: u64,
    /// Number of copies that can be reached and are up to date, and number of configured copies.
    pub copies: (usize, usize),
    /// Number of fetches since the keyring was opened.
    pub fetches: u64,
    /// Number of those that returned a retired key.
    pub retired_fetches: u64,
    /// Number of keys that were stored or generated.
    pub stores: u64,
    /// Number of failed operations.
    pub failures: u64,
    /// Message of the last failure, or empty.
    pub last_error: String,
}

/// Counters of an open keyring.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    fetches: AtomicU64,
    retired_fetches: AtomicU64,
    stores: AtomicU64,
    failures: AtomicU64,
    generation: AtomicU64,
    current: AtomicUsize,
    configured: AtomicUsize,
    last_error: Mutex<String>,
    /// Why a copy at a remote is away, as of the last look.
    away: Mutex<Option<String>>,
    /// When the copies were last looked at.
    looked: Mutex<Option<Instant>>,
    needs_care: AtomicBool,
    /// When all records of the copies were last read.
    records_read: Mutex<Option<Instant>>,
}

/// How long the result of a look at the copies is used. One statement asks for many variables, and many
/// monitoring agents ask one after the other.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Counters {
    /// Whether a status query must look at the copies.
    pub(super) fn look_is_due(&self) -> bool {
        let last = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|at| at.elapsed() >= LOOK_EVERY)
    }

    /// Whether some copy is known not to be up to date.
    pub(super) fn needs_care(&self) -> bool {
        self.needs_care.load(Ordering::Relaxed)
    }

    /// Whether the records of the copies must be read, which is done every `every`.
    pub(super) fn reading_is_due(&self, every: Duration) -> bool {
        let last = self.records_read.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|at| at.elapsed() >= every)
    }

    /// Records that the records of the copies were read, or that this was tried.
    pub(super) fn note_reading(&self) {
        *self.records_read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn fetched(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a fetch of a retired key.
    pub(super) fn note_if_retired(&self, key: &KeyRecord<'_>) {
        if key.retired.is_some() {
            self.retired_fetches.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn stored(&self) {
        self.stores.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, e: &Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.set_last_error(e);
    }

    pub(super) fn set_last_error(&self, e: impl fmt::Display) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = e.to_string();
    }

    /// Records why a copy at a remote is away, if one is. The state says that one is missing; each new reason is an error.
    pub(super) fn note_away(&self, why: Option<String>) {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = why.as_ref().filter(|why| away.as_ref() != Some(*why)) {
            self.set_last_error(why);
        }
        *away = why;
    }

    /// Records how many copies are up to date, of how many, and what is wrong.
    pub(super) fn note_copies(
        &self,
        generation: u64,
        (current, configured): (usize, usize),
        wrong: Option<&Error>,
        needs_care: bool,
    ) {
        self.generation.store(generation, Ordering::Relaxed);
        self.current.store(current, Ordering::Relaxed);
        self.configured.store(configured, Ordering::Relaxed);
        self.needs_care.store(needs_care, Ordering::Relaxed);
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if let Some(e) = wrong {
            self.set_last_error(e);
        }
    }

    pub(super) fn status(&self, id: Uuid, keys: usize, read_only: bool) -> Status {
        let (current, configured) =
            (self.current.load(Ordering::Relaxed), self.configured.load(Ordering::Relaxed));
        Status {
            state: match (current, read_only) {
                (0, _) => KeyringState::Detached,
                (n, _) if n < configured => KeyringState::Degraded,
                (_, true) => KeyringState::ReadOnly,
                (_, false) => KeyringState::Attached,
            },
            keys,
            id,
            generation: self.generation.load(Ordering::Relaxed),
            copies: (current, configured),
            fetches: self.fetches.load(Ordering::Relaxed),
            retired_fetches: self.retired_fetches.load(Ordering::Relaxed),
            stores: self.stores.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
