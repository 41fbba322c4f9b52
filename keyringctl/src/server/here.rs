// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a server's files are on this machine, where they can be read, and the room beside them.

use super::session::Session;
use crate::error::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// What this process can see of a server's data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Here {
    /// It is this server's, and its files can be read.
    Readable(PathBuf),
    /// It is there, but this user may not read it.
    Closed(PathBuf),
    /// It is not on this machine, as far as can be told.
    Elsewhere,
}

impl Here {
    /// Looks. A directory counts as the server's own when its `auto.cnf` has the server's UUID.
    ///
    /// # Errors
    /// What the server answers.
    pub fn look(session: &mut Session) -> Result<Here> {
        let Some((datadir, uuid)) = session.first::<(String, String)>("SELECT @@datadir, @@server_uuid")?
        else {
            return Ok(Here::Elsewhere);
        };
        let datadir = PathBuf::from(datadir);
        Ok(match fs::read_to_string(datadir.join("auto.cnf")) {
            Ok(text) if text.contains(&uuid) && fs::read_dir(&datadir).is_ok() => Here::Readable(datadir),
            Ok(_) => Here::Elsewhere,
            Err(_) if session.is_by_socket() && datadir.is_dir() => Here::Closed(datadir),
            Err(_) => Here::Elsewhere,
        })
    }

    /// The data directory, when it is on this machine.
    pub fn datadir(&self) -> Option<&Path> {
        match self {
            Here::Readable(path) | Here::Closed(path) => Some(path),
            Here::Elsewhere => None,
        }
    }

    /// The data directory, when its files can be read.
    pub fn readable(&self) -> Option<&Path> {
        if let Here::Readable(path) = self { Some(path) } else { None }
    }

    /// Bytes that are free on its filesystem for the server's user; `None` when it cannot be asked.
    pub fn free(&self) -> Option<u64> {
        let stat = rustix::fs::statvfs(self.datadir()?).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
