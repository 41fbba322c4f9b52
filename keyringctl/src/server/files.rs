// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a server's files are, as it reports itself.

mod answers;
mod written;

pub use written::{Below, FileNames, FilePlace, UnsearchedPlace};

use super::session::Session;
use crate::error::Result;
use answers::{DataFile, Variables, absolute};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A server's files.
#[derive(Clone, Debug, Default)]
pub struct ServerFiles {
    /// Directories with data, the data directory first. None is below another.
    pub directories: Vec<PathBuf>,
    /// InnoDB's data files, each with the name of its tablespace.
    pub tablespaces: BTreeMap<PathBuf, String>,
    /// Files that list the paths of binary and relay logs. Logs from before a setting changed may be elsewhere.
    pub log_indexes: Vec<PathBuf>,
    /// The beginning of the paths of a replica's relay logs.
    pub relay_logs: Option<PathBuf>,
    /// Where the server writes what a client changes, the most special place first.
    pub written: Vec<FilePlace>,
    /// Where the server writes too, but nothing of a change that is not replicated and needs no temporary file.
    pub unsearched: Vec<UnsearchedPlace>,
}

/// Settings that name directories with data.
const DIRECTORIES: [&str; 4] = [
    "innodb_data_home_dir",
    "innodb_log_group_home_dir",
    "innodb_undo_directory",
    "innodb_temp_tablespaces_dir",
];
/// Settings that name logs: their directories count.
const LOGS: [&str; 2] = ["log_bin_basename", "relay_log_basename"];

impl ServerFiles {
    /// Asks the server for them.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session) -> Result<ServerFiles> {
        let variables = Variables(
            session.rows::<(String, Option<String>)>("SHOW GLOBAL VARIABLES")?.into_iter().collect(),
        );
        let datadir = PathBuf::from(variables.get("datadir").unwrap_or_default());
        // FILE_TYPE would wait for a tablespace that ALTER TABLESPACE has locked.
        let files = "SELECT FILE_NAME, TABLESPACE_NAME,
            CASE WHEN TABLESPACE_NAME IN (SELECT NAME FROM information_schema.INNODB_TABLESPACES
                WHERE SPACE_TYPE IN ('General', 'Single')) THEN 'TABLESPACE' ELSE FILE_TYPE END
            FROM information_schema.FILES";
        let files: Vec<DataFile> = session
            .rows::<(Option<String>, Option<String>, Option<String>)>(files)?
            .into_iter()
            .filter_map(|(path, tablespace, kind)| {
                let path = absolute(&datadir, &path?);
                Some(DataFile { path, tablespace: tablespace?, kind: kind.unwrap_or_default() })
            })
            .collect();
        let (written, unsearched) = written::places(&variables, &datadir, &files);
        Ok(ServerFiles {
            directories: directories(&variables, &datadir, &files),
            log_indexes: ["log_bin_index", "relay_log_index"]
                .iter()
                .filter_map(|name| Some(absolute(&datadir, variables.get(name)?)))
                .collect(),
            relay_logs: variables.get("relay_log_basename").map(|base| absolute(&datadir, base)),
            tablespaces: files.into_iter().map(|file| (file.path, file.tablespace)).collect(),
            written,
            unsearched,
        })
    }
}

fn directories(variables: &Variables, datadir: &Path, files: &[DataFile]) -> Vec<PathBuf> {
    let mut all: BTreeSet<PathBuf> = files
        .iter()
        .filter(|f| !is_device(&f.path))
        .filter_map(|f| Some(f.path.parent()?.to_owned()))
        .collect();
    all.extend(DIRECTORIES.iter().filter_map(|name| Some(absolute(datadir, variables.get(name)?))));
    all.extend(variables.doublewrite_dir().map(|dir| absolute(datadir, &dir)));
    let scanned = variables.get("innodb_directories").unwrap_or_default().split(';');
    all.extend(scanned.map(str::trim).filter(|dir| !dir.is_empty()).map(|dir| absolute(datadir, dir)));
    let logs = LOGS.iter().filter_map(|name| Some(absolute(datadir, variables.get(name)?)));
    all.extend(logs.filter_map(|path| Some(path.parent()?.to_owned())));
    let datadir = absolute(datadir, ".");
    let mut kept = vec![datadir];
    // A directory sorts before those below it.
    for directory in all {
        if !kept.iter().any(|above| directory.starts_with(above)) {
            kept.push(directory);
        }
    }
    kept
}

/// Whether a data file is a device, which `innodb_data_file_path` may name. In /dev/shm are ordinary files.
pub fn is_device(path: &Path) -> bool {
    path.starts_with("/dev") && !path.starts_with("/dev/shm")
}

#[cfg(test)]
mod tests {
    use super::answers::samples::{file, variables};
    use super::*;

    #[test]
    fn every_directory_that_a_setting_or_a_file_names_is_listed_once() {
        let settings = variables(&[
            ("innodb_log_group_home_dir", "/fast/redo"),
            ("innodb_undo_directory", "./"),
            ("innodb_temp_tablespaces_dir", "./#innodb_temp/"),
            ("innodb_doublewrite_dir", "/fast"),
            ("innodb_directories", "/mnt/a; /mnt/b;"),
            ("log_bin_basename", "/logs/binlog"),
        ]);
        let files = [
            file("/data/ibdata1", "innodb_system", "TABLESPACE"),
            file("/dev/sdb1", "innodb_system", "TABLESPACE"),
            file("/mnt/a/clinic/t.ibd", "clinic/t", "TABLESPACE"),
            file("/else/ts.ibd", "ts", "TABLESPACE"),
            file("/dev/shm/ts.ibd", "ts", "TABLESPACE"),
        ];
        let found = directories(&settings, Path::new("/data/"), &files);
        assert_eq!(
            found,
            ["/data", "/dev/shm", "/else", "/fast", "/logs", "/mnt/a", "/mnt/b"].map(PathBuf::from)
        );
        let older = variables(&[("innodb_log_group_home_dir", "/redo")]);
        assert_eq!(directories(&older, Path::new("/data"), &[]), ["/data", "/redo"].map(PathBuf::from));
    }
}
