// SPDX-License-Identifier: GPL-2.0-or-later
//! A place for a new copy. It is on the filesystem on which it was when it was looked at, or nothing is
//! made: a volume that is pulled meanwhile leaves its mount point behind, a directory of another filesystem.

use super::fs::{File, Fs, Meta};
use super::locked::write_new;
use super::replica::FileReplica;
use super::volume;
use crate::error::{BadRequest, Error, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A path where there is nothing yet.
#[derive(Clone, Debug)]
pub struct Vacancy {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    directory: Meta,
}

/// A file that was made, by its device and number there.
#[derive(Clone, Debug)]
pub struct CreatedFile {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    file: (u64, u64),
}

impl FileReplica {
    /// The place for a new file at this path. To be asked for before anything else is looked at that says
    /// that the file belongs there.
    ///
    /// # Errors
    /// [`BadRequest::AlreadyThere`]; [`Refusal::Missing`](crate::error::Refusal::Missing) when there is no such directory; what the filesystem answers.
    pub fn vacancy(&self) -> Result<Vacancy> {
        let (fs, path) = (Arc::clone(self.fs()), self.path().to_owned());
        let directory = volume::directory_meta(fs.as_ref(), &path)?;
        let vacancy = Vacancy { fs, path, directory };
        vacancy.check_free()?;
        Ok(vacancy)
    }

    /// Makes a new file with these bytes, as [`Vacancy::create`].
    ///
    /// # Errors
    /// As [`FileReplica::vacancy`] and [`Vacancy::create`].
    pub fn create(&self, bytes: &[u8]) -> Result<CreatedFile> {
        self.vacancy()?.create(bytes)
    }

    /// As [`FileReplica::create`]; root gives the file to this user and group.
    ///
    /// # Errors
    /// As [`FileReplica::create`].
    pub fn create_for(&self, uid: u32, gid: u32, bytes: &[u8]) -> Result<CreatedFile> {
        self.vacancy()?.create_owned_by(bytes, uid, gid)
    }
}

impl Vacancy {
    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file with these bytes, durably: under another name first, so that an interruption leaves none.
    /// It goes to the owner of its directory.
    ///
    /// # Errors
    /// [`BadRequest::AlreadyThere`], also when an earlier interruption left something; [`Refusal::Missing`](crate::error::Refusal::Missing) when the
    /// volume is not there any more; or what the filesystem answers. Then no file is left behind where the path
    /// leads.
    pub fn create(&self, bytes: &[u8]) -> Result<CreatedFile> {
        self.create_owned_by(bytes, self.directory.uid, self.directory.gid)
    }

    fn create_owned_by(&self, bytes: &[u8], uid: u32, gid: u32) -> Result<CreatedFile> {
        let temporary = volume::temporary_of(&self.path);
        self.check_volume()?;
        self.check_free()?;
        // Only one of several programs that create this file gets the temporary, and the right to the name.
        let file = self.fs.create_new(&temporary).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::BadRequest(BadRequest::AlreadyThere { path: temporary.clone() })
            }
            _ => volume::missing_or(self.fs.as_ref(), &self.path, "create", e),
        })?;
        let new = self.created(temporary.clone(), file.as_ref()).inspect_err(|_| {
            if self.check_volume().is_ok() {
                drop(self.fs.unlink(&temporary));
            }
        })?;
        let place = || {
            self.check_volume()?;
            write_new(file.as_ref(), bytes, uid, gid)
                .and_then(|()| self.fs.rename_new(&temporary, &self.path))
                .map_err(|e| match e.kind() {
                    // Somebody's who made it since it was looked for, and does not know of this name.
                    io::ErrorKind::AlreadyExists => {
                        Error::BadRequest(BadRequest::AlreadyThere { path: self.path.clone() })
                    }
                    _ => volume::missing_or(self.fs.as_ref(), &self.path, "write", e),
                })
        };
        // Nobody has relied on the new file yet; a failure to remove it changes nothing.
        place().inspect_err(|_| new.remove())?;
        let made = CreatedFile { path: self.path.clone(), ..new };
        let synced = self.fs.sync_dir(volume::directory_of(&self.path));
        synced
            .map_err(|e| Error::io("write", &self.path, e))
            // Else it was the mount point's directory that was synced, not the volume's.
            .and_then(|()| if made.is_there()? { Ok(()) } else { Err(self.volume_gone()) })
            .inspect_err(|_| made.remove())?;
        Ok(made)
    }

    fn created(&self, path: PathBuf, file: &dyn File) -> Result<CreatedFile> {
        let meta = file.meta().map_err(|e| Error::io("look at", &path, e))?;
        Ok(CreatedFile { fs: Arc::clone(&self.fs), path, file: (meta.dev, meta.ino) })
    }

    /// The path leads to the filesystem to which it led before.
    fn check_volume(&self) -> Result<()> {
        // Directories are compared with directories: an overlay says another device for files.
        let now = volume::directory_meta(self.fs.as_ref(), &self.path)?;
        if now.dev == self.directory.dev { Ok(()) } else { Err(self.volume_gone()) }
    }

    fn volume_gone(&self) -> Error {
        volume::missing_or(self.fs.as_ref(), &self.path, "look at", io::ErrorKind::NotFound.into())
    }

    /// There is nothing at the path.
    fn check_free(&self) -> Result<()> {
        match self.fs.meta(&self.path) {
            Ok(_) => Err(Error::BadRequest(BadRequest::AlreadyThere { path: self.path.clone() })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(volume::missing_or(self.fs.as_ref(), &self.path, "look at", e)),
        }
    }
}

impl CreatedFile {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is where its path leads.
    fn is_there(&self) -> Result<bool> {
        match self.fs.meta(&self.path) {
            Ok(meta) => Ok((meta.dev, meta.ino) == self.file),
            Err(e) => Err(volume::missing_or(self.fs.as_ref(), &self.path, "look at", e)),
        }
    }

    /// Removes it, unless its path leads to another file by now.
    pub fn remove(&self) {
        if self.is_there().is_ok_and(|there| there) {
            drop(self.fs.unlink(&self.path));
        }
    }
}
