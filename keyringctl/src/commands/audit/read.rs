// SPDX-License-Identifier: GPL-2.0-or-later
//! The files of a log.

use crate::error::{Error, Result};
use crate::show::Shown;
use flate2::read::MultiGzDecoder;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Most bytes of a file. A line has some hundred.
const MAX_FILE: u64 = 2 << 30;

/// What is in a file.
pub(in crate::commands) enum Content {
    /// Its bytes, decompressed if its name ends in `.gz`.
    Bytes(Vec<u8>),
    /// Its name ends in `.gz`, and it cannot be decompressed. Says why.
    NotUnpacked(String),
}

/// Opens a regular file. Anything else is refused, and does not block: a pipe may have no writer.
///
/// # Errors
/// It cannot be opened, or is no regular file.
pub(super) fn open(path: &Path) -> Result<File> {
    let failed = |e: io::Error| Error::io("read", path, e);
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(Error::Usage(format!(
            "{} is not a regular file: name a file of the audit log",
            path.shown()
        )));
    }
    Ok(file)
}

/// What is in a file.
///
/// # Errors
/// It cannot be read, or is too large.
pub(in crate::commands) fn file(path: &Path) -> Result<Content> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        let packed = within_limit(path, file)?;
        if let Err(e) = MultiGzDecoder::new(&packed[..]).take(MAX_FILE + 1).read_to_end(&mut bytes) {
            return Ok(Content::NotUnpacked(e.to_string()));
        }
        return within_limit(path, &bytes[..]).map(Content::Bytes);
    }
    within_limit(path, file).map(Content::Bytes)
}

fn within_limit(path: &Path, from: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| Error::io("read", path, e))?;
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
