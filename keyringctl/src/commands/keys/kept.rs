// SPDX-License-Identifier: GPL-2.0-or-later
//! Other files of the keyring, which keep a key that was destroyed: files beside the copies, and backups of the keyring.

use crate::commands::apart::is_one_file;
use crate::commands::store_places::store_places;
use crate::commands::target::OpenedTarget;
use crate::show::Shown;
use keyring_external::key::NameRef;
use keyring_external::keyring::{inspect, load_with};
use keyring_external::store::places::is_remote;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"KEYRING_EXTERNAL";
/// Most directories that are read below a backup.
const MOST_DIRECTORIES: usize = 100_000;

/// A file of the keyring that is none of its copies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct KeptFile {
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    /// Whether it holds one of the keys; `None` if it could not be opened.
    pub holds: Option<bool>,
}

impl KeptFile {
    /// What it holds, for people.
    pub(super) fn text(&self) -> &'static str {
        match self.holds {
            Some(true) => "holds the key",
            Some(false) => "does not hold the key",
            None => "may hold the key: it could not be opened",
        }
    }
}

/// Finds the files of the keyring beside its copies and below `backups` that hold one of the keys, or may.
pub(super) fn find(target: &OpenedTarget, backups: &[PathBuf], names: &[NameRef<'_>]) -> Vec<KeptFile> {
    let copies = &target.copies.paths;
    let mut files = BTreeSet::new();
    for copy in copies.iter().filter(|copy| !is_remote(copy)) {
        if let Some(directory) = copy.parent() {
            keyrings_in(directory, false, &mut files);
        }
    }
    for backup in backups {
        if backup.is_dir() {
            keyrings_in(backup, true, &mut files);
        } else if is_keyring(backup) {
            files.insert(backup.clone());
        }
    }
    let places = store_places();
    let is_ours = |path: &PathBuf| {
        let is_copy = copies.iter().any(|copy| is_one_file(copy, path));
        // What cannot be read may be of this keyring.
        !is_copy && inspect(&places, path).map_or(true, |claims| claims.header.id == target.keyring.id())
    };
    let kept = files.into_iter().filter(is_ours).map(|path| {
        let secret = || target.copies.secret.read_again(&target.secret);
        let opened = load_with(&places, &path, &target.copies.secret.name(), secret);
        let holds =
            opened.ok().map(|(keyring, _)| names.iter().any(|name| keyring.fetch(name, |_| ()).is_some()));
        KeptFile { path, holds }
    });
    kept.filter(|file| file.holds != Some(false)).collect()
}

/// Adds the keyring files in a directory.
fn keyrings_in(directory: &Path, below: bool, files: &mut BTreeSet<PathBuf>) {
    let mut open = vec![directory.to_owned()];
    for _ in 0..MOST_DIRECTORIES {
        let Some(directory) = open.pop() else { return };
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && below => open.push(entry.path()),
                Ok(kind) if kind.is_file() && is_keyring(&entry.path()) => drop(files.insert(entry.path())),
                _ => {}
            }
        }
    }
}

fn is_keyring(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok_and(|()| start == *MAGIC)
}

/// What to do with such a file.
pub(super) fn advice(file: &KeptFile) -> String {
    format!(
        "{} {}: delete it when no backup of the data needs the key any more (shred does not help on every filesystem; its old \
         data key and an old secret unlock it)",
        file.path.shown(),
        file.text()
    )
}
