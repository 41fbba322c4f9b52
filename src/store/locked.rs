// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy that is locked to be changed. It is changed in two steps, so that several copies can be kept alike: first what
//! does not count yet (a record behind the last one, a new file under another name), then what makes it count (the commit
//! slot, the rename). Each step is durable when it returns (invariant 1), and at every instant the file is in the state
//! before or after (invariant 2).

use super::deadline::Task;
use super::fs::{Access, File, Lock};
use super::real;
use super::replica::{FileReplica, FrontBytes, LOCK_STEP, Reading};
use super::volume;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

impl FileReplica {
    /// Opens the file to be changed: locks it, makes sure that it is still the file at the path, and reads its front
    /// through the descriptor that holds the lock. The lock is held until the answer is dropped. A lock that another
    /// program holds is waited for until `until`; without that the answer comes at once.
    ///
    /// # Errors
    /// [`Refusal::Missing`](crate::error::Refusal::Missing), or what the filesystem answers.
    pub(crate) fn lock_task(&self, until: Option<Instant>) -> Task<Result<LockAttempt>> {
        self.task(move |copy| {
            loop {
                let file = copy.open_file(Access::Write)?;
                let lock = file.try_lock().map_err(copy.io_error("lock"))?;
                let (open, named) = file
                    .meta()
                    .and_then(|o| Ok((o, copy.fs.meta(&copy.path)?)))
                    .map_err(copy.io_error("look at"))?;
                // Another program may have renamed a new file over this one while it held the lock.
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

/// What trying to lock a copy came to.
#[derive(Debug)]
pub(crate) enum LockAttempt {
    /// It is open to be changed.
    Locked(LockedReplica),
    /// Another program holds the lock: it is changing the copy.
    Held {
        /// The file's device and number there.
        file: (u64, u64),
    },
}

impl LockAttempt {
    /// The file's device and number there.
    pub(crate) fn id(&self) -> (u64, u64) {
        match self {
            LockAttempt::Locked(file) => file.id(),
            LockAttempt::Held { file } => *file,
        }
    }
}

/// A copy that is open to be changed: locked, and the file at its path.
#[derive(Debug)]
pub(crate) struct LockedReplica {
    reading: Reading,
    lock: Lock,
}

impl LockedReplica {
    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        self.reading.copy.path()
    }

    /// The copy.
    pub(crate) fn copy(&self) -> &FileReplica {
        &self.reading.copy
    }

    /// The device and the number there of the locked file: the same for two names of one file.
    pub(crate) fn id(&self) -> (u64, u64) {
        self.reading.id
    }

    /// Whether other programs are kept out. On a volume without locks the comparison of the front is all there is.
    pub(crate) fn is_locked(&self) -> bool {
        self.lock == Lock::Taken
    }

    /// Its front.
    pub(crate) fn front(&self) -> &FrontBytes {
        &self.reading.front
    }

    /// How long the file is.
    pub(crate) fn len(&self) -> u64 {
        self.reading.len
    }

    /// Reads the front once more, through the descriptor that holds the lock.
    pub(crate) fn read_again(&self) -> Task<Result<Reading>> {
        let file = Arc::clone(&self.reading.file);
        self.reading.copy.task(move |copy| {
            volume::check_file(copy.fs.as_ref(), &copy.path)?;
            copy.reading(file)
        })
    }

    /// The file, to read on.
    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    /// A step of a change. The lock goes with it: one that is left behind must not come after somebody else's.
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

    /// Writes a record behind the acknowledged ones, durably. It does not count yet. After a failure it may be there
    /// all the same, in part or whole.
    pub(crate) fn append(&self, offset: u64, record: &[u8]) -> Task<Result<()>> {
        self.write(offset, record)
    }

    /// Writes a commit slot, durably: what was appended counts now. After a failure the slot may be there all the
    /// same, in part or whole.
    pub(crate) fn write_commit(&self, offset: u64, slot: &[u8]) -> Task<Result<()>> {
        self.write(offset, slot)
    }

    /// Takes back what was appended.
    pub(crate) fn truncate(&self, len: u64) -> Task<Result<()>> {
        self.step(move |copy, file| {
            file.truncate(len).and_then(|()| file.sync()).map_err(copy.io_error("cut"))
        })
    }

    /// Writes a new version of the file beside it, durably. It does not count yet. After a failure nothing is left
    /// behind, where that can be had.
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
            // A volume that was pulled since the file was opened leaves its mount point behind, a directory
            // of another filesystem: nothing may be made there.
            let here = new
                .meta()
                .map_err(failed("look at"))
                .and_then(|new| copy.check_same_volume(owner.dev, new.dev));
            here.inspect_err(|_| drop(copy.fs.unlink(&temporary)))?;
            // The name too: where rename is not atomic, the new file must be found if the old one is not.
            write_new(new.as_ref(), &bytes, owner.uid, owner.gid)
                .and_then(|()| copy.fs.sync_dir(volume::directory_of(&temporary)))
                .map_err(failed("write"))
                .inspect_err(|_| drop(copy.fs.unlink(&temporary)))
        })
    }

    /// Removes what [`LockedReplica::prepare`] wrote. What is left in spite of that is removed before the next replacement.
    pub(crate) fn abandon(&self) -> Task<Result<()>> {
        self.step(|copy, _| {
            copy.fs.unlink(&volume::temporary_of(&copy.path)).map_err(copy.io_error("remove"))
        })
    }

    /// Puts what [`LockedReplica::prepare`] wrote in the place of the file, durably. After a failure the new file may be
    /// in place all the same.
    pub(crate) fn put_in_place(&self) -> Task<Result<()>> {
        self.step(|copy, locked| {
            let turn = rename_lock(volume::directory_of(&copy.path));
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            copy.fs
                .rename(&volume::temporary_of(&copy.path), &copy.path)
                .and_then(|()| copy.fs.sync_dir(volume::directory_of(&copy.path)))
                .map_err(copy.io_error("replace"))?;
            // Else it was the mount point's directory that was synced, not the volume's.
            let was = locked.meta().map_err(copy.io_error("look at"))?;
            let is = copy
                .fs
                .meta(&copy.path)
                .map_err(|e| volume::missing_or(copy.fs.as_ref(), &copy.path, "look at", e))?;
            copy.check_same_volume(was.dev, is.dev)
        })
    }
}

/// Held while a file is renamed over another and its directory synced. When a sync fails, that is told to one of those
/// who sync, and takes away what the others renamed: copies in one directory must not do this side by side.
fn rename_lock(directory: &Path) -> Arc<Mutex<()>> {
    static TURNS: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(turns.entry(directory.to_owned()).or_default())
}

/// Fills a new file and makes its content durable. Root gives it to the owner that its place calls
/// for, or mysqld could not open what an administrator made.
pub(super) fn write_new(file: &dyn File, bytes: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    if real::effective_user() == 0 && file.meta()?.uid != uid {
        file.set_owner(uid, gid)?;
    }
    file.write_at(bytes, 0)?;
    file.sync()
}
