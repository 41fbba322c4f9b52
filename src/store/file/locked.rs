// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy that is locked for a change.
//!
//! A change has two steps, so that several copies can be kept in the same state. The first step writes what
//! does not count yet: a record after the last one, or a new file under another name. The second step makes
//! it count: the commit slot, or the rename. Each step is durable when it returns (invariant 1), and at any
//! instant the file is in the state before or after the change (invariant 2).

use super::fs::{Access, File, Lock};
use super::real;
use super::replica::{FileReplica, FrontBytes, LOCK_STEP, Reading};
use super::volume;
use crate::error::{Error, Result};
use crate::store::deadline::Task;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

impl FileReplica {
    /// Opens and locks the file, checks that it is still the file at the path, and reads its front through
    /// the descriptor that holds the lock. The lock is held until the result is dropped. If another program
    /// holds the lock, waits for it until `until`, or not at all if that is `None`.
    ///
    /// # Errors
    /// [`Refusal::Missing`](crate::error::Refusal::Missing); I/O errors.
    pub(crate) fn lock_task(&self, until: Option<Instant>) -> Task<Result<LockAttempt>> {
        self.task(move |copy| {
            loop {
                let file = copy.open_file(Access::Write)?;
                let lock = file.try_lock().map_err(copy.io_error("lock"))?;
                let (open, named) = file
                    .meta()
                    .and_then(|o| Ok((o, copy.fs.meta(&copy.path)?)))
                    .map_err(copy.io_error("look at"))?;
                // The program that held the lock may have replaced the file by a rename.
                if lock != Lock::Held && (open.dev, open.ino) == (named.dev, named.ino) {
                    return Ok(LockAttempt::Locked(LockedReplica { reading: copy.reading(file)?, lock }));
                }
                if until.is_none_or(|until| Instant::now() >= until) {
                    return Ok(LockAttempt::Held { file: (open.dev, open.ino) });
                }
                drop(file);
                std::thread::sleep(LOCK_STEP);
            }
        })
    }
}

/// The result of trying to lock a copy.
#[derive(Debug)]
pub(crate) enum LockAttempt {
    /// The copy is locked.
    Locked(LockedReplica),
    /// Another program holds the lock, so it is changing the copy.
    Held {
        /// Device and inode number of the file.
        file: (u64, u64),
    },
}

impl LockAttempt {
    /// Device and inode number of the file.
    pub(crate) fn id(&self) -> (u64, u64) {
        match self {
            LockAttempt::Locked(file) => file.id(),
            LockAttempt::Held { file } => *file,
        }
    }
}

/// A copy that is locked for a change. It is the file at its path.
#[derive(Debug)]
pub(crate) struct LockedReplica {
    reading: Reading,
    lock: Lock,
}

impl LockedReplica {
    /// The path of the copy.
    pub(crate) fn path(&self) -> &Path {
        self.reading.copy.path()
    }

    /// The copy.
    pub(crate) fn copy(&self) -> &FileReplica {
        &self.reading.copy
    }

    /// Device and inode number of the locked file, which are the same for two names of one file.
    pub(crate) fn id(&self) -> (u64, u64) {
        self.reading.id
    }

    /// Whether the lock keeps other programs out. On a volume without locks, only comparing the front can
    /// reveal another program's change.
    pub(crate) fn is_locked(&self) -> bool {
        self.lock == Lock::Taken
    }

    /// The front of the file.
    pub(crate) fn front(&self) -> &FrontBytes {
        &self.reading.front
    }

    /// Size of the file.
    pub(crate) fn len(&self) -> u64 {
        self.reading.len
    }

    /// Reads the front again through the descriptor that holds the lock.
    pub(crate) fn read_again(&self) -> Task<Result<Reading>> {
        let file = Arc::clone(&self.reading.file);
        self.reading.copy.task(move |copy| {
            volume::check_file(copy.fs.as_ref(), &copy.path)?;
            copy.reading(file)
        })
    }

    /// The open file, for reading its records.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// A step of a change. The task holds the lock: if it is left behind, it cannot take effect after another
    /// program's change.
    fn step(
        &self,
        step: impl FnOnce(&FileReplica, &dyn File) -> Result<()> + Send + 'static,
    ) -> Task<Result<()>> {
        let file = Arc::clone(&self.reading.file);
        self.reading.copy.task(move |copy| step(copy, file.as_ref()))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Task<Result<()>> {
        let bytes = bytes.to_vec();
        self.step(move |copy, file| {
            file.write_at(&bytes, offset).and_then(|()| file.sync()).map_err(copy.io_error("write to"))
        })
    }

    /// Writes a record after the acknowledged ones, durably. It does not count yet. If this fails, a part of
    /// the record or all of it may be in the file.
    pub(crate) fn append(&self, offset: u64, record: &[u8]) -> Task<Result<()>> {
        self.write(offset, record)
    }

    /// Writes a commit slot, durably, so that the appended record counts. If this fails, a part of the slot
    /// or all of it may be in the file.
    pub(crate) fn write_commit(&self, offset: u64, slot: &[u8]) -> Task<Result<()>> {
        self.write(offset, slot)
    }

    /// Removes an appended record.
    pub(crate) fn truncate(&self, len: u64) -> Task<Result<()>> {
        self.step(move |copy, file| {
            file.truncate(len).and_then(|()| file.sync()).map_err(copy.io_error("cut"))
        })
    }

    /// Writes a new version of the file beside it, durably. It does not count yet. If this fails, the new
    /// file is removed if possible.
    pub(crate) fn prepare(&self, bytes: &Arc<[u8]>) -> Task<Result<()>> {
        let bytes = Arc::clone(bytes);
        self.step(move |copy, old| {
            let temporary = volume::temporary_of(&copy.path);
            let failed = |doing| {
                let temporary = &temporary;
                move |e| Error::io(doing, temporary, e)
            };
            let owner = old.meta().map_err(copy.io_error("look at"))?;
            match copy.fs.unlink(&temporary) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(e)),
                // A leftover of a replacement that was interrupted before it took effect.
                _ => {}
            }
            let new = copy.fs.create_new(&temporary).map_err(failed("create"))?;
            // If the volume was pulled since the file was opened, the path leads to its mount point, a
            // directory of another filesystem. Nothing may be created there.
            let here = new
                .meta()
                .map_err(failed("look at"))
                .and_then(|new| copy.check_same_volume(owner.dev, new.dev));
            here.inspect_err(|_| drop(copy.fs.unlink(&temporary)))?;
            // Make the name durable too: where rename is not atomic, the new file must be found if the old
            // one is gone.
            write_new(new.as_ref(), &bytes, owner.uid, owner.gid)
                .and_then(|()| copy.fs.sync_dir(volume::directory_of(&temporary)))
                .map_err(failed("write"))
                .inspect_err(|_| drop(copy.fs.unlink(&temporary)))
        })
    }

    /// Removes the file that [`LockedReplica::prepare`] wrote. If this fails, the next replacement removes
    /// it.
    pub(crate) fn abandon(&self) -> Task<Result<()>> {
        self.step(|copy, _| {
            copy.fs.unlink(&volume::temporary_of(&copy.path)).map_err(copy.io_error("remove"))
        })
    }

    /// Renames the file that [`LockedReplica::prepare`] wrote over the copy, durably. If this fails, the new
    /// file may be in place anyway.
    pub(crate) fn put_in_place(&self) -> Task<Result<()>> {
        self.step(|copy, locked| {
            let turn = rename_lock(volume::directory_of(&copy.path));
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            copy.fs
                .rename(&volume::temporary_of(&copy.path), &copy.path)
                .and_then(|()| copy.fs.sync_dir(volume::directory_of(&copy.path)))
                .map_err(copy.io_error("replace"))?;
            // If the volume was pulled, the directory of the mount point was synced instead.
            let was = locked.meta().map_err(copy.io_error("look at"))?;
            let is = copy
                .fs
                .meta(&copy.path)
                .map_err(|e| volume::missing_or(copy.fs.as_ref(), &copy.path, "look at", e))?;
            copy.check_same_volume(was.dev, is.dev)
        })
    }
}

/// The lock to hold while a file in this directory is renamed and the directory synced. If a sync fails, the
/// kernel reports that to only one of the callers, but the renames of the others may be lost too. So copies
/// in one directory must take turns.
fn rename_lock(directory: &Path) -> Arc<Mutex<()>> {
    static TURNS: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(turns.entry(directory.to_owned()).or_default())
}

/// Fills a new file and makes its contents durable. If root does this, the file gets the given owner;
/// otherwise mysqld could not open what an administrator created.
pub(super) fn write_new(file: &dyn File, bytes: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    if real::effective_user() == 0 && file.meta()?.uid != uid {
        file.set_owner(uid, gid)?;
    }
    file.write_at(bytes, 0)?;
    file.sync()
}
