// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyrings whose files are understood.

use std::fmt;

/// The formats that can be read.
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
    /// All formats.
    pub const ALL: [Self; 3] = [Self::KeyringFile, Self::ComponentKeyringFile, Self::PerconaEncryptedFile];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyringFile => "keyring_file",
            Self::ComponentKeyringFile => "component_keyring_file",
            Self::PerconaEncryptedFile => "percona_encrypted_file",
        }
    }
}
