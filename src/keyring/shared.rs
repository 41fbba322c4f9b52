// SPDX-License-Identifier: GPL-2.0-or-later
//! An open keyring as its threads share it: memory, the writer, and their locks.

use super::choose::KeyringParts;
use super::log::Log;
use super::memory::Memory;
use super::reopen::Reopen;
use super::status::Counters;
use super::trust::Trust;
use super::until::Until;
use super::witness::{WitnessFile, Witnessed};
use super::writer::Writer;
use crate::audit::Event;
use crate::config::is_remote;
use crate::error::{BadRequest, Error, Result};
use crate::format::image::Note;
use crate::store::file::fs::Fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use uuid::Uuid;

/// An open keyring. All methods can be called from many threads at once. Fetches do not block one another.
#[derive(Debug)]
pub struct Keyring {
    pub(super) memory: RwLock<Memory>,
    /// Locked during every change, so that changes are made one after the other.
    pub(super) writer: Mutex<Writer>,
    pub(super) read_only: AtomicBool,
    /// How to read the keyring again. `None` if a change by another program is refused.
    pub(super) reopen: Option<Reopen>,
    pub(super) id: Uuid,
    pub(super) counters: Counters,
    /// How many times memory has lost keys. Changed only while memory is locked for writing.
    pub(super) losses: AtomicU64,
}

/// Why a copy at a remote is away, if one is.
fn remote_away(writer: &Writer) -> Option<String> {
    let mut remotes = writer.standings().into_iter().filter(|(path, _)| is_remote(path));
    remotes.find_map(|(_, standing)| standing.refusal().map(str::to_owned))
}

impl Keyring {
    /// Makes a keyring from its parts. `reopen` says how to read it again after another program has changed
    /// it.
    pub(super) fn new(parts: KeyringParts, reopen: Option<Reopen>) -> (Self, Vec<Note>) {
        let KeyringParts { memory, writer, notes } = parts;
        let counters = Counters::default();
        counters.note_away(remote_away(&writer));
        counters.note_copies(writer.commit().generation, writer.count(), None, writer.needs_care());
        // Opening it has read them all.
        counters.note_reading();
        let id = writer.header().id;
        let keyring = Self {
            memory: RwLock::new(memory),
            writer: Mutex::new(writer),
            read_only: AtomicBool::new(false),
            reopen,
            id,
            counters,
            losses: AtomicU64::new(0),
        };
        (keyring, notes)
    }

    /// Id of the keyring.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Path of the first copy.
    pub fn path(&self) -> PathBuf {
        self.lock_writer().path().to_owned()
    }

    /// Refuses changes from now on, or allows them again.
    pub(crate) fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    /// Compares this keyring with the witness in a data directory. Writes nothing.
    ///
    /// # Errors
    /// [`Refusal::WitnessForeign`](crate::error::Refusal::WitnessForeign),
    /// [`Refusal::WitnessOlder`](crate::error::Refusal::WitnessOlder),
    /// [`Refusal::WitnessFork`](crate::error::Refusal::WitnessFork); I/O errors.
    pub fn check_witness(&self, fs: &Arc<dyn Fs>, datadir: &Path) -> Result<Witnessed> {
        self.lock_writer().check_against(&WitnessFile::new(fs, datadir, |_, _| {}))
    }

    /// Writes the present state of this keyring to the witness in a data directory, whatever the witness
    /// says.
    ///
    /// # Errors
    /// I/O errors.
    pub fn write_witness(&mut self, fs: &Arc<dyn Fs>, datadir: &Path, log: Log) -> Result<()> {
        let id = self.id;
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        writer.accept_witness(WitnessFile::new(fs, datadir, log), &id)
    }

    /// Compares this keyring with the witness in the data directory, which follows it from its first use on.
    pub(super) fn ask_witness(&mut self, witness: WitnessFile, trust: Trust) -> Result<()> {
        self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).ask_witness(witness, trust)
    }

    /// Records the result of a change for the status variables and the audit log.
    pub(super) fn counted<R>(&self, event: &Event, change: impl FnOnce() -> Result<R>) -> Result<R> {
        let done = self.recording(event, change);
        if let Some(mut writer) = self.try_lock_writer() {
            self.note(&mut writer, None, false);
            writer.record_copies();
        }
        done.inspect_err(|e| self.counters.failed(e))
    }

    pub(super) fn note(&self, writer: &mut Writer, wrong: Option<&Error>, by_another: bool) {
        writer.report_changed();
        if let Some(unusable) = writer.report_settings() {
            self.counters.set_last_error(&unusable);
        }
        if wrong.is_none() {
            self.counters.note_away(remote_away(writer));
        }
        let needs_care = by_another || writer.needs_care();
        self.counters.note_copies(writer.commit().generation, writer.count(), wrong, needs_care);
    }

    /// Locks the writer for a change.
    pub(super) fn writable(&self, until: &Until) -> Result<MutexGuard<'_, Writer>> {
        let mut writer = self.lock_writer();
        if self.read_only.load(Ordering::Relaxed) {
            return Err(BadRequest::ReadOnly { path: writer.path().to_owned() }.into());
        }
        until.limit(&mut writer);
        writer.follow_with_witness(true);
        Ok(writer)
    }

    // A panic while a lock was held must not disable the keyring. The writer records what it is about to do
    // before it touches a file, and memory changes only by whole entries.
    pub(super) fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn try_lock_writer(&self) -> Option<MutexGuard<'_, Writer>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn read_memory(&self) -> std::sync::RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write_memory(&self) -> std::sync::RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}
