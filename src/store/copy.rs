// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy of a keyring: a file at a path. It is changed in two steps, so that several copies can be
//! kept alike: first what does not count yet (a record behind the last one, a new file under another
//! name), then what makes it count (the commit slot, the rename). Each step is durable when it returns
//! (invariant 1), and at every instant the file is in the state before or after (invariant 2).
//!
//! This is the seam at which another kind of store could stand beside files.

use super::deadline::{self, Late, Limits, Work};
use super::fs::{Access, File, Fs, Lock};
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

/// How long a whole change, or opening a keyring's copies, may take: locks, reading and writing, on all copies.
pub const CHANGE_WAIT: Duration = Duration::from_secs(30);
/// How long one step of a change waits for a slow copy when enough others have done it.
pub const SLOW_WAIT: Duration = Duration::from_secs(10);
/// How long a look at the file for a status query may take.
pub const PROBE_WAIT: Duration = Duration::from_secs(5);
/// How often a lock that another program holds is asked for.
const LOCK_STEP: Duration = Duration::from_millis(5);
/// How much later than its own end a thread that waits for a lock counts as hung.
pub const GRACE: Duration = Duration::from_secs(2);

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
}

/// An open copy, to be read.
#[derive(Debug)]
pub struct Reading {
    copy: Copy,
    file: Arc<dyn File>,
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
        let work = self.rest_work(most);
        self.copy.answer(deadline::run(&self.copy.path, limit, work.run))
    }

    /// As [`Reading::rest`], to be done side by side with others.
    pub fn rest_work(&self, most: u64) -> Work<Result<Vec<u8>>> {
        let file = Arc::clone(&self.file);
        self.copy.work(move |copy| {
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

    fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> Error + '_ {
        move |e| Error::io(doing, &self.path, e)
    }

    /// Work on this copy, to be done side by side with that on others.
    pub fn work<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Copy) -> Result<T> + Send + 'static,
    ) -> Work<Result<T>> {
        let copy = self.clone();
        Work { path: self.path.clone(), run: Box::new(move || step(&copy)) }
    }

    /// What work on this copy came to; a volume that has not answered in time fails it, and all further work until
    /// it does.
    fn answer<T>(&self, done: std::result::Result<Result<T>, Late>) -> Result<T> {
        done.unwrap_or_else(|late| {
            Err(match late {
                Late::Hung(since) => Error::Hung { path: self.path.clone(), seconds: since.as_secs() },
                Late::NotStarted(e) => Error::System(e),
                Late::Panicked => self.io("work on")(io::Error::other("an internal error")),
            })
        })
    }

    /// Runs one step on this copy, for at most `limit`.
    fn timed<T: Send + 'static>(
        &self,
        limit: Duration,
        step: impl FnOnce(&Copy) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.answer(deadline::run(&self.path, limit, self.work(step).run))
    }

    /// Checks that the path names a file that may hold a keyring (a regular file, not a link, closed to
    /// others, in a directory closed to others), opens it and reads its front.
    ///
    /// # Errors
    /// Each finding has its own; what the filesystem answers.
    pub fn read(&self) -> Result<Reading> {
        self.answer(deadline::run(&self.path, CHANGE_WAIT + GRACE, self.read_work().run))
    }

    /// As [`Copy::read`], to be done side by side with others. Where a lock keeps others from reading too, it is waited
    /// for.
    pub fn read_work(&self) -> Work<Result<Reading>> {
        let until = Instant::now() + CHANGE_WAIT;
        self.work(move |copy| {
            volume::check_file(copy.fs.as_ref(), &copy.path)?;
            loop {
                match copy.open(Access::Read) {
                    Err(Error::Locked { .. }) if Instant::now() < until => std::thread::sleep(LOCK_STEP),
                    done => return done,
                }
            }
        })
    }

    /// Whether there may be something at the path: only a filesystem that says that there is nothing is
    /// believed. What cannot be looked at is told when it is read.
    pub fn is_there(&self) -> bool {
        self.answer(deadline::run(&self.path, PROBE_WAIT, self.presence().run)).unwrap_or(true)
    }

    /// As [`Copy::is_there`], to be done side by side with others.
    pub fn presence(&self) -> Work<Result<bool>> {
        self.work(|copy| Ok(copy.may_be_at(&copy.path)))
    }

    /// Whether an interrupted write may have left a file beside the path.
    pub fn has_leftover(&self) -> bool {
        self.timed(PROBE_WAIT, |copy| Ok(copy.may_be_at(&volume::temporary_of(&copy.path)))).unwrap_or(true)
    }

    fn may_be_at(&self, path: &Path) -> bool {
        let nothing =
            |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        !self.fs.meta(path).as_ref().is_err_and(nothing)
    }

    /// What is found at the path instead of a file.
    pub fn missing(&self) -> Error {
        let missing = self.timed(PROBE_WAIT, |copy| {
            Ok(volume::missing_or(copy.fs.as_ref(), &copy.path, "look at", io::ErrorKind::NotFound.into()))
        });
        missing.unwrap_or_else(|e| e)
    }

    /// Refuses when the path leads to another filesystem by now than that of the file opened there.
    fn same_volume(&self, was: u64, is: u64) -> Result<()> {
        if was == is {
            return Ok(());
        }
        Err(volume::missing_or(self.fs.as_ref(), &self.path, "look at", io::ErrorKind::NotFound.into()))
    }

    /// Refuses a path whose directory others can change, or that is on the data directory's filesystem.
    ///
    /// # Errors
    /// As [`volume::check_directory`] and [`volume::check_device`].
    pub fn check_place(&self, private: bool, datadir: Option<&Path>) -> Result<()> {
        let datadir = datadir.map(Path::to_owned);
        self.timed(CHANGE_WAIT, move |copy| {
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
        self.timed(PROBE_WAIT, Copy::room)
    }

    fn room(&self) -> Result<()> {
        let room = || self.fs.room_beside(&self.path, self.fs.meta(&self.path)?.len);
        room().map_err(self.io("change"))
    }

    /// Reads the file's front for a status query, without the checks of [`Copy::read`], and looks `to_change`
    /// whether a change could be made.
    pub fn look(&self, to_change: bool) -> Work<Result<Reading>> {
        self.work(move |copy| {
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

    fn open_file(&self, access: Access) -> Result<Arc<dyn File>> {
        let file = self
            .fs
            .open(&self.path, access)
            .map_err(|e| volume::missing_or(self.fs.as_ref(), &self.path, "open", e))?;
        Ok(file.into())
    }

    fn reading(&self, file: Arc<dyn File>) -> Result<Reading> {
        let read = || {
            let mut front = vec![0; FRONT_LEN];
            let got = file.read_at(&mut front, 0)?;
            front.truncate(got);
            Ok((FrontBytes(front.into()), file.meta()?))
        };
        let (front, meta) = read().map_err(|e: io::Error| match e.kind() {
            // The file could be opened, so this is no matter of its mode: on some network filesystems (SMB) a lock
            // keeps all others from reading too.
            io::ErrorKind::PermissionDenied => self.locked(Duration::ZERO),
            _ => self.io("read")(e),
        })?;
        Ok(Reading { copy: self.clone(), file, id: (meta.dev, meta.ino), front, len: meta.len })
    }

    fn locked(&self, waited: Duration) -> Error {
        Error::Locked { path: self.path.clone(), seconds: waited.as_secs() }
    }

    /// Opens the file to be changed: locks it, makes sure that it is still the file at the path, and reads its front
    /// through the descriptor that holds the lock. The lock is held until the answer is dropped. A lock that another
    /// program holds is waited for until `until`; without that the answer comes at once.
    ///
    /// # Errors
    /// [`Error::Missing`], or what the filesystem answers.
    pub fn open_to_change(&self, until: Option<Instant>) -> Work<Result<Opened>> {
        self.work(move |copy| {
            loop {
                let file = copy.open_file(Access::Write)?;
                let lock = file.try_lock().map_err(copy.io("lock"))?;
                let (open, named) = file
                    .meta()
                    .and_then(|o| Ok((o, copy.fs.meta(&copy.path)?)))
                    .map_err(copy.io("look at"))?;
                // Another program may have renamed a new file over this one while it held the lock.
                if lock != Lock::Held && (open.dev, open.ino) == (named.dev, named.ino) {
                    return Ok(Opened::Locked(Changing { reading: copy.reading(file)?, lock }));
                }
                if until.is_none_or(|until| Instant::now() >= until) {
                    return Ok(Opened::Held { file: (open.dev, open.ino) });
                }
                drop(file);
                std::thread::sleep(LOCK_STEP);
            }
        })
    }

    /// The error for a copy whose lock could not be had.
    pub fn held(&self, waited: Duration) -> Error {
        self.locked(waited)
    }
}

/// What trying to lock a copy came to.
#[derive(Debug)]
pub enum Opened {
    /// It is open to be changed.
    Locked(Changing),
    /// Another program holds the lock: it is changing the copy.
    Held {
        /// The file's device and number there.
        file: (u64, u64),
    },
}

impl Opened {
    /// The file's device and number there.
    pub fn id(&self) -> (u64, u64) {
        match self {
            Opened::Locked(file) => file.id(),
            Opened::Held { file } => *file,
        }
    }
}

/// Does work on copies side by side; `limits` as for [`deadline::side_by_side`]. The answers are in the order of the
/// copies.
pub fn side_by_side<'a, T: Send + 'static>(
    work: impl IntoIterator<Item = (&'a Copy, Work<Result<T>>)>,
    limits: Limits,
) -> Vec<Result<T>> {
    let (copies, work): (Vec<_>, Vec<_>) = work.into_iter().unzip();
    let done = deadline::side_by_side(work, limits, Result::is_ok);
    copies.into_iter().zip(done).map(|(copy, done)| copy.answer(done)).collect()
}

/// A copy that is open to be changed: locked, and the file at its path.
#[derive(Debug)]
pub struct Changing {
    reading: Reading,
    lock: Lock,
}

impl Changing {
    /// Its path.
    pub fn path(&self) -> &Path {
        self.reading.copy.path()
    }

    /// The copy.
    pub fn copy(&self) -> &Copy {
        &self.reading.copy
    }

    /// The device and the number there of the locked file: the same for two names of one file.
    pub fn id(&self) -> (u64, u64) {
        self.reading.id
    }

    /// Whether other programs are kept out. On a volume without locks the comparison of the front is all there is.
    pub fn is_locked(&self) -> bool {
        self.lock == Lock::Taken
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

    /// Reads the front once more, through the descriptor that holds the lock.
    pub fn read_again(&self) -> Work<Result<Reading>> {
        let file = Arc::clone(&self.reading.file);
        self.reading.copy.work(move |copy| {
            volume::check_file(copy.fs.as_ref(), &copy.path)?;
            copy.reading(file)
        })
    }

    /// The file, to read on.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// A step of a change. The lock goes with it: one that is left behind must not come after somebody else's.
    fn step(&self, step: impl FnOnce(&Copy, &dyn File) -> Result<()> + Send + 'static) -> Work<Result<()>> {
        let file = Arc::clone(&self.reading.file);
        self.reading.copy.work(move |copy| step(copy, file.as_ref()))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Work<Result<()>> {
        let bytes = bytes.to_vec();
        self.step(move |copy, file| {
            file.write_at(&bytes, offset).and_then(|()| file.sync()).map_err(copy.io("write to"))
        })
    }

    /// Writes a record behind the acknowledged ones, durably. It does not count yet. After a failure it may be there
    /// all the same, in part or whole.
    pub fn append(&self, offset: u64, record: &[u8]) -> Work<Result<()>> {
        self.write(offset, record)
    }

    /// Writes a commit slot, durably: what was appended counts now. After a failure the slot may be there all the
    /// same, in part or whole.
    pub fn commit(&self, offset: u64, slot: &[u8]) -> Work<Result<()>> {
        self.write(offset, slot)
    }

    /// Takes back what was appended.
    pub fn cut(&self, len: u64) -> Work<Result<()>> {
        self.step(move |copy, file| file.cut(len).and_then(|()| file.sync()).map_err(copy.io("cut")))
    }

    /// Writes a new version of the file beside it, durably. It does not count yet. After a failure nothing is left
    /// behind, where that can be had.
    pub fn prepare(&self, bytes: &Arc<[u8]>) -> Work<Result<()>> {
        let bytes = Arc::clone(bytes);
        self.step(move |copy, old| {
            let temporary = volume::temporary_of(&copy.path);
            let failed = |doing| {
                let temporary = &temporary;
                move |e| Error::io(doing, temporary, e)
            };
            let owner = old.meta().map_err(copy.io("look at"))?;
            match copy.fs.unlink(&temporary) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(e)),
                // A leftover of a replacement that was interrupted before it took effect.
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

    /// Removes what [`Changing::prepare`] wrote. What is left in spite of that is removed before the next replacement.
    pub fn abandon(&self) -> Work<Result<()>> {
        self.step(|copy, _| copy.fs.unlink(&volume::temporary_of(&copy.path)).map_err(copy.io("remove")))
    }

    /// Puts what [`Changing::prepare`] wrote in the place of the file, durably. After a failure the new file may be
    /// in place all the same.
    pub fn put_in_place(&self) -> Work<Result<()>> {
        self.step(|copy, locked| {
            copy.fs
                .rename(&volume::temporary_of(&copy.path), &copy.path)
                .and_then(|()| copy.fs.sync_dir(volume::directory_of(&copy.path)))
                .map_err(copy.io("replace"))?;
            // Else it was the mount point's directory that was synced, not the volume's.
            let was = locked.meta().map_err(copy.io("look at"))?;
            let is = copy
                .fs
                .meta(&copy.path)
                .map_err(|e| volume::missing_or(copy.fs.as_ref(), &copy.path, "look at", e))?;
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
