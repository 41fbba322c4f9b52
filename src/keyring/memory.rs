// SPDX-License-Identifier: GPL-2.0-or-later
//! The keys in memory: names in a map, bytes in a [`Vault`].

use crate::format::records::KeyRecord;
use crate::key::{KeyName, KeyType, NameRef};
use crate::secret::{Place, Vault};
use hashbrown::HashMap;
use std::io;
use subtle::ConstantTimeEq;

#[derive(Debug)]
struct Entry {
    key_type: KeyType,
    created: u64,
    place: Place,
}

/// All keys of an open keyring.
#[derive(Debug, Default)]
pub struct Memory {
    keys: HashMap<KeyName, Entry>,
    vault: Vault,
}

impl Memory {
    /// Room for a key of `len` bytes, filled by `fill`; not yet a key until [`Memory::link`].
    pub fn reserve(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<Place> {
        let place = self.vault.reserve(len)?;
        match fill(self.vault.get_mut(place)) {
            Ok(()) => Ok(place),
            Err(e) => {
                self.vault.release(place);
                Err(e)
            }
        }
    }

    /// The bytes at a place.
    pub fn secret(&self, place: Place) -> &[u8] {
        self.vault.get(place)
    }

    /// Wipes a place that became no key.
    pub fn release(&mut self, place: Place) {
        self.vault.release(place);
    }

    /// Makes the bytes at `place` the key `name`.
    pub fn link(&mut self, name: KeyName, key_type: KeyType, created: u64, place: Place) {
        if let Some(old) = self.keys.insert(name, Entry { key_type, created, place }) {
            self.vault.release(old.place);
        }
    }

    /// Adds a key as it was read from the file; `false` when the name is there already.
    pub fn insert(&mut self, record: &KeyRecord<'_>) -> io::Result<bool> {
        if self.keys.contains_key(&record.name) {
            return Ok(false);
        }
        let place = self.reserve(record.data.len(), |to| {
            to.copy_from_slice(record.data);
            Ok(())
        })?;
        self.link(record.name.to_owned(), record.key_type.clone(), record.created, place);
        Ok(true)
    }

    /// Removes and wipes a key.
    pub fn unlink(&mut self, name: &NameRef<'_>) {
        if let Some(entry) = self.keys.remove(name) {
            self.vault.release(entry.place);
        }
    }

    fn record<'a>(&'a self, name: &'a KeyName, entry: &'a Entry) -> KeyRecord<'a> {
        KeyRecord {
            name: name.as_ref(),
            key_type: &entry.key_type,
            created: entry.created,
            data: self.vault.get(entry.place),
        }
    }

    /// The key of that name.
    pub fn get(&self, name: &NameRef<'_>) -> Option<KeyRecord<'_>> {
        self.keys.get_key_value(name).map(|(name, entry)| self.record(name, entry))
    }

    /// All keys, in no order.
    pub fn records(&self) -> impl Iterator<Item = KeyRecord<'_>> {
        self.keys.iter().map(|(name, entry)| self.record(name, entry))
    }

    /// All names, ordered by user and id.
    pub fn names(&self) -> Vec<KeyName> {
        let mut names: Vec<_> = self.keys.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// How many keys are missing in `other`, or have other bytes there.
    pub fn missing_in(&self, other: &Memory) -> usize {
        let same = |key: &KeyRecord<'_>| {
            other.get(&key.name).is_some_and(|o| o.data.ct_eq(key.data).into() && o.key_type == key.key_type)
        };
        self.records().filter(|key| !same(key)).count()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }
}
