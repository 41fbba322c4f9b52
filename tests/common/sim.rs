// SPDX-License-Identifier: GPL-2.0-or-later
//! A filesystem in memory that keeps what programs see apart from what would survive a power cut, and
//! that fails or loses power at a chosen operation.
//!
//! What a crash may leave of the writes since the last sync of a file: any of them wholly, torn or not
//! at all, in any combination; the file as long as before, or as it was going to be with zeros or old
//! garbage in the gap. What it may leave of names: any of the changes since the last sync of the
//! directory. What was in flight when a sync failed stays in doubt for ever: the kernel forgets it.

use keyring_external::store::file::fs::{Access, File, FileKind, Fs, Lock, Meta};
use keyring_external::store::file::real::effective_user;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The one directory there is.
const DIRECTORY: &str = "/volume";
/// What another program's file holds.
pub const OTHERS: &[u8] = b"another program's";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Certainty {
    /// Synced.
    Sure,
    /// Waits for a sync.
    Pending,
    /// Was in flight when a sync failed.
    Doubtful,
}

#[derive(Clone, Debug)]
pub(super) struct Write {
    pub offset: usize,
    pub bytes: Arc<[u8]>,
    pub state: Certainty,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub seen: Vec<u8>,
    /// Durable for sure, before `log`.
    pub base: Vec<u8>,
    pub log: Vec<Write>,
    locked: bool,
}

impl Inode {
    fn durable(bytes: Vec<u8>) -> Self {
        Self { base: bytes.clone(), seen: bytes, ..Self::default() }
    }

    fn settle(&mut self, state: Certainty) {
        self.log.iter_mut().filter(|w| w.state == Certainty::Pending).for_each(|w| w.state = state);
        let sure = self.log.iter().take_while(|w| w.state == Certainty::Sure).count();
        for w in self.log.drain(..sure) {
            apply(&mut self.base, w.offset, &w.bytes);
        }
    }
}

/// Makes a write count. One of no bytes cuts the file there.
pub(super) fn apply(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return file.truncate(offset);
    }
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

pub(super) type Names = BTreeMap<PathBuf, usize>;

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Unlink(PathBuf),
}

impl NameChange {
    pub fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Create(path, ino) => {
                names.insert(path.clone(), *ino);
            }
            NameChange::Rename(from, to, ino) => {
                if names.get(from) == Some(ino) {
                    names.remove(from);
                }
                names.insert(to.clone(), *ino);
            }
            NameChange::Unlink(path) => {
                names.remove(path);
            }
        }
    }
}

/// How much of an operation happens although it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    None,
    /// The first half of a write; nothing of other operations.
    Half,
    /// Of a rename, that the file in its way goes; nothing of other operations.
    TargetGone,
    /// All of it: only the answer is lost.
    Whole,
}

#[derive(Clone, Debug)]
enum Plan {
    Fail { at: usize, effect: Effect, errno: i32 },
    FailFrom { at: usize, errno: i32 },
    Crash { at: usize },
    Made { at: usize, path: PathBuf },
}

/// How an operation is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Now {
    Works,
    Fails(Effect),
    /// The power fails while it is under way.
    Crashes,
}

impl Now {
    fn effect(self) -> Effect {
        if let Now::Fails(effect) = self { effect } else { Effect::Whole }
    }
}

/// What was done since the counts were reset.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Every operation, by name.
    pub operations: Vec<&'static str>,
    /// Bytes given to writes.
    pub written: usize,
}

impl Counts {
    pub fn of(&self, operation: &str) -> usize {
        self.operations.iter().filter(|o| **o == operation).count()
    }

    /// Operations that change something on disk.
    pub fn changes(&self) -> usize {
        ["create", "rename", "unlink", "write", "set_owner"].iter().map(|o| self.of(o)).sum()
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub inodes: Vec<Inode>,
    seen: Names,
    pub base: Names,
    pub log: Vec<(NameChange, Certainty)>,
    counts: Counts,
    plan: Option<Plan>,
    dead: bool,
    without_locks: bool,
}

/// The filesystem. Clones are the same one; [`Sim::fork`] makes another.
#[derive(Clone, Debug, Default)]
pub struct Sim(Arc<Mutex<World>>);

fn gone() -> io::Error {
    io::Error::from_raw_os_error(2)
}

impl World {
    /// Counts an operation and lets it go as planned.
    fn step<R>(
        &mut self,
        operation: &'static str,
        perform: impl FnOnce(&mut World, Now) -> io::Result<R>,
    ) -> io::Result<R> {
        if self.dead {
            return Err(io::Error::other("the power is off"));
        }
        self.counts.operations.push(operation);
        let number = self.counts.operations.len();
        match self.plan.clone() {
            Some(Plan::Made { at, path }) if at == number && !self.seen.contains_key(&path) => {
                self.put(path, OTHERS.to_vec());
                perform(self, Now::Works)
            }
            Some(Plan::Crash { at }) if at == number => {
                self.dead = true;
                let _ = perform(self, Now::Crashes);
                Err(io::Error::other("the power fails"))
            }
            Some(Plan::Fail { at, effect, errno }) if at == number => {
                let _ = perform(self, Now::Fails(effect));
                Err(io::Error::from_raw_os_error(errno))
            }
            Some(Plan::FailFrom { at, errno }) if at <= number => Err(io::Error::from_raw_os_error(errno)),
            _ => perform(self, Now::Works),
        }
    }

    fn put(&mut self, path: PathBuf, bytes: Vec<u8>) {
        let ino = self.inodes.len();
        self.inodes.push(Inode::durable(bytes));
        self.base.insert(path.clone(), ino);
        self.seen.insert(path, ino);
    }

    fn change_name(&mut self, now: Now, change: NameChange) {
        if now.effect() == Effect::Whole {
            change.apply(&mut self.seen);
            self.log.push((change, Certainty::Pending));
        }
    }
}

impl Sim {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub fn fs(&self) -> Arc<dyn Fs> {
        Arc::new(self.clone())
    }

    /// A copy that goes its own way, with locks released, the power on and nothing planned.
    pub fn fork(&self) -> Sim {
        let mut world = self.world().clone();
        world.inodes.iter_mut().for_each(|i| i.locked = false);
        world.dead = false;
        let sim = Sim(Arc::new(Mutex::new(world)));
        sim.plan(None);
        sim
    }

    fn plan(&self, plan: Option<Plan>) {
        let mut world = self.world();
        world.counts = Counts::default();
        world.plan = plan;
    }

    /// Operation number `at` from now on fails with `errno`.
    pub fn fail_at(&self, at: usize, effect: Effect, errno: i32) {
        self.plan(Some(Plan::Fail { at, effect, errno }));
    }

    /// Operation number `at` from now on fails with `errno`, and so does every later one. Nothing of them happens.
    pub fn fail_from(&self, at: usize, errno: i32) {
        self.plan(Some(Plan::FailFrom { at, errno }));
    }

    /// The power fails in operation number `at` from now on.
    pub fn crash_at(&self, at: usize) {
        self.plan(Some(Plan::Crash { at }));
    }

    /// Before operation number `at` from now on, another program makes a file of the bytes [`OTHERS`] at `path`, unless
    /// there is one.
    pub fn made_at(&self, at: usize, path: impl AsRef<Path>) {
        self.plan(Some(Plan::Made { at, path: path.as_ref().to_owned() }));
    }

    /// No file can be locked from now on.
    pub fn forget_locks(&self) {
        self.world().without_locks = true;
    }

    /// Counts from here on, and lets everything work.
    pub fn reset(&self) {
        self.plan(None);
    }

    pub fn counts(&self) -> Counts {
        self.world().counts.clone()
    }

    /// Puts a durable new file there, perhaps in the place of another.
    pub fn put(&self, path: impl AsRef<Path>, bytes: Vec<u8>) {
        self.world().put(path.as_ref().to_owned(), bytes);
    }

    /// Changes a file's bytes where they lie, durably.
    pub fn overwrite(&self, path: impl AsRef<Path>, bytes: Vec<u8>) {
        let mut world = self.world();
        let ino = world.seen[path.as_ref()];
        world.inodes[ino] = Inode::durable(bytes);
    }

    pub fn remove(&self, path: impl AsRef<Path>) {
        let mut world = self.world();
        world.seen.remove(path.as_ref());
        world.base.remove(path.as_ref());
    }

    pub fn rename_by_hand(&self, from: &str, to: &str) {
        let bytes = self.bytes(from).unwrap();
        self.remove(from);
        self.put(to, bytes);
    }

    /// A file's bytes as programs see them.
    pub fn bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let world = self.world();
        world.seen.get(path.as_ref()).map(|ino| world.inodes[*ino].seen.clone())
    }

    /// Whether there was ever a file with these bytes.
    pub fn ever_held(&self, bytes: &[u8]) -> bool {
        self.world().inodes.iter().any(|inode| inode.seen == bytes)
    }

    /// The number of the file that has this name, told without an operation.
    pub fn ino(&self, path: impl AsRef<Path>) -> Option<usize> {
        self.world().seen.get(path.as_ref()).copied()
    }

    /// Opens a file by its number.
    pub fn open_file(&self, ino: usize) -> io::Result<Box<dyn File>> {
        self.world().step("open", |_, _| Ok(()))?;
        Ok(self.file(ino))
    }

    /// A file that is open already, by its number.
    pub fn file(&self, ino: usize) -> Box<dyn File> {
        Box::new(SimFile { sim: self.clone(), ino, locked: Mutex::new(false) })
    }
}

impl Fs for Sim {
    fn open(&self, path: &Path, _: Access) -> io::Result<Box<dyn File>> {
        let ino = self.world().step("open", |w, _| w.seen.get(path).copied().ok_or_else(gone))?;
        Ok(self.file(ino))
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let ino = self.world().step("create", |w, now| {
            if w.seen.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            w.inodes.push(Inode::default());
            let ino = w.inodes.len() - 1;
            w.change_name(now, NameChange::Create(path.to_owned(), ino));
            Ok(ino)
        })?;
        Ok(self.file(ino))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.world().step("rename", |w, now| {
            let ino = *w.seen.get(from).ok_or_else(gone)?;
            if now == Now::Fails(Effect::TargetGone) {
                w.change_name(Now::Works, NameChange::Unlink(to.to_owned()));
            }
            w.change_name(now, NameChange::Rename(from.to_owned(), to.to_owned(), ino));
            Ok(())
        })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.world().step("rename", |w, now| {
            let ino = *w.seen.get(from).ok_or_else(gone)?;
            if w.seen.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            w.change_name(now, NameChange::Rename(from.to_owned(), to.to_owned(), ino));
            Ok(())
        })
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.world().step("unlink", |w, now| {
            w.seen.get(path).ok_or_else(gone)?;
            w.change_name(now, NameChange::Unlink(path.to_owned()));
            Ok(())
        })
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.world().step("sync_dir", |w, now| {
            let state = match now {
                Now::Works => Certainty::Sure,
                Now::Fails(_) => Certainty::Doubtful,
                Now::Crashes => Certainty::Pending,
            };
            w.log.iter_mut().filter(|(_, s)| *s == Certainty::Pending).for_each(|(_, s)| *s = state);
            let sure = w.log.iter().take_while(|(_, s)| *s == Certainty::Sure).count();
            for (change, _) in w.log.drain(..sure) {
                change.apply(&mut w.base);
            }
            Ok(())
        })
    }

    fn meta(&self, path: &Path) -> io::Result<Meta> {
        self.world().step("meta", |w, _| match w.seen.get(path) {
            Some(ino) => Ok(meta(FileKind::File, *ino, w.inodes[*ino].seen.len())),
            None if path == Path::new(DIRECTORY) => Ok(meta(FileKind::Directory, usize::MAX, 0)),
            None => Err(gone()),
        })
    }
}

fn meta(kind: FileKind, ino: usize, len: usize) -> Meta {
    let mode = if kind == FileKind::Directory { 0o700 } else { 0o600 };
    Meta { kind, mode, uid: effective_user(), gid: 0, dev: 1, ino: ino as u64, len: len as u64 }
}

#[derive(Debug)]
struct SimFile {
    sim: Sim,
    ino: usize,
    locked: Mutex<bool>,
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.sim.world().step("read", |w, _| {
            let seen = &w.inodes[self.ino].seen;
            let from = seen.get(offset as usize..).unwrap_or_default();
            let got = from.len().min(buf.len());
            buf[..got].copy_from_slice(&from[..got]);
            Ok(got)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.sim.world().step("write", |w, now| {
            let len = match now.effect() {
                Effect::None | Effect::TargetGone => return Ok(()),
                Effect::Half => buf.len() / 2,
                Effect::Whole => buf.len(),
            };
            w.counts.written += len;
            let inode = &mut w.inodes[self.ino];
            apply(&mut inode.seen, offset as usize, &buf[..len]);
            let write =
                Write { offset: offset as usize, bytes: buf[..len].into(), state: Certainty::Pending };
            inode.log.push(write);
            Ok(())
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.sim.world().step("cut", |w, now| {
            if now.effect() == Effect::Whole {
                let inode = &mut w.inodes[self.ino];
                apply(&mut inode.seen, len as usize, &[]);
                inode.log.push(Write { offset: len as usize, bytes: [].into(), state: Certainty::Pending });
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.sim.world().step("sync", |w, now| {
            match now {
                Now::Works => w.inodes[self.ino].settle(Certainty::Sure),
                // Whatever arrived, the kernel will not try again.
                Now::Fails(_) => w.inodes[self.ino].settle(Certainty::Doubtful),
                Now::Crashes => {}
            }
            Ok(())
        })
    }

    fn meta(&self) -> io::Result<Meta> {
        self.sim
            .world()
            .step("meta", |w, _| Ok(meta(FileKind::File, self.ino, w.inodes[self.ino].seen.len())))
    }

    fn try_lock(&self) -> io::Result<Lock> {
        let lock = self.sim.world().step("lock", |w, now| {
            if w.without_locks {
                return Ok(Lock::NotSupported);
            }
            let lock = if w.inodes[self.ino].locked { Lock::Held } else { Lock::Taken };
            w.inodes[self.ino].locked |= now == Now::Works;
            Ok(lock)
        })?;
        *self.locked.lock().unwrap() = lock == Lock::Taken;
        Ok(lock)
    }

    fn set_owner(&self, _: u32, _: u32) -> io::Result<()> {
        self.sim.world().step("set_owner", |_, _| Ok(()))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if *self.locked.lock().unwrap() {
            self.sim.world().inodes[self.ino].locked = false;
        }
    }
}
