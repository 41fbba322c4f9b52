// SPDX-License-Identifier: GPL-2.0-or-later
//! Files of other keyrings: reads them for an import, and to check an export.

use crate::error::{Error, ForeignFile, Result};
use crate::legacy::{Fault, Format, LegacyKeys, MAX_FILE};
use clap::builder::PossibleValue;
use keyring_external::error::{Failure, Refusal};
use keyring_external::secret::Locked;
use keyring_external::store::file::fs::{Access, FileKind, Fs};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How many bytes tell the format of a file.
const FRONT: u64 = 64;

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

/// The format of a file that is no keyring of this program, if it looks like that of another keyring.
pub(super) fn format_of(path: &Path) -> Option<Format> {
    let mut front = Vec::new();
    File::open(path).ok()?.take(FRONT).read_to_end(&mut front).ok()?;
    Format::guess(&front)
}

/// A file of another keyring.
pub(super) struct LegacyFile {
    /// Its keys.
    pub keys: LegacyKeys,
    /// The SHA-256 of the whole file.
    pub digest: [u8; 32],
}

/// Reads a file of another keyring.
///
/// # Errors
/// [`Error::ForeignFile`] says what is wrong with its content. Errors of the filesystem.
pub(super) fn read(fs: &dyn Fs, format: Format, path: &Path, password: &[u8]) -> Result<LegacyFile> {
    let (bytes, len) = read_bytes(fs, format, path)?;
    let bytes = bytes.get(..len).unwrap_or_default();
    let digest = Sha256::digest(bytes).into();
    let keys = format.read(bytes, password).map_err(|fault| match fault {
        Fault::System(e) => Failure::System(e).into(),
        fault => wrong(path, format, &fault.to_string()),
    })?;
    Ok(LegacyFile { keys, digest })
}

/// The SHA-256 of the file as it is now.
pub(super) fn digest_of(fs: &dyn Fs, format: Format, path: &Path) -> Result<[u8; 32]> {
    let (bytes, len) = read_bytes(fs, format, path)?;
    Ok(Sha256::digest(bytes.get(..len).unwrap_or_default()).into())
}

/// The file that the other keyring writes beside its own before it changes that.
pub(super) fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".backup");
    name.into()
}

/// Reads a file. Returns a buffer and how many of its bytes are the file.
fn read_bytes(fs: &dyn Fs, format: Format, path: &Path) -> Result<(Locked, usize)> {
    // A link is accepted, because the file is only read.
    let real = std::fs::canonicalize(path).map_err(|e| Error::io("open", path, e))?;
    let file = fs.open(&real, Access::Read).map_err(|e| Error::io("open", path, e))?;
    let failed = |e| Error::io("read", path, e);
    let meta = file.meta().map_err(failed)?;
    match meta.kind {
        FileKind::File => {}
        FileKind::Directory => {
            return Err(Refusal::NotAFile { path: path.to_owned(), kind: "a directory" }.into());
        }
        _ => return Err(Refusal::NotAFile { path: path.to_owned(), kind: "a device, pipe or socket" }.into()),
    }
    if meta.len > MAX_FILE {
        return Err(wrong(path, format, &format!("with {} bytes it is larger than any such file", meta.len)));
    }
    let mut bytes = Locked::new(meta.len as usize).map_err(Failure::System)?;
    let len = file.read_at(&mut bytes, 0).map_err(failed)?;
    Ok((bytes, len))
}

fn wrong(path: &Path, format: Format, why: &str) -> Error {
    Error::ForeignFile(ForeignFile { path: path.to_owned(), format: format.name(), why: why.to_owned() })
}
