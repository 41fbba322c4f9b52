// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a server's files are on this machine and can be read, and how much space is free there.

use super::session::Session;
use crate::error::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// How this process can access a server's data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatadirAccess {
    /// It belongs to this server, and its files can be read.
    Readable(PathBuf),
    /// It exists, but this user may not read it.
    Closed(PathBuf),
    /// It does not seem to be on this machine.
    Elsewhere,
}

impl DatadirAccess {
    /// Finds out. A directory belongs to the server if its `auto.cnf` contains the server's UUID.
    ///
    /// # Errors
    /// What the server answers.
    pub fn check(session: &mut Session) -> Result<DatadirAccess> {
        let Some((datadir, uuid)) = session.first::<(String, String)>("SELECT @@datadir, @@server_uuid")?
        else {
            return Ok(DatadirAccess::Elsewhere);
        };
        let datadir = PathBuf::from(datadir);
        Ok(match fs::read_to_string(datadir.join("auto.cnf")) {
            Ok(text) if text.contains(&uuid) && fs::read_dir(&datadir).is_ok() => {
                DatadirAccess::Readable(datadir)
            }
            Ok(_) => DatadirAccess::Elsewhere,
            Err(_) if session.is_by_socket() && datadir.is_dir() => DatadirAccess::Closed(datadir),
            Err(_) => DatadirAccess::Elsewhere,
        })
    }

    /// The data directory, if it is on this machine.
    pub fn datadir(&self) -> Option<&Path> {
        match self {
            DatadirAccess::Readable(path) | DatadirAccess::Closed(path) => Some(path),
            DatadirAccess::Elsewhere => None,
        }
    }

    /// The data directory, if its files can be read.
    pub fn readable(&self) -> Option<&Path> {
        if let DatadirAccess::Readable(path) = self { Some(path) } else { None }
    }

    /// Returns the bytes that are free on its filesystem for the server's user, if that can be found out.
    pub fn free(&self) -> Option<u64> {
        self.free_at(self.datadir()?)
    }

    /// Returns the bytes that are free on the filesystem of another directory of the server, if that can be found out.
    pub fn free_at(&self, directory: &Path) -> Option<u64> {
        self.datadir()?;
        let stat = rustix::fs::statvfs(directory).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether another directory of the server is on the filesystem of the data directory.
    pub fn is_on_its_filesystem(&self, directory: &Path) -> bool {
        let device = |path: &Path| rustix::fs::stat(path).ok().map(|stat| stat.st_dev);
        let own = self.datadir().and_then(device);
        own.is_some() && own == device(directory)
    }
}
