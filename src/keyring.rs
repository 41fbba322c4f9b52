// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring: what the server's calls and `keyringctl` come down to. A change goes to the store
//! first and into memory when it is durable there; reads are answered from memory alone.

mod copies;
mod found;
mod kinship;
mod lineage;
mod load;
mod many;
mod memory;
mod merge;
mod new;
mod open;
mod slots;
mod status;
mod witness;
mod writer;

pub use copies::{Report, Severity, Standing};
pub use found::Found;
pub use kinship::Kinship;
pub use merge::{About, Conflict, Merge, Merged, Merging, OnlyOne, Take};
pub use new::NewKeyring;
pub use open::{Claims, Trust, inspect, load, load_all, load_beside_others, load_with};
pub use status::{Counters, State, Status};
pub use witness::{Testimony, hear_claims, witness_claims};

use crate::error::{Error, Result};
use crate::format::records::KeyRecord;
use crate::key::{KeyName, KeyType, NameRef, check_length};
use crate::secret::fill_random;
use crate::store::copy::{CHANGE_WAIT, Changing, PROBE_WAIT};
use crate::store::fs::Fs;
use crate::store::vacancy::Vacancy;
use memory::Memory;
use open::Reopen;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;
use witness::WitnessFile;
use writer::Writer;

/// An open keyring. All methods may be called from many threads at once; fetches do not block one
/// another.
#[derive(Debug)]
pub struct Keyring {
    memory: RwLock<Memory>,
    /// Held through every change, so that changes come one after the other.
    writer: Mutex<Writer>,
    read_only: AtomicBool,
    /// Set under the writer's lock when another keyring has taken this one's place.
    retired: AtomicBool,
    /// How it is read again; `None` where a change by another program is refused.
    reopen: Option<Reopen>,
    id: Uuid,
    counters: Counters,
    /// How often memory lost keys that it had. Changed while nobody else looks at it.
    losses: AtomicU64,
}

/// How often one change may find that another program was faster.
const CATCH_UPS: usize = 20;

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

impl Keyring {
    /// The keyring's identity.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The path of its file.
    pub fn path(&self) -> PathBuf {
        self.lock_writer().path().to_owned()
    }

    /// Refuses changes from now on, or allows them again.
    pub fn set_read_only(&self, read_only: bool) {
        self.read_only.store(read_only, Ordering::Relaxed);
    }

    /// Stores a key. When this returns, the key is durable (invariant 1).
    ///
    /// # Errors
    /// [`Error::Exists`] for a name that is taken, whatever the type or bytes; a bad length; a file that
    /// is not the one in use any more; what the filesystem answers. Nothing changed then, as far as this
    /// server sees it.
    pub fn store(&self, name: NameRef<'_>, key_type: &KeyType, data: &[u8]) -> Result<()> {
        self.add(name, key_type, data.len(), |place| {
            place.copy_from_slice(data);
            Ok(())
        })
    }

    /// Makes a key of `len` random bytes and stores it. The bytes never leave locked memory.
    ///
    /// # Errors
    /// As [`Keyring::store`]; a failing random generator.
    pub fn generate(&self, name: NameRef<'_>, key_type: &KeyType, len: usize) -> Result<()> {
        self.add(name, key_type, len, fill_random)
    }

    fn add(
        &self,
        name: NameRef<'_>,
        key_type: &KeyType,
        len: usize,
        fill: impl Fn(&mut [u8]) -> io::Result<()>,
    ) -> Result<()> {
        self.counted(|| {
            check_length(len)?;
            let mut writer = self.writable()?;
            self.catching_up(&mut writer, |writer| {
                if self.knows(writer, &name, true) {
                    return Err(Error::Exists { name: name.to_string() });
                }
                let place = self.write_memory().reserve(len, &fill)?;
                let created = now();
                let stored = {
                    let memory = self.read_memory();
                    let data = memory.secret(place);
                    writer.add(&memory, &KeyRecord { name, key_type, created, data })
                };
                let mut memory = self.write_memory();
                match &stored {
                    Ok(()) => memory.link(name.to_owned(), key_type.clone(), created, place),
                    Err(_) => memory.release(place),
                }
                stored
            })
        })
        .inspect(|()| self.counters.stored())
    }

    /// Makes a change; when another program has changed the keyring in the meantime, goes on from that
    /// and makes it then. Nothing that either has stored is lost.
    fn catching_up<R>(&self, writer: &mut Writer, change: impl Fn(&mut Writer) -> Result<R>) -> Result<R> {
        let mut done = change(writer);
        for _ in 0..CATCH_UPS {
            match done {
                Err(e) if e.is_by_another() && self.reopen.is_some() => {
                    // Keep the locks while re-reading, or a busy writer could starve us.
                    let locked = writer.lock_copies()?;
                    self.catch_up(writer, Some(&locked)).map_err(|_| e)?;
                    drop(locked);
                    done = change(writer);
                }
                done => return done,
            }
        }
        done
    }

    /// Whether there is a key of that name. Before the answer `refusal`, which ends a change, the copies
    /// are looked at: another program may have made it untrue.
    fn knows(&self, writer: &mut Writer, name: &NameRef<'_>, refusal: bool) -> bool {
        let known = || self.read_memory().get(name).is_some();
        if known() == refusal && self.reopen.is_some() {
            let looked = writer.probe(&self.read_memory(), false, false);
            if looked.is_err_and(|e| e.is_by_another()) {
                // Without success the answer is of the keyring as this program knows it.
                drop(self.catch_up(writer, None));
            }
        }
        known()
    }

    /// Reads a keyring again that another program has changed, when it is this one in a later state; through the
    /// descriptors that hold the locks of its copies, where they are `locked`.
    ///
    /// # Errors
    /// When there is nothing to go on from.
    fn catch_up(&self, writer: &mut Writer, locked: Option<&[Result<Changing>]>) -> Result<()> {
        let reopen = self.reopen.as_ref().ok_or(Error::Unavailable)?;
        let fresh = reopen.read(&writer.all_keys().collect::<Vec<_>>(), locked)?;
        let memory = fresh.memory.into_inner().unwrap_or_else(PoisonError::into_inner);
        let newer = fresh.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        if fresh.id == self.id && newer.commit() == writer.commit() {
            // A copy that was away while the data key was renewed.
            return if writer.learn_keys(newer) { Ok(()) } else { Err(Error::Unavailable) };
        }
        let later = newer.commit().generation > writer.commit().generation;
        let nothing_lost = writer.is_before(&newer) || self.read_memory().missing_in(&memory) == 0;
        if fresh.id != self.id || !later || !nothing_lost {
            return Err(Error::Unavailable);
        }
        (reopen.report)(
            Severity::Note,
            &format!(
                "the keyring {} was changed by another program: went on from generation {} to {}",
                writer.path().display(),
                writer.commit().generation,
                newer.commit().generation
            ),
        );
        writer.go_on_from(newer);
        let mut known = self.write_memory();
        *known = memory;
        self.losses.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Hands the key of that name to `look`, or answers `None`.
    pub fn fetch<R>(&self, name: &NameRef<'_>, look: impl FnOnce(&KeyRecord<'_>) -> R) -> Option<R> {
        self.counters.fetched();
        self.read_memory().get(name).as_ref().map(look)
    }

    /// Removes a key. When this returns, its bytes are in the file no more (invariant 8).
    ///
    /// # Errors
    /// [`Error::NoSuchKey`]; else as [`Keyring::store`].
    pub fn remove(&self, name: NameRef<'_>) -> Result<()> {
        self.counted(|| {
            let mut writer = self.writable()?;
            self.catching_up(&mut writer, |writer| {
                if !self.knows(writer, &name, false) {
                    return Err(Error::NoSuchKey { name: name.to_string() });
                }
                writer.remove(&self.read_memory(), &name)?;
                let mut memory = self.write_memory();
                memory.unlink(&name);
                self.losses.fetch_add(1, Ordering::Release);
                Ok(())
            })
        })
    }

    /// The names of all keys, ordered by user and id: a snapshot that later changes do not disturb.
    pub fn names(&self) -> Vec<KeyName> {
        self.read_memory().names()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.read_memory().len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands every key to `look`, ordered by user and id.
    pub fn for_each(&self, mut look: impl FnMut(&KeyRecord<'_>)) {
        let memory = self.read_memory();
        for name in memory.names() {
            memory.get(&name.as_ref()).as_ref().map(&mut look);
        }
    }

    /// How many keys of `self` are missing in `other`, or differ there.
    pub fn missing_in(&self, other: &Keyring) -> usize {
        let mut missing = 0;
        self.for_each(|key| {
            let same = other
                .read_memory()
                .get(&key.name)
                .is_some_and(|o| subtle::ConstantTimeEq::ct_eq(o.data, key.data).into());
            missing += usize::from(!same);
        });
        missing
    }

    /// Opens the keyring that is to take this one's place, while no change is under way: both may be of the
    /// same files. Answers also how many keys of this one are missing in it when it is another keyring.
    ///
    /// # Errors
    /// What `open` answers; [`Error::Older`]; [`Error::Diverged`] when it went its own way; [`Error::Retired`].
    pub fn open_successor(
        &self,
        open: impl FnOnce() -> Result<Arc<Keyring>>,
    ) -> Result<(Arc<Keyring>, usize)> {
        let writer = self.lock_in_use()?;
        let new = open()?;
        let missing = self.check_successor(&writer, &new)?;
        Ok((new, missing))
    }

    /// Has `new`, which [`Keyring::open_successor`] opened, take this one's place: runs `swap` while no change is under
    /// way, and refuses all later ones with [`Error::Retired`]. No file is touched. What was changed here since `new`
    /// was opened is handed over, when both are one keyring.
    ///
    /// # Errors
    /// [`Error::Retired`]; no memory. This keyring goes on then.
    pub fn give_way(&self, new: &Keyring, swap: impl FnOnce()) -> Result<()> {
        let writer = self.lock_in_use()?;
        let mut theirs = new.lock_writer();
        if self.id == new.id && writer.commit().generation > theirs.commit().generation {
            let mut memory = Memory::default();
            memory.copy_from(&self.read_memory())?;
            theirs.take_over(&writer)?;
            *new.write_memory() = memory;
        }
        drop(theirs);
        swap();
        self.retired.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether `new` may take this keyring's place: the same keyring must be in this state or a later one.
    fn check_successor(&self, old: &Writer, new: &Keyring) -> Result<usize> {
        let missing = self.missing_in(new);
        if self.id != new.id {
            return Ok(missing);
        }
        let new = new.lock_writer();
        let (expected, found) = (old.commit().generation, new.commit().generation);
        let path = new.path().to_owned();
        if found < expected {
            return Err(Error::Older { path, id: self.id, found, expected });
        }
        if missing > 0 && !old.is_before(&new) {
            return Err(Error::Diverged { path, found, expected });
        }
        Ok(0)
    }

    /// What an administrator wants to know. The copies are looked at, once a second at most, and nothing is written to
    /// them. A change under way is not waited for: what it last came to is shown.
    pub fn status(&self) -> Status {
        // A retired keyring no longer touches the files.
        if let Some(mut writer) = self.try_lock_writer()
            && !self.retired.load(Ordering::Relaxed)
        {
            writer.let_witness_follow(false);
            if self.counters.look_is_due() {
                self.look(&mut writer);
            }
        }
        self.known_status()
    }

    /// The status as the last change, or the last look at the copies, found it.
    pub fn known_status(&self) -> Status {
        self.counters.status(self.id, self.len(), self.read_only.load(Ordering::Relaxed))
    }

    /// Looks at the copies and compares them with memory. Nothing is written.
    fn look(&self, writer: &mut Writer) {
        let read_only = self.read_only.load(Ordering::Relaxed);
        writer.begin(PROBE_WAIT);
        // A later state of this keyring is no error; [`Keyring::tend`] takes it over, or says what is wrong.
        let may_follow = self.reopen.is_some();
        let wrong = writer.probe(&self.read_memory(), !read_only, !may_follow).err();
        let (by_another, wrong) = match wrong {
            Some(e) if e.is_by_another() && may_follow => (true, None),
            wrong => (false, wrong),
        };
        self.note(writer, wrong.as_ref(), by_another);
    }

    fn note(&self, writer: &Writer, wrong: Option<&Error>, by_another: bool) {
        let needs_care = by_another || writer.needs_care();
        self.counters.note_copies(writer.commit().generation, writer.count(), wrong, needs_care);
    }

    /// Whether [`Keyring::tend`] may have something to do: a copy is away, behind or changed by another program, as far
    /// as is known.
    pub fn needs_care(&self) -> bool {
        self.counters.needs_care() && !self.retired.load(Ordering::Relaxed)
    }

    /// Takes over what another program has changed, and brings copies up to date that came back, that lag behind or
    /// may hold what a failed write left. Waits for a change under way.
    pub fn tend(&self) {
        let Ok(mut writer) = self.lock_in_use() else { return };
        writer.begin(CHANGE_WAIT);
        let tended = if self.read_only.load(Ordering::Relaxed) {
            let look = |writer: &mut Writer, told| writer.probe(&self.read_memory(), false, told);
            match look(&mut writer, false) {
                Err(e) if e.is_by_another() => {
                    drop(self.catch_up(&mut writer, None));
                    look(&mut writer, true)
                }
                looked => looked,
            }
        } else {
            self.catching_up(&mut writer, |writer| writer.heal(&self.read_memory()))
        };
        self.note(&writer, tended.as_ref().err(), false);
    }

    /// How each copy stands, as the last change or status query found it.
    pub fn standings(&self) -> Vec<(PathBuf, Standing)> {
        self.lock_writer().standings()
    }

    /// Brings copies that lag behind or are damaged up to date, and makes durable what was read, where it may not be;
    /// not when the keyring is read-only. To be called when the keyring was opened and is to be put to use. The witness
    /// is left as it is: it follows when the keyring is used.
    ///
    /// # Errors
    /// As [`Keyring::store`]; the keyring can be used all the same.
    pub fn settle(&self) -> Result<()> {
        let mut writer = self.lock_writer();
        writer.begin(CHANGE_WAIT);
        let (current, all) = writer.count();
        let read_only = self.read_only.load(Ordering::Relaxed);
        // Also a copy that is out of use: damage is put right where another copy shows what counts.
        let healed = if writer.is_ahead_of_witness() && !read_only {
            // This may be the leftover of a failed sync; make it durable before the server relies on it.
            self.catching_up(&mut writer, |writer| writer.make_durable(&self.read_memory()))
        } else if current < all && !read_only {
            self.catching_up(&mut writer, |writer| writer.heal(&self.read_memory()))
        } else {
            Ok(())
        };
        self.note(&writer, healed.as_ref().err(), false);
        healed
    }

    /// Makes new copies of the keyring at places where nothing is yet.
    ///
    /// # Errors
    /// As [`Vacancy::create`].
    pub fn create_copies(&self, places: &[Vacancy]) -> Result<()> {
        let mut writer = self.lock_writer();
        writer.begin(CHANGE_WAIT);
        self.catching_up(&mut writer, |writer| writer.create_copies(&self.read_memory(), places))
    }

    /// Whether there is a key of that id that belongs to the server itself.
    pub fn has_instance_key(&self, id: &str) -> bool {
        NameRef::new(id.as_bytes(), b"").is_ok_and(|name| self.read_memory().get(&name).is_some())
    }

    /// What the witness in a data directory says of this keyring. Nothing is written.
    ///
    /// # Errors
    /// [`Error::WitnessForeign`], [`Error::WitnessOlder`], [`Error::WitnessFork`]; what the filesystem answers.
    pub fn hear_witness(&self, fs: &Arc<dyn Fs>, datadir: &Path) -> Result<Testimony> {
        self.lock_writer().hear(&WitnessFile::new(fs, datadir, |_, _| {}))
    }

    /// Makes this keyring the one that the witness in a data directory knows, whatever it knew before.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn accept_for(&mut self, fs: &Arc<dyn Fs>, datadir: &Path, report: Report) -> Result<()> {
        let id = self.id;
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        writer.accept_witness(WitnessFile::new(fs, datadir, report), &id)
    }

    /// Has the witness in the data directory look at this keyring and follow it from now on.
    fn ask_witness(&mut self, witness: WitnessFile, trust: Trust) -> Result<()> {
        self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).ask_witness(witness, trust)
    }

    /// Where the writer reports what happens to the copies.
    fn report_to(&mut self, report: Report) {
        self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).report_to(report);
    }

    /// Notes what an operation came to, for the status variables.
    fn counted<R>(&self, operation: impl FnOnce() -> Result<R>) -> Result<R> {
        let done = operation().inspect_err(|e| self.counters.failed(e));
        if let Some(writer) = self.try_lock_writer() {
            self.note(&writer, None, false);
        }
        done
    }

    /// The writer, for a change that begins.
    fn writable(&self) -> Result<MutexGuard<'_, Writer>> {
        let mut writer = self.lock_in_use()?;
        if self.read_only.load(Ordering::Relaxed) {
            return Err(Error::ReadOnly { path: writer.path().to_owned() });
        }
        writer.begin(CHANGE_WAIT);
        writer.let_witness_follow(true);
        Ok(writer)
    }

    fn lock_in_use(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.lock_writer();
        if self.retired.load(Ordering::Relaxed) { Err(Error::Retired) } else { Ok(writer) }
    }

    // A panic elsewhere while a lock was held must not end the keyring: the writer marks itself before
    // it touches the file, and memory changes only by whole entries.
    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock_writer(&self) -> Option<MutexGuard<'_, Writer>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(e)) => Some(e.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn read_memory(&self) -> std::sync::RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_memory(&self) -> std::sync::RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}
