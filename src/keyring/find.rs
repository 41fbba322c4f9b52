// SPDX-License-Identifier: GPL-2.0-or-later
//! A key that is found once and looked at more often, as the server's readers do.

use super::memory;
use super::shared::Keyring;
use crate::format::records::KeyRecord;
use crate::key::NameRef;
use std::sync::atomic::Ordering;

/// A key that was found: where it is, and how long it was. No key bytes. Good for the keyring that it was found in.
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
    /// Finds the key of that name for [`Keyring::fetch_found`]. Not counted as a fetch.
    pub fn find(&self, name: &NameRef<'_>) -> Option<FoundKey> {
        let memory = self.read_memory();
        let (place, key) = memory.find(name)?;
        // Nothing is lost while the memory is looked at.
        Some(FoundKey { place, losses: self.losses.load(Ordering::Relaxed), lengths: lengths(&key) })
    }

    /// Bytes of a key that was found by `name`, and of its type; without a lock as long as nothing was removed.
    pub fn lengths(&self, found: &FoundKey, name: &NameRef<'_>) -> Option<(usize, usize)> {
        if self.losses.load(Ordering::Acquire) == found.losses {
            return Some(found.lengths);
        }
        self.fetch_found(found, name, lengths)
    }

    /// Hands a key that was found by `name` to `look`, without a search for it unless it is another one now.
    pub fn fetch_found<R>(
        &self,
        found: &FoundKey,
        name: &NameRef<'_>,
        look: impl FnOnce(&KeyRecord<'_>) -> R,
    ) -> Option<R> {
        let memory = self.read_memory();
        memory.at(found.place).or_else(|| memory.get(name)).as_ref().map(look)
    }
}
