// SPDX-License-Identifier: GPL-2.0-or-later
//! The file of the witness, in the server's data directory.

use super::file::fs::{Access, Fs};
use super::file::real;
use super::file::volume;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the file.
pub const WITNESS_NAME: &str = "keyring_external.witness";

/// The path of the witness.
#[derive(Clone, Debug)]
pub struct WitnessPlace {
    fs: Arc<dyn Fs>,
    path: PathBuf,
}

impl WitnessPlace {
    /// The witness in this data directory.
    pub fn new(fs: Arc<dyn Fs>, datadir: &Path) -> Self {
        Self { fs, path: datadir.join(WITNESS_NAME) }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file, at most one byte more than `most`. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// I/O errors.
    pub fn read(&self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match self.fs.open(&self.path, Access::Read) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut bytes = vec![0; most + 1];
        let got = file.read_at(&mut bytes, 0)?;
        bytes.truncate(got);
        Ok(Some(bytes))
    }

    /// Replaces the file. Its bytes are synced before its name changes, so it is never incomplete or empty.
    /// If not `durable`, it survives the end of the server, but a power failure may bring back the previous
    /// one. That does no harm, because it only knows less.
    ///
    /// # Errors
    /// I/O errors. Then the old file is still there.
    pub fn write(&self, bytes: &[u8], durable: bool) -> io::Result<()> {
        let temporary = volume::temporary_of(&self.path);
        match self.fs.unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.fs.create_new(&temporary)?;
        // A file that root writes must belong to the server, like the directory.
        let owner = self.fs.meta(volume::directory_of(&self.path))?;
        if real::effective_user() == 0 && owner.uid != 0 {
            file.set_owner(owner.uid, owner.gid)?;
        }
        file.write_at(bytes, 0)?;
        file.sync()?;
        self.fs.rename(&temporary, &self.path)?;
        if durable { self.fs.sync_dir(volume::directory_of(&self.path)) } else { Ok(()) }
    }
}
