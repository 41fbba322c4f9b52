// SPDX-License-Identifier: GPL-2.0-or-later
//! The earlier files of a log: those that `logrotate` renamed, beside the present one.

use super::tail::{Last, last_line_at};
use std::path::Path;
use std::time::SystemTime;

/// How many of them are read at most, the newest.
const MOST: usize = 16;

/// The last line of the newest file beside `path` whose name begins with that of `path` and `.` or `-`. Compressed files
/// are not read.
pub(super) fn last_line_beside(path: &Path) -> Option<Last> {
    let (dir, name) = (path.parent()?, path.file_name()?.as_encoded_bytes());
    let mut found: Vec<(SystemTime, _)> = Vec::new();
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let is_segment = entry
            .file_name()
            .as_encoded_bytes()
            .strip_prefix(name)
            .is_some_and(|rest| matches!(rest.first(), Some(b'.' | b'-')));
        if is_segment
            && let Ok(meta) = entry.metadata().and_then(|meta| Ok((meta.is_file(), meta.modified()?)))
        {
            found.extend(meta.0.then(|| (meta.1, entry.path())));
        }
    }
    found.sort();
    let lasts: Vec<Last> = found.iter().rev().take(MOST).filter_map(|(_, path)| last_line_at(path)).collect();
    let log = lasts.first()?.note.log;
    lasts.into_iter().filter(|last| last.note.log == log).max_by_key(|last| last.note.seq)
}
