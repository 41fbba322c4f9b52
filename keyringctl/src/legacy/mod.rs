// SPDX-License-Identifier: GPL-2.0-or-later
//! Files of other keyrings: bytes to keys, and for one of them keys to bytes. Pure: no file is touched
//! here, no byte is trusted, and key bytes lie in locked memory only (invariant 6).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod compare;
pub mod component_keyring_file;
pub mod keyring_file;
pub mod percona;
#[cfg(test)]
mod samples;

use keyring_external::key::{self, KeyError, KeyType, NameRef, check_length};
use keyring_external::secret::Locked;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io;
use std::ops::Range;
use thiserror::Error;

/// Most bytes of a file that is read: a million keys of 32 bytes, 8000 of the longest.
pub const MAX_FILE: u64 = 256 * 1024 * 1024;

/// The keyrings whose files are understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// MySQL's plugin `keyring_file`, versions 1.0 and 2.0.
    KeyringFile,
    /// MySQL's component `component_keyring_file`.
    ComponentKeyringFile,
    /// Percona's component `component_percona_keyring_encrypted_file`.
    PerconaEncryptedFile,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::KeyringFile, Self::ComponentKeyringFile, Self::PerconaEncryptedFile];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyringFile => "keyring_file",
            Self::ComponentKeyringFile => "component_keyring_file",
            Self::PerconaEncryptedFile => "percona_encrypted_file",
        }
    }

    /// What the bytes begin like. Percona's files have no more than one byte to tell them by.
    pub fn guess(bytes: &[u8]) -> Option<Self> {
        match bytes {
            _ if bytes.starts_with(keyring_file::MAGIC) => Some(Self::KeyringFile),
            [b'{', ..] => Some(Self::ComponentKeyringFile),
            [percona::VERSION, ..] => Some(Self::PerconaEncryptedFile),
            _ => None,
        }
    }

    /// Reads the keys of a file of this format. `password` is that of an encrypted one.
    ///
    /// # Errors
    /// [`Fault`] says why the bytes are no such file, or not all of one.
    pub fn read(self, bytes: &[u8], password: &[u8]) -> Result<Keys> {
        let read = match self {
            Self::KeyringFile => keyring_file::read(bytes),
            Self::ComponentKeyringFile => component_keyring_file::read(bytes),
            Self::PerconaEncryptedFile => percona::read(bytes, password),
        };
        read.map_err(|fault| match (Self::guess(bytes), fault) {
            (Some(other), Fault::NotThis { .. } | Fault::Json { .. }) if other != self => {
                Fault::NotThis { looks_like: Some(other) }
            }
            (_, fault) => fault,
        })
    }
}

/// Why bytes were not taken. It never tells any of them, but for names of keys.
#[derive(Debug, Error)]
pub enum Fault {
    /// They do not begin like a file of the format.
    #[error("it does not begin like one{}", looks_like.map_or_else(String::new, |f| format!("; it may be a file of {f} (--from {f})")))]
    NotThis {
        /// What they begin like.
        looks_like: Option<Format>,
    },
    /// A version that is not known.
    #[error("its version is none of those known ({known})")]
    Version {
        /// The versions that are.
        known: &'static str,
    },
    /// They break off, or contradict themselves.
    #[error("it is damaged at byte {offset} ({what})")]
    Damaged {
        /// Where.
        offset: usize,
        /// Which part.
        what: &'static str,
    },
    /// The checksum does not fit.
    #[error("it is damaged: its SHA-256 checksum does not fit")]
    Checksum,
    /// They are not the JSON that is written there.
    #[error(
        "it is not the JSON that component_keyring_file writes, or damaged, in line {line}, column {column}"
    )]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// A key's bytes are not hexadecimal.
    #[error("the bytes of the key {name} are not hexadecimal")]
    Hex {
        /// The key's name.
        name: String,
    },
    /// A key has an extension, which no version known writes.
    #[error("the key {name} has an extension, which is not understood")]
    Extension {
        /// The key's name.
        name: String,
    },
    /// Two keys have one name.
    #[error("it holds the key {name} twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// The password does not open it.
    #[error("the password does not open it (--source-unlock), or it is damaged at its beginning or end")]
    Password,
    /// The password is right, and what it opens is not whole.
    #[error("the password opens it, but it is damaged")]
    DamagedInside,
    /// So many iterations were never meant.
    #[error(
        "it asks for {0} iterations of PBKDF2, which is none or more than any keyring was written with: it is damaged"
    )]
    Iterations(u32),
    /// No memory.
    #[error("the system refused memory: {0}")]
    System(#[from] io::Error),
}

/// The result of reading a file of another keyring.
pub type Result<T> = std::result::Result<T, Fault>;

/// A key as another keyring's file holds it. Nothing of it was held against the rules of this one.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// Its id.
    pub id: &'a [u8],
    /// The user it belongs to; empty for the server itself.
    pub user: &'a [u8],
    /// Its type.
    pub key_type: &'a [u8],
    /// Its bytes.
    pub data: &'a [u8],
}

impl<'a> Key<'a> {
    /// Checks the key against the rules of this keyring.
    ///
    /// # Errors
    /// The rule that it breaks.
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

/// A key whose bytes lie in a file's buffer.
#[derive(Debug)]
struct Entry {
    user: Vec<u8>,
    id: Vec<u8>,
    key_type: Vec<u8>,
    data: Range<usize>,
}

/// The keys of a file, ordered by user and id, no two of one name.
#[derive(Debug)]
pub struct Keys {
    bytes: Locked,
    entries: Vec<Entry>,
    /// What the file says of its version.
    pub version: &'static str,
    /// Whether a checksum over all keys fits; `None` for a format that has none.
    pub checksum: Option<()>,
}

impl Keys {
    fn new(
        bytes: Locked,
        mut entries: Vec<Entry>,
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

    fn key<'a>(&'a self, entry: &'a Entry) -> Key<'a> {
        let Entry { user, id, key_type, data } = entry;
        Key { id, user, key_type, data: self.bytes.get(data.clone()).unwrap_or_default() }
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = Key<'_>> {
        self.entries.iter().map(|entry| self.key(entry))
    }

    /// The key of that name.
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
    use super::*;

    #[test]
    fn a_file_of_another_format_is_told() {
        let said = |format: Format, bytes: &[u8]| format.read(bytes, b"").unwrap_err().to_string();
        let json = br#"{"version":"1.0","elements":[]}"#;
        assert!(said(Format::KeyringFile, json).contains("--from component_keyring_file"));
        assert!(
            said(Format::ComponentKeyringFile, b"Keyring file version:2.0").contains("--from keyring_file")
        );
        assert!(said(Format::PerconaEncryptedFile, json).contains("--from component_keyring_file"));
        assert!(said(Format::KeyringFile, b"something").ends_with("it does not begin like one"));
    }

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
    fn what_this_keyring_cannot_hold_is_told() {
        let key = |id, key_type, data| Key { id, user: b"", key_type, data }.check().err();
        assert_eq!(key(b"k", b"AES", b"x"), None);
        assert_eq!(key(b"", b"AES", b"x"), Some(KeyError::EmptyId));
        assert_eq!(key(b"k", b"", b"x"), Some(KeyError::BadType));
        assert_eq!(key(b"k", b"AES", b""), Some(KeyError::EmptyKey));
        assert_eq!(key(b"k", b"AES", &[0; 16385]), Some(KeyError::KeyTooLong));
    }
}
