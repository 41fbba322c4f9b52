// SPDX-License-Identifier: GPL-2.0-or-later
//! The keys of a file.

use super::fault::{Fault, Result};
use keyring_external::key::{self, KeyError, KeyType, NameRef, check_length};
use keyring_external::secret::Locked;
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;

/// A key in the file of another keyring, not yet checked against the limits of this one.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// Its id.
    pub id: &'a [u8],
    /// The user that it belongs to; empty for the server itself.
    pub user: &'a [u8],
    /// Its type.
    pub key_type: &'a [u8],
    /// Its bytes.
    pub data: &'a [u8],
}

impl<'a> Key<'a> {
    /// Checks the key against the limits of this keyring.
    ///
    /// # Errors
    /// The limit that it exceeds.
    pub fn check(&self) -> std::result::Result<(NameRef<'a>, KeyType), KeyError> {
        check_length(self.data.len())?;
        Ok((NameRef::new(self.id, self.user)?, KeyType::new(self.key_type)?))
    }

    /// The SHA-256 of its bytes.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.data).into()
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        key::show_name(f, self.id, self.user)
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A key whose bytes are a part of the buffer.
#[derive(Debug)]
pub(super) struct KeyEntry {
    pub user: Vec<u8>,
    pub id: Vec<u8>,
    pub key_type: Vec<u8>,
    pub data: Range<usize>,
}

/// The keys of a file, ordered by user and id. All names are different.
#[derive(Debug)]
pub struct LegacyKeys {
    bytes: Locked,
    entries: Vec<KeyEntry>,
    /// The version of the format, as the file says.
    pub version: &'static str,
    /// Set if the file has a checksum over all keys, which is right.
    pub checksum: Option<()>,
}

impl LegacyKeys {
    pub(super) fn new(
        bytes: Locked,
        mut entries: Vec<KeyEntry>,
        version: &'static str,
        checksum: Option<()>,
    ) -> Result<Self> {
        entries.sort_unstable_by(|a, b| (&a.user, &a.id).cmp(&(&b.user, &b.id)));
        let keys = Self { bytes, entries, version, checksum };
        let mut neighbours = keys.iter().zip(keys.iter().skip(1));
        if let Some((twice, _)) = neighbours.find(|(a, b)| (a.user, a.id) == (b.user, b.id)) {
            return Err(Fault::Twice { name: twice.to_string() });
        }
        drop(neighbours);
        Ok(keys)
    }

    fn key<'a>(&'a self, entry: &'a KeyEntry) -> Key<'a> {
        let KeyEntry { user, id, key_type, data } = entry;
        Key { id, user, key_type, data: self.bytes.get(data.clone()).unwrap_or_default() }
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = Key<'_>> {
        self.entries.iter().map(|entry| self.key(entry))
    }

    /// The key with this name.
    pub fn get(&self, id: &[u8], user: &[u8]) -> Option<Key<'_>> {
        let at = self.entries.binary_search_by(|e| (&e.user[..], &e.id[..]).cmp(&(user, id))).ok()?;
        self.entries.get(at).map(|entry| self.key(entry))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::component_keyring_file;
    use super::*;

    #[test]
    fn debug_shows_no_key() {
        let keys = component_keyring_file::read(
            br#"{"version":"1.0","elements":[{"user":"","data_id":"k","data_type":"AES","data":"4142434445","extension":[]}]}"#,
        )
        .unwrap();
        let key = keys.get(b"k", b"").unwrap();
        assert_eq!((key.data, format!("{key:?}")), (&b"ABCDE"[..], "Key('k')".to_owned()));
        let all = format!("{keys:?}");
        assert!(all.contains("Locked(..)") && !all.contains("ABCDE"), "{all}");
    }

    #[test]
    fn keys_that_this_keyring_cannot_hold_are_reported() {
        let key = |id, key_type, data| Key { id, user: b"", key_type, data }.check().err();
        assert_eq!(key(b"k", b"AES", b"x"), None);
        assert_eq!(key(b"", b"AES", b"x"), Some(KeyError::EmptyId));
        assert_eq!(key(b"k", b"", b"x"), Some(KeyError::BadType));
        assert_eq!(key(b"k", b"AES", b""), Some(KeyError::EmptyKey));
        assert_eq!(key(b"k", b"AES", &[0; 16385]), Some(KeyError::KeyTooLong));
    }
}
