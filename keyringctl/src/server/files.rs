// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a server's files are, as it reports itself.

use super::session::Session;
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A server's files.
#[derive(Clone, Debug, Default)]
pub struct ServerFiles {
    /// Directories with data, the data directory first. None is below another.
    pub directories: Vec<PathBuf>,
    /// InnoDB's data files, each with the name of its tablespace.
    pub tablespaces: BTreeMap<PathBuf, String>,
}

/// Directories that may be outside the data directory.
const DIRECTORIES: &str = "SELECT CONCAT_WS('\\n', @@innodb_data_home_dir, @@innodb_log_group_home_dir, \
    @@innodb_undo_directory, @@innodb_doublewrite_dir)";
/// Logs, of which the name's directory counts.
const LOGS: &str = "SELECT CONCAT_WS('\\n', @@log_bin_basename, @@relay_log_basename)";

impl ServerFiles {
    /// Asks the server for them.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session) -> Result<ServerFiles> {
        let datadir = session.variable("datadir")?.unwrap_or_default();
        let datadir = Path::new(&datadir);
        let tablespaces: BTreeMap<PathBuf, String> = session
            .rows::<(String, String)>("SELECT FILE_NAME, TABLESPACE_NAME FROM information_schema.FILES")?
            .into_iter()
            .map(|(path, name)| (absolute(datadir, &path), name))
            .collect();
        let mut all: BTreeSet<PathBuf> =
            tablespaces.keys().filter_map(|p| Some(p.parent()?.to_owned())).collect();
        for (query, is_log) in [(DIRECTORIES, false), (LOGS, true)] {
            // Older servers lack some of these.
            let lines = session.first::<Option<String>>(query).ok().flatten().flatten().unwrap_or_default();
            for line in lines.lines().filter(|line| !line.is_empty()) {
                let path = absolute(datadir, line);
                all.extend(if is_log { path.parent().map(Path::to_owned) } else { Some(path) });
            }
        }
        let datadir = absolute(datadir, ".");
        let outside = all.into_iter().filter(|directory| !directory.starts_with(&datadir));
        let directories = std::iter::once(datadir.clone()).chain(outside).collect();
        Ok(ServerFiles { directories, tablespaces })
    }
}

/// Resolves a path as the server does, relative to the data directory, and drops `.`.
fn absolute(datadir: &Path, path: &str) -> PathBuf {
    datadir.join(path).components().collect()
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
