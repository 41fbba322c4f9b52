// SPDX-License-Identifier: GPL-2.0-or-later
//! The files to which a server writes what a client changes: where a search for a text must look.

use super::answers::{DataFile, Variables, absolute};
use crate::server::PlaceKind;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Some files of a directory to which the server writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilePlace {
    /// What they hold.
    pub kind: PlaceKind,
    /// The directory.
    pub directory: PathBuf,
    /// Which of its files.
    pub names: FileNames,
    /// Which of the directories below it count too.
    pub below: Below,
    /// The setting or table by which the server names it.
    pub named_by: &'static str,
    /// Whether at least one such file must exist.
    pub required: bool,
}

/// Files by their names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileNames {
    /// All files.
    All,
    /// The file of this name.
    One(String),
    /// The files whose names begin so.
    From(String),
}

/// Directories below another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Below {
    /// None.
    None,
    /// InnoDB's own, whose names begin with `#`, and everything below them.
    Own,
    /// Those directly below it.
    Once,
    /// All.
    All,
}

/// Files that a search for a text leaves out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsearchedPlace {
    /// The files or the directory.
    pub path: PathBuf,
    /// Whether the path is that of a log, whose files have a number as their extension. They are left out even where another
    /// place includes them.
    pub is_log: bool,
    /// Why they cannot hold the text.
    pub why: &'static str,
}

const NOT_LOGGED: &str =
    "the canary is not written to binary or relay logs; their headers show whether they are encrypted";
const NOT_SORTED: &str = "the canary needs no temporary files, which MySQL cannot encrypt";

impl FilePlace {
    fn new(kind: PlaceKind, directory: PathBuf, names: FileNames, named_by: &'static str) -> FilePlace {
        FilePlace { kind, directory, names, below: Below::None, named_by, required: false }
    }

    fn file(kind: PlaceKind, path: &Path, named_by: &'static str) -> Option<FilePlace> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(FilePlace::new(kind, path.parent()?.to_owned(), FileNames::One(name), named_by))
    }

    fn required(self) -> FilePlace {
        FilePlace { required: true, ..self }
    }

    fn with(self, below: Below) -> FilePlace {
        FilePlace { below, ..self }
    }

    /// Whether a file of this name in the place's directory belongs to it.
    pub fn includes(&self, name: &OsStr) -> bool {
        match &self.names {
            FileNames::All => true,
            FileNames::One(one) => name.as_bytes() == one.as_bytes(),
            FileNames::From(start) => name.as_bytes().starts_with(start.as_bytes()),
        }
    }
}

impl UnsearchedPlace {
    /// The path for people: that of a log with a wildcard.
    pub fn pattern(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        if self.is_log {
            path.push(".*");
        }
        path.into()
    }

    /// Whether it contains the file at `path`.
    pub fn contains(&self, path: &Path) -> bool {
        let (Some(name), Some(start)) = (path.file_name(), self.path.file_name()) else { return false };
        let number = name.as_bytes().strip_prefix(start.as_bytes()).and_then(|rest| rest.strip_prefix(b"."));
        self.is_log
            && path.parent() == self.path.parent()
            && number.is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit))
    }
}

/// Returns the places to search, and those that cannot hold what is searched for.
pub(super) fn places(
    variables: &Variables,
    datadir: &Path,
    files: &[DataFile],
) -> (Vec<FilePlace>, Vec<UnsearchedPlace>) {
    let dir = |name: &str| absolute(datadir, variables.get(name).unwrap_or("."));
    let mut places = redo(variables, &dir("innodb_log_group_home_dir"));
    places.extend(files.iter().filter_map(data_file));
    let undo = FilePlace::new(
        PlaceKind::Undo,
        dir("innodb_undo_directory"),
        FileNames::From("undo_".to_owned()),
        "innodb_undo_directory",
    );
    places.push(undo);
    places.extend(doublewrite(variables, datadir, &dir("innodb_data_home_dir")));
    if variables.get("innodb_temp_tablespaces_dir").is_some() {
        let name = "innodb_temp_tablespaces_dir";
        places.push(FilePlace::new(PlaceKind::Temporary, dir(name), FileNames::All, name).with(Below::All));
    }
    places.extend(statement_logs(variables, datadir));
    for archive in variables.get("innodb_redo_log_archive_dirs").unwrap_or_default().split(';') {
        // Each entry is LABEL:DIRECTORY.
        if let Some((_, path)) = archive.split_once(':').filter(|(_, path)| !path.is_empty()) {
            let names = FileNames::From("archive.".to_owned());
            let place = FilePlace::new(
                PlaceKind::Redo,
                absolute(datadir, path),
                names,
                "innodb_redo_log_archive_dirs",
            );
            places.push(place.with(Below::Once));
        }
    }
    for name in ["innodb_data_home_dir", "datadir"] {
        let place = FilePlace::new(PlaceKind::Table, dir(name), FileNames::All, name).with(Below::Own);
        places.push(place.required());
    }
    (places, unsearched(variables, datadir))
}

fn redo(variables: &Variables, home: &Path) -> Vec<FilePlace> {
    let place = |directory, names| {
        FilePlace::new(PlaceKind::Redo, directory, names, "innodb_log_group_home_dir").required()
    };
    // Since 8.0.30.
    if variables.get("innodb_redo_log_capacity").is_some() {
        vec![place(home.join("#innodb_redo"), FileNames::All)]
    } else {
        vec![place(home.to_owned(), FileNames::From("ib_logfile".to_owned()))]
    }
}

/// The files that belong to no single table.
fn data_file(file: &DataFile) -> Option<FilePlace> {
    let kind = match (file.kind.as_str(), file.tablespace.as_str()) {
        ("UNDO LOG", _) => PlaceKind::Undo,
        ("TEMPORARY", _) => PlaceKind::Temporary,
        (_, "innodb_system") => PlaceKind::SystemTablespace,
        (_, "mysql") => PlaceKind::MysqlTablespace,
        _ => return None,
    };
    Some(FilePlace::file(kind, &file.path, "information_schema.FILES")?.required())
}

fn doublewrite(variables: &Variables, datadir: &Path, data_home: &Path) -> Option<FilePlace> {
    // Before 8.0.20 it is in the system tablespace.
    variables.get("innodb_doublewrite_files")?;
    let set = variables.doublewrite_dir();
    let directory = set.as_ref().map_or_else(|| data_home.to_owned(), |dir| absolute(datadir, dir));
    let named_by = if set.is_some() { "innodb_doublewrite_dir" } else { "innodb_data_home_dir" };
    let names = FileNames::From("#ib_".to_owned());
    let place = FilePlace::new(PlaceKind::Doublewrite, directory, names, named_by);
    Some(FilePlace { required: variables.is_on("innodb_doublewrite"), ..place })
}

/// Logs that contain statements, if they are on.
fn statement_logs(variables: &Variables, datadir: &Path) -> Vec<FilePlace> {
    let output = variables.get("log_output").unwrap_or("FILE").to_ascii_uppercase();
    let mut places = Vec::new();
    for (kind, switch, file, table) in [
        (PlaceKind::GeneralLog, "general_log", "general_log_file", "general_log."),
        (PlaceKind::SlowLog, "slow_query_log", "slow_query_log_file", "slow_log."),
    ] {
        if !variables.is_on(switch) {
            continue;
        }
        if output.contains("FILE") {
            let path = variables.get(file).map(|path| absolute(datadir, path));
            places.extend(path.and_then(|path| FilePlace::file(kind, &path, file)).map(FilePlace::required));
        }
        if output.contains("TABLE") {
            // A table of the engine CSV or MyISAM.
            let names = FileNames::From(table.to_owned());
            places.push(FilePlace::new(kind, datadir.join("mysql"), names, "log_output").required());
        }
    }
    let error = variables.get("log_error").filter(|log| *log != "stderr").map(|log| absolute(datadir, log));
    places.extend(error.and_then(|path| FilePlace::file(PlaceKind::ErrorLog, &path, "log_error")));
    // Audit plugins log statements too. The names of their settings differ.
    for (name, value) in &variables.0 {
        let names_a_file = name.contains("audit") && (name.ends_with("file") || name.ends_with("path"));
        let path = value.as_deref().filter(|value| names_a_file && !value.is_empty());
        let path = path.map(|path| absolute(datadir, path));
        let place =
            path.and_then(|path| FilePlace::file(PlaceKind::GeneralLog, &path, "the audit log's setting"));
        places.extend(place.map(|place| match place.names {
            // Older ones have a date or number after the name.
            FileNames::One(name) => FilePlace { names: FileNames::From(name), ..place },
            _ => place,
        }));
    }
    places
}

fn unsearched(variables: &Variables, datadir: &Path) -> Vec<UnsearchedPlace> {
    let place = |path: &str, is_log, why| UnsearchedPlace { path: absolute(datadir, path), is_log, why };
    let mut places: Vec<UnsearchedPlace> = ["log_bin_basename", "relay_log_basename"]
        .iter()
        .filter_map(|name| Some(place(variables.get(name)?, true, NOT_LOGGED)))
        .collect();
    for name in ["tmpdir", "innodb_tmpdir", "replica_load_tmpdir", "slave_load_tmpdir"] {
        // tmpdir may be several directories.
        for dir in variables.get(name).unwrap_or_default().split(':').filter(|dir| !dir.is_empty()) {
            let place = place(dir, false, NOT_SORTED);
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::answers::samples::{file, variables};
    use super::*;

    fn described(settings: &[(&str, &str)], files: &[DataFile]) -> Vec<String> {
        let (places, _) = places(&variables(settings), Path::new("/data"), files);
        places
            .iter()
            .map(|p| {
                let names = match &p.names {
                    FileNames::All => "*".to_owned(),
                    FileNames::One(name) => name.clone(),
                    FileNames::From(name) => format!("{name}*"),
                };
                format!(
                    "{} {}{}",
                    p.kind,
                    p.directory.join(names).display(),
                    if p.required { " !" } else { "" }
                )
            })
            .collect()
    }

    #[test]
    fn every_place_outside_the_data_directory_is_listed() {
        let files = [
            file("/sys/ibdata1", "innodb_system", "TABLESPACE"),
            file("/undo/mine.ibu", "mine", "UNDO LOG"),
            file("/data/clinic/t.ibd", "clinic/t", "TABLESPACE"),
        ];
        let settings = [
            ("innodb_redo_log_capacity", "8388608"),
            ("innodb_log_group_home_dir", "/redo"),
            ("innodb_undo_directory", "/undo"),
            ("innodb_doublewrite", "ON"),
            ("innodb_doublewrite_files", "2"),
            ("innodb_doublewrite_dir", "dw"),
            ("innodb_temp_tablespaces_dir", "./#innodb_temp/"),
            ("general_log", "ON"),
            ("general_log_file", "/logs/general.log"),
            ("slow_query_log", "OFF"),
            ("slow_query_log_file", "/logs/slow.log"),
            ("log_output", "FILE,TABLE"),
            ("log_error", "./host.err"),
            ("audit_log_file", "audit.log"),
            ("audit_log_format", "NEW"),
            ("innodb_redo_log_archive_dirs", "a:/archive;b:"),
        ];
        let wanted = [
            "redo /redo/#innodb_redo/* !",
            "system-tablespace /sys/ibdata1 !",
            "undo /undo/mine.ibu !",
            "undo /undo/undo_*",
            "doublewrite /data/#dw/#ib_* !",
            "temporary /data/#innodb_temp/*",
            "general-log /logs/general.log !",
            "general-log /data/mysql/general_log.* !",
            "error-log /data/host.err",
            "general-log /data/audit.log*",
            "redo /archive/archive.*",
            "table /data/* !",
            "table /data/* !",
        ];
        assert_eq!(described(&settings, &files), wanted);
        let older = described(&[("innodb_log_group_home_dir", "./"), ("log_error", "stderr")], &[]);
        assert_eq!(
            older,
            ["redo /data/ib_logfile* !", "undo /data/undo_*", "table /data/* !", "table /data/* !"]
        );
    }

    #[test]
    fn binary_logs_and_temporary_directories_are_left_out_by_name() {
        let settings =
            [("log_bin_basename", "/data/binlog"), ("tmpdir", "/t1:/t2"), ("replica_load_tmpdir", "/t1")];
        let (_, unsearched) = places(&variables(&settings), Path::new("/data"), &[]);
        let paths: Vec<_> = unsearched.iter().map(|p| p.path.clone()).collect();
        assert_eq!(paths, ["/data/binlog", "/t1", "/t2"].map(PathBuf::from));
        let left_out = |path: &str| unsearched.iter().any(|p| p.contains(Path::new(path)));
        assert!(left_out("/data/binlog.000001") && left_out("/data/binlog.1000000"));
        for searched in
            ["/data/binlog", "/data/binlog.index", "/data/binlog.", "/else/binlog.000001", "/t1/x.1"]
        {
            assert!(!left_out(searched), "{searched}");
        }
    }
}
