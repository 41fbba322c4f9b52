// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads every page and block of a server's files on this machine and compares them with what the server reports.

use super::file_remedies::FileRemedies;
use super::finding::VerifyFinding;
use super::found::{self, FileFinding, FileShows, Owner};
use super::judge::{Judged, judge, not_read};
use super::sizes;
use crate::commands::output::counted;
use crate::error::Result;
use crate::server::{DataPlace, DatadirAccess, FileNames, Inventory, PlaceKind, ServerFiles, is_device};
use crate::show::Shown;
use crate::tablespace::{self, DataFileKind, DataFiles, FileReport, FileState, MasterKeys, NoKeys};
use keyring_external::keyring::Keyring;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What was read.
#[derive(Default, Serialize)]
pub(in crate::commands) struct FileTotals {
    files: usize,
    bytes: u64,
    /// Files with unencrypted data that MySQL could encrypt, or that could be removed. Each belongs to a place or a finding.
    pub unencrypted: usize,
    /// Files and directories that could not be read, or whose contents are unknown. Each is a finding.
    pub not_read: usize,
    /// Encrypted pages of tablespaces and blocks of the redo log.
    encrypted: u64,
    clear: u64,
    /// Whether the keyring's keys were tried on the files.
    with_keys: bool,
}

impl FileTotals {
    pub(crate) fn line(&self) -> String {
        let keys = if self.with_keys {
            "; the keyring decrypts every encrypted file except those listed"
        } else {
            ""
        };
        let not_read = match self.not_read {
            0 => String::new(),
            1 => "; 1 file or directory was NOT READ".to_owned(),
            n => format!("; {n} files or directories were NOT READ"),
        };
        format!(
            "Files: read {} ({}), {} with unencrypted data{not_read}{keys}",
            counted(self.files, "file"),
            sizes::bytes(self.bytes),
            self.unencrypted
        )
    }
}

/// Reads every file, and corrects the state of the places that they belong to. With `keyring`, also checks whether its keys
/// decrypt what is encrypted. Returns what else is wrong.
pub(in crate::commands) fn check(
    files: &ServerFiles,
    inventory: &Inventory,
    keyring: Option<&Keyring>,
    places: &mut Vec<DataPlace>,
) -> Result<(FileTotals, Vec<VerifyFinding>)> {
    let (directories, mut findings) = readable(files);
    let mut of_places = Vec::new();
    let found = find(&directories, files);
    let keys: &dyn MasterKeys = match keyring {
        Some(keyring) => keyring,
        None => &NoKeys,
    };
    let checked = tablespace::check_and_count(&found, keys);
    let mut seen =
        FileTotals { with_keys: keyring.is_some(), not_read: findings.len(), ..FileTotals::default() };
    let remedies = FileRemedies::new(files, inventory);
    let mut old_redo: BTreeMap<PathBuf, Vec<&PathBuf>> = BTreeMap::new();
    for (report, forms) in &checked {
        if !may_be_the_servers(report, files) {
            continue;
        }
        let was_read = !matches!(report.state, FileState::Unreadable | FileState::NotChecked);
        let forms = match forms {
            Ok(forms) => *forms,
            // The table was dropped, or the log purged.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            // It cannot be read any more.
            Err(e) => {
                seen.not_read += 1;
                of_places.push(not_read(report, remedies.owner(report.kind, &report.path), e));
                continue;
            }
        };
        if was_read {
            seen.files += 1;
            let bytes = std::fs::metadata(&report.path).map_or(0, |m| m.len());
            seen.bytes = seen.bytes.saturating_add(bytes);
        } else {
            seen.not_read += 1;
        }
        seen.encrypted += forms.encrypted;
        seen.clear += forms.clear;
        let reported =
            files.tablespaces.get(&report.path).and_then(|name| inventory.reported.get(name)).copied();
        let found = match judge(report, forms, reported, keyring.is_some(), &remedies) {
            Judged::Fine => continue,
            Judged::Wrong(finding) => {
                findings.push(finding);
                continue;
            }
            Judged::Place(found) => found,
        };
        seen.unencrypted += usize::from(found.shows == FileShows::Unencrypted);
        let is_old_redo = report.kind == DataFileKind::Redo && forms.clear > 0 && found.owner.is_none();
        match report.path.parent() {
            Some(directory) if is_old_redo && found.shows == FileShows::Unencrypted => {
                old_redo.entry(directory.to_owned()).or_default().push(&report.path);
            }
            _ => of_places.push(found),
        }
    }
    of_places.extend(old_redo.into_iter().map(|(directory, old)| {
        let count = counted(old.len(), "old redo log file");
        let rm = old.iter().map(|path| path.shown()).collect::<Vec<_>>().join(" ");
        let remedy = format!("the server does not use them. Once you know that nothing needs them: rm {rm}");
        let why = format!("{count} with unencrypted blocks");
        let shows = FileShows::Unencrypted;
        FileFinding { path: directory, kind: PlaceKind::Redo, shows, why, remedy: Some(remedy), owner: None }
    }));
    let devices = files.tablespaces.keys().filter(|path| is_device(path));
    seen.not_read += devices.clone().count();
    of_places.extend(devices.map(|path| FileFinding {
        path: path.clone(),
        kind: PlaceKind::SystemTablespace,
        shows: FileShows::NotChecked,
        why: "it is a device, which this program does not read".to_owned(),
        remedy: None,
        owner: Some(Owner::only(PlaceKind::SystemTablespace)),
    }));
    found::correct(places, of_places);
    Ok((seen, findings))
}

/// Corrects what files are, if the server names them: an administrator may choose names that say nothing.
fn name_by_server(found: &mut DataFiles, files: &ServerFiles) {
    for place in &files.written {
        let kind = match place.kind {
            PlaceKind::SystemTablespace => DataFileKind::System,
            PlaceKind::Temporary => DataFileKind::Temporary,
            PlaceKind::Undo => DataFileKind::Undo,
            _ => continue,
        };
        let FileNames::One(name) = &place.names else { continue };
        let path = place.directory.join(name);
        match found.files.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) => *known = kind,
            None if std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) => {
                found.not_checked.retain(|(known, _)| *known != path);
                found.files.push((path, kind));
            }
            None => {}
        }
    }
    found.files.sort();
}

/// Returns the directories that can be read, and a finding for each other one.
pub(in crate::commands::encrypt) fn readable(files: &ServerFiles) -> (Vec<PathBuf>, Vec<VerifyFinding>) {
    let (mut readable, mut findings) = (Vec::new(), Vec::new());
    let mut directories = files.directories.clone();
    for index in &files.log_indexes {
        match std::fs::read(index) {
            Ok(list) => {
                let lines = list.split(|byte| *byte == b'\n').map(OsStr::from_bytes).map(Path::new);
                for directory in lines.filter(|log| log.is_absolute()).filter_map(Path::parent) {
                    if !directories.iter().any(|above| directory.starts_with(above)) {
                        directories.push(directory.to_owned());
                    }
                }
            }
            // A server that is no replica has no index of relay logs.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => findings.push(not_checked(PlaceKind::BinaryLog, index, e)),
        }
    }
    for directory in &directories {
        match std::fs::read_dir(directory) {
            Ok(_) => readable.push(directory.clone()),
            Err(e) => findings.push(VerifyFinding::not_checked(
                PlaceKind::Table,
                directory.shown(),
                format!("{e}. The server names this directory in a setting or for a file"),
                Some(
                    "run this as root, and mount or create the directory; or remove it from the server's settings"
                        .to_owned(),
                ),
            )),
        }
    }
    (readable, findings)
}

/// Returns a finding for files that cannot be read from here.
pub(super) fn not_readable(here: &DatadirAccess, server: &str) -> Option<VerifyFinding> {
    let (why, remedy) = match here {
        DatadirAccess::Readable(_) => return None,
        DatadirAccess::Closed(datadir) => {
            (format!("no permission to read {}", datadir.shown()), "run this as root")
        }
        DatadirAccess::Elsewhere => (
            format!("the data directory of {server} is not on this machine"),
            "run this on the server, as root",
        ),
    };
    Some(VerifyFinding::not_checked(PlaceKind::Table, "files", why, Some(remedy.to_owned())))
}

/// Finds the files below directories, and below links among them through which the server reaches its tablespaces, as for a
/// schema on another disk.
pub(in crate::commands::encrypt) fn find(directories: &[PathBuf], files: &ServerFiles) -> DataFiles {
    let found = tablespace::find(directories);
    let leads_to_tablespaces =
        |link: &Path| link.is_dir() && files.tablespaces.keys().any(|file| file.starts_with(link));
    let others = found.not_checked.iter().map(|(path, _)| path);
    let links: Vec<_> = others.filter(|path| leads_to_tablespaces(path)).cloned().collect();
    let mut found = if links.is_empty() { found } else { tablespace::find(&[directories, &links].concat()) };
    name_by_server(&mut found, files);
    found
}

/// Whether a file may hold the server's data: outside of the data directory, only files that are the server's by their names
/// or contents, because others keep their files there too.
pub(super) fn may_be_the_servers(report: &FileReport, files: &ServerFiles) -> bool {
    report.kind != DataFileKind::Other
        || files.directories.first().is_none_or(|datadir| report.path.starts_with(datadir))
}

fn not_checked(kind: PlaceKind, path: &Path, why: impl std::fmt::Display) -> VerifyFinding {
    VerifyFinding::not_checked(kind, path.shown(), why, None)
}
