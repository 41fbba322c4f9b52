// SPDX-License-Identifier: GPL-2.0-or-later
//! What the files of backup tools say about a backup: whether it is prepared, and which files it must have.

use std::fs;
use std::path::Path;

/// The file in which XtraBackup says what kind of backup it wrote.
pub(super) const CHECKPOINTS: &str = "xtrabackup_checkpoints";
/// The log of a backup of XtraBackup, until it is prepared.
pub(super) const LOG: &str = "xtrabackup_logfile";
pub(super) const NOT_PREPARED: &str =
    "it says that this backup is not prepared, and its log xtrabackup_logfile is not there";
pub(super) const IS_INCREMENTAL: &str =
    "it says that this is an incremental backup, which holds only changed pages";

/// Returns the word of [`CHECKPOINTS`] for the kind of backup.
fn backup_type(checkpoints: &Path) -> Option<String> {
    let text = fs::read_to_string(checkpoints).ok()?;
    let kind = text.lines().find_map(|line| line.trim_start().strip_prefix("backup_type"))?;
    Some(kind.trim().trim_start_matches('=').trim().to_owned())
}

/// Returns why a backup cannot be checked as a whole, if XtraBackup's file says so. With its log, a backup that is not
/// prepared is whole.
pub(super) fn why_unprepared(checkpoints: &Path) -> Option<&'static str> {
    match backup_type(checkpoints)?.as_str() {
        "full-prepared" => None,
        "incremental" => Some(IS_INCREMENTAL),
        _ => {
            let log = fs::metadata(checkpoints.with_file_name(LOG));
            (!log.is_ok_and(|log| log.len() > 0)).then_some(NOT_PREPARED)
        }
    }
}

/// Whether XtraBackup has applied its log, which is beside [`CHECKPOINTS`].
pub(super) fn is_prepared(log: &Path) -> bool {
    backup_type(&log.with_file_name(CHECKPOINTS)).is_some_and(|kind| kind == "full-prepared")
}

/// Whether MySQL Enterprise Backup has applied its log, which is in the backup's directory `datadir`.
pub(super) fn is_applied(log: &Path) -> bool {
    let backup = log.parent().and_then(Path::parent).unwrap_or(log);
    fs::read_to_string(backup.join("meta/backup_variables.txt"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "apply_log_done=1"))
}

/// Returns the names of the files of the system tablespace that a backup says it has, without their directories.
pub(super) fn system_files(datadir: &Path) -> Vec<String> {
    let text = fs::read_to_string(datadir.join("backup-my.cnf")).unwrap_or_default();
    let setting = text.lines().filter_map(|line| line.split_once('=')).find_map(|(name, value)| {
        (name.trim().replace('-', "_") == "innodb_data_file_path")
            .then(|| value.trim().trim_matches(['"', '\'']))
    });
    let files = setting.unwrap_or_default().split(';');
    files
        .filter_map(|file| file.split(':').next()?.rsplit('/').next())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_system_tablespace_are_read_from_the_backups_settings() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(system_files(dir.path()), [] as [&str; 0]);
        for (text, wanted) in [
            (
                "[mysqld]\ninnodb_data_file_path=ibdata1:12M;ibdata2:12M:autoextend\n",
                &["ibdata1", "ibdata2"][..],
            ),
            ("innodb-data-file-path = \"/disk/a:1G;b:1G:autoextend:max:2G\"", &["a", "b"]),
            ("innodb_page_size=16384\ninnodb_data_file_path=", &[]),
        ] {
            fs::write(dir.path().join("backup-my.cnf"), text).unwrap();
            assert_eq!(system_files(dir.path()), wanted, "{text}");
        }
    }

    #[test]
    fn only_a_prepared_backup_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CHECKPOINTS);
        assert_eq!(why_unprepared(&path), None);
        for (kind, why) in [
            ("full-prepared", None),
            ("full-backuped", Some(NOT_PREPARED)),
            ("log-applied", Some(NOT_PREPARED)),
            ("incremental", Some(IS_INCREMENTAL)),
        ] {
            fs::write(&path, format!("backup_type = {kind}\nfrom_lsn = 0\n")).unwrap();
            assert_eq!(why_unprepared(&path), why, "{kind}");
            assert_eq!(is_prepared(&path), why.is_none(), "{kind}");
            fs::write(dir.path().join(LOG), "x").unwrap();
            let still = why.filter(|why| *why == IS_INCREMENTAL);
            assert_eq!(why_unprepared(&path), still, "{kind}");
            fs::write(dir.path().join(LOG), "").unwrap();
        }
    }
}
