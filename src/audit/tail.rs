// SPDX-License-Identifier: GPL-2.0-or-later
//! The end of a file of a log.

use super::line::{Line, MAX_LINE};
use crate::format::log_note::LogNote;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes at the end of a file in which its last line is looked for.
const TAIL_LEN: u64 = MAX_LINE as u64;

/// The last complete line of a file.
#[derive(Debug)]
pub(super) struct Last {
    /// What a keyring notes of it.
    pub note: LogNote,
    pub bytes: Vec<u8>,
    /// The incomplete line that follows it.
    pub incomplete: Option<Vec<u8>>,
}

/// The last complete line of a file. `None` if there is none within the last bytes.
pub(super) fn last_line(file: &File, len: u64) -> io::Result<Option<Last>> {
    let read = len.min(TAIL_LEN);
    let mut bytes = vec![0; read as usize];
    file.read_exact_at(&mut bytes, len - read)?;
    let mut incomplete: Option<Vec<u8>> = None;
    let mut lines = bytes.split(|b| *b == b'\n').rev();
    // What follows the last line feed: nothing, unless a write was interrupted.
    if let Some(tail) = lines.next()
        && !tail.is_empty()
    {
        incomplete = Some(tail.to_vec());
    }
    for line in lines {
        if let Some(read) = Line::parse(line) {
            return Ok(Some(Last { note: read.note(line), bytes: line.to_vec(), incomplete }));
        }
        // An incomplete line that was the last one, and after which nothing could be written.
        incomplete.get_or_insert_with(|| line.to_vec());
    }
    Ok(None)
}

/// As [`last_line`], for the file at a path.
pub(super) fn last_line_at(path: &Path) -> Option<Last> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file: File = rustix::fs::open(path, flags, Mode::empty()).ok()?.into();
    let meta = file.metadata().ok().filter(|meta| meta.is_file())?;
    last_line(&file, meta.len()).ok().flatten()
}
