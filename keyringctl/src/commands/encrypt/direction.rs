// SPDX-License-Identifier: GPL-2.0-or-later
//! Encrypting, and with `--undo` the way back.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    Encrypt,
    Undo,
}

impl Direction {
    /// As a value of ENCRYPTION.
    pub fn letter(self) -> char {
        if self == Direction::Encrypt { 'Y' } else { 'N' }
    }

    /// As a value of a switch.
    pub fn switch(self) -> &'static str {
        if self == Direction::Encrypt { "ON" } else { "OFF" }
    }

    /// What was done to a table.
    pub fn done(self) -> &'static str {
        if self == Direction::Encrypt { "encrypted" } else { "decrypted" }
    }

    /// Whether something is as it should be.
    pub fn is_reached(self, encrypted: bool) -> bool {
        encrypted == (self == Direction::Encrypt)
    }
}
