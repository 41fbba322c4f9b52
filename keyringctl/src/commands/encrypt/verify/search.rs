// SPDX-License-Identifier: GPL-2.0-or-later
//! Searches a server's files for a text.

use crate::readers::{PIECE, Readers, read_at};
use crate::server::{Below, FileNames, FilePlace, PlaceKind, UnsearchedPlace};
use memchr::memmem::Finder;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The most readings of a directory in which the server renames or removes files meanwhile.
const READINGS: usize = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// A search, and what it has seen so far.
pub(super) struct Search<'a> {
    finder: Finder<'a>,
    readers: Readers,
    /// Files that are left out.
    except: &'a [UnsearchedPlace],
    /// Files that need not be searched again.
    seen: HashSet<(u64, u64)>,
    /// Files that were searched.
    pub files: BTreeSet<PathBuf>,
    /// Files that contain the text.
    pub found: Vec<(PathBuf, PlaceKind)>,
    /// What could not be searched, and why.
    pub failed: Vec<(PathBuf, PlaceKind, String)>,
}

/// What was found in a place once.
#[derive(Default)]
struct Round {
    files: usize,
    /// Directories that were listed.
    directories: HashSet<(u64, u64)>,
    /// Files to be searched, and the device and number of each.
    unsearched: Vec<(PathBuf, (u64, u64))>,
    failed: Vec<(PathBuf, String)>,
    /// A file vanished: the server may have given it another name.
    vanished: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(text: &'a [u8], except: &'a [UnsearchedPlace]) -> Search<'a> {
        Search {
            finder: Finder::new(text),
            readers: Readers::new(),
            except,
            seen: HashSet::new(),
            files: BTreeSet::new(),
            found: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// The directories of the files that were searched.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let directories: BTreeSet<_> = self.files.iter().filter_map(|path| path.parent()).collect();
        directories.into_iter().map(Path::to_owned).collect()
    }

    /// Searches the files of a place. Each file is searched once.
    pub(super) fn place(&mut self, place: &FilePlace) {
        let mut round = Round::default();
        for _ in 0..READINGS {
            round = Round::default();
            if let Ok(meta) = fs::metadata(&place.directory) {
                // A link may lead back to it.
                round.directories.insert((meta.dev(), meta.ino()));
            }
            self.directory(&place.directory, place, place.below, &mut round);
            self.search(place, &mut round);
            // A tablespace that is being emptied is not there for a moment.
            let is_missing = place.required && round.files == 0 && round.failed.is_empty();
            if !round.vanished && !is_missing {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        if round.files == 0 && round.failed.is_empty() && place.required {
            let why =
                format!("no such file is there, although the server names this place ({})", place.named_by);
            round.failed.push((place.directory.clone(), why));
        }
        for (path, why) in round.failed {
            if !self.failed.iter().any(|(known, ..)| *known == path) {
                self.failed.push((path, place.kind, why));
            }
        }
    }

    fn directory(&self, directory: &Path, place: &FilePlace, below: Below, round: &mut Round) {
        let entries = match fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            // What need not be there may not be there yet.
            Err(e)
                if e.kind() == io::ErrorKind::NotFound
                    && place.names != FileNames::All
                    && !place.required =>
            {
                return;
            }
            Err(e) => return round.failed.push((directory.to_owned(), reason(&e, place))),
        };
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let meta = match fs::metadata(&path) {
                Ok(meta) => meta,
                // A link to nothing holds nothing.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    round.vanished |= entry.file_type().is_ok_and(|t| t.is_file());
                    continue;
                }
                Err(e) => {
                    round.failed.push((path, reason(&e, place)));
                    continue;
                }
            };
            if meta.is_dir() {
                let next = match below {
                    Below::None => continue,
                    Below::Own if !name.as_encoded_bytes().starts_with(b"#") => continue,
                    Below::Once => Below::None,
                    Below::Own | Below::All => Below::All,
                };
                if round.directories.insert((meta.dev(), meta.ino())) {
                    self.directory(&path, place, next, round);
                }
            } else if place.includes(&name) && !self.except.iter().any(|except| except.contains(&path)) {
                self.file(path, &meta, round);
            }
        }
    }

    fn file(&self, path: PathBuf, meta: &fs::Metadata, round: &mut Round) {
        let kind = meta.file_type();
        if kind.is_socket() || kind.is_char_device() {
            return;
        }
        if !kind.is_file() {
            let why = "it is a pipe or a device, whose contents cannot be searched".to_owned();
            return round.failed.push((path, why));
        }
        round.files += 1;
        let id = (meta.dev(), meta.ino());
        if !self.seen.contains(&id) && !round.unsearched.iter().any(|(_, known)| *known == id) {
            round.unsearched.push((path, id));
        }
    }

    /// Searches the files of a round, several at once.
    fn search(&mut self, place: &FilePlace, round: &mut Round) {
        let files = std::mem::take(&mut round.unsearched);
        let mut results = BTreeMap::new();
        let work = |i: usize| files.get(i).map(|(path, _)| contains(path, &self.finder, &self.readers));
        self.readers.each(files.len(), &work, &mut |i, result| drop(results.insert(i, result)));
        for ((path, id), result) in files.into_iter().zip(results.into_values().flatten()) {
            match result {
                Ok(found) => {
                    self.seen.insert(id);
                    self.files.insert(path.clone());
                    if found {
                        self.found.push((path, place.kind));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => round.vanished = true,
                Err(e) => round.failed.push((path, reason(&e, place))),
            }
        }
    }
}

fn reason(e: &io::Error, place: &FilePlace) -> String {
    let help = match e.kind() {
        io::ErrorKind::PermissionDenied => ". Run this as root",
        _ => "",
    };
    format!("{e} (named by {}){help}", place.named_by)
}

/// Returns whether a file contains a text. Holes are skipped, and what is added meanwhile is not read.
pub(super) fn contains(path: &Path, finder: &Finder<'_>, readers: &Readers) -> io::Result<bool> {
    // Does not wait for a pipe's other end, should the file have become one.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no longer a file"));
    }
    let found = AtomicBool::new(false);
    let search = |range: Range<u64>, buffer: &mut [u8], _: &mut ()| {
        // The text may span two pieces, or two ranges.
        let overlap = finder.needle().len().saturating_sub(1);
        let mut at = range.start;
        while at < range.end && !found.load(Ordering::Relaxed) {
            at = next_data(&file, at).unwrap_or(range.end);
            if at >= range.end {
                break;
            }
            let most = usize::try_from(range.end - at).unwrap_or(PIECE).saturating_add(overlap);
            let most = most.min(buffer.len());
            let piece = buffer.get_mut(..most).unwrap_or_default();
            let len = read_at(&file, at, piece)?;
            if piece.get(..len).is_some_and(|read| finder.find(read).is_some()) {
                found.store(true, Ordering::Relaxed);
            }
            at += (PIECE - overlap.min(PIECE / 2)) as u64;
        }
        Ok(())
    };
    let all = readers.ranges(&file, meta.len(), search);
    if found.into_inner() { Ok(true) } else { all.map(|_| false) }
}

/// Returns where the next data begins; `None` if there is only a hole up to the end.
fn next_data(file: &File, at: u64) -> Option<u64> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(data) => Some(data),
        Err(rustix::io::Errno::NXIO) => None,
        // The filesystem does not tell holes.
        Err(_) => Some(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(directory: &Path, names: FileNames, below: Below) -> FilePlace {
        let kind = PlaceKind::Redo;
        FilePlace { kind, directory: directory.to_owned(), names, below, named_by: "datadir", required: true }
    }

    #[test]
    fn a_text_is_found_across_pieces_and_after_holes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let contains = |text: &[u8]| contains(&path, &Finder::new(text), &Readers::new()).unwrap();
        // At the beginning, the end, and the borders of pieces and of ranges (8 MiB).
        for len in [6, 7, 100, PIECE, PIECE + 1, 40 * PIECE] {
            for border in [3, 6, 7, 50, PIECE - 8, PIECE - 5, PIECE, 32 * PIECE, len.saturating_sub(3)] {
                let mut bytes = vec![1; len];
                let Some(place) = border.checked_sub(3).and_then(|at| bytes.get_mut(at..at + 6)) else {
                    continue;
                };
                place.copy_from_slice(b"canary");
                fs::write(&path, &bytes).unwrap();
                assert!(contains(b"canary"), "{border} of {len}");
                assert!(!contains(b"canaries"), "{border} of {len}");
            }
        }
        let file = File::create(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"canary", 3 << 30).unwrap();
        file.set_len(1 << 40).unwrap();
        assert!(contains(b"canary"));
        assert!(!contains(b"canaries"));
    }

    #[test]
    fn what_cannot_be_searched_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for below in ["#own/deep", "clinic"] {
            fs::create_dir_all(at(below)).unwrap();
            fs::write(at(below).join("t"), "a canary").unwrap();
        }
        fs::write(at("linked"), "canary").unwrap();
        std::os::unix::fs::symlink(at("linked"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("#loop")).unwrap();
        fs::write(at("binlog.000001"), "canary").unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let except = [UnsearchedPlace { path: at("binlog"), is_log: true, why: "" }];
        let mut search = Search::new(b"canary", &except);
        search.place(&place(dir.path(), FileNames::All, Below::Own));
        let mut found: Vec<_> = search.found.iter().map(|(path, _)| path.file_name().unwrap()).collect();
        found.sort();
        assert_eq!((search.files.len(), found.len()), (2, 2), "{found:?}");
        let failed: Vec<_> = search.failed.iter().map(|(path, ..)| path.clone()).collect();
        assert_eq!(failed, [at("pipe")]);

        for (directory, names) in
            [(at("nowhere"), FileNames::All), (at("clinic"), FileNames::From("undo_".to_owned()))]
        {
            let mut search = Search::new(b"canary", &[]);
            search.place(&place(&directory, names, Below::None));
            assert_eq!((search.files.len(), search.failed.len()), (0, 1), "{}", directory.display());
        }
    }
}
