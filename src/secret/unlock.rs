// SPDX-License-Identifier: GPL-2.0-or-later
//! The secret that opens a keyring.

use super::locked::Locked;
use std::io;

/// Fewest bytes of a random secret.
pub const MIN_SECRET: usize = 32;

/// What an unlock source yielded.
#[derive(Debug)]
pub struct UnlockSecret(Locked);

impl UnlockSecret {
    /// Takes the bytes as they were read.
    pub fn new(bytes: Locked) -> Self {
        Self(bytes)
    }

    /// A copy of the secret.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(Locked::copy_of(&self.0)?))
    }

    /// Byte for byte, as a secret file is used.
    pub fn raw(&self) -> &[u8] {
        &self.0
    }

    /// As a passphrase is used: without one line ending at the end.
    pub fn passphrase(&self) -> &[u8] {
        let line = self.0.strip_suffix(b"\n").unwrap_or(&self.0);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Whether it is text as a person types it. Only such a secret opens passphrase slots, however long it is: a
    /// random one never runs Argon2id.
    pub fn is_text(&self) -> bool {
        let typed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
        std::str::from_utf8(&self.0).is_ok_and(|t| t.chars().all(typed))
    }
}
