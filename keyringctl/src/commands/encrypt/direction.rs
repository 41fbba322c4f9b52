// SPDX-License-Identifier: GPL-2.0-or-later
//! Encrypting, or decrypting with `--undo`.

/// What `encrypt apply` does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Encrypt,
    Undo,
}

impl Direction {
    /// The value for ENCRYPTION.
    pub(super) fn letter(self) -> char {
        if self == Direction::Encrypt { 'Y' } else { 'N' }
    }

    /// The value for a setting.
    pub(super) fn switch(self) -> &'static str {
        if self == Direction::Encrypt { "ON" } else { "OFF" }
    }

    /// What is done, as a verb.
    pub(super) fn verb(self) -> &'static str {
        if self == Direction::Encrypt { "encrypt" } else { "decrypt" }
    }

    /// What a table is afterwards.
    pub(super) fn done(self) -> &'static str {
        if self == Direction::Encrypt { "encrypted" } else { "decrypted" }
    }

    /// The other one.
    pub(super) fn opposite(self) -> Direction {
        if self == Direction::Encrypt { Direction::Undo } else { Direction::Encrypt }
    }

    /// Returns whether something is already in the desired state.
    pub(super) fn is_reached(self, encrypted: bool) -> bool {
        encrypted == (self == Direction::Encrypt)
    }
}
