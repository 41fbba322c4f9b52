// SPDX-License-Identifier: GPL-2.0-or-later
//! The directories of a drill: one for the restored copy, and one in memory for the keyring and the socket. Each holds a file
//! that is locked while the drill runs, so that the next drill can tell and remove what a killed one has left.

use super::account::Account;
use super::left::{LOCK, PREFIX, remove_left};
use crate::commands::output::hex;
use crate::error::{Error, Result};
use crate::show::{Shown, warn};
use keyring_external::error::Failure;
use keyring_external::secret::random_array;
use rustix::fs::{FlockOperation, flock, statvfs};
use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const MEMORY: &str = "/dev/shm";
/// The longest path of a socket, with a byte to end it, is 108.
const LONGEST_SOCKET: usize = 107;
/// What a server writes beside the data: redo log, temporary tablespaces.
const BESIDE: u64 = 320 << 20;
/// With less, a failure is for want of space.
const FULL: u64 = 8 << 20;

/// A directory that is removed at the end.
struct Scratch {
    path: PathBuf,
    _lock: File,
}

/// The directories of a drill.
pub(super) struct Work {
    disk: Scratch,
    memory: Option<Scratch>,
}

impl Scratch {
    fn create(base: &Path, account: &Account) -> Result<Scratch> {
        let name = format!("{PREFIX}{}", hex(&random_array::<4>().map_err(Failure::System)?));
        let path = base.join(name);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|e| {
            Error::Usage(format!(
                "cannot create a directory in {} ({e}): name one with --work that this user can write to",
                base.shown()
            ))
        })?;
        let lock = path.join(LOCK);
        let made = File::create_new(&lock).and_then(|file| {
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok(file)
        });
        let scratch = match made {
            Ok(lock) => Scratch { path, _lock: lock },
            Err(e) => {
                let _ = fs::remove_dir_all(&path);
                return Err(Error::io("create", &lock, e));
            }
        };
        account.own(&scratch.path)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.path) {
            warn(format_args!("cannot remove {} ({e}): remove it", self.path.shown()));
        }
    }
}

impl Work {
    /// Creates the directories, after it has removed those that killed drills have left.
    pub(super) fn create(base: &Path, account: &Account) -> Result<Work> {
        let is_in_memory = Path::new(MEMORY).is_dir();
        for place in [base, Path::new(MEMORY)] {
            remove_left(place);
        }
        account.check_reach(base)?;
        let disk = Scratch::create(base, account)?;
        // Without one, the keyring is beside the data.
        let memory = if is_in_memory { Scratch::create(Path::new(MEMORY), account).ok() } else { None };
        let work = Work { disk, memory };
        let socket = work.socket();
        if socket.as_os_str().len() > LONGEST_SOCKET {
            return Err(Error::Usage(format!(
                "the path of a socket in {} is too long: name a shorter one with --work",
                base.shown()
            )));
        }
        for dir in [work.data(), work.tmp(), work.keys()] {
            fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|e| Error::io("create", &dir, e))?;
            account.own(&dir)?;
        }
        Ok(work)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.disk.path.join("data")
    }

    pub(super) fn tmp(&self) -> PathBuf {
        self.disk.path.join("tmp")
    }

    /// Where the copy of the program lies, if one is needed.
    pub(super) fn program(&self) -> PathBuf {
        self.disk.path.join("mysqld")
    }

    /// The error log of the temporary server.
    pub(super) fn log(&self) -> PathBuf {
        self.disk.path.join("server.err")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.disk.path.join("pid")
    }

    fn private(&self) -> &Path {
        self.memory.as_ref().map_or(&self.disk.path, |memory| &memory.path)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.private().join("s")
    }

    fn keys(&self) -> PathBuf {
        self.private().join("k")
    }

    /// Where the temporary copy of the keyring lies.
    pub(super) fn keyring(&self) -> PathBuf {
        self.keys().join("keyring")
    }

    /// How many bytes are free for the data.
    pub(super) fn free(&self) -> Result<u64> {
        let free = statvfs(&self.disk.path).map_err(|e| Error::io("look at", &self.disk.path, e.into()))?;
        Ok(free.f_bavail.saturating_mul(free.f_frsize))
    }

    /// # Errors
    /// There is too little space for `bytes` of data.
    pub(super) fn require(&self, bytes: u64) -> Result<()> {
        let needed = bytes.saturating_add(bytes / 20).saturating_add(BESIDE);
        let free = self.free()?;
        if free < needed {
            return Err(Error::Usage(format!(
                "{} has {} MiB free, and the restored copy needs about {} MiB: name a directory on a larger filesystem with --work",
                self.base().shown(),
                free >> 20,
                (needed >> 20) + 1
            )));
        }
        Ok(())
    }

    /// # Errors
    /// The filesystem is full, so that a failure says nothing about the backup.
    pub(super) fn require_not_full(&self) -> Result<()> {
        let free = self.free()?;
        if free < FULL {
            return Err(Error::Usage(format!(
                "{} is full ({} KiB free), so that nothing is proved: name a directory on a larger filesystem with --work",
                self.base().shown(),
                free >> 10
            )));
        }
        Ok(())
    }

    fn base(&self) -> &Path {
        self.disk.path.parent().unwrap_or(&self.disk.path)
    }
}
