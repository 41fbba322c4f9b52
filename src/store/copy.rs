// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy of a keyring: a file at a path. It is changed in two steps, so that several copies can be
//! kept alike: first what does not count yet (a record behind the last one, a new file under another
//! name), then what makes it count (the commit slot, the rename). Each step is durable when it returns
//! (invariant 1), and at every instant the file is in the state before or after (invariant 2).
//!
//! This is the seam at which another kind of store could stand beside files.

use super::deadline::{Deadline, Late};
use super::fs::{Access, File, Fs};
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
/// How long one step of reading or changing a file may take before its volume counts as hung.
pub const STEP_WAIT: Duration = Duration::from_secs(30);
/// The same for a look at the file for a status query.
pub const PROBE_WAIT: Duration = Duration::from_secs(5);

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

/// A file that holds a copy of the keyring.
#[derive(Clone, Debug)]
pub struct Copy {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    deadline: Deadline,
}

/// An open copy, to be read.
#[derive(Debug)]
pub struct Reading {
    copy: Copy,
    file: Arc<dyn File>,
    /// Its front.
    pub front: FrontBytes,
    /// How long the file is.
    pub len: u64,
}

impl Reading {
    /// The bytes behind the front, at most `most`.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn rest(&self, most: u64) -> Result<Vec<u8>> {
        let file = Arc::clone(&self.file);
        self.copy.timed(STEP_WAIT, move |copy| {
            let read = || {
                let mut rest = Vec::new();
                // A file that lies about its size must not end the server.
                rest.try_reserve_exact(most as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
                rest.resize(most as usize, 0);
                let got = file.read_at(&mut rest, FRONT_LEN as u64)?;
                rest.truncate(got);
                Ok(rest)
            };
            read().map_err(copy.io("read"))
        })
    }
}

impl Copy {
    /// The copy at `path`.
    pub fn new(fs: Arc<dyn Fs>, path: &Path) -> Self {
        Self { fs, path: path.to_owned(), deadline: Deadline::default() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The filesystem that its path is of.
    pub(super) fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> Error + '_ {
        move |e| Error::io(doing, &self.path, e)
    }

    /// Runs one step on this copy; a volume that does not answer in time fails it, and every further step
    /// until it does.
    fn timed<T: Send + 'static>(
        &self,
        limit: Duration,
        step: impl FnOnce(&Copy) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let copy = self.clone();
        self.deadline.run(limit, move || step(&copy)).unwrap_or_else(|late| {
            Err(match late {
                Late::Hung => Error::Hung { path: self.path.clone(), seconds: limit.as_secs() },
                Late::NotStarted(e) => Error::System(e),
                Late::Panicked => self.io("work on")(io::Error::other("an internal error")),
            })
        })
    }

    /// Checks that the path names a file that may hold a keyring (a regular file, not a link, closed to
    /// others, in a directory closed to others), opens it and reads its front.
    ///
    /// # Errors
    /// Each finding has its own; what the filesystem answers.
    pub fn read(&self) -> Result<Reading> {
        self.timed(STEP_WAIT, |copy| {
            volume::check_file(copy.fs.as_ref(), &copy.path)?;
            copy.open(Access::Read)
        })
    }

    /// Whether there may be something at the path: only a filesystem that says that there is nothing is
    /// believed. What cannot be looked at is told when it is read.
    pub fn is_there(&self) -> bool {
        self.is_at(|copy| copy.path.clone())
    }

    /// Whether an interrupted write may have left a file beside the path.
    pub fn has_leftover(&self) -> bool {
        self.is_at(|copy| volume::temporary_of(&copy.path))
    }

    fn is_at(&self, path: impl FnOnce(&Copy) -> PathBuf + Send + 'static) -> bool {
        let nothing =
            |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        self.timed(PROBE_WAIT, move |copy| Ok(!copy.fs.meta(&path(copy)).as_ref().is_err_and(nothing)))
            .unwrap_or(true)
    }

    /// What is found at the path instead of a file.
    pub fn missing(&self) -> Error {
        let missing = self.timed(PROBE_WAIT, |copy| {
            Ok(volume::missing_or(&copy.path, "look at", io::ErrorKind::NotFound.into()))
        });
        missing.unwrap_or_else(|e| e)
    }

    /// Refuses when the path leads to another filesystem by now than that of the file opened there.
    fn same_volume(&self, was: u64, is: u64) -> Result<()> {
        if was == is {
            return Ok(());
        }
        Err(volume::missing_or(&self.path, "look at", io::ErrorKind::NotFound.into()))
    }

    /// Refuses a path whose directory others can change, or that is on the data directory's filesystem.
    ///
    /// # Errors
    /// As [`volume::check_directory`] and [`volume::check_device`].
    pub fn check_place(&self, private: bool, datadir: Option<&Path>) -> Result<()> {
        let datadir = datadir.map(Path::to_owned);
        self.timed(STEP_WAIT, move |copy| {
            if let Some(datadir) = &datadir {
                volume::check_device(copy.fs.as_ref(), &copy.path, datadir)?;
            }
            if private { volume::check_directory(copy.fs.as_ref(), &copy.path) } else { Ok(()) }
        })
    }

    /// Whether a change could be made here now: an error when the volume is mounted read-only, or has no room for
    /// the file once more.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn check_room(&self) -> Result<()> {
        self.timed(PROBE_WAIT, |copy| {
            let room = || copy.fs.room_beside(&copy.path, copy.fs.meta(&copy.path)?.len);
            room().map_err(copy.io("change"))
        })
    }

    /// As [`Copy::read`], for a status query: without the checks, and with less patience.
    ///
    /// # Errors
    /// [`Error::Missing`], or what the filesystem answers.
    pub fn look(&self) -> Result<Reading> {
        self.timed(PROBE_WAIT, |copy| copy.open(Access::Read))
    }

    fn open(&self, access: Access) -> Result<Reading> {
        self.reading(self.open_file(access)?)
    }

    fn open_file(&self, access: Access) -> Result<Arc<dyn File>> {
        let file = self.fs.open(&self.path, access).map_err(|e| volume::missing_or(&self.path, "open", e))?;
        Ok(file.into())
    }

    fn reading(&self, file: Arc<dyn File>) -> Result<Reading> {
        let read = || {
            let mut front = vec![0; FRONT_LEN];
            let got = file.read_at(&mut front, 0)?;
            front.truncate(got);
            Ok((FrontBytes(front.into()), file.meta()?.len))
        };
        let (front, len) = read().map_err(self.io("read"))?;
        Ok(Reading { copy: self.clone(), file, front, len })
    }

    /// Opens the file to be changed: locks it, makes sure that it is still the file at the path, and reads
    /// its front. The lock is held until the answer is dropped.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Locked`], or what the filesystem answers.
    pub fn open_to_change(&self) -> Result<Changing> {
        self.timed(STEP_WAIT, |copy| {
            let deadline = Instant::now() + LOCK_WAIT;
            loop {
                let file = copy.open_file(Access::Write)?;
                let locked = file.try_lock().map_err(copy.io("lock"))?;
                // Whoever had the lock may have renamed another file over this one.
                let same = || -> io::Result<bool> {
                    let (open, named) = (file.meta()?, copy.fs.meta(&copy.path)?);
                    Ok((open.dev, open.ino) == (named.dev, named.ino))
                };
                if locked && same().map_err(copy.io("look at"))? {
                    return Ok(Changing { reading: copy.reading(file)? });
                }
                if Instant::now() >= deadline {
                    return Err(Error::Locked { path: copy.path.clone(), seconds: LOCK_WAIT.as_secs() });
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        })
    }
}

/// A copy that is open to be changed: locked, and the file at its path.
#[derive(Debug)]
pub struct Changing {
    reading: Reading,
}

impl Changing {
    /// Its path.
    pub fn path(&self) -> &Path {
        self.reading.copy.path()
    }

    /// Its front.
    pub fn front(&self) -> &FrontBytes {
        &self.reading.front
    }

    /// How long the file is.
    pub fn len(&self) -> u64 {
        self.reading.len
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file, to read on.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    fn write(&self, doing: &'static str, offset: u64, bytes: &[u8]) -> Result<()> {
        let (file, bytes) = (Arc::clone(&self.reading.file), bytes.to_vec());
        self.reading.copy.timed(STEP_WAIT, move |copy| {
            file.write_at(&bytes, offset).and_then(|()| file.sync()).map_err(copy.io(doing))
        })
    }

    /// Writes a record behind the acknowledged ones, durably. It does not count yet.
    ///
    /// # Errors
    /// What the filesystem answers; the record may be there all the same, in part or whole.
    pub fn append(&self, offset: u64, record: &[u8]) -> Result<()> {
        self.write("write to", offset, record)
    }

    /// Writes a commit slot, durably: what was appended counts now.
    ///
    /// # Errors
    /// What the filesystem answers; the slot may be there all the same, in part or whole.
    pub fn commit(&self, offset: u64, slot: &[u8]) -> Result<()> {
        self.write("write to", offset, slot)
    }

    /// Takes back what was appended.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn cut(&self, len: u64) -> Result<()> {
        let file = Arc::clone(&self.reading.file);
        self.reading
            .copy
            .timed(STEP_WAIT, move |copy| file.cut(len).and_then(|()| file.sync()).map_err(copy.io("cut")))
    }

    /// Writes a new version of the file beside it, durably. It does not count yet.
    ///
    /// # Errors
    /// What the filesystem answers; nothing is left behind then, where that can be had.
    pub fn prepare(&self, bytes: &Arc<[u8]>) -> Result<()> {
        let (old, bytes) = (Arc::clone(&self.reading.file), Arc::clone(bytes));
        self.reading.copy.timed(STEP_WAIT, move |copy| {
            let temporary = volume::temporary_of(&copy.path);
            let failed = |doing| {
                let temporary = &temporary;
                move |e| Error::io(doing, temporary, e)
            };
            let owner = old.meta().map_err(copy.io("look at"))?;
            match copy.fs.unlink(&temporary) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(e)),
                // Left over from an interrupted replacement, which by that did not happen.
                _ => {}
            }
            let new = copy.fs.create_new(&temporary).map_err(failed("create"))?;
            // A volume that was pulled since the file was opened leaves its mount point behind, a directory
            // of another filesystem: nothing may be made there.
            let here =
                new.meta().map_err(failed("look at")).and_then(|new| copy.same_volume(owner.dev, new.dev));
            here.inspect_err(|_| drop(copy.fs.unlink(&temporary)))?;
            // The name too: where rename is not atomic, the new file must be found if the old one is not.
            write_new(new.as_ref(), &bytes, owner.uid, owner.gid)
                .and_then(|()| copy.fs.sync_dir(volume::directory_of(&temporary)))
                .map_err(failed("write"))
                .inspect_err(|_| drop(copy.fs.unlink(&temporary)))
        })
    }

    /// Removes what [`Changing::prepare`] wrote.
    pub fn abandon(&self) {
        // What is left is removed before the next replacement.
        drop(self.reading.copy.timed(STEP_WAIT, |copy| {
            copy.fs.unlink(&volume::temporary_of(&copy.path)).map_err(copy.io("remove"))
        }));
    }

    /// Puts what [`Changing::prepare`] wrote in the place of the file, durably.
    ///
    /// # Errors
    /// What the filesystem answers; the new file may be in place all the same.
    pub fn put_in_place(&self) -> Result<()> {
        // The lock goes with the file: a step that was left behind must not come after somebody else's.
        let locked = Arc::clone(&self.reading.file);
        self.reading.copy.timed(STEP_WAIT, move |copy| {
            copy.fs
                .rename(&volume::temporary_of(&copy.path), &copy.path)
                .and_then(|()| copy.fs.sync_dir(volume::directory_of(&copy.path)))
                .map_err(copy.io("replace"))?;
            // Else it was the mount point's directory that was synced, not the volume's.
            let was = locked.meta().map_err(copy.io("look at"))?;
            let is = copy.fs.meta(&copy.path).map_err(|e| volume::missing_or(&copy.path, "look at", e))?;
            copy.same_volume(was.dev, is.dev)
        })
    }
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
