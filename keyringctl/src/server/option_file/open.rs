// SPDX-License-Identifier: GPL-2.0-or-later
//! Opens an option file and reads it, but not without a limit: a device never ends.

use super::links::below_root;
use crate::error::{Error, Result};
use crate::show::Shown;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The longest option file that is read.
const MAX_SIZE: u64 = 1 << 20;
/// The permission of other users to write.
const OTHERS_WRITE: u32 = 0o002;

/// What is in an option file.
pub(super) enum Found {
    /// This text.
    Text(Vec<u8>),
    /// Nothing that counts: every user can write to it.
    Ignored,
    /// A directory, which MySQL passes over.
    Directory,
}

/// Reads a file. `is_named`: whether somebody named it, not another file; then it may be a pipe.
pub(super) fn text(file: &Path, root: &Path, is_named: bool) -> Result<Found> {
    let failed = |e| Error::io("read", file, e);
    let place = below_root(root, file);
    let meta = std::fs::metadata(&place).map_err(failed)?;
    if meta.is_dir() {
        return Ok(Found::Directory);
    }
    if is_null(&meta) {
        return Ok(Found::Text(Vec::new()));
    }
    let opened = if is_named && meta.file_type().is_fifo() {
        File::open(&place).map_err(failed)?
    } else {
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(&place).map_err(failed)?;
        let meta = opened.metadata().map_err(failed)?;
        if !meta.is_file() {
            return Err(Error::Usage(format!(
                "{} is not a regular file, and was not read as an option file",
                file.shown()
            )));
        }
        if meta.mode() & OTHERS_WRITE != 0 {
            return Ok(Found::Ignored);
        }
        opened
    };
    let mut text = Vec::new();
    opened.take(MAX_SIZE + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_SIZE {
        return Err(Error::Usage(format!(
            "{} is longer than {} KiB, and was not read as an option file",
            file.shown(),
            MAX_SIZE >> 10
        )));
    }
    Ok(Found::Text(text))
}

/// Whether this is `/dev/null`, which stands for an empty option file.
fn is_null(meta: &Metadata) -> bool {
    let device = meta.rdev();
    meta.file_type().is_char_device() && (rustix::fs::major(device), rustix::fs::minor(device)) == (1, 3)
}
