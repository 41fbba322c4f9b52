// SPDX-License-Identifier: GPL-2.0-or-later
//! The witness's file in the server's data directory.

use super::fs::{Access, Fs};
use super::real;
use super::volume;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Its name in the data directory.
pub const WITNESS_NAME: &str = "keyring_external.witness";

/// The file.
#[derive(Clone, Debug)]
pub struct WitnessPlace {
    fs: Arc<dyn Fs>,
    path: PathBuf,
}

impl WitnessPlace {
    /// The one in this data directory.
    pub fn new(fs: Arc<dyn Fs>, datadir: &Path) -> Self {
        Self { fs, path: datadir.join(WITNESS_NAME) }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes, at most `most` and one more; `None` when there is no such file.
    ///
    /// # Errors
    /// What the filesystem answers.
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

    /// Replaces it. Not `durable`: it survives the end of the server, and after a power cut it may be an
    /// earlier one, which does no harm: it then knows less. It is never half a one or empty, because its bytes are
    /// on the disk before its name is.
    ///
    /// # Errors
    /// What the filesystem answers; the old one is still there then.
    pub fn write(&self, bytes: &[u8], durable: bool) -> io::Result<()> {
        let temporary = volume::temporary_of(&self.path);
        match self.fs.unlink(&temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.fs.create_new(&temporary)?;
        // What root writes must be the server's, like the directory.
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
