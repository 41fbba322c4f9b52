// SPDX-License-Identifier: GPL-2.0-or-later
//! Files of other keyrings on disk: read to be imported, and to check what was exported.

use crate::error::{Error, ForeignFile, Result};
use crate::legacy::{Fault, Format, Keys, MAX_FILE};
use clap::builder::PossibleValue;
use keyring_external::error::{Failure, Refusal};
use keyring_external::secret::Locked;
use keyring_external::store::fs::{Access, FileKind, Fs};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

impl clap::ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()).help(match self {
            Self::KeyringFile => "MySQL's plugin, 5.7 to 8.3 (keyring_file_data)",
            Self::ComponentKeyringFile => "MySQL's component, 8.0.24 and later",
            Self::PerconaEncryptedFile => "Percona's component_percona_keyring_encrypted_file",
        }))
    }
}

/// A file of another keyring.
pub(super) struct Foreign {
    /// Its keys.
    pub keys: Keys,
    /// The hash of the whole file.
    pub digest: [u8; 32],
}

/// Reads a file of another keyring.
///
/// # Errors
/// [`Error::OtherKeyring`] says what is wrong with its content; what the filesystem answers.
pub(super) fn read(fs: &dyn Fs, format: Format, path: &Path, password: &[u8]) -> Result<Foreign> {
    let (bytes, len) = read_bytes(fs, format, path)?;
    let bytes = bytes.get(..len).unwrap_or_default();
    let digest = Sha256::digest(bytes).into();
    let keys = format.read(bytes, password).map_err(|fault| match fault {
        Fault::System(e) => Failure::System(e).into(),
        fault => wrong(path, format, &fault.to_string()),
    })?;
    Ok(Foreign { keys, digest })
}

/// The hash of the file as it is now.
pub(super) fn digest_of(fs: &dyn Fs, format: Format, path: &Path) -> Result<[u8; 32]> {
    let (bytes, len) = read_bytes(fs, format, path)?;
    Ok(Sha256::digest(bytes.get(..len).unwrap_or_default()).into())
}

/// The file beside it in which the other keyring kept a second state while it wrote.
pub(super) fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".backup");
    name.into()
}

/// Reads the bytes of a file; the answer's second part says how many of them there are.
fn read_bytes(fs: &dyn Fs, format: Format, path: &Path) -> Result<(Locked, usize)> {
    // The path of a file that is only read may be a link.
    let real = std::fs::canonicalize(path).map_err(|e| Error::io("open", path, e))?;
    let file = fs.open(&real, Access::Read).map_err(|e| Error::io("open", path, e))?;
    let told = |e| Error::io("read", path, e);
    let meta = file.meta().map_err(told)?;
    match meta.kind {
        FileKind::File => {}
        FileKind::Directory => {
            return Err(Refusal::NotAFile { path: path.to_owned(), kind: "a directory" }.into());
        }
        _ => return Err(Refusal::NotAFile { path: path.to_owned(), kind: "a device, pipe or socket" }.into()),
    }
    if meta.len > MAX_FILE {
        return Err(wrong(path, format, &format!("it has {} bytes, more than any such file", meta.len)));
    }
    let mut bytes = Locked::new(meta.len as usize).map_err(Failure::System)?;
    let len = file.read_at(&mut bytes, 0).map_err(told)?;
    Ok((bytes, len))
}

fn wrong(path: &Path, format: Format, why: &str) -> Error {
    Error::ForeignFile(ForeignFile { path: path.to_owned(), format: format.name(), why: why.to_owned() })
}
