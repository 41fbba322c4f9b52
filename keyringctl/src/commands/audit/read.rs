// SPDX-License-Identifier: GPL-2.0-or-later
//! The files of a log.

use crate::error::{Error, Result};
use crate::show::Shown;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Most bytes of a file. A line has some hundred.
const MAX_FILE: u64 = 2 << 30;

/// The bytes of a file, decompressed if its name ends in `.gz`.
///
/// # Errors
/// It cannot be read, or is too large.
pub(in crate::commands) fn file(path: &Path) -> Result<Vec<u8>> {
    let failed = |e: io::Error| Error::io("read", path, e);
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(Error::Usage(format!("{} is not a regular file", path.shown())));
    }
    let mut bytes = Vec::new();
    let read = match path.extension().is_some_and(|ending| ending == "gz") {
        true => MultiGzDecoder::new(file).take(MAX_FILE + 1).read_to_end(&mut bytes),
        false => file.take(MAX_FILE + 1).read_to_end(&mut bytes),
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::Usage(format!("{} is longer than {MAX_FILE} bytes", path.shown())));
    }
    Ok(bytes)
}

/// A log and the files beside it that a rotation has renamed: those whose names begin with its own and `.` or `-`.
///
/// # Errors
/// Its directory cannot be read.
pub(in crate::commands) fn with_segments(log: &Path) -> Result<Vec<PathBuf>> {
    let (Some(dir), Some(name)) = (log.parent(), log.file_name()) else { return Ok(vec![log.to_owned()]) };
    let mut all = Vec::new();
    let failed = |e: io::Error| Error::io("read", dir, e);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let other = entry.file_name();
        let is_segment = other.as_bytes().strip_prefix(name.as_bytes()).is_some_and(|rest| {
            matches!(rest.first(), Some(b'.' | b'-')) && !rest.ends_with(b".xz") && !rest.ends_with(b".zst")
        });
        if (is_segment || other == name) && entry.path().is_file() {
            all.push(entry.path());
        }
    }
    all.sort();
    Ok(all)
}
