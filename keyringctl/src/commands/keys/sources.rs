// SPDX-License-Identifier: GPL-2.0-or-later
//! The places that may need keys, and which keys their files name.

use super::indexes;
use super::named::{Named, Unread, exact};
use crate::error::Result;
use crate::show::Shown;
use crate::tablespace::{
    DataFileKind, DataFiles, FileReport, FileState, MasterKeys, Shutdown, all_master_keys, archive_keys,
    find, missing_parts, shutdown,
};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pause before a place that cannot be judged is read again: a server may be writing to it.
const PAUSE: Duration = Duration::from_millis(300);
/// Most readings of a place.
const READINGS: usize = 5;

/// The places that may need keys.
#[derive(clap::Args, Clone, Default)]
#[group(id = "places-that-need-keys")]
pub(super) struct Args {
    /// Data directory of a server that uses the keyring; the server may be running (repeatable) [default: that of the
    /// server on this host]
    #[arg(long, value_name = "DIR", help_heading = "Places that may need keys")]
    pub datadir: Vec<PathBuf>,
    /// Additional directory with files of these servers, such as innodb_undo_directory or a table's DATA DIRECTORY
    /// (repeatable)
    #[arg(long, value_name = "DIR", help_heading = "Places that may need keys")]
    pub also: Vec<PathBuf>,
    /// Backup: a directory with a copy of a data directory, a clone, a backup of XtraBackup, or a dump of MySQL Shell; or a
    /// file of tar (also with gzip), xbstream or mysqldump (repeatable)
    #[arg(long, value_name = "PATH", help_heading = "Places that may need keys")]
    pub backup: Vec<PathBuf>,
    /// Directory with binary or relay logs outside of the data directories, or copies of such logs (repeatable)
    #[arg(long, value_name = "DIR", help_heading = "Places that may need keys")]
    pub binlogs: Vec<PathBuf>,
    /// UUID of a server whose data directory no longer exists. The last master key that it made does not count as in use
    /// then (repeatable)
    #[arg(long, value_name = "UUID", help_heading = "Places that may need keys")]
    pub gone_server: Vec<uuid::Uuid>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Datadir,
    Backup,
    BinaryLogs,
}

impl Args {
    /// Reads all places. `datadirs` are those that were named and that of the server on this host. `keys` decrypt redo logs.
    pub(super) fn read(&self, datadirs: &[PathBuf], keys: &dyn MasterKeys) -> Result<Named> {
        let mut named = Named::default();
        let mut found_logs = BTreeSet::new();
        for datadir in datadirs {
            let roots = [std::slice::from_ref(datadir), &self.also[..]].concat();
            named.add_place(Place::Datadir, &roots, keys, &mut found_logs);
            match server_of(datadir) {
                Ok(Some(uuid)) => drop(named.servers.insert(uuid)),
                Ok(None) => {}
                Err(why) => named.unread(&datadir.join("auto.cnf"), why),
            }
        }
        for backup in &self.backup {
            if backup.join("@.done.json").is_file() {
                // A dump of MySQL Shell, which has rows and no files of a server.
                named.dumps.push(backup.clone());
            } else if backup.is_file() {
                named.add_file(backup, keys);
            } else {
                named.add_place(Place::Backup, std::slice::from_ref(backup), keys, &mut found_logs);
            }
        }
        for binlogs in &self.binlogs {
            named.add_place(Place::BinaryLogs, std::slice::from_ref(binlogs), keys, &mut found_logs);
        }
        for directory in datadirs.iter().chain(&self.binlogs) {
            indexes::check(directory, &found_logs, &mut named);
        }
        Ok(named)
    }
}

impl Named {
    fn add_place(
        &mut self,
        place: Place,
        roots: &[PathBuf],
        keys: &dyn MasterKeys,
        logs: &mut BTreeSet<PathBuf>,
    ) {
        let Some(root) = roots.first() else { return };
        let mut unknown = Vec::new();
        let mut is_running = false;
        // A running server writes and replaces files meanwhile. What was named once, counts.
        for reading in 0..READINGS {
            if reading > 0 {
                std::thread::sleep(PAUSE);
            }
            let found = find(roots);
            let how = shutdown(root, &found);
            is_running = matches!(how, Shutdown::Running { .. });
            let (needed, reports) = all_master_keys(&found, keys, &how);
            for (key, files) in needed.keys {
                let known = self.keys.entry(key).or_default();
                let new: Vec<_> = files.into_iter().filter(|file| !known.contains(file)).collect();
                known.extend(new);
            }
            for report in reports.iter().filter(|report| report.kind == DataFileKind::BinaryLog) {
                self.has_logs = true;
                logs.insert(exact(&report.path));
            }
            unknown = why_unknown(place, root, &found, needed.unknown, &reports);
            if unknown.is_empty() {
                break;
            }
        }
        self.unread.append(&mut unknown);
        if is_running && place == Place::Datadir {
            self.running.push(root.clone());
        }
    }

    /// Adds a backup that is a file.
    fn add_file(&mut self, path: &Path, keys: &dyn MasterKeys) {
        const DUMPS: [&[u8]; 2] = [b"-- MySQL dump ", b"-- MariaDB dump "];
        let mut start = [0; 16];
        let read = File::open(path).and_then(|mut file| file.read(&mut start));
        let is_dump =
            |len| start.get(..len).is_some_and(|start| DUMPS.iter().any(|dump| start.starts_with(dump)));
        if read.is_ok_and(is_dump) {
            self.dumps.push(path.to_owned());
            return;
        }
        match archive_keys(path, keys) {
            Ok(Some(needed)) => {
                for (key, files) in needed.keys {
                    self.keys.entry(key).or_default().extend(files);
                }
                self.unread.extend(needed.unknown.into_iter().map(unread));
            }
            Ok(None) => self.unread(
                path,
                "it is neither a tar archive (also with gzip), nor an xbstream, nor written by mysqldump: unpack it, and name \
                 the directory",
            ),
            Err(e) => self.unread(path, e.to_string()),
        }
    }
}

fn unread(file: FileReport) -> Unread {
    Unread { why: format!("{}: {}", file.state.name(), file.notes.join("; ")), path: file.path }
}

fn why_unknown(
    place: Place,
    root: &Path,
    found: &DataFiles,
    files: Vec<FileReport>,
    reports: &[FileReport],
) -> Vec<Unread> {
    let mut all: Vec<_> =
        files.into_iter().filter(|file| file.state != FileState::Empty).map(unread).collect();
    let has_data = |(_, kind): &(PathBuf, DataFileKind)| match place {
        Place::BinaryLogs => *kind == DataFileKind::BinaryLog,
        Place::Datadir | Place::Backup => *kind != DataFileKind::Other,
    };
    let is_listed = all.iter().any(|unread| unread.path.starts_with(root));
    if !found.files.iter().any(has_data) && !is_listed {
        let what = match place {
            Place::BinaryLogs => "no binary or relay log was found there: check the path",
            Place::Datadir | Place::Backup => "no file of a MySQL server was found there: check the path",
        };
        all.push(Unread { path: root.to_owned(), why: what.to_owned() });
    } else if place != Place::BinaryLogs {
        let missing = missing_parts(root, &[root.to_owned()], found, reports);
        all.extend(missing.into_iter().map(|part| Unread {
            path: part.datadir,
            why: format!("it lacks {}. If that is in another directory, name it with --also", part.what),
        }));
    }
    all
}

/// The UUID of the server of a data directory; `None` if it has none yet.
fn server_of(datadir: &Path) -> std::result::Result<Option<String>, String> {
    let path = datadir.join("auto.cnf");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("the server's UUID cannot be read: {e}")),
    };
    let value =
        text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == "server-uuid");
    let uuid = value.and_then(|(_, value)| uuid::Uuid::try_parse(value.trim()).ok());
    match uuid {
        Some(uuid) => Ok(Some(uuid.hyphenated().to_string())),
        None => Err(format!("{} has no server-uuid", path.shown())),
    }
}
