// SPDX-License-Identifier: GPL-2.0-or-later
//! Writes the page: completely or not at all, readable only by its owner, and over an existing file only if told to.

use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::error::BadRequest;
use keyring_external::store::file::real::rename_new;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Checks that the page may be written to that path.
///
/// # Errors
/// The path exists, and `force` is not set.
pub(super) fn check(path: &Path, force: bool) -> Result<()> {
    if !force && fs::symlink_metadata(path).is_ok() {
        return Err(Error::Usage(format!(
            "{} already exists and was not changed: choose another name, or use --force",
            path.shown()
        )));
    }
    Ok(())
}

/// Writes the page to a temporary file and renames it.
///
/// # Errors
/// The path exists and `force` is not set, or the filesystem reports an error.
pub(super) fn write(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    check(path, force)?;
    let mut temporary = OsString::from(path);
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let mut written = || -> io::Result<()> {
            file.write_all(bytes)?;
            file.sync_all()?;
            if force { fs::rename(&temporary, path) } else { Ok(rename_new(&temporary, path)?) }
        };
        written().inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => BadRequest::AlreadyThere { path: path.to_owned() }.into(),
        _ => Error::io("write", path, e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_page_is_written_for_its_owner_and_over_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.html");
        write(&path, b"one", false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let refused = write(&path, b"two", false).unwrap_err().to_string();
        assert!(refused.contains("--force"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write(&path, b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
        assert!(write(&dir.path().join("no/page.html"), b"x", false).is_err());
    }
}
