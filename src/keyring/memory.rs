// SPDX-License-Identifier: GPL-2.0-or-later
//! The keys in memory: names in a table, bytes in a [`Vault`].

use crate::format::records::KeyRecord;
use crate::key::{KeyName, KeyType, NameRef};
use crate::secret::{Vault, VaultPlace};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;

#[derive(Debug)]
struct Entry {
    /// Hash of the name.
    hash: u64,
    /// Unique among all entries that ever existed in this process.
    number: u64,
    name: KeyName,
    key_type: KeyType,
    created: u64,
    retired: Option<NonZeroU64>,
    place: VaultPlace,
}

impl Entry {
    fn is(&self, hash: u64, name: &NameRef<'_>) -> bool {
        self.hash == hash && self.name.as_ref() == *name
    }
}

/// When a key was stored and retired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates {
    pub(crate) created: u64,
    pub(crate) retired: Option<NonZeroU64>,
}

impl Dates {
    pub(crate) fn of(record: &KeyRecord<'_>) -> Self {
        Self { created: record.created, retired: record.retired }
    }
}

/// Where a key was found. The number tells whether the same key is still there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EntryRef {
    at: usize,
    number: u64,
}

/// All keys of an open keyring.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    // With many keys, a fetch mostly waits for RAM. So the entries are in the table itself.
    entries: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    vault: Vault,
}

static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

impl Memory {
    /// Reserves room for a key of `len` bytes and fills it with `fill`. It becomes a key with
    /// [`Memory::link`].
    pub(crate) fn reserve(
        &mut self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<VaultPlace> {
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
    pub(crate) fn secret(&self, place: VaultPlace) -> &[u8] {
        self.vault.get(place)
    }

    /// Wipes a place that did not become a key.
    pub(crate) fn release(&mut self, place: VaultPlace) {
        self.vault.release(place);
    }

    fn find_hashed(&self, hash: u64, name: &NameRef<'_>) -> Option<&Entry> {
        self.entries.find(hash, |e| e.is(hash, name))
    }

    /// Makes the bytes at `place` the key `name`.
    pub(crate) fn link(&mut self, name: KeyName, key_type: KeyType, dates: Dates, place: VaultPlace) {
        self.unlink(&name.as_ref());
        self.link_new(self.hasher.hash_one(name.as_ref()), name, key_type, dates, place);
    }

    /// As [`Memory::link`], for a name that does not exist, with its hash.
    fn link_new(&mut self, hash: u64, name: KeyName, key_type: KeyType, dates: Dates, place: VaultPlace) {
        // Never 0, which no entry has.
        let number = LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1;
        let Dates { created, retired } = dates;
        let entry = Entry { hash, number, name, key_type, created, retired, place };
        self.entries.insert_unique(hash, entry, |e| e.hash);
    }

    /// Reserves table space for `keys` more entries, not for their bytes.
    pub(crate) fn reserve_entries(&mut self, keys: usize) {
        self.entries.reserve(keys, |e| e.hash);
    }

    /// Adds a key that was read from the file. Returns `false` if the name already exists.
    pub(crate) fn insert(&mut self, record: &KeyRecord<'_>) -> io::Result<bool> {
        let hash = self.hasher.hash_one(record.name);
        if self.find_hashed(hash, &record.name).is_some() {
            return Ok(false);
        }
        let place = self.reserve(record.data.len(), |to| {
            to.copy_from_slice(record.data);
            Ok(())
        })?;
        self.link_new(hash, record.name.to_owned(), record.key_type.clone(), Dates::of(record), place);
        Ok(true)
    }

    /// Removes and wipes a key.
    pub(crate) fn unlink(&mut self, name: &NameRef<'_>) {
        let hash = self.hasher.hash_one(name);
        if let Ok(known) = self.entries.find_entry(hash, |e| e.is(hash, name)) {
            let (entry, _) = known.remove();
            self.vault.release(entry.place);
        }
    }

    fn record<'a>(&'a self, entry: &'a Entry) -> KeyRecord<'a> {
        KeyRecord {
            name: entry.name.as_ref(),
            key_type: &entry.key_type,
            created: entry.created,
            retired: entry.retired,
            data: self.vault.get(entry.place),
        }
    }

    /// Returns the key of that name.
    pub(crate) fn get(&self, name: &NameRef<'_>) -> Option<KeyRecord<'_>> {
        self.find_hashed(self.hasher.hash_one(name), name).map(|entry| self.record(entry))
    }

    /// Finds the key of that name, for reading it later.
    pub(crate) fn find(&self, name: &NameRef<'_>) -> Option<(EntryRef, KeyRecord<'_>)> {
        let hash = self.hasher.hash_one(name);
        let at = self.entries.find_bucket_index(hash, |e| e.is(hash, name))?;
        let entry = self.entries.get_bucket(at)?;
        Some((EntryRef { at, number: entry.number }, self.record(entry)))
    }

    /// Returns a key that was found before, or `None` if it was removed or moved, or belongs to another
    /// memory.
    pub(crate) fn at(&self, found: EntryRef) -> Option<KeyRecord<'_>> {
        let entry = self.entries.get_bucket(found.at).filter(|entry| entry.number == found.number)?;
        Some(self.record(entry))
    }

    /// All keys, in no particular order.
    pub(crate) fn records(&self) -> impl Iterator<Item = KeyRecord<'_>> {
        self.entries.iter().map(|entry| self.record(entry))
    }

    /// All names, ordered by user and id.
    pub(crate) fn names(&self) -> Vec<KeyName> {
        let mut names: Vec<_> = self.entries.iter().map(|entry| entry.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// Whether a key with this name, type and bytes exists.
    pub(crate) fn has(&self, key: &KeyRecord<'_>) -> bool {
        self.get(&key.name).is_some_and(|o| o.data.ct_eq(key.data).into() && o.key_type == key.key_type)
    }

    /// Sets or removes the mark of a retired key.
    pub(crate) fn set_retired(&mut self, name: &NameRef<'_>, retired: Option<NonZeroU64>) {
        let hash = self.hasher.hash_one(name);
        if let Some(entry) = self.entries.find_mut(hash, |e| e.is(hash, name)) {
            entry.retired = retired;
        }
    }

    /// Number of keys in use, not retired, that are missing in `other`, or differ there.
    pub(crate) fn in_use_missing_in(&self, other: &Memory) -> usize {
        self.records().filter(|key| key.retired.is_none() && !other.has(key)).count()
    }

    /// Number of keys that are missing in `other`, or differ there.
    pub(crate) fn missing_in(&self, other: &Memory) -> usize {
        self.records().filter(|key| !other.has(key)).count()
    }

    /// Copies all keys of `other` whose names do not exist here.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn copy_from(&mut self, other: &Memory) -> io::Result<()> {
        other.records().try_for_each(|key| self.insert(&key).map(drop))
    }

    /// Number of keys.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory_with(data: &[u8]) -> Memory {
        let mut memory = Memory::default();
        put(&mut memory, data);
        memory
    }

    fn put(memory: &mut Memory, data: &[u8]) {
        let key_type = KeyType::new(b"AES").unwrap();
        let record = KeyRecord { name: name(), key_type: &key_type, created: 1, retired: None, data };
        assert!(memory.insert(&record).unwrap());
    }

    fn name() -> NameRef<'static> {
        NameRef::new(b"key", b"user").unwrap()
    }

    fn find(memory: &Memory) -> EntryRef {
        memory.find(&name()).unwrap().0
    }

    fn data(memory: &Memory, found: EntryRef) -> Option<Vec<u8>> {
        memory.at(found).map(|key| key.data.to_vec())
    }

    #[test]
    fn a_found_key_is_that_key_or_none() {
        let mut memory = memory_with(b"first");
        let found = find(&memory);
        assert_eq!(data(&memory, found), Some(b"first".to_vec()));
        memory.unlink(&name());
        assert_eq!(data(&memory, found), None);
        // At the same place, under the same name.
        put(&mut memory, b"other");
        assert_eq!((find(&memory).at, data(&memory, found)), (found.at, None));
        assert_eq!(data(&memory, find(&memory)), Some(b"other".to_vec()));
        assert_eq!(data(&memory_with(b"second"), found), None, "of another memory");
        assert_eq!(data(&memory, EntryRef::default()), None);
        let place = memory.reserve(5, |_| Ok(())).unwrap();
        let found = find(&memory);
        let dates = Dates { created: 1, retired: None };
        memory.link(name().to_owned(), KeyType::new(b"AES").unwrap(), dates, place);
        assert_eq!((data(&memory, found), memory.len()), (None, 1), "replaced");
    }

    #[test]
    fn many_keys_come_and_go() {
        let mut memory = Memory::default();
        let key_type = KeyType::new(b"AES").unwrap();
        let id = |i: u32| format!("key{i}");
        for i in 0..3000u32 {
            let (id, bytes) = (id(i), i.to_le_bytes());
            let name = NameRef::new(id.as_bytes(), b"").unwrap();
            let record = KeyRecord { name, key_type: &key_type, created: 1, retired: None, data: &bytes };
            assert!(memory.insert(&record).unwrap());
            assert!(!memory.insert(&record).unwrap());
            if i % 3 == 0 {
                memory.unlink(&name);
            }
        }
        assert_eq!((memory.len(), memory.records().count(), memory.names().len()), (2000, 2000, 2000));
        for i in 0..3000u32 {
            let id = id(i);
            let got = memory.get(&NameRef::new(id.as_bytes(), b"").unwrap()).map(|key| key.data.to_vec());
            assert_eq!(got, (i % 3 != 0).then(|| i.to_le_bytes().to_vec()));
        }
    }
}
