// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a file was changed or replaced.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is different after a file was changed or replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stamp(Option<[i128; 7]>);

impl Stamp {
    /// The stamp of the file that is at a path now, even if there is none.
    pub(super) fn of(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().map(|meta| Self::values(&meta)))
    }

    fn values(meta: &Metadata) -> [i128; 7] {
        [
            meta.dev().into(),
            meta.ino().into(),
            meta.len().into(),
            meta.mtime().into(),
            meta.mtime_nsec().into(),
            meta.ctime().into(),
            meta.ctime_nsec().into(),
        ]
    }
}
