// SPDX-License-Identifier: GPL-2.0-or-later
//! The names and types of keys. A value that exists is valid.

use hashbrown::Equivalent;
use memchr::memchr;
use std::fmt;
use std::hash::{Hash, Hasher};
use thiserror::Error;

/// Longest key id in bytes. The server's iteration buffers carry no size; 255 fits all of them.
pub const MAX_ID: usize = 255;
/// Longest user id in bytes.
pub const MAX_USER: usize = 255;
/// Longest key type in bytes.
pub const MAX_TYPE: usize = 255;
/// Longest key in bytes (keyring_udf's own limit, `MAX_KEYRING_UDF_KEY_LENGTH`).
pub const MAX_DATA: usize = 16384;

/// A key name, type or length that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// No key id was given.
    #[error("key_id cannot be empty")]
    EmptyId,
    /// The key id is longer than [`MAX_ID`].
    #[error("the key id is longer than 255 bytes")]
    IdTooLong,
    /// The user id is longer than [`MAX_USER`].
    #[error("the user id is longer than 255 bytes")]
    UserTooLong,
    /// The key id or user id holds a NUL byte.
    #[error("the key id or user id holds a NUL byte")]
    NulInName,
    /// The key type is not one the caller may use.
    #[error("invalid key_type")]
    BadType,
    /// A key of no bytes.
    #[error("a key must have at least 1 byte")]
    EmptyKey,
    /// The key is longer than [`MAX_DATA`].
    #[error("the key is longer than 16384 bytes")]
    KeyTooLong,
}

/// A borrowed key name: key id and the user it belongs to, compared byte for byte. An empty user is
/// the server itself (an instance key).
#[derive(Clone, Copy, Eq, PartialOrd, Ord, Debug)]
pub struct NameRef<'a> {
    user: &'a [u8],
    id: &'a [u8],
}

impl PartialEq for NameRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        // The C library's memcmp is not asked about no bytes: the address of an empty slice need not be mapped, and
        // where it looks with masked loads that costs more than all else of a fetch.
        let same_user =
            self.user.len() == other.user.len() && (self.user.is_empty() || self.user == other.user);
        same_user && self.id == other.id
    }
}

impl<'a> NameRef<'a> {
    /// Checks the lengths: an id has 1 to [`MAX_ID`] bytes, a user at most [`MAX_USER`]. Neither
    /// holds a NUL, because the server knows them as C strings.
    ///
    /// # Errors
    /// [`KeyError`] names what is wrong.
    pub fn new(id: &'a [u8], user: &'a [u8]) -> Result<Self, KeyError> {
        if id.is_empty() {
            return Err(KeyError::EmptyId);
        }
        if id.len() > MAX_ID {
            return Err(KeyError::IdTooLong);
        }
        if user.len() > MAX_USER {
            return Err(KeyError::UserTooLong);
        }
        if memchr(0, id).is_some() || memchr(0, user).is_some() {
            return Err(KeyError::NulInName);
        }
        Ok(Self { user, id })
    }

    /// The key id.
    pub fn id(&self) -> &'a [u8] {
        self.id
    }

    /// The user id, empty for an instance key.
    pub fn user(&self) -> &'a [u8] {
        self.user
    }

    /// An owned copy.
    pub fn to_owned(&self) -> KeyName {
        KeyName { user: self.user.into(), id: self.id.into() }
    }
}

impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_name(f, self.id, self.user)
    }
}

/// Writes a key's name, whatever bytes it is of, as messages have it.
///
/// # Errors
/// What the formatter answers.
pub fn show_name(f: &mut fmt::Formatter<'_>, id: &[u8], user: &[u8]) -> fmt::Result {
    write!(f, "'{}'", id.escape_ascii())?;
    if !user.is_empty() {
        write!(f, " of user '{}'", user.escape_ascii())?;
    }
    Ok(())
}

impl Hash for NameRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.user.hash(state);
        self.id.hash(state);
    }
}

impl Equivalent<KeyName> for NameRef<'_> {
    fn equivalent(&self, key: &KeyName) -> bool {
        *self == key.as_ref()
    }
}

/// An owned key name. Ordered by user, then id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeyName {
    user: Box<[u8]>,
    id: Box<[u8]>,
}

impl KeyName {
    /// The borrowed form.
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef { user: &self.user, id: &self.id }
    }
}

// Must agree with NameRef's, or lookups by NameRef would miss.
impl Hash for KeyName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// Room for a copy of any name.
#[derive(Clone, Debug)]
pub struct NameBuffer {
    bytes: [u8; MAX_ID + MAX_USER],
    id: usize,
    user: usize,
}

impl NameBuffer {
    /// Holds the name of no key.
    pub const EMPTY: Self = Self { bytes: [0; MAX_ID + MAX_USER], id: 0, user: 0 };

    /// Holds this name from now on.
    pub fn set(&mut self, name: &NameRef<'_>) {
        (self.id, self.user) = (name.id.len(), name.user.len());
        let (id, rest) = self.bytes.split_at_mut(self.id);
        id.copy_from_slice(name.id);
        rest[..self.user].copy_from_slice(name.user);
    }

    /// The borrowed form.
    pub fn as_ref(&self) -> NameRef<'_> {
        let (id, rest) = self.bytes.split_at(self.id);
        NameRef { user: &rest[..self.user], id }
    }
}

/// A key's type as the server wrote it (`AES`, `SECRET`, ...): 1 to [`MAX_TYPE`] bytes without NUL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyType(Type);

/// Bytes of a type that needs no memory of its own.
const SHORT_TYPE: usize = 15;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Type {
    /// With zeros behind the last one.
    Short([u8; SHORT_TYPE], u8),
    Long(Box<[u8]>),
}

impl KeyType {
    /// Checks the length.
    ///
    /// # Errors
    /// [`KeyError::BadType`] when empty, too long or with a NUL inside.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.is_empty() || bytes.len() > MAX_TYPE || memchr(0, bytes).is_some() {
            return Err(KeyError::BadType);
        }
        let mut short = [0; SHORT_TYPE];
        Ok(Self(match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Type::Short(short, bytes.len() as u8)
            }
            None => Type::Long(bytes.into()),
        }))
    }

    /// The bytes, without a terminator.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Type::Short(bytes, len) => &bytes[..usize::from(*len)],
            Type::Long(bytes) => bytes,
        }
    }
}

/// Checks a key's length in bytes: 1 to [`MAX_DATA`].
///
/// # Errors
/// [`KeyError::EmptyKey`] or [`KeyError::KeyTooLong`].
pub fn check_length(len: usize) -> Result<(), KeyError> {
    match len {
        0 => Err(KeyError::EmptyKey),
        1..=MAX_DATA => Ok(()),
        _ => Err(KeyError::KeyTooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hashbrown::HashMap;

    #[test]
    fn names_are_checked() {
        assert_eq!(NameRef::new(b"", b"u"), Err(KeyError::EmptyId));
        assert_eq!(NameRef::new(&[b'a'; 256], b""), Err(KeyError::IdTooLong));
        assert_eq!(NameRef::new(b"a", &[b'a'; 256]), Err(KeyError::UserTooLong));
        assert_eq!(NameRef::new(b"a\0b", b""), Err(KeyError::NulInName));
        assert!(NameRef::new(&[b'a'; 255], &[b'u'; 255]).is_ok());
    }

    #[test]
    fn borrowed_and_owned_names_meet_in_a_map() {
        let mut map = HashMap::new();
        map.insert(NameRef::new(b"ab", b"c").unwrap().to_owned(), 1);
        assert_eq!(map.get(&NameRef::new(b"ab", b"c").unwrap()), Some(&1));
        assert_eq!(map.get(&NameRef::new(b"a", b"bc").unwrap()), None);
        assert_eq!(map.get(&NameRef::new(b"AB", b"c").unwrap()), None);
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(check_length(0), Err(KeyError::EmptyKey));
        assert_eq!(check_length(MAX_DATA), Ok(()));
        assert_eq!(check_length(MAX_DATA + 1), Err(KeyError::KeyTooLong));
        assert!(KeyType::new(b"").is_err());
    }
}
