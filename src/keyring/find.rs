// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds a key once and reads it several times, as the server's readers do.

use super::memory;
use super::shared::Keyring;
use crate::format::records::KeyRecord;
use crate::key::NameRef;
use std::sync::atomic::Ordering;

/// A key that was found: where it is and how long it was, without its bytes. Valid only for the keyring that
/// it was found in.
#[derive(Debug, Default)]
pub struct FoundKey {
    place: memory::EntryRef,
    losses: u64,
    lengths: (usize, usize),
}

fn lengths(key: &KeyRecord<'_>) -> (usize, usize) {
    (key.data.len(), key.key_type.bytes().len())
}

impl Keyring {
    /// Finds a key for [`Keyring::fetch_found`]. Does not count as a fetch.
    pub fn find(&self, name: &NameRef<'_>) -> Option<FoundKey> {
        let memory = self.read_memory();
        let (place, key) = memory.find(name)?;
        // No key can be lost while the memory is locked for reading.
        Some(FoundKey { place, losses: self.losses.load(Ordering::Relaxed), lengths: lengths(&key) })
    }

    /// The lengths of the bytes and of the type of a key that was found by `name`. Takes no lock if no key
    /// was removed since.
    pub fn lengths(&self, found: &FoundKey, name: &NameRef<'_>) -> Option<(usize, usize)> {
        if self.losses.load(Ordering::Acquire) == found.losses {
            return Some(found.lengths);
        }
        let memory = self.read_memory();
        memory.at(found.place).or_else(|| memory.get(name)).as_ref().map(lengths)
    }

    /// Passes a key that was found by `name` to `look`. Searches for it only if it was replaced or moved.
    pub fn fetch_found<R>(
        &self,
        found: &FoundKey,
        name: &NameRef<'_>,
        look: impl FnOnce(&KeyRecord<'_>) -> R,
    ) -> Option<R> {
        let memory = self.read_memory();
        let key = memory.at(found.place).or_else(|| memory.get(name))?;
        self.counters.note_if_retired(&key);
        Some(look(&key))
    }
}
