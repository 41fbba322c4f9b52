// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds the files of a data directory that contain data, by their names.

use super::file_report::DataFileKind;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What was found below some directories.
#[derive(Debug, Default)]
pub struct DataFiles {
    /// Files that contain data, sorted by path.
    pub files: Vec<(PathBuf, DataFileKind)>,
    /// Symbolic links, which are not followed.
    pub links: Vec<PathBuf>,
    /// Files that may hold data and are not checked, and why.
    pub not_checked: Vec<(PathBuf, &'static str)>,
    /// Directories that could not be read, and why.
    pub unreadable: Vec<(PathBuf, io::Error)>,
}

/// Finds the files below some directories, each file once. A root may itself be a symbolic link.
///
/// # Errors
/// A root cannot be read.
pub(super) fn find(roots: &[PathBuf]) -> Result<DataFiles, (PathBuf, io::Error)> {
    let mut found = DataFiles::default();
    let mut seen = HashSet::new();
    for root in roots {
        let failed = |e| (root.clone(), e);
        let entries = fs::read_dir(root).map_err(failed)?;
        if fs::metadata(root).is_ok_and(|m| seen.insert((m.dev(), m.ino()))) {
            find_below(entries, &mut found, &mut seen).map_err(failed)?;
        }
    }
    found.files.sort();
    found.links.sort();
    Ok(found)
}

fn find_below(root: fs::ReadDir, found: &mut DataFiles, seen: &mut HashSet<(u64, u64)>) -> io::Result<()> {
    let mut open = vec![root];
    while let Some(mut entries) = open.pop() {
        while let Some(entry) = entries.next().transpose()? {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            // It may have been removed since the directory was read.
            let Ok(meta) = entry.metadata() else { continue };
            let kind = if meta.is_file() { kind(&name) } else { None };
            if meta.is_symlink() {
                found.links.push(path);
            } else if meta.is_dir() && name != "lost+found" && seen.insert((meta.dev(), meta.ino())) {
                match fs::read_dir(&path) {
                    Ok(below) => {
                        open.push(entries);
                        entries = below;
                    }
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => found.unreadable.push((path, e)),
                }
            } else if let Some(kind) = kind
                && seen.insert((meta.dev(), meta.ino()))
            {
                found.files.push((path, kind));
            }
        }
    }
    Ok(())
}

/// Returns what a file of that name contains; `None` if no data.
fn kind(name: &str) -> Option<DataFileKind> {
    let digits_after = |start: &str| {
        name.strip_prefix(start)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let extension = Path::new(name).extension().map(|e| e.to_string_lossy()).unwrap_or_default();
    Some(match &*extension {
        _ if name == "mysql.ibd" => DataFileKind::Dictionary,
        "ibd" => DataFileKind::Table,
        "ibu" => DataFileKind::Undo,
        "ibt" => DataFileKind::Temporary,
        "dblwr" | "bdblwr" => DataFileKind::Doublewrite,
        "cfp" => DataFileKind::TransferKey,
        "MYD" | "ARZ" | "CSV" => DataFileKind::OtherEngine,
        _ if digits_after("undo_") || digits_after("undo") => DataFileKind::Undo,
        _ if digits_after("ibdata") => DataFileKind::System,
        _ if digits_after("ibtmp") => DataFileKind::Temporary,
        _ if name.starts_with("#ib_redo") || digits_after("ib_logfile") => DataFileKind::Redo,
        // The administrator chooses their names; their contents show whether they are logs.
        number if number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit()) => DataFileKind::BinaryLog,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_names() {
        for (name, wanted) in [
            ("patients.ibd", Some(DataFileKind::Table)),
            ("t#p#p0.ibd", Some(DataFileKind::Table)),
            ("mysql.ibd", Some(DataFileKind::Dictionary)),
            ("undo_001", Some(DataFileKind::Undo)),
            ("undo001", Some(DataFileKind::Undo)),
            ("spare.ibu", Some(DataFileKind::Undo)),
            ("undo_1_trunc.log", None),
            ("ibdata1", Some(DataFileKind::System)),
            ("ibtmp1", Some(DataFileKind::Temporary)),
            ("temp_1.ibt", Some(DataFileKind::Temporary)),
            ("#ib_redo12", Some(DataFileKind::Redo)),
            ("#ib_redo12_tmp", Some(DataFileKind::Redo)),
            ("ib_logfile0", Some(DataFileKind::Redo)),
            ("#ib_16384_0.dblwr", Some(DataFileKind::Doublewrite)),
            ("binlog.000001", Some(DataFileKind::BinaryLog)),
            ("host-relay-bin-a@b.1000000", Some(DataFileKind::BinaryLog)),
            ("binlog.index", None),
            ("general_log.CSV", Some(DataFileKind::OtherEngine)),
            ("auto.cnf", None),
            ("keyring_external.witness", None),
            ("patients.cfg", None),
            ("patients.cfp", Some(DataFileKind::TransferKey)),
            ("db.opt", None),
        ] {
            assert_eq!(kind(name), wanted, "{name}");
        }
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
        std::os::unix::fs::symlink(dir.path().join("outside"), root.join("linked")).unwrap();
        std::os::unix::fs::symlink(&root, dir.path().join("root")).unwrap();
        let names = |found: &DataFiles| -> Vec<_> {
            found.files.iter().map(|(p, _)| p.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let found = find(&[root.clone(), root.join("clinic"), root.clone()]).unwrap();
        assert_eq!(names(&found), ["t.ibd", "ibdata1"]);
        assert_eq!(found.links, [root.join("linked")]);
        let found = find(&[dir.path().join("root"), root.join("linked")]).unwrap();
        assert_eq!(names(&found).len(), 3);
        assert_eq!(find(&[root.join("none")]).unwrap_err().0, root.join("none"));
    }
}
