// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring: what the server's calls and `keyringctl` come down to. A change goes to the store
//! first and into memory when it is durable there; reads are answered from memory alone.

mod claims;
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
mod read;
mod report;
mod slots;
mod status;
mod successor;
mod tend;
mod trust;
mod witness;
mod writer;

pub use claims::{Claims, inspect};
pub use copies::Standing;
pub use found::Found;
pub use kinship::Kinship;
pub use merge::{About, Conflict, Merge, Merged, Merging, OnlyOne, Take};
pub use new::NewKeyring;
pub use open::{load, load_with};
pub use read::{load_all, load_beside_others};
pub use report::{Report, Severity};
pub use slots::{Renewed, Verifier};
pub use status::{Counters, State, Status};
pub use trust::Trust;
pub use witness::{Testimony, hear_claims, witness_claims};

use crate::error::{Error, Result};
use crate::format::records::KeyRecord;
use crate::key::{KeyName, KeyType, NameRef, check_length};
use crate::secret::fill_random;
use crate::store::copy::CHANGE_WAIT;
use crate::store::fs::Fs;
use crate::store::vacancy::Vacancy;
use memory::Memory;
use read::Reopen;
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
            self.changing(|writer| {
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
            self.changing(|writer| {
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

    /// Makes new copies of the keyring at places where nothing is yet.
    ///
    /// # Errors
    /// As [`Vacancy::create`].
    pub fn create_copies(&self, places: &[Vacancy]) -> Result<()> {
        self.changing(|writer| writer.create_copies(&self.read_memory(), places))
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
        if let Some(mut writer) = self.try_lock_writer() {
            self.note(&mut writer, None, false);
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
