// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy of a keyring: a file at a path. It is changed in two steps, so that several copies can be
//! kept alike: first what does not count yet (a record behind the last one, a new file under another
//! name), then what makes it count (the commit slot, the rename). Each step is durable when it returns
//! (invariant 1), and at every instant the file is in the state before or after (invariant 2).
//!
//! This is the seam at which another kind of store could stand beside files.

use super::deadline::{self, Late, Limits, Task};
use super::fs::{Access, File, Fs};
use super::volume;
use crate::error::{Error, Failure, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of the front of the file: it changes with every write, so comparing it tells whether the
/// file is still the one that memory knows.
pub const FRONT_LEN: usize = crate::format::layout::FIXED_LEN;

/// How long a whole change, or opening a keyring's copies, may take: locks, reading and writing, on all copies.
pub const CHANGE_WAIT: Duration = Duration::from_secs(30);
/// How long one step of a change waits for a slow copy when enough others have done it.
pub(crate) const SLOW_WAIT: Duration = Duration::from_secs(10);
/// How long a look at the file for a status query may take.
pub const PROBE_WAIT: Duration = Duration::from_secs(5);
/// How often a lock that another program holds is asked for.
pub(super) const LOCK_STEP: Duration = Duration::from_millis(5);
/// How much later than its own end a thread that waits for a lock counts as hung.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

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
pub struct FileReplica {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) path: PathBuf,
}

/// An open copy, to be read.
#[derive(Clone, Debug)]
pub struct Reading {
    pub(super) copy: FileReplica,
    pub(super) file: Arc<dyn File>,
    /// The file's device and number there: the same for two names of one file.
    pub id: (u64, u64),
    /// Its front.
    pub front: FrontBytes,
    /// How long the file is.
    pub len: u64,
}

impl Reading {
    /// The bytes behind the front, at most `most`, read within `limit`.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn rest(&self, most: u64, limit: Duration) -> Result<Vec<u8>> {
        let work = self.rest_task(most);
        self.copy.finished(deadline::run(&self.copy.path, limit, work.run))
    }

    /// As [`Reading::rest`], to be done side by side with others.
    pub(crate) fn rest_task(&self, most: u64) -> Task<Result<Vec<u8>>> {
        let file = Arc::clone(&self.file);
        self.copy.task(move |copy| {
            let read = || {
                let mut rest = Vec::new();
                // A file that lies about its size must not end the server.
                rest.try_reserve_exact(most as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
                rest.resize(most as usize, 0);
                let got = file.read_at(&mut rest, FRONT_LEN as u64)?;
                rest.truncate(got);
                Ok(rest)
            };
            read().map_err(copy.io_error("read"))
        })
    }
}

impl FileReplica {
    /// The copy at `path`.
    pub fn new(fs: Arc<dyn Fs>, path: &Path) -> Self {
        Self { fs, path: path.to_owned() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The filesystem that its path is of.
    pub(super) fn fs(&self) -> &Arc<dyn Fs> {
        &self.fs
    }

    pub(super) fn io_error(&self, doing: &'static str) -> impl Fn(io::Error) -> Error + '_ {
        move |e| Error::io(doing, &self.path, e)
    }

    /// A task on this copy, to be run side by side with those on others.
    pub fn task<T: Send + 'static>(
        &self,
        step: impl FnOnce(&FileReplica) -> Result<T> + Send + 'static,
    ) -> Task<Result<T>> {
        let copy = self.clone();
        Task { path: self.path.clone(), run: Box::new(move || step(&copy)) }
    }

    /// What work on this copy came to; a volume that has not answered in time fails it, and all further work until
    /// it does.
    fn finished<T>(&self, done: std::result::Result<Result<T>, Late>) -> Result<T> {
        done.unwrap_or_else(|late| {
            Err(match late {
                Late::Hung(waited) => {
                    let seconds = waited.as_secs_f64().round() as u64;
                    Error::Failure(Failure::Hung { path: self.path.clone(), seconds })
                }
                Late::NotStarted(e) => Error::Failure(Failure::System(e)),
                Late::Panicked => self.io_error("work on")(io::Error::other("an internal error")),
            })
        })
    }

    /// Runs one step on this copy, for at most `limit`.
    fn run_within<T: Send + 'static>(
        &self,
        limit: Duration,
        step: impl FnOnce(&FileReplica) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.finished(deadline::run(&self.path, limit, self.task(step).run))
    }

    /// Checks that the path names a file that may hold a keyring (a regular file, not a link, closed to
    /// others, in a directory closed to others), opens it and reads its front.
    ///
    /// # Errors
    /// Each finding has its own; what the filesystem answers.
    pub fn read(&self) -> Result<Reading> {
        self.finished(deadline::run(&self.path, CHANGE_WAIT + GRACE, self.read_task().run))
    }

    /// As [`FileReplica::read`], to be done side by side with others. Where a lock keeps others from reading too, it is waited
    /// for.
    pub(crate) fn read_task(&self) -> Task<Result<Reading>> {
        let until = Instant::now() + CHANGE_WAIT;
        self.task(move |copy| {
            volume::check_file(copy.fs.as_ref(), &copy.path)?;
            loop {
                match copy.open(Access::Read) {
                    Err(Error::Failure(Failure::Locked { .. })) if Instant::now() < until => {
                        std::thread::sleep(LOCK_STEP)
                    }
                    done => return done,
                }
            }
        })
    }

    /// Whether there may be something at the path: only a filesystem that says that there is nothing is
    /// believed. What cannot be looked at is told when it is read.
    pub fn is_there(&self) -> bool {
        self.finished(deadline::run(&self.path, PROBE_WAIT, self.presence_task().run)).unwrap_or(true)
    }

    /// As [`FileReplica::is_there`], to be done side by side with others.
    pub(crate) fn presence_task(&self) -> Task<Result<bool>> {
        self.task(|copy| Ok(copy.may_be_at(&copy.path)))
    }

    /// Whether an interrupted write may have left a file beside the path.
    pub(crate) fn has_leftover(&self) -> bool {
        self.run_within(PROBE_WAIT, |copy| Ok(copy.may_be_at(&volume::temporary_of(&copy.path))))
            .unwrap_or(true)
    }

    fn may_be_at(&self, path: &Path) -> bool {
        let nothing =
            |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        !self.fs.meta(path).as_ref().is_err_and(nothing)
    }

    /// What is found at the path instead of a file.
    pub fn missing_error(&self) -> Error {
        let missing = self.run_within(PROBE_WAIT, |copy| {
            Ok(volume::missing_or(copy.fs.as_ref(), &copy.path, "look at", io::ErrorKind::NotFound.into()))
        });
        missing.unwrap_or_else(|e| e)
    }

    /// Refuses when the path leads to another filesystem by now than that of the file opened there.
    pub(super) fn check_same_volume(&self, was: u64, is: u64) -> Result<()> {
        if was == is {
            return Ok(());
        }
        Err(volume::missing_or(self.fs.as_ref(), &self.path, "look at", io::ErrorKind::NotFound.into()))
    }

    /// Refuses a path whose directory others can change, or that is on the data directory's filesystem.
    ///
    /// # Errors
    /// As [`volume::check_directory`] and [`volume::check_device`].
    pub(crate) fn check_place(&self, private: bool, datadir: Option<&Path>) -> Result<()> {
        let datadir = datadir.map(Path::to_owned);
        self.run_within(CHANGE_WAIT, move |copy| {
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
        self.run_within(PROBE_WAIT, FileReplica::room)
    }

    fn room(&self) -> Result<()> {
        let room = || self.fs.room_beside(&self.path, self.fs.meta(&self.path)?.len);
        room().map_err(self.io_error("change"))
    }

    /// Reads the file's front for a status query, without the checks of [`FileReplica::read`], and looks `to_change`
    /// whether a change could be made.
    pub(crate) fn look_task(&self, to_change: bool) -> Task<Result<Reading>> {
        self.task(move |copy| {
            let reading = copy.open(Access::Read)?;
            if to_change {
                copy.room()?;
            }
            Ok(reading)
        })
    }

    fn open(&self, access: Access) -> Result<Reading> {
        self.reading(self.open_file(access)?)
    }

    pub(super) fn open_file(&self, access: Access) -> Result<Arc<dyn File>> {
        let file = self
            .fs
            .open(&self.path, access)
            .map_err(|e| volume::missing_or(self.fs.as_ref(), &self.path, "open", e))?;
        Ok(file.into())
    }

    pub(super) fn reading(&self, file: Arc<dyn File>) -> Result<Reading> {
        let read = || {
            let mut front = vec![0; FRONT_LEN];
            let got = file.read_at(&mut front, 0)?;
            front.truncate(got);
            Ok((FrontBytes(front.into()), file.meta()?))
        };
        let (front, meta) = read().map_err(|e: io::Error| match e.kind() {
            // The file could be opened, so this is no matter of its mode: on some network filesystems (SMB) a lock
            // keeps all others from reading too.
            io::ErrorKind::PermissionDenied => self.lock_error(Duration::ZERO),
            _ => self.io_error("read")(e),
        })?;
        Ok(Reading { copy: self.clone(), file, id: (meta.dev, meta.ino), front, len: meta.len })
    }

    pub(crate) fn lock_error(&self, waited: Duration) -> Error {
        Error::Failure(Failure::Locked { path: self.path.clone(), seconds: waited.as_secs() })
    }
}

/// Does work on copies side by side; `limits` as for [`deadline::side_by_side`]. The answers are in the order of the
/// copies.
pub(crate) fn side_by_side<'a, T: Send + 'static>(
    work: impl IntoIterator<Item = (&'a FileReplica, Task<Result<T>>)>,
    limits: Limits,
) -> Vec<Result<T>> {
    let (copies, work): (Vec<_>, Vec<_>) = work.into_iter().unzip();
    let done = deadline::side_by_side(work, limits, Result::is_ok);
    copies.into_iter().zip(done).map(|(copy, done)| copy.finished(done)).collect()
}
