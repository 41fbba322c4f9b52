// SPDX-License-Identifier: GPL-2.0-or-later
//! A file that is locked for a change.

use super::fs::{Access, File, Lock};
use super::named::NamedFile;
use super::real;
use super::volume;
use crate::error::{Error, Result};
use crate::store::locked::{LockAttempt, Locked, LockedReplica};
use crate::store::reading::{CopyId, Reading};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Opens and locks the file at the path.
pub(super) fn try_lock(copy: &NamedFile) -> Result<LockAttempt> {
    let file = copy.open_file(Access::Write)?;
    let lock = file.try_lock().map_err(copy.io_error("lock"))?;
    let (open, named) =
        file.meta().and_then(|o| Ok((o, copy.fs.meta(&copy.path)?))).map_err(copy.io_error("look at"))?;
    // The program that held the lock may have replaced the file by a rename.
    if lock == Lock::Held || (open.dev, open.ino) != (named.dev, named.ino) {
        return Ok(LockAttempt::Held(CopyId::File { dev: open.dev, ino: open.ino }));
    }
    let reading = copy.reading(Arc::clone(&file))?;
    Ok(LockAttempt::Locked(LockedReplica::new(
        reading,
        Arc::new(LockedFile { copy: copy.clone(), file, lock }),
    )))
}

/// A file that is locked for a change. It is the file at its path.
#[derive(Debug)]
struct LockedFile {
    copy: NamedFile,
    file: Arc<dyn File>,
    lock: Lock,
}

impl LockedFile {
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_at(bytes, offset).and_then(|()| self.file.sync());
        written.map_err(self.copy.io_error("write to"))
    }
}

impl Locked for LockedFile {
    fn is_locked(&self) -> bool {
        self.lock == Lock::Taken
    }

    fn read_again(&self, _: Instant) -> Result<Reading> {
        volume::check_file(self.copy.fs.as_ref(), &self.copy.path)?;
        self.copy.reading(Arc::clone(&self.file))
    }

    fn append(&self, offset: u64, record: &[u8], _: Instant) -> Result<()> {
        self.write(offset, record)
    }

    fn write_commit(&self, offset: u64, slot: &[u8], _: Instant) -> Result<()> {
        self.write(offset, slot)
    }

    fn truncate(&self, len: u64, _: Instant) -> Result<()> {
        let done = self.file.truncate(len).and_then(|()| self.file.sync());
        done.map_err(self.copy.io_error("cut"))
    }

    /// Writes the new version to a file beside the path.
    fn prepare(&self, bytes: &Arc<[u8]>, _: Instant) -> Result<()> {
        let copy = &self.copy;
        let temporary = volume::temporary_of(&copy.path);
        let failed = |doing| {
            let temporary = &temporary;
            move |e| Error::io(doing, temporary, e)
        };
        let owner = self.file.meta().map_err(copy.io_error("look at"))?;
        match copy.fs.unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(e)),
            // A leftover of a replacement that was interrupted before it took effect.
            _ => {}
        }
        let new = copy.fs.create_new(&temporary).map_err(failed("create"))?;
        // If the volume was pulled since the file was opened, the path leads to its mount point, a
        // directory of another filesystem. Nothing may be created there.
        let here =
            new.meta().map_err(failed("look at")).and_then(|new| copy.check_same_volume(owner.dev, new.dev));
        here.inspect_err(|_| drop(copy.fs.unlink(&temporary)))?;
        // Make the name durable too: where rename is not atomic, the new file must be found if the old
        // one is gone.
        write_new(new.as_ref(), bytes, owner.uid, owner.gid)
            .and_then(|()| copy.fs.sync_dir(volume::directory_of(&temporary)))
            .map_err(failed("write"))
            .inspect_err(|_| drop(copy.fs.unlink(&temporary)))
    }

    fn abandon(&self, _: Instant) -> Result<()> {
        let copy = &self.copy;
        copy.fs.unlink(&volume::temporary_of(&copy.path)).map_err(copy.io_error("remove"))
    }

    /// Renames the prepared file over the copy.
    fn put_in_place(&self, _: Instant) -> Result<()> {
        let copy = &self.copy;
        let turn = rename_lock(volume::directory_of(&copy.path));
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        copy.fs
            .rename(&volume::temporary_of(&copy.path), &copy.path)
            .and_then(|()| copy.fs.sync_dir(volume::directory_of(&copy.path)))
            .map_err(copy.io_error("replace"))?;
        // If the volume was pulled, the directory of the mount point was synced instead.
        let was = self.file.meta().map_err(copy.io_error("look at"))?;
        let is = copy
            .fs
            .meta(&copy.path)
            .map_err(|e| volume::missing_or(copy.fs.as_ref(), &copy.path, "look at", e))?;
        copy.check_same_volume(was.dev, is.dev)
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
