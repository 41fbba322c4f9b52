// SPDX-License-Identifier: GPL-2.0-or-later
//! A path for a new file. If the filesystem there changes between looking at the path and creating the copy,
//! nothing is created: when a volume is pulled, its path leads to the mount point, a directory of another
//! filesystem.

use super::fs::{File, Fs, Meta};
use super::locked::write_new;
use super::volume;
use crate::error::{BadRequest, Error, Result};
use crate::store::vacancy::{Created, Vacant};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// A path where no file exists.
#[derive(Clone, Debug)]
pub(super) struct FileVacancy {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    directory: Meta,
}

/// A file that was created, identified by device and inode number.
#[derive(Clone, Debug)]
pub struct CreatedFile {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    file: (u64, u64),
}

/// Creates a file with these bytes, durably. It is written under another name first, so that an interruption leaves no
/// incomplete one. Its owner is the owner of the directory or, if root does this and names one, that user and group.
///
/// # Errors
/// [`BadRequest::AlreadyThere`], also because of a leftover of an earlier interruption;
/// [`Refusal::Missing`](crate::error::Refusal::Missing) if the volume is gone; I/O errors. In all these
/// cases no file remains at the path.
pub fn create_file(
    fs: &Arc<dyn Fs>,
    path: &Path,
    owner: Option<(u32, u32)>,
    bytes: &[u8],
) -> Result<CreatedFile> {
    let vacancy = FileVacancy::find(fs, path)?;
    let (uid, gid) = owner.unwrap_or((vacancy.directory.uid, vacancy.directory.gid));
    vacancy.create_owned_by(bytes, uid, gid)
}

impl Vacant for FileVacancy {
    fn create(&self, bytes: &[u8], _: Instant) -> Result<Arc<dyn Created>> {
        Ok(Arc::new(self.create_owned_by(bytes, self.directory.uid, self.directory.gid)?))
    }
}

impl Created for CreatedFile {
    fn remove(&self, _: Instant) {
        self.remove_now();
    }
}

impl FileVacancy {
    /// Checks that the path is free for a new file.
    pub(super) fn find(fs: &Arc<dyn Fs>, path: &Path) -> Result<Self> {
        let (fs, path) = (Arc::clone(fs), path.to_owned());
        let directory = volume::directory_meta(fs.as_ref(), &path)?;
        let vacancy = Self { fs, path, directory };
        vacancy.check_free()?;
        Ok(vacancy)
    }

    fn create_owned_by(&self, bytes: &[u8], uid: u32, gid: u32) -> Result<CreatedFile> {
        let temporary = volume::temporary_of(&self.path);
        self.check_volume()?;
        self.check_free()?;
        // If several programs create this file, only one of them gets the temporary file, and with it the
        // right to the name.
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
                    // Another program, which does not know of the temporary name, created it after the check.
                    io::ErrorKind::AlreadyExists => {
                        Error::BadRequest(BadRequest::AlreadyThere { path: self.path.clone() })
                    }
                    _ => volume::missing_or(self.fs.as_ref(), &self.path, "write", e),
                })
        };
        // Nobody relies on the new file yet, so a failure to remove it changes nothing.
        place().inspect_err(|_| new.remove_now())?;
        let made = CreatedFile { path: self.path.clone(), ..new };
        let synced = self.fs.sync_dir(volume::directory_of(&self.path));
        synced
            .map_err(|e| Error::io("write", &self.path, e))
            // If the volume was pulled, the directory of the mount point was synced instead.
            .and_then(|()| if made.is_there()? { Ok(()) } else { Err(self.volume_gone()) })
            .inspect_err(|_| made.remove_now())?;
        Ok(made)
    }

    fn created(&self, path: PathBuf, file: &dyn File) -> Result<CreatedFile> {
        let meta = file.meta().map_err(|e| Error::io("look at", &path, e))?;
        Ok(CreatedFile { fs: Arc::clone(&self.fs), path, file: (meta.dev, meta.ino) })
    }

    /// Checks that the path still leads to the same filesystem.
    fn check_volume(&self) -> Result<()> {
        // Directories are compared with directories, because an overlay reports another device for files.
        let now = volume::directory_meta(self.fs.as_ref(), &self.path)?;
        if now.dev == self.directory.dev { Ok(()) } else { Err(self.volume_gone()) }
    }

    fn volume_gone(&self) -> Error {
        volume::missing_or(self.fs.as_ref(), &self.path, "look at", io::ErrorKind::NotFound.into())
    }

    /// Checks that nothing is at the path.
    fn check_free(&self) -> Result<()> {
        match self.fs.meta(&self.path) {
            Ok(_) => Err(Error::BadRequest(BadRequest::AlreadyThere { path: self.path.clone() })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(volume::missing_or(self.fs.as_ref(), &self.path, "look at", e)),
        }
    }
}

impl CreatedFile {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to this file.
    fn is_there(&self) -> Result<bool> {
        match self.fs.meta(&self.path) {
            Ok(meta) => Ok((meta.dev, meta.ino) == self.file),
            Err(e) => Err(volume::missing_or(self.fs.as_ref(), &self.path, "look at", e)),
        }
    }

    /// Removes the file, unless its path now leads to another one.
    pub fn remove_now(&self) {
        if self.is_there().is_ok_and(|there| there) {
            drop(self.fs.unlink(&self.path));
        }
    }
}
