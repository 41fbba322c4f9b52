// SPDX-License-Identifier: GPL-2.0-or-later
//! What a whole data directory must have and does not have.

use super::backup;
use super::file_report::{DataFileKind, FileReport, FileState};
use super::names::{Named, named, unwrapped};
use super::page0;
use super::read::DataFile;
use super::walk::DataFiles;
use crate::show::counted;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A part that a data directory must have, and that was not found in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MissingPart {
    /// The data directory.
    #[serde(serialize_with = "crate::show::path")]
    pub datadir: PathBuf,
    /// The part, by the names that a server gives it.
    pub what: String,
}

/// Names that only a data directory, or a backup of one, has.
const MARKS: &[&str] = &["auto.cnf", "ib_buffer_pool", "backup-my.cnf", "mysql", "xtrabackup_checkpoints"];

/// The redo log, by the names that a server gives it.
const REDO_LOG: &str = "the redo log (#innodb_redo, or ib_logfile0, in innodb_log_group_home_dir)";

/// Names the redo log if a whole data directory has none, and none was found in another directory. Before its first start, a
/// server has none.
pub(super) fn missing_redo_log(datadir: &Path, found: &DataFiles) -> Option<String> {
    let is_essential = |kind| matches!(kind, DataFileKind::System | DataFileKind::Dictionary);
    if !found.files.iter().any(|(_, kind)| is_essential(*kind)) {
        return None;
    }
    let missing = missing_parts(datadir, &[datadir.to_owned()], found, &[]);
    missing.into_iter().map(|part| part.what).find(|what| what == REDO_LOG)
}

/// Returns the parts that are missing in a data directory, if it is one as a whole, and not for example a directory with a
/// single schema or with binary logs. Parts may also be in the directories that belong to no other of `datadirs`.
pub fn missing_parts(
    datadir: &Path,
    datadirs: &[PathBuf],
    found: &DataFiles,
    reports: &[FileReport],
) -> Vec<MissingPart> {
    let others: Vec<_> =
        datadirs.iter().filter(|other| *other != datadir && !datadir.starts_with(other)).collect();
    let belongs =
        |path: &Path| path.starts_with(datadir) || !others.iter().any(|other| path.starts_with(other));
    // In another form, such as undo_001.zst, a part is not missing: it is listed as not checked.
    let paths =
        found.files.iter().map(|(path, _)| path).chain(found.not_checked.iter().map(|(path, _)| path));
    let files: Vec<_> = paths
        .filter(|path| belongs(path))
        .map(|path| (path, path.file_name().unwrap_or_default().to_string_lossy()))
        .map(|(path, name)| (path, unwrapped(&name).to_owned()))
        .collect();
    let holds = |name: &str, kind: DataFileKind| named(name) == Named::Data(kind);
    let is_system = |name: &str| holds(name, DataFileKind::System);
    let is_essential = |(path, name): &(&PathBuf, String)| {
        path.starts_with(datadir) && (is_system(name) || holds(name, DataFileKind::Dictionary))
    };
    let marked = MARKS.iter().any(|mark| datadir.join(mark).exists());
    if !marked && !files.iter().any(is_essential) {
        return Vec::new();
    }
    let is_there = |wanted: &str| files.iter().any(|(_, name)| name == wanted);
    let system: Vec<_> = reports
        .iter()
        .filter(|report| report.kind == DataFileKind::System || is_unused(report))
        .filter(|report| belongs(&report.path))
        .map(|report| report.path.as_path())
        .collect();
    let mut missing = Vec::new();
    let has_system =
        reports.iter().any(|report| report.kind == DataFileKind::System && belongs(&report.path));
    if !has_system && !files.iter().any(|(_, name)| is_system(name)) {
        missing.push(
            "the system tablespace (ibdata1, or the files that innodb_data_file_path names)".to_owned(),
        );
    }
    if has_system {
        missing.extend(lacking_pages(&system));
    }
    for file in backup::system_files(datadir).into_iter().filter(|file| !is_there(file)) {
        missing.push(format!("{file}, a file of the system tablespace that backup-my.cnf names"));
    }
    // Before 8.0, the data dictionary and undo logs were in the system tablespace, and tables had .frm files.
    let mut homes = system.iter().filter_map(|path| path.parent()).chain([datadir]);
    let is_old = homes.any(|home| ["mysql/db.opt", "mysql/user.frm"].iter().any(|f| home.join(f).exists()));
    if !is_old {
        if !is_there("mysql.ibd") {
            missing.push("the data dictionary (mysql.ibd)".to_owned());
        }
        for undo in ["undo_001", "undo_002"] {
            if !is_there(undo) {
                missing.push(format!("the undo tablespace {undo} (in innodb_undo_directory)"));
            }
        }
    }
    let is_redo =
        |name: &str| name == "ibbackup_logfile" || holds(name, DataFileKind::Redo) && !name.ends_with("_tmp");
    let is_filled = |path: &Path| path.metadata().is_ok_and(|meta| meta.len() > 0);
    if !files.iter().any(|(path, name)| is_redo(name) && is_filled(path)) {
        missing.push(REDO_LOG.to_owned());
    }
    missing.into_iter().map(|what| MissingPart { datadir: datadir.to_owned(), what }).collect()
}

/// Whether it may be a file of the system tablespace that has not been used yet, under any name.
fn is_unused(report: &FileReport) -> bool {
    report.kind == DataFileKind::Other && report.state == FileState::Empty
}

/// Returns how much of the system tablespace is missing, which can consist of several files. Its first page tells its size.
fn lacking_pages(files: &[&Path]) -> Option<String> {
    let mut pages = None;
    let mut bytes = 0_u64;
    for path in files {
        // A file that cannot be read is reported when it is judged.
        let file = DataFile::open(path).ok()?;
        bytes = bytes.saturating_add(file.len());
        let front = file.read(0, page0::FRONT).ok()?;
        if let Some(size) = page0::size_of_system(&front) {
            pages = Some(size);
        }
    }
    let (pages, size) = match pages {
        Some(pages) => pages,
        None => return Some("the first file of the system tablespace".to_owned()),
    };
    let there = bytes / size as u64;
    (there < u64::from(pages)).then(|| {
        format!(
            "{} of {} of the system tablespace: a file that innodb_data_file_path names, or its end",
            u64::from(pages) - there,
            counted(pages as usize, "page")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tablespace::samples::{PAGE, SampleKeys, seal, table};
    use crate::tablespace::{Depth, check, find};
    use std::fs;

    /// Page 0 of a system tablespace of that many pages, and as many pages as asked for.
    fn system(pages: u32, there: usize) -> Vec<u8> {
        let mut file = table()[..PAGE].to_vec();
        file[34..42].fill(0);
        file[46..50].copy_from_slice(&pages.to_be_bytes());
        file[56] &= !0x20;
        file[1558..1673].fill(0);
        seal(&mut file);
        file.resize(there * PAGE, 0);
        file
    }

    fn missing(roots: &[&Path]) -> Vec<String> {
        let roots: Vec<_> = roots.iter().map(|root| root.to_path_buf()).collect();
        let found = find(&roots);
        let reports = check(&found, &SampleKeys::all(), Depth::OnePage, &mut |_, _| {});
        missing_parts(&roots[0], &roots[..1], &found, &reports).into_iter().map(|part| part.what).collect()
    }

    #[test]
    fn each_missing_part_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("data").join(name);
        for directory in ["#innodb_redo", "mysql", "clinic", "../undo"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        fs::write(at("clinic/t.ibd"), table()).unwrap();
        let data = at("");
        let all = [
            ("ibdata1", "system"),
            ("mysql.ibd", "dictionary"),
            ("undo_001", "undo_001"),
            ("undo_002", "undo_002"),
        ];
        let mut rest: Vec<&str> = all.iter().map(|(_, word)| *word).chain(["redo"]).collect();
        for (name, _) in all {
            let found = missing(&[&data]);
            assert!(
                found.len() == rest.len() && found.iter().zip(&rest).all(|(f, w)| f.contains(w)),
                "{found:?}"
            );
            fs::write(at(name), system(5, 5)).unwrap();
            rest.remove(0);
        }
        fs::write(at("#innodb_redo/#ib_redo5_tmp"), "").unwrap();
        assert_eq!(missing(&[&data]).len(), 1);
        fs::write(at("xtrabackup_logfile"), "").unwrap();
        fs::write(at("#innodb_redo/#ib_redo4"), "").unwrap();
        assert_eq!(missing(&[&data]).len(), 1);
        fs::write(at("#innodb_redo/#ib_redo4"), crate::tablespace::samples::redo()).unwrap();
        assert_eq!(missing(&[&data]), [] as [String; 0]);
        let settings = "[mysqld]\ninnodb_data_file_path=ibdata1:12M;ibdata2:12M:autoextend\n";
        fs::write(at("backup-my.cnf"), settings).unwrap();
        let found = missing(&[&data]);
        assert!(found.len() == 1 && found[0].starts_with("ibdata2, "), "{found:?}");
        fs::remove_file(at("backup-my.cnf")).unwrap();

        // Elsewhere, if that directory is named too; and in another form, which is not checked.
        fs::rename(at("undo_001"), dir.path().join("undo/undo_001")).unwrap();
        assert_eq!(missing(&[&data]).len(), 1);
        assert_eq!(missing(&[&data, &dir.path().join("undo")]).len(), 0);
        fs::rename(at("mysql.ibd"), at("mysql.ibd.zst")).unwrap();
        assert_eq!(missing(&[&data, &dir.path().join("undo")]).len(), 0);
        // Under a name that the administrator chose, in two files, of which one gets lost.
        fs::remove_file(at("ibdata1")).unwrap();
        fs::write(at("disk1"), system(9, 5)).unwrap();
        let mut second = system(9, 4);
        second[4..8].copy_from_slice(&5_u32.to_be_bytes());
        seal(&mut second[..PAGE]);
        fs::write(at("disk2"), second).unwrap();
        assert_eq!(missing(&[&data, &dir.path().join("undo")]).len(), 0);
        fs::write(at("disk2"), vec![0; 4 * PAGE]).unwrap();
        assert_eq!(missing(&[&data, &dir.path().join("undo")]).len(), 0);
        fs::remove_file(at("disk2")).unwrap();
        let found = missing(&[&data, &dir.path().join("undo")]);
        assert!(found.len() == 1 && found[0].starts_with("4 of 9 pages"), "{found:?}");
        // A schema with names like those of the server's files; logs alone; a directory above the data directory.
        fs::write(at("clinic/ibdata_log.ibd"), table()).unwrap();
        assert_eq!(missing(&[&at("clinic")]), [] as [String; 0]);
        fs::remove_file(at("clinic/ibdata_log.ibd")).unwrap();
        assert_eq!(missing(&[&at("#innodb_redo")]), [] as [String; 0]);
        assert_eq!(missing(&[&dir.path().join("undo")]), [] as [String; 0]);
        fs::write(at("ibdata1"), system(5, 5)).unwrap();
        assert_eq!(missing(&[dir.path()]).len(), 0);
        fs::remove_file(at("mysql.ibd.zst")).unwrap();
        assert_eq!(missing(&[dir.path()]).len(), 1);
        let reports = check(&find(&[at("clinic")]), &SampleKeys::all(), Depth::OnePage, &mut |_, _| {});
        assert_eq!(reports[0].state, FileState::Opened);
    }

    #[test]
    fn before_8_0_there_was_neither_a_dictionary_nor_an_undo_tablespace() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mysql")).unwrap();
        for file in ["mysql/db.opt", "ib_logfile0"] {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        fs::write(dir.path().join("ibdata1"), system(3, 3)).unwrap();
        assert_eq!(missing(&[dir.path()]), [] as [String; 0]);
    }
}
