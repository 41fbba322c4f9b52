// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy that is open for reading: its front, and what is needed to read the rest.

use super::deadline::{Place, Task};
use super::tasks;
use crate::error::Result;
use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Length of the front of a copy. The front changes with every write, so comparing it tells whether the copy is still
/// in the state that memory holds.
pub const FRONT_LEN: usize = crate::format::layout::FIXED_LEN;

/// The front of a copy. It is shorter than [`FRONT_LEN`] if the copy is.
#[derive(Clone, PartialEq, Eq)]
pub struct FrontBytes(pub Box<[u8]>);

impl Debug for FrontBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrontBytes({})", self.0.len())
    }
}

impl FrontBytes {
    /// The front of a copy with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.get(..FRONT_LEN).unwrap_or(bytes).into())
    }

    /// Overwrites bytes at `offset`, as a write to the copy did.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) {
        let at = offset as usize;
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// What a copy is, whatever its name: two names of one copy have the same. The order is that in which all programs on
/// a host lock copies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CopyId {
    /// A file.
    File {
        /// Its device.
        dev: u64,
        /// Its inode number on that device.
        ino: u64,
    },
    /// A copy at a remote: the random number that it was given when it was created. A replacement keeps it.
    Remote([u8; 16]),
}

impl CopyId {
    /// Where the copy lies.
    pub fn place(&self) -> Place {
        match self {
            CopyId::File { .. } => Place::Volume,
            CopyId::Remote(_) => Place::Remote,
        }
    }

    /// Whether both are on one filesystem, so that both are lost when it fails.
    pub fn shares_filesystem(&self, other: &Self) -> bool {
        matches!((self, other), (CopyId::File { dev: one, .. }, CopyId::File { dev: two, .. }) if one == two)
    }
}

/// Reads what follows the front of a copy that is open.
pub trait Rest: Send + Sync + Debug {
    /// Reads at most `most` bytes from offset [`FRONT_LEN`] on, and fewer only if the copy ends. They belong to the
    /// front of the [`Reading`]: the acknowledged records that it counts are as they were then, even if another program
    /// has appended since.
    ///
    /// # Errors
    /// I/O errors, or [`Failure::Remote`](crate::error::Failure::Remote). If the copy was replaced since, and what the
    /// front refers to is gone, the error is one of these too.
    fn read(&self, most: u64, until: Instant) -> Result<Vec<u8>>;
}

/// A copy that is open for reading.
#[derive(Clone, Debug)]
pub struct Reading {
    path: PathBuf,
    /// What the copy is.
    pub id: CopyId,
    /// The front of the copy.
    pub front: FrontBytes,
    /// Its size.
    pub len: u64,
    rest: Arc<dyn Rest>,
}

impl Reading {
    /// What an implementation of a copy read from the one at `path`.
    pub fn new(path: &Path, id: CopyId, front: FrontBytes, len: u64, rest: Arc<dyn Rest>) -> Self {
        Self { path: path.to_owned(), id, front, len, rest }
    }

    /// The path of the copy.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads at most `most` bytes after the front, within `limit`.
    ///
    /// # Errors
    /// As [`Rest::read`].
    pub fn rest(&self, most: u64, limit: Duration) -> Result<Vec<u8>> {
        tasks::run(self.rest_task(most), limit)
    }

    /// As [`Reading::rest`], as a task.
    pub(crate) fn rest_task(&self, most: u64) -> Task<Result<Vec<u8>>> {
        let rest = Arc::clone(&self.rest);
        Task::new(&self.path, self.id.place(), move |until| rest.read(most, until))
    }
}
