// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads parts of a file that a server may be writing to.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file that was written within this time may still be changing.
const FRESH: Duration = Duration::from_secs(10);

/// An open file.
pub(super) struct DataFile {
    file: File,
    len: u64,
    modified: Option<SystemTime>,
}

impl DataFile {
    /// Opens a file, which must not be a symbolic link.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<DataFile> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
        let meta = file.metadata()?;
        Ok(DataFile { file, len: meta.len(), modified: meta.modified().ok() })
    }

    /// The file's size when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads `len` bytes at `at`, or as many as there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let mut got = 0;
        while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at.saturating_add(got as u64)) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(got);
        Ok(bytes)
    }

    /// Whether a server may be writing to it.
    pub(super) fn may_change(&self) -> bool {
        let age = self.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.is_none_or(|age| age < FRESH)
    }
}
