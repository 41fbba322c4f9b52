// SPDX-License-Identifier: GPL-2.0-or-later
//! What the files of all places say.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A place that could not be judged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Unread {
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    pub why: String,
}

/// What the files of all places say.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The ids of master keys, each with the files that need it.
    pub keys: BTreeMap<String, Vec<PathBuf>>,
    /// What could not be read, or is not known.
    pub unread: Vec<Unread>,
    /// The UUIDs of the servers whose data directories were read.
    pub servers: BTreeSet<String>,
    /// Whether there were binary or relay logs.
    pub has_logs: bool,
    /// Files that need no key, such as those of mysqldump.
    pub dumps: Vec<PathBuf>,
    /// The data directories in which a server runs.
    pub running: Vec<PathBuf>,
}

impl Named {
    /// Adds a place that could not be judged.
    pub(super) fn unread(&mut self, path: &Path, why: impl Into<String>) {
        self.unread.push(Unread { path: path.to_owned(), why: why.into() });
    }
}

/// The path without links, for comparisons.
pub(super) fn exact(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
