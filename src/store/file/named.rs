// SPDX-License-Identifier: GPL-2.0-or-later
//! A file of a keyring by its path, and that file when it is open.

use super::fs::{Access, File, Fs};
use super::volume;
use crate::error::{Error, Result};
use crate::store::reading::{CopyId, FRONT_LEN, FrontBytes, Reading, Rest};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A file of a keyring, by its path.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) path: PathBuf,
}

/// The open file.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: Arc<dyn File>,
}

impl Rest for OpenFile {
    fn read(&self, most: u64, _: Instant) -> Result<Vec<u8>> {
        let read = || {
            let mut rest = Vec::new();
            // A file that reports a wrong size must not exhaust the memory of the server.
            rest.try_reserve_exact(most as usize).map_err(|_| io::ErrorKind::OutOfMemory)?;
            rest.resize(most as usize, 0);
            let got = self.file.read_at(&mut rest, FRONT_LEN as u64)?;
            rest.truncate(got);
            Ok(rest)
        };
        read().map_err(|e: io::Error| Error::io("read", &self.path, e))
    }
}

impl NamedFile {
    /// The file at `path`.
    pub(super) fn new(fs: Arc<dyn Fs>, path: &Path) -> Self {
        Self { fs, path: path.to_owned() }
    }

    pub(super) fn io_error(&self, doing: &'static str) -> impl Fn(io::Error) -> Error + '_ {
        move |e| Error::io(doing, &self.path, e)
    }

    /// Whether something may be at a path: `false` only if the filesystem says that there is nothing.
    pub(super) fn may_be_at(&self, path: &Path) -> bool {
        let nothing =
            |e: &io::Error| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        !self.fs.meta(path).as_ref().is_err_and(nothing)
    }

    /// The error for a path that leads to nothing.
    pub(super) fn missing(&self) -> Error {
        volume::missing_or(self.fs.as_ref(), &self.path, "look at", io::ErrorKind::NotFound.into())
    }

    /// Refuses if the path now leads to another filesystem than when the file was opened.
    pub(super) fn check_same_volume(&self, was: u64, is: u64) -> Result<()> {
        if was == is { Ok(()) } else { Err(self.missing()) }
    }

    pub(super) fn open_file(&self, access: Access) -> Result<Arc<dyn File>> {
        let file = self
            .fs
            .open(&self.path, access)
            .map_err(|e| volume::missing_or(self.fs.as_ref(), &self.path, "open", e))?;
        Ok(file.into())
    }

    pub(super) fn reading(&self, file: Arc<dyn File>) -> Result<Reading> {
        let read = || {
            let mut front = vec![0; FRONT_LEN];
            let got = file.read_at(&mut front, 0)?;
            front.truncate(got);
            Ok((FrontBytes(front.into()), file.meta()?))
        };
        let (front, meta) = read().map_err(|e: io::Error| match e.kind() {
            // The file could be opened, so this is not about permissions: on some network filesystems (SMB) a
            // lock also prevents others from reading.
            io::ErrorKind::PermissionDenied => Error::locked(&self.path, Duration::ZERO),
            _ => self.io_error("read")(e),
        })?;
        let id = CopyId::File { dev: meta.dev, ino: meta.ino };
        let rest = Arc::new(OpenFile { path: self.path.clone(), file });
        Ok(Reading::new(&self.path, id, front, meta.len, rest))
    }
}
