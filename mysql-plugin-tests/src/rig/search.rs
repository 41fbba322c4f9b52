// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks for bytes in files, and compares directories byte for byte.

use memchr::memmem::Finder;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file is read in pieces of this many bytes.
const PIECE: usize = 4 << 20;

/// Which of `needles` are in a file. A file that has vanished has none.
pub fn found_in(file: &Path, needles: &[Vec<u8>]) -> Vec<bool> {
    let mut found = vec![false; needles.len()];
    let mut file = match fs::File::open(file) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return found,
        Err(e) => panic!("{}: {e}", file.display()),
    };
    let finders: Vec<_> = needles.iter().map(Finder::new).collect();
    // A needle may lie across two pieces.
    let overlap = needles.iter().map(Vec::len).max().unwrap_or(0);
    let mut piece = Vec::new();
    loop {
        piece.drain(..piece.len().saturating_sub(overlap));
        if file.by_ref().take(PIECE as u64).read_to_end(&mut piece).unwrap() == 0 {
            return found;
        }
        for (found, finder) in found.iter_mut().zip(&finders) {
            *found = *found || finder.find(&piece).is_some();
        }
    }
}

/// The files below some directories that hold any of `needles`.
pub fn files_with(dirs: &[&Path], needles: &[Vec<u8>]) -> Vec<PathBuf> {
    let files = dirs.iter().flat_map(|dir| files_below(dir));
    files.filter(|file| found_in(file, needles).contains(&true)).collect()
}

/// All files below a directory, sockets and the like left out.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.unwrap().path();
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => files.extend(files_below(&path)),
            Ok(meta) if meta.is_file() => files.push(path),
            _ => {}
        }
    }
    files.sort();
    files
}

/// Bytes as they are and as the hexadecimal digits that stock keyrings write.
pub fn hex_forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lower: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    vec![bytes.to_vec(), lower.to_uppercase().into_bytes(), lower.into_bytes()]
}

/// Everything about a directory that a careless program could change.
#[derive(PartialEq, Eq, Debug)]
pub struct Snapshot(BTreeMap<PathBuf, Seen>);

#[derive(PartialEq, Eq, Debug)]
struct Seen {
    mode: u32,
    ino: u64,
    changed: (i64, i64),
    content: Vec<u8>,
}

impl Snapshot {
    pub fn of(dir: &Path) -> Snapshot {
        let mut all = BTreeMap::new();
        look(dir, &mut all);
        Snapshot(all)
    }
}

fn look(path: &Path, all: &mut BTreeMap<PathBuf, Seen>) {
    let meta = fs::symlink_metadata(path).unwrap();
    let content = if meta.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    let changed = (meta.ctime(), meta.ctime_nsec());
    all.insert(path.to_owned(), Seen { mode: meta.mode(), ino: meta.ino(), changed, content });
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), all);
        }
    }
}
