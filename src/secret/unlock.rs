// SPDX-License-Identifier: GPL-2.0-or-later
//! The secret that unlocks a keyring.

use super::locked::Locked;
use std::io;

/// Minimum length of a random secret in bytes.
pub const MIN_SECRET: usize = 32;

/// A secret, as it was read from an unlock source.
#[derive(Debug)]
pub struct UnlockSecret(Locked);

impl UnlockSecret {
    /// Wraps the bytes that were read.
    pub fn new(bytes: Locked) -> Self {
        Self(bytes)
    }

    /// Copies the secret.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(Locked::copy_of(&self.0)?))
    }

    /// The secret as a secret file: byte for byte.
    pub fn raw(&self) -> &[u8] {
        &self.0
    }

    /// The secret as a passphrase: without a line ending at the end.
    pub fn passphrase(&self) -> &[u8] {
        let line = self.0.strip_suffix(b"\n").unwrap_or(&self.0);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Whether this is text that somebody could have typed. Only such a secret is tried on passphrase slots,
    /// whatever its length, so a random secret never runs Argon2id.
    pub fn is_text(&self) -> bool {
        let typed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
        std::str::from_utf8(&self.0).is_ok_and(|t| t.chars().all(typed))
    }
}
