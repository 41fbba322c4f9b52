// SPDX-License-Identifier: GPL-2.0-or-later
//! What a backup is: a data directory or a dump.

use super::dump_text::Compression;
use crate::error::{Error, Result};
use crate::show::Shown;
use crate::tablespace::{DataFileKind, DataFiles, find, is_archive};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A backup.
pub(super) enum BackupKind {
    /// A data directory, with the settings that the backup tool wrote down.
    Datadir { found: DataFiles, options: Vec<String> },
    /// A dump of mysqldump.
    Dump(Compression),
}

impl BackupKind {
    /// The name in results.
    pub(super) fn name(&self) -> &'static str {
        match self {
            BackupKind::Datadir { .. } => "datadir",
            BackupKind::Dump(_) => "dump",
        }
    }

    /// Looks at a backup. Reads only the beginning of a file.
    ///
    /// # Errors
    /// It cannot be read, or is not a backup that a server can be started with.
    pub(super) fn look(path: &Path, also: &[PathBuf]) -> Result<BackupKind> {
        let meta = fs::metadata(path).map_err(|e| Error::io("look at", path, e))?;
        if !meta.is_dir() {
            return dump(path, also);
        }
        let roots: Vec<_> = [path.to_owned()].into_iter().chain(also.iter().cloned()).collect();
        let mut found = find(&roots);
        if let Some((unreadable, e)) = found.unreadable.pop() {
            return Err(Error::io("read", &unreadable, e));
        }
        unusable(path, &found)?;
        Ok(BackupKind::Datadir { found, options: tool_options(path) })
    }
}

fn dump(path: &Path, also: &[PathBuf]) -> Result<BackupKind> {
    if !also.is_empty() {
        return Err(Error::Usage("--also belongs to a data directory, not to a dump".to_owned()));
    }
    let mut file = fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut start = [0; 6];
    let mut len = 0;
    while let Some(rest) = start.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest).map_err(|e| Error::io("read", path, e))? {
            0 => break,
            n => len += n,
        }
    }
    let is = |magic: &[u8]| start.starts_with(magic);
    let packed = [(&b"\x28\xb5\x2f\xfd"[..], "zstd -d"), (b"\xfd7zXZ\0", "xz -d"), (b"BZh", "bzip2 -d")];
    if let Some((_, program)) = packed.into_iter().find(|(magic, _)| is(magic)) {
        return Err(Error::Usage(format!(
            "{} is compressed in a way that a drill does not read: unpack it with {program}, or use gzip",
            path.shown()
        )));
    }
    if start.first().is_some_and(|byte| *byte == 0x85 || *byte == 0x8c) || is(b"-----B") {
        return Err(Error::Usage(format!(
            "{} is encrypted by GnuPG: decrypt it into a directory in memory (gpg --decrypt), and name that file",
            path.shown()
        )));
    }
    // What cannot be read is told when it is loaded.
    if is_archive(path).unwrap_or(false) {
        return Err(Error::Usage(format!(
            "{} is an archive: unpack it, and name the directory of the data",
            path.shown()
        )));
    }
    Ok(BackupKind::Dump(if is(b"\x1f\x8b") { Compression::Gzip } else { Compression::None }))
}

/// Refuses a directory that no server can be started with.
fn unusable(path: &Path, found: &DataFiles) -> Result<()> {
    let refuse = |why: String| Err(Error::Usage(format!("{}: {why}", path.shown())));
    if path.join("@.json").exists() || path.join("@.done.json").exists() {
        return refuse("this is a dump of MySQL Shell, which a drill cannot load. Load it into a server with util.loadDump()".to_owned());
    }
    let checkpoints = fs::read_to_string(path.join("xtrabackup_checkpoints")).unwrap_or_default();
    let kind =
        checkpoints.lines().find_map(|line| line.strip_prefix("backup_type")?.trim().strip_prefix('='));
    if let Some(kind) = kind.map(str::trim).filter(|kind| *kind != "full-prepared") {
        return refuse(format!(
            "this backup of XtraBackup is not prepared (backup_type = {kind}): copy it, run xtrabackup --prepare on the copy, and name that"
        ));
    }
    let wrapped =
        found.files.iter().map(|(file, _)| file).chain(found.not_checked.iter().map(|(file, _)| file));
    let is_wrapped = |file: &&PathBuf| {
        file.extension().is_some_and(|e| ["qp", "zst", "lz4", "xbcrypt", "delta"].iter().any(|w| e == *w))
    };
    if let Some(file) = wrapped.clone().find(is_wrapped) {
        return refuse(format!(
            "{} is in the form of a backup tool: unpack and prepare a copy of the backup (such as xtrabackup --decompress, --prepare), and name that",
            file.shown()
        ));
    }
    if !found.files.iter().any(|(_, kind)| *kind == DataFileKind::System) {
        return refuse(
            "this is not a data directory of MySQL: it has no system tablespace (ibdata1)".to_owned(),
        );
    }
    Ok(())
}

/// The settings of InnoDB that a backup tool wrote beside the data. Those that name directories are left out: the parts of
/// the backup are put together in one.
fn tool_options(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path.join("backup-my.cnf")).unwrap_or_default();
    let wanted = ["innodb_page_size", "innodb_data_file_path", "lower_case_table_names"];
    let settings = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().replace('-', "_"), value.trim().trim_matches(['"', '\''])));
    settings
        .filter(|(name, value)| wanted.contains(&name.as_str()) && !value.starts_with('/'))
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        BackupKind::look(path, &[]).err().expect("it is refused").to_string()
    }

    #[test]
    fn a_backup_that_no_server_can_be_started_with_is_refused_before_anything_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(refused(dir.path()).contains("no system tablespace"));
        fs::write(at("ibdata1"), [0; 65536]).unwrap();
        assert!(BackupKind::look(dir.path(), &[]).is_ok());
        fs::write(at("xtrabackup_checkpoints"), "backup_type = full-backuped\n").unwrap();
        assert!(refused(dir.path()).contains("--prepare"));
        fs::write(at("xtrabackup_checkpoints"), "backup_type = full-prepared\n").unwrap();
        fs::write(at("backup-my.cnf"), "[mysqld]\ninnodb_page_size=4096\ninnodb_undo_directory=/x\n")
            .unwrap();
        let BackupKind::Datadir { options, .. } = BackupKind::look(dir.path(), &[]).unwrap() else {
            panic!()
        };
        assert_eq!(options, ["innodb_page_size=4096"]);
        fs::create_dir(at("clinic")).unwrap();
        fs::write(at("clinic/patient.ibd.zst"), "x").unwrap();
        assert!(refused(dir.path()).contains("patient.ibd.zst"));
    }

    #[test]
    fn an_archive_is_no_dump() {
        let dir = tempfile::tempdir().unwrap();
        for (options, name) in [("-cf", "a.tar"), ("-czf", "a.tar.gz")] {
            fs::write(dir.path().join("ibdata1"), "x").unwrap();
            let mut tar = std::process::Command::new("tar");
            assert!(tar.current_dir(dir.path()).args([options, name, "ibdata1"]).status().unwrap().success());
            assert!(refused(&dir.path().join(name)).contains("is an archive: unpack it"), "{name}");
        }
    }

    #[test]
    fn a_dump_is_known_by_its_first_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("dump");
        let kind = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            BackupKind::look(&file, &[]).map(|kind| match kind {
                BackupKind::Dump(compression) => compression,
                BackupKind::Datadir { .. } => panic!(),
            })
        };
        assert_eq!(kind(b"-- MySQL dump").unwrap(), Compression::None);
        assert_eq!(kind(b"\x1f\x8b\x08").unwrap(), Compression::Gzip);
        assert_eq!(kind(b"").unwrap(), Compression::None);
        assert!(kind(b"\x28\xb5\x2f\xfd").unwrap_err().to_string().contains("zstd -d"));
        assert!(kind(b"-----BEGIN PGP MESSAGE").unwrap_err().to_string().contains("gpg"));
    }
}
