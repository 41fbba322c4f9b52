// SPDX-License-Identifier: GPL-2.0-or-later
//! What a file in a data directory or a backup contains, by its name.

use super::file_report::DataFileKind;

/// What a file of some name contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Named {
    /// Data of this kind.
    Data(DataFileKind),
    /// No data, or none that is not in another file too: settings, certificates, descriptions of tables.
    NoData,
    /// The path of a table's file elsewhere, as servers before 8.0 kept it.
    PathElsewhere,
    /// Data in a form that cannot be checked, and why.
    NotChecked(&'static str),
    /// Not known: its contents may show it.
    Unknown,
}

pub(super) const COMPRESSED: &str = "it is compressed or encrypted by a backup tool";
pub(super) const INCREMENTAL: &str = "it holds changed pages of an incremental backup";
pub(super) const UNPREPARED: &str =
    "it is the log of a backup that is not prepared: its changes are not in the backup's tablespaces yet";
pub(super) const ARCHIVE: &str = "it is an archive";
pub(super) const DUMP: &str = "it is a dump, which needs no keyring";

/// Extensions of programs that compress or encrypt, of which XtraBackup's are zst, lz4, qp and xbcrypt.
const WRAPPED: &[&str] = &[
    "zst", "lz4", "qp", "xbcrypt", "gz", "bz2", "xz", "lzo", "br", "Z", "zip", "7z", "gpg", "pgp", "asc",
    "age", "enc", "aes",
];
const ARCHIVES: &[&str] = &["tar", "tgz", "tbz2", "txz", "cpio", "xbstream", "mbi", "sbt"];

/// Returns what a file of that name contains.
pub(super) fn named(name: &str) -> Named {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension).unwrap_or_default();
    let kind = kind(name, extension);
    if kind.is_none() && is_no_data(name, extension) {
        return Named::NoData;
    }
    if is_text_log(name) {
        return Named::Data(DataFileKind::TextLog);
    }
    if let Some(kind) = kind {
        return Named::Data(kind);
    }
    let inner = name.strip_suffix(extension).and_then(|rest| rest.strip_suffix('.')).unwrap_or_default();
    match extension {
        "isl" => Named::PathElsewhere,
        _ if WRAPPED.contains(&extension) => match named(inner) {
            Named::NoData => Named::NoData,
            _ => Named::NotChecked(COMPRESSED),
        },
        "delta" => Named::NotChecked(INCREMENTAL),
        "meta" if matches!(named(inner), Named::Data(_)) => Named::NoData,
        _ if ARCHIVES.contains(&extension) => Named::NotChecked(ARCHIVE),
        "sql" => Named::NotChecked(DUMP),
        _ if name == "ibbackup_logfile" => Named::NotChecked(UNPREPARED),
        _ => Named::Unknown,
    }
}

/// Whether a file of that name is in a form that a program for compression or encryption gave it.
pub(super) fn is_wrapped(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| WRAPPED.contains(&extension))
}

/// Returns the name that a file had before a program gave it another form: `t.ibd` for `t.ibd.zst.xbcrypt`.
pub(super) fn unwrapped(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((inner, extension)) if WRAPPED.contains(&extension) || extension == "delta" => unwrapped(inner),
        _ => name,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns the kind of data in a file of that name, if it is one that a server or XtraBackup gives.
fn kind(name: &str, extension: &str) -> Option<DataFileKind> {
    let digits_after = |start: &str| name.strip_prefix(start).is_some_and(is_number);
    Some(match extension {
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
        _ if name
            .strip_prefix("#ib_redo")
            .is_some_and(|n| is_number(n.strip_suffix("_tmp").unwrap_or(n))) =>
        {
            DataFileKind::Redo
        }
        _ if digits_after("ib_logfile") || name == "xtrabackup_logfile" => DataFileKind::Redo,
        // The administrator chooses their names; their contents show whether they are logs.
        number if number.len() >= 6 && is_number(number) => DataFileKind::BinaryLog,
        _ => return None,
    })
}

/// Whether a file holds no data, or none that is not in another file too.
fn is_no_data(name: &str, extension: &str) -> bool {
    const NAMES: &[&str] = &[
        "ib_buffer_pool",
        "ib_buffer_pool.incomplete",
        "ib_lru_dump",
        "db.opt",
        "tc.log",
        "mysql_upgrade_info",
        "RPM_UPGRADE_HISTORY",
        "RPM_UPGRADE_MARKER",
        // SET PERSIST writes it before it takes the place of mysqld-auto.cnf.
        "mysqld-auto.cnf.backup",
        "mysql_upgrade_history",
        "keyring_external.witness",
        "grastate.dat",
        "gvwstate.dat",
        // MySQL Enterprise Backup.
        "backup_variables.txt",
        "backup_content.xml",
        "backup_create.xml",
        "image_files.xml",
        "gtid_executed.txt",
        "comments.txt",
    ];
    const EXTENSIONS: &[&str] = &[
        // Settings, certificates, and descriptions of tables. An index of MyISAM has no row that its table does not have.
        "cnf", "pem", "sdi", "cfg", "frm", "par", "TRG", "TRN", "opt", "MYI", "CSM", "MRG", "ARM",
        // Lists, positions, and signs of running programs.
        "index", "info", "pid", "sock", "lock", "flag",
    ];
    const STARTS: &[&str] = &[
        // XtraBackup and mariadb-backup.
        "xtrabackup_",
        "mariadb_backup_",
        // The clone plugin, in the directory #clone.
        "#status_",
        "#view_",
        "#new_files",
        "#old_files",
        "#replace_files",
        "#error_file",
    ];
    // Page tracking, in the directory #ib_archive: numbers of pages.
    const NUMBERED: &[&str] = &["ib_page_", "dblwr_", "active.", "durable."];
    NAMES.contains(&name)
        || EXTENSIONS.contains(&extension)
        || name.ends_with("_trunc.log")
        || name.ends_with(".~rec~")
        || name.ends_with(".index_crash_safe")
        || extension.is_empty() && STARTS.iter().any(|start| name.starts_with(start))
        || NUMBERED.iter().any(|start| name.strip_prefix(start).is_some_and(is_number))
}

/// Whether it is named like an error log, general log or slow query log, or like an old one that logrotate kept.
fn is_text_log(name: &str) -> bool {
    const COMPRESSED: &[&str] = &[".gz", ".bz2", ".xz", ".zst"];
    // MySQL's archive of its redo log is named archive.UUID.000001.log.
    if name.starts_with("archive.") {
        return false;
    }
    if name.strip_prefix("innodb_status.").is_some_and(is_number) {
        return true;
    }
    let mut rest = name;
    if let Some(inner) = COMPRESSED.iter().find_map(|end| rest.strip_suffix(end)) {
        rest = inner;
    }
    // .1, -20241126, .00.json, -old
    if let Some(inner) = rest.strip_suffix(".json") {
        rest = inner;
    }
    loop {
        let inner = rest.rsplit_once(['.', '-']).filter(|(_, end)| is_number(end) || *end == "old");
        match inner {
            Some((inner, _)) => rest = inner,
            None => break,
        }
    }
    rest.ends_with(".log") || rest.ends_with(".err")
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataFileKind as Kind;

    #[test]
    fn files_are_recognised_by_their_names() {
        for (name, wanted) in [
            ("patients.ibd", Kind::Table),
            ("active.ibd", Kind::Table),
            ("xtrabackup_runs.ibd", Kind::Table),
            ("#status_x.ibd", Kind::Table),
            ("t#p#p0.ibd", Kind::Table),
            ("mysql.ibd", Kind::Dictionary),
            ("undo_001", Kind::Undo),
            ("undo001", Kind::Undo),
            ("spare.ibu", Kind::Undo),
            ("ibdata1", Kind::System),
            ("ibtmp1", Kind::Temporary),
            ("temp_1.ibt", Kind::Temporary),
            ("#ib_redo12", Kind::Redo),
            ("#ib_redo12_tmp", Kind::Redo),
            ("ib_logfile0", Kind::Redo),
            ("xtrabackup_logfile", Kind::Redo),
            ("#ib_16384_0.dblwr", Kind::Doublewrite),
            ("binlog.000001", Kind::BinaryLog),
            ("host-relay-bin-a@b.1000000", Kind::BinaryLog),
            ("general_log.CSV", Kind::OtherEngine),
            ("patients.cfp", Kind::TransferKey),
            ("db1.err", Kind::TextLog),
            ("db1-slow.log", Kind::TextLog),
            ("error.log.1", Kind::TextLog),
            ("error.log.2.gz", Kind::TextLog),
            ("mysqld.log-20241126.gz", Kind::TextLog),
            ("db1.err-old", Kind::TextLog),
            ("db1.err.00.json", Kind::TextLog),
            ("error.log.20241126", Kind::TextLog),
            ("innodb_status.4711", Kind::TextLog),
        ] {
            assert_eq!(named(name), Named::Data(wanted), "{name}");
        }
        for name in [
            "auto.cnf",
            "undo_1_trunc.log",
            "binlog.index",
            "binlog.index_crash_safe",
            "keyring_external.witness",
            "patients.cfg",
            "db.opt",
            "ca-key.pem",
            "mysql.sock.lock",
            "mysql.sock",
            "mysqlx.sock",
            "xtrabackup_checkpoints",
            "xtrabackup_info.zst",
            "backup-my.cnf.qp",
            "ib_buffer_pool.lz4.xbcrypt",
            "t.ibd.meta",
            "#status_fix",
            "dblwr_0",
            "active.1",
            "variables_info_1.sdi",
        ] {
            assert_eq!(named(name), Named::NoData, "{name}");
        }
    }

    #[test]
    fn what_a_backup_tool_made_of_a_file_is_not_checked() {
        for (name, why) in [
            ("t.ibd.zst", COMPRESSED),
            ("t.ibd.qp", COMPRESSED),
            ("t.ibd.lz4", COMPRESSED),
            ("t.ibd.lz4.xbcrypt", COMPRESSED),
            ("ibdata1.gz", COMPRESSED),
            ("xtrabackup_logfile.zst", COMPRESSED),
            ("t.ibd.delta", INCREMENTAL),
            ("ibbackup_logfile", UNPREPARED),
            ("full.mbi", ARCHIVE),
            ("mysql.tar", ARCHIVE),
            ("all.tar.gz", COMPRESSED),
            ("backup.xbstream", ARCHIVE),
            ("xtrabackup_runs.ibd.zst", COMPRESSED),
            ("dump.sql", DUMP),
            ("dump.sql.gpg", COMPRESSED),
        ] {
            assert_eq!(named(name), Named::NotChecked(why), "{name}");
        }
        for name in
            ["T.IBD", "t.ibd.bak", "t.ibd~", "t.myd", "core", "archive.a-b.000001.log", "aria_log.1", ""]
        {
            assert_eq!(named(name), Named::Unknown, "{name}");
        }
        assert_eq!(named("t.isl"), Named::PathElsewhere);
        for (name, inner) in
            [("t.ibd", "t.ibd"), ("t.ibd.zst.xbcrypt", "t.ibd"), ("undo_001.delta", "undo_001")]
        {
            assert_eq!(unwrapped(name), inner);
        }
    }
}
