// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds the files of a data directory that contain data. Every other file is counted, or listed as not checked.

use super::backup::{self, CHECKPOINTS, LOG, is_applied, is_prepared};
use super::contents;
use super::file_report::DataFileKind;
use super::names::{Named, UNPREPARED, named};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What was found below some directories.
#[derive(Debug, Default)]
pub struct DataFiles {
    /// Files that contain data, sorted by path. Those of the kind `Other` may contain data: their contents show it.
    pub files: Vec<(PathBuf, DataFileKind)>,
    /// How many files contain no data, by their names or because they are empty.
    pub no_data: usize,
    /// Files and symbolic links that may hold data and are not checked, and why.
    pub not_checked: Vec<(PathBuf, &'static str)>,
    /// Directories and files that could not be read, and why.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

const LINK: &str = "it is a symbolic link to what is not below the directories that are read";
const DANGLING: &str = "it is a symbolic link to something that is not there";
const PIPE: &str = "it is a pipe or a socket with the name of a file that holds data";
const DEVICE: &str = "it is a device";
const ELSEWHERE: &str = "it names a table's file that is not below the directories that are read";

/// Finds the files below some directories, each file once. A root may itself be a symbolic link.
pub fn find(roots: &[PathBuf]) -> DataFiles {
    let mut walk = Walk::default();
    for root in roots {
        // A root that is below another one was read with it.
        if fs::metadata(root).map_or(true, |meta| walk.seen.insert((meta.dev(), meta.ino()))) {
            walk.below(root);
        }
    }
    walk.judge_links();
    let mut found = walk.found;
    found.files.sort();
    found.not_checked.sort();
    found
}

#[derive(Default)]
struct Walk {
    found: DataFiles,
    /// Devices and numbers of files and directories.
    seen: HashSet<(u64, u64)>,
    /// Symbolic links and the like, with what they lead to.
    links: Vec<Link>,
}

struct Link {
    path: PathBuf,
    to: PathBuf,
    why: &'static str,
}

impl Walk {
    fn below(&mut self, root: &Path) {
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(e) => {
                    self.unreadable_directory(directory, root, e);
                    continue;
                }
            };
            for entry in entries {
                match entry {
                    Ok(entry) => open.extend(self.entry(entry.path(), entry.metadata())),
                    Err(e) => {
                        self.unreadable_directory(directory, root, e);
                        break;
                    }
                }
            }
        }
    }

    fn unreadable_directory(&mut self, directory: PathBuf, root: &Path, e: io::Error) {
        let gone = e.kind() == io::ErrorKind::NotFound && directory != root;
        // The top of a filesystem has one, and only root may read it.
        let closed = e.kind() == io::ErrorKind::PermissionDenied && directory.ends_with("lost+found");
        if !gone && !closed {
            self.found.unreadable.push((directory, e));
        }
    }

    /// Files an entry of a directory, and returns it if it is a directory to be read.
    fn entry(&mut self, path: PathBuf, meta: io::Result<Metadata>) -> Option<PathBuf> {
        let meta = match meta {
            Ok(meta) => meta,
            // It was removed since the directory was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(e) => {
                self.found.unreadable.push((path, e));
                return None;
            }
        };
        let kind = meta.file_type();
        if kind.is_symlink() {
            self.links.push(Link { to: path.clone(), path, why: LINK });
            return None;
        }
        // A file with two names is checked once.
        if !self.seen.insert((meta.dev(), meta.ino())) {
            return None;
        }
        match kind {
            _ if kind.is_dir() => return Some(path),
            _ if kind.is_file() => self.file(path, meta.len()),
            _ if holds_nothing(kind, &path) => self.found.no_data += 1,
            _ if kind.is_fifo() || kind.is_socket() => self.found.not_checked.push((path, PIPE)),
            _ => self.found.not_checked.push((path, DEVICE)),
        }
        None
    }

    fn file(&mut self, path: PathBuf, len: u64) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match named(&name) {
            Named::NoData if name == CHECKPOINTS => match backup::why_unprepared(&path) {
                Some(why) => self.found.not_checked.push((path, why)),
                None => self.found.no_data += 1,
            },
            // Its contents count if they are those of a file with data.
            Named::NoData if len > 0 && contents::holds_data(&path) => {
                self.found.files.push((path, DataFileKind::Other))
            }
            Named::NoData => self.found.no_data += 1,
            Named::Data(DataFileKind::Redo) if name == LOG && is_prepared(&path) => self.found.no_data += 1,
            // It is the redo log of a backup until that is prepared, and then it is not empty.
            Named::Data(DataFileKind::Redo) if name == LOG && len == 0 => self.found.no_data += 1,
            Named::Data(kind) => self.found.files.push((path, kind)),
            _ if len == 0 => self.found.no_data += 1,
            Named::NotChecked(UNPREPARED) if is_applied(&path) => self.found.no_data += 1,
            Named::NotChecked(why) => self.found.not_checked.push((path, why)),
            Named::PathElsewhere => match fs::read(&path) {
                Ok(to) => {
                    let to = PathBuf::from(OsStr::from_bytes(to.trim_ascii()));
                    self.links.push(Link { path, to, why: ELSEWHERE });
                }
                Err(e) => self.found.unreadable.push((path, e)),
            },
            Named::Unknown => self.found.files.push((path, DataFileKind::Other)),
        }
    }

    /// Files the links whose targets have not been found otherwise.
    fn judge_links(&mut self) {
        for Link { path, to, why } in std::mem::take(&mut self.links) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match fs::metadata(&to) {
                Ok(meta) if self.seen.contains(&(meta.dev(), meta.ino())) => {}
                Ok(meta) if holds_nothing(meta.file_type(), &path) => self.found.no_data += 1,
                _ if named(&name) == Named::NoData => self.found.no_data += 1,
                Err(e) if e.kind() == io::ErrorKind::NotFound && why == LINK => {
                    self.found.not_checked.push((path, DANGLING))
                }
                _ => self.found.not_checked.push((path, why)),
            }
        }
    }
}

/// Whether it is a socket or a pipe, and not in the place of a file with data.
fn holds_nothing(kind: FileType, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (kind.is_socket() || kind.is_fifo()) && matches!(named(&name), Named::NoData | Named::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(found: &DataFiles) -> Vec<String> {
        found.files.iter().map(|(p, _)| p.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_file_is_found_once_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        fs::create_dir_all(root.join("clinic")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        for file in ["data/clinic/t.ibd", "data/ibdata1", "data/auto.cnf", "outside/o.ibd"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        fs::hard_link(root.join("ibdata1"), root.join("ibdata2")).unwrap();
        symlink(dir.path().join("outside"), root.join("linked")).unwrap();
        symlink(&root, dir.path().join("root")).unwrap();
        let found = find(&[root.clone(), root.join("clinic"), root.clone()]);
        assert_eq!(names(&found).len(), 2, "{found:?}");
        assert_eq!(found.not_checked, [(root.join("linked"), LINK)]);
        // The directory behind the link is one of those that are read.
        let found = find(&[dir.path().join("root"), root.join("linked")]);
        assert_eq!(names(&found).len(), 3);
        assert_eq!((found.not_checked.len(), found.no_data), (0, 1), "{found:?}");
        let none = find(&[root.join("none"), root.clone()]);
        assert_eq!(none.unreadable[0].0, root.join("none"));
        assert_eq!(names(&none).len(), 2);
    }

    #[test]
    fn what_is_not_a_plain_file_is_judged_by_what_it_can_hold() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("mysqlx.sock")).unwrap();
        symlink("mysqlx.sock", root.join("other.sock")).unwrap();
        symlink("/nowhere/at/all", root.join("gone")).unwrap();
        symlink("/nowhere/ca.pem", root.join("ca.pem")).unwrap();
        symlink("/dev/null", root.join("raw")).unwrap();
        let pipe = |name: &str| {
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, root.join(name), kind, 0o600.into(), 0).unwrap();
        };
        ["f.ibd", "pipe"].into_iter().for_each(pipe);
        symlink("f.ibd", root.join("linked.ibd")).unwrap();
        fs::write(root.join("debian-8.4.flag"), "").unwrap();
        fs::write(root.join("anything"), "").unwrap();
        fs::write(root.join("t.ibd.zst"), "").unwrap();
        fs::write(root.join("u.ibd.zst"), "x").unwrap();
        fs::write(root.join("old.isl"), "/elsewhere/old.ibd\n").unwrap();
        fs::write(root.join("here.isl"), root.join("here.ibd").as_os_str().as_bytes()).unwrap();
        fs::write(root.join("here.ibd"), "").unwrap();
        let found = find(&[root.to_owned()]);
        let listed: Vec<_> = found
            .not_checked
            .iter()
            .map(|(p, why)| (p.strip_prefix(root).unwrap().to_str().unwrap(), *why))
            .collect();
        let wanted = [
            ("f.ibd", PIPE),
            ("gone", DANGLING),
            ("old.isl", ELSEWHERE),
            ("raw", LINK),
            ("u.ibd.zst", super::super::names::COMPRESSED),
        ];
        assert_eq!(listed, wanted);
        assert_eq!((found.no_data, names(&found)), (6, vec!["here.ibd".to_owned()]), "{found:?}");
    }

    #[test]
    fn the_log_of_a_backup_holds_data_until_it_is_prepared() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("meta")).unwrap();
        fs::create_dir_all(at("datadir")).unwrap();
        fs::write(at("datadir/xtrabackup_logfile"), "x").unwrap();
        fs::write(at("datadir/ibbackup_logfile"), "x").unwrap();
        for (kind, applied, logs, not_checked) in [
            ("full-backuped", "0", 1, 1),
            ("log-applied", "0", 1, 1),
            ("incremental", "0", 1, 2),
            ("full-prepared", "1", 0, 0),
        ] {
            fs::write(at("datadir/xtrabackup_checkpoints"), format!("backup_type = {kind}\nfrom_lsn = 0\n"))
                .unwrap();
            fs::write(
                at("meta/backup_variables.txt"),
                format!("[backup_variables]\napply_log_done={applied}\n"),
            )
            .unwrap();
            let found = find(&[at("datadir")]);
            assert_eq!(
                (found.files.len(), found.not_checked.len()),
                (logs, not_checked),
                "{kind}: {found:?}"
            );
        }
    }
}
