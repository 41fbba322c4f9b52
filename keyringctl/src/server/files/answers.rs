// SPDX-License-Identifier: GPL-2.0-or-later
//! What a server says about its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The server's global variables.
pub(super) struct Variables(pub(super) BTreeMap<String, Option<String>>);

impl Variables {
    /// A variable's value, if the server has it and it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref().filter(|value| !value.is_empty())
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("ON") || value == "1")
    }

    /// The directory of the doublewrite files, if one is set.
    pub(super) fn doublewrite_dir(&self) -> Option<String> {
        let dir = self.get("innodb_doublewrite_dir")?;
        // The server puts a # before a name that could be a schema's.
        let is_marked = dir.starts_with(['#', '.', '/']);
        Some(if is_marked { dir.to_owned() } else { format!("#{dir}") })
    }
}

/// A data file of InnoDB.
pub(super) struct DataFile {
    pub path: PathBuf,
    pub tablespace: String,
    /// As in `information_schema.FILES`.
    pub kind: String,
}

/// Resolves a path as the server does, relative to the data directory, and drops `.`.
pub(super) fn absolute(datadir: &Path, path: &str) -> PathBuf {
    datadir.join(path).components().collect()
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(in crate::server::files) fn variables(values: &[(&str, &str)]) -> Variables {
        Variables(values.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect())
    }

    pub(in crate::server::files) fn file(path: &str, tablespace: &str, kind: &str) -> DataFile {
        DataFile { path: path.into(), tablespace: tablespace.to_owned(), kind: kind.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_data_directory() {
        let datadir = Path::new("/var/lib/mysql/");
        assert_eq!(absolute(datadir, "./clinic/t.ibd"), Path::new("/var/lib/mysql/clinic/t.ibd"));
        assert_eq!(absolute(datadir, "/mnt/t.ibd"), Path::new("/mnt/t.ibd"));
        assert_eq!(absolute(datadir, "."), Path::new("/var/lib/mysql"));
    }
}
