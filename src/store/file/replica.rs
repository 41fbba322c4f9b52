// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy of a keyring: a file at a path. How it is changed is in [`super::locked`].

use super::fs::{Access, File, Fs};
use super::volume;
use crate::error::{Error, Failure, Result};
use crate::store::deadline::{self, Late, Limits, Task};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Length of the front of the file. The front changes with every write, so comparing it tells whether the
/// file is still in the state that memory holds.
pub const FRONT_LEN: usize = crate::format::layout::FIXED_LEN;

/// Limit for a whole change, or for opening a keyring: locking, reading and writing, on all copies.
pub const CHANGE_WAIT: Duration = Duration::from_secs(30);
/// How long a step of a change waits for a slow copy once enough others have done it.
pub(crate) const SLOW_WAIT: Duration = Duration::from_secs(10);
/// Limit for a look at the file for a status query.
pub const PROBE_WAIT: Duration = Duration::from_secs(5);
/// Interval between attempts to take a lock that another program holds.
pub(super) const LOCK_STEP: Duration = Duration::from_millis(5);
/// How long after its own deadline a thread that waits for a lock counts as hung.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// The front of a file. It is shorter than [`FRONT_LEN`] if the file is.
#[derive(Clone, PartialEq, Eq)]
pub struct FrontBytes(pub Box<[u8]>);

impl std::fmt::Debug for FrontBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrontBytes({})", self.0.len())
    }
}

impl FrontBytes {
    /// The front of a file with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.get(..FRONT_LEN).unwrap_or(bytes).into())
    }

    /// Overwrites bytes at `offset`, as a write to the file did.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) {
        let at = offset as usize;
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// A copy of a keyring that is a file.
#[derive(Clone, Debug)]
pub struct FileReplica {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) path: PathBuf,
}

/// A copy that is open for reading.
#[derive(Clone, Debug)]
pub struct Reading {
    pub(super) copy: FileReplica,
    pub(super) file: Arc<dyn File>,
    /// Device and inode number of the file, which are the same for two names of one file.
    pub id: (u64, u64),
    /// The front of the file.
    pub front: FrontBytes,
    /// Size of the file.
    pub len: u64,
}

impl Reading {
    /// Reads at most `most` bytes after the front, within `limit`.
    ///
    /// # Errors
    /// I/O errors.
    pub fn rest(&self, most: u64, limit: Duration) -> Result<Vec<u8>> {
        let work = self.rest_task(most);
        self.copy.finished(deadline::run(&self.copy.path, limit, work.run))
    }

    /// As [`Reading::rest`], as a task.
    pub(crate) fn rest_task(&self, most: u64) -> Task<Result<Vec<u8>>> {
        let file = Arc::clone(&self.file);
        self.copy.task(move |copy| {
            let read = || {
                let mut rest = Vec::new();
                // A file that reports a wrong size must not exhaust the memory of the server.
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

    /// The path of the copy.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The filesystem of the path.
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

    /// Turns the result of a task into that of its work. If the volume did not answer in time, this task
    /// fails, and so do all others on the path until the volume answers.
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

    /// Checks that the path can be that of a keyring (a regular file, no link, private, in a private
    /// directory), opens the file and reads its front.
    ///
    /// # Errors
    /// [`volume::check_file`]; I/O errors.
    pub fn read(&self) -> Result<Reading> {
        self.finished(deadline::run(&self.path, CHANGE_WAIT + GRACE, self.read_task().run))
    }

    /// As [`FileReplica::read`], as a task. Where a lock also prevents reading, waits for the lock.
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

    /// Whether something may be at the path: `false` only if the filesystem says that there is nothing. Other
    /// errors show up when the copy is read.
    pub fn is_there(&self) -> bool {
        self.finished(deadline::run(&self.path, PROBE_WAIT, self.presence_task().run)).unwrap_or(true)
    }

    /// As [`FileReplica::is_there`], as a task.
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

    /// The error for a path without a file, which describes what is there instead.
    pub(crate) fn missing_error(&self) -> Error {
        let missing = self.run_within(PROBE_WAIT, |copy| {
            Ok(volume::missing_or(copy.fs.as_ref(), &copy.path, "look at", io::ErrorKind::NotFound.into()))
        });
        missing.unwrap_or_else(|e| e)
    }

    /// Refuses if the path now leads to another filesystem than when the file was opened.
    pub(super) fn check_same_volume(&self, was: u64, is: u64) -> Result<()> {
        if was == is {
            return Ok(());
        }
        Err(volume::missing_or(self.fs.as_ref(), &self.path, "look at", io::ErrorKind::NotFound.into()))
    }

    /// Refuses a path on the filesystem of the data directory and, if `private`, one whose directory others
    /// can read or change.
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

    /// Checks whether a change could be made now.
    ///
    /// # Errors
    /// If the volume is mounted read-only or has no space for a second version of the file; I/O errors.
    pub fn check_room(&self) -> Result<()> {
        self.run_within(PROBE_WAIT, FileReplica::room)
    }

    fn room(&self) -> Result<()> {
        let room = || self.fs.room_beside(&self.path, self.fs.meta(&self.path)?.len);
        room().map_err(self.io_error("change"))
    }

    /// Reads the front for a status query, without the checks of [`FileReplica::read`]. If `to_change`, also
    /// checks whether a change could be made.
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
            // The file could be opened, so this is not about permissions: on some network filesystems (SMB) a
            // lock also prevents others from reading.
            io::ErrorKind::PermissionDenied => self.lock_error(Duration::ZERO),
            _ => self.io_error("read")(e),
        })?;
        Ok(Reading { copy: self.clone(), file, id: (meta.dev, meta.ino), front, len: meta.len })
    }

    pub(crate) fn lock_error(&self, waited: Duration) -> Error {
        Error::Failure(Failure::Locked { path: self.path.clone(), seconds: waited.as_secs() })
    }
}

/// Runs tasks on copies side by side, as [`deadline::side_by_side`], and returns the results in the same
/// order.
pub(crate) fn side_by_side<'a, T: Send + 'static>(
    work: impl IntoIterator<Item = (&'a FileReplica, Task<Result<T>>)>,
    limits: Limits,
) -> Vec<Result<T>> {
    let (copies, work): (Vec<_>, Vec<_>) = work.into_iter().unzip();
    let done = deadline::side_by_side(work, limits, Result::is_ok);
    copies.into_iter().zip(done).map(|(copy, done)| copy.finished(done)).collect()
}
