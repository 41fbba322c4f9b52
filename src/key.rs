// SPDX-License-Identifier: GPL-2.0-or-later
//! The names and types of keys. A value that exists is valid.

use hashbrown::Equivalent;
use memchr::memchr;
use std::fmt;
use thiserror::Error;

/// Longest key id in bytes. The server's iteration buffers carry no size; 255 fits all of them.
pub const MAX_ID: usize = 255;
/// Longest user id in bytes.
pub const MAX_USER: usize = 255;
/// Longest key type in bytes.
pub const MAX_TYPE: usize = 255;
/// Longest key in bytes (keyring_udf's own limit, `MAX_KEYRING_UDF_KEY_LENGTH`).
pub const MAX_DATA: usize = 16384;

/// A key name, type or length that is not valid.
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
    /// The key has no bytes.
    #[error("a key must have at least 1 byte")]
    EmptyKey,
    /// The key is longer than [`MAX_DATA`].
    #[error("the key is longer than 16384 bytes")]
    KeyTooLong,
}

/// A borrowed key name: key id and the user it belongs to, compared byte for byte. A key without a user belongs to the
/// server itself (an instance key). Ordered by user, then id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameRef<'a> {
    user: Option<&'a [u8]>,
    id: &'a [u8],
}

impl<'a> NameRef<'a> {
    /// Checks the lengths: an id has 1 to [`MAX_ID`] bytes, a user at most [`MAX_USER`]. Neither holds a NUL, because the
    /// server has them as C strings.
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
        Ok(Self { user: Some(user).filter(|user| !user.is_empty()), id })
    }

    /// The key id.
    pub fn id(&self) -> &'a [u8] {
        self.id
    }

    /// The user id, empty for an instance key.
    pub fn user(&self) -> &'a [u8] {
        self.user.unwrap_or_default()
    }

    /// An owned copy.
    pub fn to_owned(&self) -> KeyName {
        KeyName { user: self.user.map(Box::from), id: self.id.into() }
    }
}

impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_name(f, self.id, self.user())
    }
}

/// Writes a key's name for a message, with unprintable bytes escaped.
///
/// # Errors
/// Those of the formatter.
pub fn show_name(f: &mut fmt::Formatter<'_>, id: &[u8], user: &[u8]) -> fmt::Result {
    write!(f, "'{}'", id.escape_ascii())?;
    if !user.is_empty() {
        write!(f, " of user '{}'", user.escape_ascii())?;
    }
    Ok(())
}

impl Equivalent<KeyName> for NameRef<'_> {
    fn equivalent(&self, key: &KeyName) -> bool {
        *self == key.as_ref()
    }
}

/// An owned key name. Equal, ordered and hashed as [`NameRef`], so that maps of it can be asked with that.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyName {
    user: Option<Box<[u8]>>,
    id: Box<[u8]>,
}

impl KeyName {
    /// The borrowed form.
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef { user: self.user.as_deref(), id: &self.id }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// A key's type as the server wrote it (`AES`, `SECRET`, ...): 1 to [`MAX_TYPE`] bytes without NUL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyType(Box<[u8]>);

impl KeyType {
    /// Checks the length.
    ///
    /// # Errors
    /// [`KeyError::BadType`] when empty, too long or with a NUL inside.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.is_empty() || bytes.len() > MAX_TYPE || memchr(0, bytes).is_some() {
            return Err(KeyError::BadType);
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes, without a terminator.
    pub fn bytes(&self) -> &[u8] {
        &self.0
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
        let of_the_server = NameRef::new(b"ab", b"").unwrap();
        assert_eq!(map.get(&of_the_server), None);
        map.insert(of_the_server.to_owned(), 2);
        assert_eq!(map.get(&of_the_server), Some(&2));
        assert!(of_the_server < NameRef::new(b"a", b"c").unwrap());
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(check_length(0), Err(KeyError::EmptyKey));
        assert_eq!(check_length(MAX_DATA), Ok(()));
        assert_eq!(check_length(MAX_DATA + 1), Err(KeyError::KeyTooLong));
        assert!(KeyType::new(b"").is_err());
    }
}
