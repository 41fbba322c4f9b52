// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables with files outside of the data directory, and the directories that the server accepts for them. It takes those only
//! from its options: a table that was created when they named its directory may be refused after another start.

use super::table::Table;
use crate::error::{Error, Result};
use crate::server::{Session, quoted_text};
use crate::show::Shown;
use std::fs;
use std::path::{Path, PathBuf};

/// Settings that name directories in which the server looks for data files.
const KNOWN: [&str; 3] = ["innodb_directories", "innodb_data_home_dir", "innodb_undo_directory"];

/// The directories outside of the data directory that hold files of tables.
#[derive(Clone, Debug, Default)]
pub struct OutsideDirectories {
    /// The directories that the server knows from its options.
    known: Vec<PathBuf>,
    /// The value of `innodb_directories`.
    configured: String,
    /// Whether new tables get files of their own.
    file_per_table: bool,
    /// Tablespaces with a file outside of the data directory: name and path.
    files: Vec<(String, PathBuf)>,
}

impl OutsideDirectories {
    /// Asks the server.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session) -> Result<OutsideDirectories> {
        let names = KNOWN.map(quoted_text).join(", ");
        let query = format!(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names}, 'datadir', 'innodb_file_per_table')"
        );
        let variables = session.rows::<(String, Option<String>)>(&query)?;
        let value = |name: &str| {
            let found = variables.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.clone());
            found.unwrap_or_default()
        };
        // Such a file has an absolute path; those below the data directory have relative ones.
        let query = "SELECT NAME, PATH FROM information_schema.INNODB_TABLESPACES_BRIEF WHERE PATH LIKE '/%'";
        let files = match session.rows::<(String, String)>(query) {
            Ok(rows) => rows.into_iter().map(|(name, path)| (name, path.into())).collect(),
            Err(Error::Server(e)) if e.code != 0 => Vec::new(),
            Err(e) => return Err(e),
        };
        let datadir = PathBuf::from(value("datadir"));
        let all = KNOWN.map(value).join(";");
        Ok(OutsideDirectories {
            known: all.split(';').map(str::trim).filter(|d| !d.is_empty()).map(|d| datadir.join(d)).collect(),
            configured: value("innodb_directories"),
            file_per_table: !value("innodb_file_per_table").eq_ignore_ascii_case("OFF"),
            files,
        })
    }

    /// The directories of a table's files that the server refuses in a statement, as DATA DIRECTORY names them.
    pub fn unknown_of(&self, table: &Table) -> Vec<PathBuf> {
        let mut unknown = self.of(table);
        unknown.retain(|directory| !self.is_known(directory));
        unknown
    }

    /// Whether the table has partitions outside of the data directory, and the server would move them to ibdata1.
    pub fn would_lose_files_of(&self, table: &Table) -> bool {
        !self.file_per_table
            && table.parts.iter().any(|part| part.name.is_some())
            && !self.of(table).is_empty()
    }

    /// Whether a directory is one that the server knows from its options, or is below one.
    pub fn is_known(&self, directory: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        self.known.iter().any(|known| {
            directory.starts_with(known)
                || matches!((real(directory), real(known)), (Some(d), Some(k)) if d.starts_with(&k))
        })
    }

    /// The line for the option file with which the server knows these directories too.
    pub fn option_line(&self, unknown: &[PathBuf]) -> String {
        let configured = self.configured.split(';').filter(|d| !d.is_empty()).map(str::to_owned);
        let all: Vec<_> = configured.chain(unknown.iter().map(|directory| directory.exact())).collect();
        format!("innodb_directories = \"{}\"", all.join(";"))
    }

    /// The directories outside of the data directory that hold files of a table, as DATA DIRECTORY names them.
    pub fn of(&self, table: &Table) -> Vec<PathBuf> {
        let name = format!("{}/{}", table.schema, table.name);
        let is_of = |space: &str| {
            let rest = space.get(..name.len()).filter(|start| *start == name).and(space.get(name.len()..));
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.get(..3).is_some_and(|p| p.eq_ignore_ascii_case("#p#"))
            })
        };
        // DATA DIRECTORY/schema/table.ibd
        let directories = self
            .files
            .iter()
            .filter(|(space, _)| is_of(space))
            .filter_map(|(_, path)| Some(path.parent()?.parent()?.to_owned()));
        let mut found: Vec<PathBuf> = directories.collect();
        found.sort();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Part, PartPlace, TableLocation};

    fn table(name: &str, partition: Option<&str>) -> Table {
        let part =
            Part { name: partition.map(str::to_owned), place: PartPlace::Own { encrypted: false }, bytes: 1 };
        Table {
            schema: "d".to_owned(),
            name: name.to_owned(),
            place: TableLocation::Own,
            bytes: 1,
            parts: vec![part],
        }
    }

    #[test]
    fn a_directory_that_the_options_no_longer_name_is_foreseen() {
        let file = |space: &str, path: &str| (space.to_owned(), PathBuf::from(path));
        let directories = OutsideDirectories {
            known: vec!["/kept".into()],
            configured: "/kept".to_owned(),
            file_per_table: false,
            files: vec![
                file("d/a", "/lost/d/a.ibd"),
                file("d/ab", "/other/d/ab.ibd"),
                file("d/p#P#p0", "/lost/x/d/p#p#p0.ibd"),
                file("d/p#p#p1", "/kept/x/d/p#p#p1.ibd"),
            ],
        };
        assert_eq!(directories.unknown_of(&table("a", None)), [PathBuf::from("/lost")]);
        assert_eq!(directories.unknown_of(&table("p", Some("p0"))), [PathBuf::from("/lost/x")]);
        assert_eq!(directories.unknown_of(&table("none", None)), Vec::<PathBuf>::new());
        assert!(directories.would_lose_files_of(&table("p", Some("p0"))));
        assert!(!directories.would_lose_files_of(&table("a", None)));
        assert_eq!(directories.option_line(&["/lost".into()]), "innodb_directories = \"/kept;/lost\"");
    }
}
