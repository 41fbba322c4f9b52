// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the files of setup can be written: checked before the keyring is created.

use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::store::file::real::effective_user;
use rustix::fs::Access;
use std::fs;
use std::io;
use std::path::Path;

/// The directory that a file is created in, or the one above it that exists.
pub(super) fn existing_directory(place: &Path) -> Result<&Path> {
    for dir in place.ancestors().skip(1) {
        match fs::metadata(dir) {
            Ok(meta) if meta.is_dir() => return Ok(dir),
            Err(e)
                if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
                    && fs::symlink_metadata(dir).is_err() => {}
            Ok(_) | Err(_) => {
                return Err(Error::Usage(format!(
                    "cannot write {}: {} is not a directory. Move it away, or give another path. Nothing was changed",
                    place.shown(),
                    dir.shown()
                )));
            }
        }
    }
    Ok(place)
}

/// Checks that the file can be written, or replaced if it exists.
pub(super) fn check(place: &Path) -> Result<()> {
    // Root can replace any file, but not an immutable one.
    let file = (effective_user() == 0 && place.exists()).then_some((place, Access::WRITE_OK));
    let dir = existing_directory(place)?;
    for (path, access) in file.into_iter().chain([(dir, Access::WRITE_OK | Access::EXEC_OK)]) {
        if let Err(e) = rustix::fs::access(path, access) {
            return Err(Error::Usage(format!(
                "cannot write {}: {}: {}. Run setup as root, on a filesystem that is mounted for writing. Nothing was \
                 changed",
                place.shown(),
                path.shown(),
                io::Error::from(e)
            )));
        }
    }
    Ok(())
}
