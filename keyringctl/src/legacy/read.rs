// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads a file in any of the formats.

use super::fault::{Fault, Result};
use super::format::Format;
use super::keys::LegacyKeys;
use super::{component_keyring_file, keyring_file, percona};

impl Format {
    /// Guesses the format from the first bytes. Percona's files can be recognized only by a single byte.
    pub fn guess(bytes: &[u8]) -> Option<Self> {
        match bytes {
            _ if bytes.starts_with(keyring_file::MAGIC) => Some(Self::KeyringFile),
            [b'{', ..] => Some(Self::ComponentKeyringFile),
            [percona::VERSION, ..] => Some(Self::PerconaEncryptedFile),
            _ => None,
        }
    }

    /// Reads the keys of a file of this format. `password` is used if the format is encrypted.
    ///
    /// # Errors
    /// [`Fault`] says why the bytes are not a complete file of this format.
    pub fn read(self, bytes: &[u8], password: &[u8]) -> Result<LegacyKeys> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_format_is_recognized() {
        let error = |format: Format, bytes: &[u8]| format.read(bytes, b"").unwrap_err().to_string();
        let json = br#"{"version":"1.0","elements":[]}"#;
        assert!(error(Format::KeyringFile, json).contains("--from component_keyring_file"));
        assert!(
            error(Format::ComponentKeyringFile, b"Keyring file version:2.0").contains("--from keyring_file")
        );
        assert!(error(Format::PerconaEncryptedFile, json).contains("--from component_keyring_file"));
        assert!(error(Format::KeyringFile, b"something").ends_with("it does not begin like one"));
    }
}
