// SPDX-License-Identifier: GPL-2.0-or-later
//! What to do about an unencrypted file, with the names that the server gives it.

use super::found::APPLY;
use crate::server::{
    BinaryLog, Inventory, MergeTable, Part, PlaceKind, ServerFiles, Settings, Table, Tablespace,
    empty_log_table, may_be_file_of, may_be_file_of_partition, to_innodb,
};
use crate::show::Shown;
use crate::tablespace::DataFileKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What is known of a server's files.
pub(super) struct FileRemedies<'a> {
    pub files: &'a ServerFiles,
    pub tables: &'a [Table],
    pub tablespaces: &'a [Tablespace],
    pub binary_logs: &'a [BinaryLog],
    pub settings: &'a Settings,
    pub merges: &'a [MergeTable],
    /// What comes before statements.
    pub first: &'a str,
    /// What to grant to the account, if it cannot see every table.
    pub grant: Option<String>,
}

impl<'a> FileRemedies<'a> {
    pub(super) fn new(files: &'a ServerFiles, inventory: &'a Inventory) -> FileRemedies<'a> {
        FileRemedies {
            files,
            tables: &inventory.tables,
            tablespaces: &inventory.tablespaces,
            binary_logs: &inventory.binary_logs,
            settings: &inventory.settings,
            merges: &inventory.merges,
            first: inventory.before_by_hand,
            grant: inventory.privileges.unseen().map(|_| inventory.grant()),
        }
    }

    /// How to encrypt the content of a file, or to get rid of it. `reported`: whether the server reports it as encrypted.
    pub(super) fn of(&self, kind: DataFileKind, path: &Path, reported: Option<bool>) -> Option<String> {
        use DataFileKind as File;
        // The server names the file of a discarded tablespace too.
        if kind == File::Table
            && let Some(remedy) = self.discarded(path, reported).or_else(|| self.refused(path))
        {
            return Some(remedy);
        }
        let is_known = self.files.tablespaces.contains_key(path);
        Some(match kind {
            File::Redo | File::Doublewrite if !self.is_in_place(kind, path) => unused(path),
            File::Dictionary if !is_known && !self.is_a_tablespace(path) => format!(
                "the server does not use this file, and may not start while a second mysql.ibd is below its directories: move it away, or: rm {}",
                path.shown()
            ),
            File::OtherEngine if self.is_in_a_copy(path) => unused(path),
            File::Doublewrite => format!(
                "at last, run in the server: SET GLOBAL innodb_fast_shutdown = 0; then stop it, rm {}, and start it: it recreates the file",
                path.shown()
            ),
            File::BinaryLog => self.log(path),
            File::Redo | File::Dictionary => APPLY.to_owned(),
            File::Undo | File::Table | File::General if is_known => APPLY.to_owned(),
            File::Undo => leftover("no undo tablespace of the server", path),
            File::Table | File::General => leftover("no table or tablespace of the server", path),
            File::TransferKey => {
                format!("it holds the unprotected key of an exported table: rm {}", path.shown())
            }
            File::OtherEngine => self.other_engine(path),
            _ => return None,
        })
    }

    /// Whether a redo log file or doublewrite file is where the server keeps its own.
    pub(super) fn is_in_place(&self, kind: DataFileKind, path: &Path) -> bool {
        let wanted = if kind == DataFileKind::Redo { PlaceKind::Redo } else { PlaceKind::Doublewrite };
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return true };
        let mut places = self.files.written.iter().filter(|place| place.kind == wanted);
        places.any(|place| place.includes(name) && is_same(&place.directory, directory))
    }

    /// Whether a file is a tablespace of the server under another name.
    fn is_a_tablespace(&self, path: &Path) -> bool {
        self.files.tablespaces.keys().any(|file| is_same(file, path))
    }

    /// Whether a file is below the data directory, but not in the directory of a schema.
    pub(super) fn is_in_a_copy(&self, path: &Path) -> bool {
        let above = path.parent().and_then(Path::parent);
        self.files
            .directories
            .first()
            .is_some_and(|datadir| path.starts_with(datadir) && above != Some(datadir.as_path()))
    }

    /// A binary log or relay log.
    fn log(&self, path: &Path) -> String {
        if let Some(channel) = self.channel(path) {
            // The statements take only a literal, in which these characters depend on sql_mode.
            let of = match channel {
                Some(name) if name.contains(['\'', '\\', '"']) => " FOR CHANNEL '...'".to_owned(),
                Some(name) => format!(" FOR CHANNEL '{name}'"),
                None => " FOR CHANNEL ''".to_owned(),
            };
            return format!(
                "START REPLICA{of}; FLUSH NO_WRITE_TO_BINLOG RELAY LOGS{of}; the replica deletes the file with the next change that it applies. Or, if the channel is no longer needed: STOP REPLICA{of}; RESET REPLICA ALL{of};"
            );
        }
        if self.is_listed(path) {
            return "when replicas and backups have it: keyringctl encrypt apply --purge-binary-logs"
                .to_owned();
        }
        format!(
            "the server does not list this binary log. When no replica and no backup needs it: rm {}",
            path.shown()
        )
    }

    /// Whether the server lists a binary log.
    pub(super) fn is_listed(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.binary_logs.iter().any(|log| log.name == name)
    }

    /// Whether a file is a relay log of this server.
    pub(super) fn is_relay_log(&self, path: &Path) -> bool {
        self.channel(path).is_some()
    }

    /// The replication channel, if a file is a relay log of a channel that has a name or none.
    fn channel(&self, path: &Path) -> Option<Option<String>> {
        let base = self.files.relay_logs.as_ref()?;
        let name = path.file_name()?.to_str()?.strip_prefix(base.file_name()?.to_str()?)?;
        if path.parent() != base.parent() {
            return None;
        }
        let (channel, number) = name.rsplit_once('.')?;
        number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        match channel.strip_prefix('-') {
            None if channel.is_empty() => Some(None),
            None => None,
            Some(encoded) => Some(Some(decode(encoded).unwrap_or_else(|| encoded.to_owned()))),
        }
    }

    /// A file in the place of a table's or partition's discarded tablespace.
    fn discarded(&self, path: &Path, reported: Option<bool>) -> Option<String> {
        let (table, part) = self.discarded_part(path)?;
        let remove = format!("rm {}", path.shown());
        Some(match reported {
            // Error 1808.
            Some(true) => format!(
                "the server does not use this file, and imports no unencrypted file into an encrypted table. If its rows are needed, first import it into a new table with the same columns and ENCRYPTION = 'N', and run {APPLY}. Then: {remove}"
            ),
            _ => format!(
                "{}{} then: {APPLY}. Or, if its rows are not needed: {remove}",
                self.first,
                table.import(std::iter::once(part))
            ),
        })
    }

    /// Whether a file is in the place of a discarded tablespace.
    pub(super) fn is_discarded(&self, path: &Path) -> bool {
        self.discarded_part(path).is_some()
    }

    fn discarded_part(&self, path: &Path) -> Option<(&Table, &Part)> {
        let (table, stem) = (self.table(path)?, path.file_stem()?.to_str()?);
        let is_its = |part: &&Part| {
            part.name.as_deref().is_none_or(|partition| may_be_file_of_partition(stem, partition))
        };
        table.discarded().find(is_its).map(|part| (table, part))
    }

    /// The file of a table that MySQL refuses to rebuild.
    fn refused(&self, path: &Path) -> Option<String> {
        let table = self.table(path).filter(|table| table.obstacle(self.first).is_some())?;
        Some(format!("do what is said about the table {}", table.full_name()))
    }

    /// The file of a table of an engine other than InnoDB.
    fn other_engine(&self, path: &Path) -> String {
        match self.table(path) {
            Some(table) if table.schema == "mysql" => empty_log_table(table, self.settings, self.first),
            Some(table) => to_innodb(table, self.merges, self.first),
            None => match &self.grant {
                Some(grant) => format!(
                    "this account cannot see which table uses it. As an administrator, run: {grant} Then run this again"
                ),
                None => leftover("no table of the server", path),
            },
        }
    }

    /// The table whose file this is, or may be: its directory is the schema.
    pub(super) fn table(&self, path: &Path) -> Option<&Table> {
        let stem = path.file_stem()?.to_str()?;
        let directory = path.parent()?.file_name()?.to_str()?;
        self.tables.iter().find(|t| may_be_file_of(directory, stem, &t.schema, &t.name))
    }
}

/// A copy, or what is left from before the server kept such files elsewhere.
fn unused(path: &Path) -> String {
    format!("the server does not use this file. Once you know that nothing needs it: rm {}", path.shown())
}

/// Whether two paths lead to the same file or directory.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    one == other || identity(one).is_some_and(|found| Some(found) == identity(other))
}

/// A file of nobody. A statement that runs now may own it a moment later.
fn leftover(whose: &str, path: &Path) -> String {
    format!(
        "{whose} uses this file. If that is still so when you run this again while no ALTER TABLE runs: rm {}",
        path.shown()
    )
}

/// Decodes a name as the server encodes it for files: `-` is `@002d`. `None` if it has letters that only the server can
/// decode.
fn decode(name: &str) -> Option<String> {
    let mut units = Vec::new();
    let mut rest = name;
    while let Some(at) = rest.find('@') {
        units.extend(rest.get(..at)?.encode_utf16());
        units.push(u16::from_str_radix(rest.get(at + 1..at + 5)?, 16).ok()?);
        rest = rest.get(at + 5..)?;
    }
    units.extend(rest.encode_utf16());
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn names_of_files_are_decoded() {
        assert_eq!(decode("a@002db_c").as_deref(), Some("a-b_c"));
        assert_eq!(decode("@6f22"), Some("\u{6f22}".to_owned()));
        assert_eq!(decode("@1o"), None);
    }

    #[test]
    fn a_relay_log_belongs_to_a_channel() {
        let files =
            ServerFiles { relay_logs: Some(PathBuf::from("/d/h-relay-bin")), ..ServerFiles::default() };
        let remedies = FileRemedies {
            files: &files,
            tables: &[],
            tablespaces: &[],
            binary_logs: &[],
            settings: &Settings::default(),
            merges: &[],
            first: "",
            grant: None,
        };
        let channel = |path: &str| remedies.channel(Path::new(path));
        assert_eq!(channel("/d/h-relay-bin.000002"), Some(None));
        assert_eq!(channel("/d/h-relay-bin-c@002d2.000002"), Some(Some("c-2".to_owned())));
        for other in
            ["/d/h-relay-bin.index", "/d/binlog.000001", "/e/h-relay-bin.000001", "/d/h-relay-binary.000001"]
        {
            assert_eq!(channel(other), None, "{other}");
        }
    }
}
