// SPDX-License-Identifier: GPL-2.0-or-later
//! Other files of the keyring, which keep a key that was destroyed: files beside the copies, and backups of the keyring.

use super::kept_remotes::{self, KeptRemotes};
use super::named::{Unread, exact};
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

/// A file of the keyring that is none of its copies, or a copy at a remote that nothing uses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct KeptFile {
    #[serde(serialize_with = "crate::show::path")]
    pub path: PathBuf,
    /// Whether it holds one of the keys; `None` if it could not be opened.
    pub holds: Option<bool>,
    /// The command that removes it.
    pub remove: String,
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

/// What keeps a key, and where it could not be looked for.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub files: Vec<KeptFile>,
    pub not_searched: Vec<Unread>,
}

/// Finds the files of the keyring beside its copies, at their remotes and below `backups` that hold one of the keys, or may.
pub(super) fn find(target: &OpenedTarget, backups: &[PathBuf], names: &[NameRef<'_>]) -> Kept {
    let copies = &target.copies.paths;
    let mut search = Search::default();
    for copy in copies.iter().filter(|copy| !is_remote(copy)) {
        // A copy may be a link to a file elsewhere.
        let directories: BTreeSet<_> =
            [copy.clone(), exact(copy)].iter().filter_map(|copy| copy.parent().map(exact)).collect();
        directories.iter().for_each(|directory| search.directory(directory, false));
    }
    for backup in backups {
        if backup.is_dir() {
            search.directory(backup, true);
        } else if is_keyring(backup) {
            search.files.insert(backup.clone());
        }
    }
    let places = store_places();
    let is_ours = |path: &PathBuf| {
        let is_copy = copies.iter().any(|copy| is_one_file(copy, path));
        // What cannot be read may be of this keyring.
        !is_copy && inspect(&places, path).map_or(true, |claims| claims.header.id == target.keyring.id())
    };
    let files = search.files.into_iter().filter(is_ours);
    let mut all: Vec<_> = files.map(|path| (format!("rm {}", path.shown()), path)).collect();
    let KeptRemotes { found, not_searched } = kept_remotes::find(copies, target.keyring.id());
    all.extend(found.into_iter().map(|(path, remove)| (remove, path)));
    let kept = all.into_iter().map(|(remove, path)| {
        let secret = || target.copies.secret.read_again(&target.secret);
        let opened = load_with(&places, &path, &target.copies.secret.name(), secret);
        let holds =
            opened.ok().map(|(keyring, _)| names.iter().any(|name| keyring.fetch(name, |_| ()).is_some()));
        KeptFile { path, holds, remove }
    });
    let files = kept.filter(|file| file.holds != Some(false)).collect();
    Kept { files, not_searched: [search.not_searched, not_searched].concat() }
}

/// The keyring files that were found.
#[derive(Default)]
struct Search {
    files: BTreeSet<PathBuf>,
    not_searched: Vec<Unread>,
}

impl Search {
    /// Adds the keyring files in a directory.
    fn directory(&mut self, directory: &Path, below: bool) {
        let mut open = vec![directory.to_owned()];
        for _ in 0..MOST_DIRECTORIES {
            let Some(directory) = open.pop() else { return };
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(e) => {
                    self.not_searched.push(Unread { path: directory, why: e.to_string() });
                    continue;
                }
            };
            for entry in entries.flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && below => open.push(entry.path()),
                    Ok(kind) if kind.is_file() && is_keyring(&entry.path()) => {
                        self.files.insert(entry.path());
                    }
                    _ => {}
                }
            }
        }
        if let Some(path) = open.pop() {
            let why =
                format!("there are more than {MOST_DIRECTORIES} directories below {}", directory.shown());
            self.not_searched.push(Unread { path, why });
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
        "{} {}. A secret of its time unlocks it. When no backup of the data needs the key any more, delete it: {}",
        file.path.shown(),
        file.text(),
        file.remove
    )
}
