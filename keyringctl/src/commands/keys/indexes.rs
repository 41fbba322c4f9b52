// SPDX-License-Identifier: GPL-2.0-or-later
//! The index files of binary and relay logs, which name logs that may lie elsewhere.

use super::named::{Named, exact};
use crate::show::Shown;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Adds the logs that an index in this directory names, that exist, and that were not read.
pub(super) fn check(directory: &Path, read: &BTreeSet<PathBuf>, named: &mut Named) {
    // If the directory cannot be read, that has been said.
    let Ok(entries) = fs::read_dir(directory) else { return };
    for index in entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new("index")))
    {
        match fs::read(&index) {
            Ok(text) => {
                for log in logs(&text, directory) {
                    match log.try_exists() {
                        Ok(false) => {}
                        Ok(true) if read.contains(&exact(&log)) => {}
                        Ok(true) => named.unread(
                            &log,
                            format!(
                                "{} names this log, and it was not read: name its directory with --binlogs",
                                index.shown()
                            ),
                        ),
                        Err(e) => named.unread(&log, e.to_string()),
                    }
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => named.unread(&index, e.to_string()),
        }
    }
}

/// The logs that an index names. Relative paths are relative to the data directory.
fn logs(text: &[u8], directory: &Path) -> Vec<PathBuf> {
    let lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.map(|line| directory.join(OsStr::from_bytes(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_elsewhere_that_was_not_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let other = elsewhere.path().join("relay.000002");
        fs::write(&other, "x").unwrap();
        fs::write(dir.path().join("binlog.000001"), "x").unwrap();
        let text = format!("./binlog.000001\n./purged.000001\n{}\n", other.display());
        fs::write(dir.path().join("binlog.index"), text).unwrap();
        let mut read = BTreeSet::from([exact(&dir.path().join("binlog.000001"))]);
        let mut named = Named::default();
        check(dir.path(), &read, &mut named);
        assert_eq!(
            named.unread.iter().map(|u| u.path.clone()).collect::<Vec<_>>(),
            std::slice::from_ref(&other)
        );
        read.insert(exact(&other));
        let mut named = Named::default();
        check(dir.path(), &read, &mut named);
        assert_eq!(named.unread, []);
    }
}
