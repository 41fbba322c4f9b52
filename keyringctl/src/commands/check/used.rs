// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the copies that are checked are those that the server uses: an old copy of the same keyring may be as new.

use super::judge::Problem;
use crate::commands::monitor_line::Level;
use crate::commands::stat::metadata;
use crate::server::{ServerKeyring, Session};
use crate::show::Shown;
use keyring_external::store::places::is_remote;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A server may cut off a list of paths that is longer.
const LONGEST_LIST: usize = 1000;

/// What the server says of its copies.
pub(super) struct Used {
    /// The paths, as far as the account may know them.
    paths: Vec<PathBuf>,
    /// The server's host, or the host name of its container.
    host: String,
}

impl Used {
    /// Asks the server. What it does not say is empty.
    pub(super) fn query(session: &mut Session) -> Used {
        let mut paths = ServerKeyring::query(session).map(|keyring| keyring.paths).unwrap_or_default();
        paths.retain(|path| path.is_absolute() || is_remote(path));
        let host = session.first::<(String,)>("SELECT @@hostname");
        let host = host.ok().flatten().map(|(host,)| host).unwrap_or_default();
        let length: usize = paths.iter().map(|path| path.as_os_str().len() + 1).sum();
        Used { paths: if length < LONGEST_LIST { paths } else { Vec::new() }, host }
    }

    /// Compares the paths with those that were named.
    pub(super) fn compare(&self, named: &[PathBuf]) -> Vec<Problem> {
        let here = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        self.compare_on(here.trim(), named)
    }

    fn compare_on(&self, here: &str, named: &[PathBuf]) -> Vec<Problem> {
        let not_compared = |why: String| {
            let text = format!("not compared with the paths that the server uses: {why}");
            vec![Problem { level: Level::Ok, text }]
        };
        if self.host != here {
            return not_compared(format!("its host name is {}, not {here}", self.host));
        }
        if self.paths.is_empty() {
            let why = "the account needs SELECT on performance_schema.keyring_component_status";
            return not_compared(why.to_owned());
        }
        let is_absent = |path: &&PathBuf, among: &[PathBuf]| among.iter().all(|other| differ(path, other));
        let warning = |text| Problem { level: Level::Warning, text };
        let used: Vec<_> = self.paths.iter().map(|path| path.shown()).collect();
        let unused = named.iter().filter(|path| is_absent(path, &self.paths)).map(|path| {
            warning(format!(
                "{} is not a copy that the server uses. It uses {}: name these instead",
                path.shown(),
                used.join(" and ")
            ))
        });
        let forgotten = self.paths.iter().filter(|path| is_absent(path, named)).map(|path| {
            warning(format!("the server also uses {}, which was not named and is not checked", path.shown()))
        });
        unused.chain(forgotten).collect()
    }
}

/// Whether two paths certainly lead to different files.
fn differ(one: &Path, other: &Path) -> bool {
    one != other && matches!((place(one), place(other)), (Ok(one), Ok(other)) if one != other)
}

/// Where a path leads, through links: the file, or the directory in which it or its directories are missing, and the
/// names from there.
fn place(path: &Path) -> io::Result<(u64, u64, PathBuf)> {
    for above in path.ancestors() {
        match metadata(above) {
            Ok(meta) => {
                let rest = path.strip_prefix(above).unwrap_or(path).to_owned();
                return Ok((meta.dev(), meta.ino(), rest));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Err(ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_forgotten_copy_is_not_taken_for_one_that_the_server_uses() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["a", "b", "c"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("k"), name).unwrap();
        }
        symlink(at("a"), at("link")).unwrap();
        let used = |paths: &[PathBuf], host: &str| Used { paths: paths.to_vec(), host: host.to_owned() };
        let both = used(&[at("a/k"), at("b/k")], "db");
        let said = |named: &[PathBuf]| {
            let problems = both.compare_on("db", named);
            assert!(problems.iter().all(|problem| problem.level == Level::Warning), "{problems:?}");
            problems.into_iter().map(|problem| problem.text).collect::<Vec<_>>()
        };
        assert!(said(&[at("b/k"), at("c/../link/k")]).is_empty());
        let all = said(&[at("a/k"), at("b/k"), at("c/k")]);
        assert!(all.len() == 1 && all[0].contains("c/k is not a copy that the server uses"), "{all:?}");
        let all = said(&[at("a/k")]);
        assert!(all.len() == 1 && all[0].contains("also uses") && all[0].contains("b/k"), "{all:?}");
        assert_eq!(said(&[at("c/k")]).len(), 3);
        // A volume that is away does not change which paths are the same.
        fs::remove_dir_all(at("a")).unwrap();
        fs::create_dir(at("a")).unwrap();
        assert!(said(&[at("link/k"), at("b/k")]).is_empty());
        assert_eq!(said(&[at("b/k"), at("a/other")]).len(), 2);
        for (unknown, why) in [
            (used(&[at("a/k")], "container"), "its host name is container, not db"),
            (used(&[], "db"), "keyring_component_status"),
        ] {
            let problems = unknown.compare_on("db", &[at("c/k")]);
            assert!(problems.len() == 1 && problems[0].text.contains(why), "{problems:?}");
            assert_eq!(problems[0].level, Level::Ok);
        }
    }
}
