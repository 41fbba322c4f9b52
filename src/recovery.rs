// SPDX-License-Identifier: GPL-2.0-or-later
//! The recovery key: 160 random bits, printed as 8 groups of 5 characters ([`crate::paper`]).

use crate::paper::{self, Mistake};
use crate::secret::Locked;
use std::fmt;
use std::io;
use thiserror::Error;

/// Length of a recovery key in bytes.
pub(crate) const RECOVERY_LEN: usize = 20;
const GROUPS: usize = 8;

/// Why a text is not a recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecoveryError {
    /// It does not have 40 characters.
    #[error("a recovery key has 8 groups of 5 characters, and {0} characters were given")]
    Length(usize),
    /// A character of this group is wrong, counted from 1.
    #[error("group {0} of the recovery key has a typing mistake")]
    Group(usize),
}

/// A recovery key in locked memory.
#[derive(Debug)]
pub struct RecoveryKey(Locked);

impl RecoveryKey {
    /// Generates a recovery key.
    ///
    /// # Errors
    /// No memory or no randomness.
    pub fn generate() -> io::Result<Self> {
        Ok(Self(Locked::random(RECOVERY_LEN)?))
    }

    /// The bytes of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a typed recovery key. Case, spaces and dashes do not matter.
    ///
    /// # Errors
    /// [`RecoveryError`], which names the group with the mistake. Lack of memory is reported as a wrong
    /// length.
    pub fn parse(text: &[u8]) -> Result<Self, RecoveryError> {
        paper::read(text, GROUPS).map(Self).map_err(|mistake| match mistake {
            Mistake::Length(count) => RecoveryError::Length(count),
            Mistake::Group(group) => RecoveryError::Group(group),
        })
    }

    /// Writes the 8 groups to `out`, separated by dashes. This is the only place where the key leaves locked
    /// memory.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        paper::write(&self.0, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_key_is_read_back_and_a_mistake_is_named() {
        let key = RecoveryKey::generate().unwrap();
        let mut printed = String::new();
        key.write_to(&mut printed).unwrap();
        assert_eq!(printed.len(), 47);
        assert_eq!(RecoveryKey::parse(printed.as_bytes()).unwrap().bytes(), key.bytes());
        printed.replace_range(6..7, "*");
        assert_eq!(RecoveryKey::parse(printed.as_bytes()).unwrap_err(), RecoveryError::Group(2));
        assert_eq!(RecoveryKey::parse(b"ABC").unwrap_err(), RecoveryError::Length(3));
    }
}
