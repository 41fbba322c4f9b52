// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the server has stopped, and whether it shut down cleanly. A running server holds a lock on the first file of its
//! system tablespace; while this program holds it, no server uses the data directory, and one that starts waits for it.

use crate::server::ServerFiles;
use rustix::fs::{FlockOperation, fcntl_lock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The system tablespace's name.
const SYSTEM: &str = "innodb_system";
/// Where a page has its number.
const NUMBER: u64 = 4;
/// Where the first page has the last change that a clean shutdown wrote to all files.
const FLUSHED: u64 = 26;

/// The data directory of a server that has stopped. None starts while this value exists.
pub(super) struct StoppedServer {
    file: File,
}

/// The first file of the system tablespace.
pub(super) fn first_file(files: &ServerFiles) -> Option<PathBuf> {
    let mut all = files.tablespaces.iter().filter(|(_, name)| *name == SYSTEM).map(|(path, _)| path);
    all.find(|path| File::open(path).is_ok_and(|file| number_at::<4>(&file, NUMBER).is_ok_and(|n| n == 0)))
        .cloned()
}

impl StoppedServer {
    /// Takes the lock. `None`: a server has it.
    ///
    /// # Errors
    /// The file cannot be opened for writing, or its filesystem has no locks.
    pub(super) fn take(first_file: &Path) -> io::Result<Option<StoppedServer>> {
        let file = OpenOptions::new().read(true).write(true).open(first_file)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(StoppedServer { file })),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether the server has written all changes up to `change`, a log sequence number, to its files and then shut down.
    /// After a crash, it still needs its doublewrite files.
    pub(super) fn is_clean(&self, change: u64) -> bool {
        number_at::<8>(&self.file, FLUSHED).is_ok_and(|flushed| flushed >= change)
    }
}

/// Reads a number of `N` bytes, the most significant one first.
fn number_at<const N: usize>(file: &File, offset: u64) -> io::Result<u64> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
