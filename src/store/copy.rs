// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy of a keyring: a file at a path. Three ways to change it, each before-or-after at every
//! instant (invariant 2) and durable when it returns (invariant 1): create, append, replace.
//!
//! This is the seam at which another kind of store could stand beside files.

use super::fs::{Access, File, Fs, Meta};
use super::real;
use super::volume;
use crate::error::{Error, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of the front of the file: it changes with every write, so comparing it tells whether the
/// file is still the one that memory knows.
pub const FRONT_LEN: usize = crate::format::FIXED_LEN;

/// How long a write waits for another program's lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The bytes of a file's front, fewer than [`FRONT_LEN`] when the file is shorter.
#[derive(Clone, PartialEq, Eq)]
pub struct FrontBytes(pub Box<[u8]>);

impl std::fmt::Debug for FrontBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrontBytes({})", self.0.len())
    }
}

impl FrontBytes {
    /// The front of a whole file.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.get(..FRONT_LEN).unwrap_or(bytes).into())
    }

    /// Changes bytes at `offset`, as a write to the file did.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) {
        let at = offset as usize;
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// What an append writes: first the record, then, when that is durable, the commit slot.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// Where the record goes: the end of the acknowledged records.
    pub record_at: u64,
    /// The sealed record.
    pub record: &'a [u8],
    /// Where the commit slot goes.
    pub commit_at: u64,
    /// The commit slot.
    pub commit: &'a [u8],
}

/// Why a change did not happen, and whether the file may still have been touched.
#[derive(Debug)]
pub enum Failed {
    /// Nothing was written.
    Before(Error),
    /// The file holds this front and is not what was expected; nothing was written.
    Unexpected(FrontBytes),
    /// Something was written: the file is in the state before or after the change.
    Between(Error),
}

/// A file that holds a copy of the keyring.
#[derive(Clone, Debug)]
pub struct Copy {
    fs: Arc<dyn Fs>,
    path: PathBuf,
}

/// An open copy, to be read.
#[derive(Debug)]
pub struct Reading<'a> {
    copy: &'a Copy,
    file: Box<dyn File>,
    /// Its front.
    pub front: FrontBytes,
}

impl Reading<'_> {
    /// How long the file is.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn file_len(&self) -> Result<u64> {
        Ok(self.file.meta().map_err(|e| Error::io("look at", &self.copy.path, e))?.len)
    }

    /// The bytes behind the front, at most `most`.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn rest(&self, most: u64) -> Result<Vec<u8>> {
        let read = || {
            let mut rest = Vec::new();
            // A file that lies about its size must not end the server.
            rest.try_reserve_exact(most as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
            rest.resize(most as usize, 0);
            let got = self.file.read_at(&mut rest, FRONT_LEN as u64)?;
            rest.truncate(got);
            Ok(rest)
        };
        read().map_err(|e| Error::io("read", &self.copy.path, e))
    }
}

impl Copy {
    /// The copy at `path`.
    pub fn new(fs: Arc<dyn Fs>, path: &Path) -> Self {
        Self { fs, path: path.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> Error + '_ {
        move |e| Error::io(doing, &self.path, e)
    }

    /// Checks that the path names a file that may hold a keyring: a regular file, not a link, closed to
    /// others, in a directory closed to others.
    ///
    /// # Errors
    /// Each finding has its own.
    pub fn check(&self) -> Result<Meta> {
        volume::check_file(self.fs.as_ref(), &self.path)
    }

    /// Opens the file and reads its front.
    ///
    /// # Errors
    /// [`Error::Missing`], or what the filesystem answers.
    pub fn read(&self) -> Result<Reading<'_>> {
        let (file, front) = self.open(Access::Read)?;
        Ok(Reading { copy: self, file, front })
    }

    fn open(&self, access: Access) -> Result<(Box<dyn File>, FrontBytes)> {
        let file = self.fs.open(&self.path, access).map_err(|e| volume::missing_or(&self.path, "open", e))?;
        let front = self.front(file.as_ref())?;
        Ok((file, front))
    }

    fn front(&self, file: &dyn File) -> Result<FrontBytes> {
        let mut front = vec![0; FRONT_LEN];
        let got = file.read_at(&mut front, 0).map_err(self.io("read"))?;
        front.truncate(got);
        Ok(FrontBytes(front.into()))
    }

    /// Opens the file to be changed: locks it, and makes sure that it is still the file at the path and
    /// has a front that memory accepts.
    fn open_expecting(
        &self,
        accept: &dyn Fn(&FrontBytes) -> bool,
    ) -> std::result::Result<Box<dyn File>, Failed> {
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            let file = self
                .fs
                .open(&self.path, Access::Write)
                .map_err(|e| Failed::Before(volume::missing_or(&self.path, "open", e)))?;
            let locked = file.try_lock().map_err(self.io("lock")).map_err(Failed::Before)?;
            // Whoever had the lock may have renamed another file over this one.
            let same = || -> io::Result<bool> {
                let (open, named) = (file.meta()?, self.fs.meta(&self.path)?);
                Ok((open.dev, open.ino) == (named.dev, named.ino))
            };
            if locked && same().map_err(self.io("look at")).map_err(Failed::Before)? {
                let found = self.front(file.as_ref()).map_err(Failed::Before)?;
                return if accept(&found) { Ok(file) } else { Err(Failed::Unexpected(found)) };
            }
            if Instant::now() >= deadline {
                return Err(Failed::Before(Error::Locked {
                    path: self.path.clone(),
                    seconds: LOCK_WAIT.as_secs(),
                }));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Makes a new file with these bytes: under another name first, so that an interruption leaves none.
    ///
    /// # Errors
    /// [`Error::AlreadyThere`], also when an earlier interruption left something; or what the filesystem
    /// answers, and then no file is left behind.
    pub fn create(&self, bytes: &[u8]) -> Result<()> {
        self.create_for(&self.path, bytes)
    }

    /// As [`Copy::create`]; the file goes to whoever owns the directory of `keyring`.
    ///
    /// # Errors
    /// As [`Copy::create`].
    pub fn create_for(&self, keyring: &Path, bytes: &[u8]) -> Result<()> {
        let owner = volume::owner_of_directory(self.fs.as_ref(), keyring)?;
        self.check_free()?;
        let temporary = volume::temporary_of(&self.path);
        // Only one of several programs that create this file gets the temporary, and the right to the name.
        let made = self.fs.create_new(&temporary).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => Error::AlreadyThere { path: temporary.clone() },
            _ => volume::missing_or(&self.path, "create", e),
        })?;
        let place = || {
            self.check_free()?;
            write_new(made.as_ref(), bytes, owner.uid, owner.gid)
                .and_then(|()| self.fs.rename(&temporary, &self.path))
                .map_err(self.io("write"))
        };
        // Nobody has relied on the new file yet; a failure to remove it changes nothing.
        place().inspect_err(|_| drop(self.fs.unlink(&temporary)))?;
        self.fs.sync_dir(volume::directory_of(&self.path)).map_err(|e| {
            drop(self.fs.unlink(&self.path));
            Error::io("write", &self.path, e)
        })
    }

    /// There is nothing at the path.
    fn check_free(&self) -> Result<()> {
        match self.fs.meta(&self.path) {
            Ok(_) => Err(Error::AlreadyThere { path: self.path.clone() }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(volume::missing_or(&self.path, "look at", e)),
        }
    }

    /// Appends a record and commits it, when the file has the expected front and ends where the record
    /// is to begin.
    ///
    /// # Errors
    /// See [`Failed`].
    pub fn append(&self, expected: &FrontBytes, append: &Append<'_>) -> std::result::Result<(), Failed> {
        let file = self.open_expecting(&|found| found == expected)?;
        if file.meta().map_err(self.io("look at")).map_err(Failed::Before)?.len != append.record_at {
            return Err(Failed::Unexpected(expected.clone()));
        }
        let write = || {
            file.write_at(append.record, append.record_at)?;
            file.sync()?;
            file.write_at(append.commit, append.commit_at)?;
            file.sync()
        };
        write().map_err(self.io("write to")).map_err(Failed::Between)
    }

    /// Puts a new file in the place of the old one, when `accept` takes the old one's front.
    ///
    /// # Errors
    /// See [`Failed`].
    pub fn replace(
        &self,
        accept: &dyn Fn(&FrontBytes) -> bool,
        bytes: &[u8],
    ) -> std::result::Result<(), Failed> {
        let old = self.open_expecting(accept)?;
        let temporary = volume::temporary_of(&self.path);
        let failed = |doing| {
            let temporary = &temporary;
            move |e| Failed::Before(Error::io(doing, temporary, e))
        };
        let owner = old.meta().map_err(self.io("look at")).map_err(Failed::Before)?;
        match self.fs.unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(e)),
            // Left over from an interrupted replacement, which by that did not happen.
            _ => {}
        }
        let new = self.fs.create_new(&temporary).map_err(failed("create"))?;
        let directory = volume::directory_of(&self.path);
        // The new name is durable before the old one may go: where rename is not atomic, one remains.
        let written =
            write_new(new.as_ref(), bytes, owner.uid, owner.gid).and_then(|()| self.fs.sync_dir(directory));
        if let Err(e) = written {
            let _ = self.fs.unlink(&temporary);
            return Err(failed("write")(e));
        }
        self.fs
            .rename(&temporary, &self.path)
            .and_then(|()| self.fs.sync_dir(directory))
            .map_err(self.io("replace"))
            .map_err(Failed::Between)
    }
}

/// Fills a new file and makes its content durable. Root gives it to the owner that its place calls
/// for, or mysqld could not open what an administrator made.
fn write_new(file: &dyn File, bytes: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    if real::effective_user() == 0 && file.meta()?.uid != uid {
        file.set_owner(uid, gid)?;
    }
    file.write_at(bytes, 0)?;
    file.sync()
}
