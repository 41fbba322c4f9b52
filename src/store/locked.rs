// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy that is locked for a change.
//!
//! A change has two steps, so that several copies can be kept in the same state. The first step writes what
//! does not count yet: a record after the last one, or a new version of the whole copy. The second step makes
//! it count: the commit slot, or the replacement. Each step is durable when it returns (invariant 1), and at any
//! instant the copy is in the state before or after the change (invariant 2).

use super::deadline::Task;
use super::reading::{CopyId, FrontBytes, Reading};
use crate::error::Result;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A copy that is locked for a change, as its implementation sees it. The lock is released when this is dropped; a
/// step that was left behind keeps it, so it cannot take effect after another program's change.
///
/// `until` is when a step should have ended. A volume may hang for longer. A remote must not: its steps return an error
/// by then, so that nothing of them outlives the call.
///
/// Where no lock exists (a remote), the second step succeeds only if the copy still is what [`Locked::read_again`]
/// or the attempt to lock read. Otherwise it fails with
/// [`Refusal::Changed`](crate::error::Refusal::Changed): the copy holds what another program put there, which may be built
/// on this change if an answer was lost. Any other error of a second step means that the change may have reached the
/// copy, now or at any time until `until`, but never after that.
pub trait Locked: Send + Sync + Debug {
    /// Whether two programs cannot change the copy at the same time. On a volume without locks, only comparing the front
    /// can reveal another program's change. A remote is always locked in this sense.
    fn is_locked(&self) -> bool;

    /// Reads the front again, with the checks of [`Replica::read`](super::replica::Replica::read), through what holds
    /// the lock.
    ///
    /// # Errors
    /// As [`Replica::read`](super::replica::Replica::read).
    fn read_again(&self, until: Instant) -> Result<Reading>;

    /// Makes the change fail that another program has begun meanwhile, if there can be one: where a lock keeps others away
    /// there is none. The content of the copy stays.
    ///
    /// # Errors
    /// Another program was faster, or the copy cannot be changed.
    fn claim(&self, _until: Instant) -> Result<()> {
        Ok(())
    }

    /// Whether one more record should be appended. Otherwise the copy should be written whole: it has so many parts that it
    /// soon cannot have more.
    fn takes_records(&self) -> bool {
        true
    }

    /// First step: writes a record at `offset`, after the acknowledged ones, durably. It does not count yet.
    ///
    /// # Errors
    /// A part of the record or all of it may be in the copy, where it does not count.
    fn append(&self, offset: u64, record: &[u8], until: Instant) -> Result<()>;

    /// Second step: writes the commit slot at `offset` of the front, durably, so that the appended record counts.
    ///
    /// # Errors
    /// A part of the slot or all of it may be in the copy.
    fn write_commit(&self, offset: u64, slot: &[u8], until: Instant) -> Result<()>;

    /// Both steps: [`Locked::append`], then [`Locked::write_commit`].
    ///
    /// # Errors
    /// A part of the change or all of it may be in the copy.
    fn append_and_commit(
        &self,
        offset: u64,
        record: &[u8],
        slot_at: u64,
        slot: &[u8],
        until: Instant,
    ) -> Result<()> {
        self.append(offset, record, until)?;
        self.write_commit(slot_at, slot, until)
    }

    /// Undoes [`Locked::append`]: the copy has `len` bytes again.
    ///
    /// # Errors
    /// The record may still be there, where it does not count.
    fn truncate(&self, len: u64, until: Instant) -> Result<()>;

    /// First step: writes a new version of the whole copy beside it, durably. It does not count yet. What an interrupted
    /// earlier attempt left is removed.
    ///
    /// # Errors
    /// What was written is removed if possible, and otherwise by the next replacement.
    fn prepare(&self, bytes: &Arc<[u8]>, until: Instant) -> Result<()>;

    /// Undoes [`Locked::prepare`].
    ///
    /// # Errors
    /// The new version may still be there, where it does not count. The next replacement removes it.
    fn abandon(&self, until: Instant) -> Result<()>;

    /// Second step: puts the version that [`Locked::prepare`] wrote in place of the copy, durably. When it returns,
    /// nothing of the earlier version can be read any more (invariant 8).
    ///
    /// # Errors
    /// The new version may be in place anyway.
    fn put_in_place(&self, until: Instant) -> Result<()>;
}

/// The result of trying to lock a copy.
#[derive(Debug)]
pub enum LockAttempt {
    /// The copy is locked.
    Locked(LockedReplica),
    /// Another program holds the lock, so it is changing this copy.
    Held(CopyId),
}

impl LockAttempt {
    /// What the copy is.
    pub(crate) fn id(&self) -> CopyId {
        match self {
            LockAttempt::Locked(copy) => copy.id(),
            LockAttempt::Held(id) => *id,
        }
    }
}

/// A copy that is locked for a change. It is the one at its path.
#[derive(Debug)]
pub struct LockedReplica {
    reading: Reading,
    locked: Arc<dyn Locked>,
}

impl LockedReplica {
    /// What an implementation locked, and what it read from it then.
    pub fn new(reading: Reading, locked: Arc<dyn Locked>) -> Self {
        Self { reading, locked }
    }

    /// The path of the copy.
    pub(crate) fn path(&self) -> &Path {
        self.reading.path()
    }

    /// What the copy is, which is the same for two names of one copy.
    pub(crate) fn id(&self) -> CopyId {
        self.reading.id
    }

    /// As [`Locked::is_locked`].
    pub(crate) fn is_locked(&self) -> bool {
        self.locked.is_locked()
    }

    /// The front of the copy.
    pub(crate) fn front(&self) -> &FrontBytes {
        &self.reading.front
    }

    /// Size of the copy.
    pub(crate) fn len(&self) -> u64 {
        self.reading.len
    }

    /// The open copy, for reading its records.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// A step of a change. The task holds the lock.
    fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&dyn Locked, Instant) -> Result<T> + Send + 'static,
    ) -> Task<Result<T>> {
        let locked = Arc::clone(&self.locked);
        Task::new(self.path(), self.id().place(), move |until| step(locked.as_ref(), until))
    }

    /// As [`Locked::read_again`].
    pub(crate) fn read_again(&self) -> Task<Result<Reading>> {
        self.step(|copy, until| copy.read_again(until))
    }

    /// As [`Locked::claim`].
    pub(crate) fn claim(&self) -> Task<Result<()>> {
        self.step(|copy, until| copy.claim(until))
    }

    /// As [`Locked::takes_records`].
    pub(crate) fn takes_records(&self) -> bool {
        self.locked.takes_records()
    }

    /// As [`Locked::append`].
    pub(crate) fn append(&self, offset: u64, record: &[u8]) -> Task<Result<()>> {
        let record = record.to_vec();
        self.step(move |copy, until| copy.append(offset, &record, until))
    }

    /// As [`Locked::write_commit`].
    pub(crate) fn write_commit(&self, offset: u64, slot: &[u8]) -> Task<Result<()>> {
        let slot = slot.to_vec();
        self.step(move |copy, until| copy.write_commit(offset, &slot, until))
    }

    /// As [`Locked::append_and_commit`].
    pub(crate) fn append_and_commit(
        &self,
        offset: u64,
        record: &[u8],
        slot_at: u64,
        slot: &[u8],
    ) -> Task<Result<()>> {
        let (record, slot) = (record.to_vec(), slot.to_vec());
        self.step(move |copy, until| copy.append_and_commit(offset, &record, slot_at, &slot, until))
    }

    /// A step of a change that leaves this copy as it is.
    pub(crate) fn nothing(&self) -> Task<Result<()>> {
        self.step(|_, _| Ok(()))
    }

    /// As [`Locked::truncate`].
    pub(crate) fn truncate(&self, len: u64) -> Task<Result<()>> {
        self.step(move |copy, until| copy.truncate(len, until))
    }

    /// As [`Locked::prepare`].
    pub(crate) fn prepare(&self, bytes: &Arc<[u8]>) -> Task<Result<()>> {
        let bytes = Arc::clone(bytes);
        self.step(move |copy, until| copy.prepare(&bytes, until))
    }

    /// As [`Locked::abandon`].
    pub(crate) fn abandon(&self) -> Task<Result<()>> {
        self.step(|copy, until| copy.abandon(until))
    }

    /// As [`Locked::put_in_place`].
    pub(crate) fn put_in_place(&self) -> Task<Result<()>> {
        self.step(|copy, until| copy.put_in_place(until))
    }
}
