// SPDX-License-Identifier: GPL-2.0-or-later
//! Stores, generates, fetches, removes and lists keys.

use super::clock::now;
use super::memory::Dates;
use super::shared::Keyring;
use crate::audit::{Event, EventKind};
use crate::error::{BadRequest, Result};
use crate::format::records::KeyRecord;
use crate::key::{KeyName, KeyType, NameRef, check_length};
use crate::secret::fill_random;
use std::io;
use std::sync::atomic::Ordering;

impl Keyring {
    /// Stores a key. When this returns, the key is durable (invariant 1).
    ///
    /// # Errors
    /// [`BadRequest::Exists`] if the name is taken, whatever the type or bytes; a bad length; a copy that
    /// another program changed and that cannot be adopted; I/O errors. The keyring in memory is unchanged
    /// then.
    pub fn store(&self, name: NameRef<'_>, key_type: &KeyType, data: &[u8]) -> Result<()> {
        self.add(EventKind::KeyStored, name, key_type, data.len(), |place| {
            place.copy_from_slice(data);
            Ok(())
        })
    }

    /// Generates a key of `len` random bytes and stores it. The bytes never leave locked memory.
    ///
    /// # Errors
    /// As [`Keyring::store`]; no randomness.
    pub fn generate(&self, name: NameRef<'_>, key_type: &KeyType, len: usize) -> Result<()> {
        self.add(EventKind::KeyGenerated, name, key_type, len, fill_random)
    }

    fn add(
        &self,
        kind: EventKind,
        name: NameRef<'_>,
        key_type: &KeyType,
        len: usize,
        fill: impl Fn(&mut [u8]) -> io::Result<()>,
    ) -> Result<()> {
        let event = Event::new(kind).key(&name).key_type(key_type);
        self.counted(&event, || {
            check_length(len)?;
            self.changing(|writer| {
                if self.has_key(writer, &name, true) {
                    return Err(BadRequest::Exists { name: name.to_string() }.into());
                }
                let place = self.write_memory().reserve(len, &fill)?;
                let created = now();
                let stored = {
                    let memory = self.read_memory();
                    let data = memory.secret(place);
                    writer.add(&memory, &KeyRecord { name, key_type, created, retired: None, data }, &event)
                };
                let mut memory = self.write_memory();
                match &stored {
                    Ok(()) => {
                        let dates = Dates { created, retired: None };
                        memory.link(name.to_owned(), key_type.clone(), dates, place);
                    }
                    Err(_) => memory.release(place),
                }
                stored
            })
        })
        .inspect(|()| self.counters.stored())
    }

    /// Passes the key of that name to `look`. Returns `None` if it does not exist.
    pub fn fetch<R>(&self, name: &NameRef<'_>, look: impl FnOnce(&KeyRecord<'_>) -> R) -> Option<R> {
        self.counters.fetched();
        let memory = self.read_memory();
        let key = memory.get(name)?;
        self.counters.note_if_retired(&key);
        Some(look(&key))
    }

    /// Removes a key. When this returns, its bytes are gone from the file (invariant 8).
    ///
    /// # Errors
    /// [`BadRequest::NoSuchKey`]; otherwise as [`Keyring::store`].
    pub fn remove(&self, name: NameRef<'_>) -> Result<()> {
        let event = Event::new(EventKind::KeyRemoved).key(&name);
        self.counted(&event, || {
            self.changing(|writer| {
                if !self.has_key(writer, &name, false) {
                    return Err(BadRequest::NoSuchKey { name: name.to_string() }.into());
                }
                writer.remove(&self.read_memory(), &name, &event)?;
                self.forget(&[name]);
                Ok(())
            })
        })
    }

    /// Wipes keys that are in no file any more.
    pub(super) fn forget(&self, names: &[NameRef<'_>]) {
        let mut memory = self.write_memory();
        names.iter().for_each(|name| memory.unlink(name));
        self.losses.fetch_add(1, Ordering::Release);
    }

    /// The names of all keys, ordered by user and id. This is a snapshot: later changes do not affect it.
    pub fn names(&self) -> Vec<KeyName> {
        self.read_memory().names()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.read_memory().len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passes every key to `look`, ordered by user and id.
    pub fn for_each(&self, mut look: impl FnMut(&KeyRecord<'_>)) {
        let memory = self.read_memory();
        for name in memory.names() {
            memory.get(&name.as_ref()).as_ref().map(&mut look);
        }
    }

    /// Number of keys that are missing in `other`, or differ there.
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
}
