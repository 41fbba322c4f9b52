// SPDX-License-Identifier: GPL-2.0-or-later
//! Oddities of a file that could be opened anyway.

use std::fmt;

/// An oddity of a file that could be opened anyway. The next change rewrites such a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// One copy of the header is damaged.
    HeaderCopy,
    /// One commit slot is unreadable or stale.
    CommitSlot,
    /// This number of complete records after the last committed one count too.
    RolledForward(u64),
    /// This number of bytes after the last record do not count. An interrupted write left them.
    Ignored(u64),
}

impl Note {
    /// Whether this may be damage. Any interrupted write leaves the other oddities.
    pub fn is_damage(&self) -> bool {
        matches!(self, Note::HeaderCopy | Note::CommitSlot)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::HeaderCopy => f.write_str("one of the two copies of the header is damaged; the other is intact and was used, and the next write repairs it"),
            Note::CommitSlot => f.write_str("one of the two commit slots is unreadable or stale (a write was interrupted, or the volume is failing); the other was used, and the next write repairs it"),
            Note::RolledForward(n) => write!(f, "{n} of the records were written completely, but no commit slot names them; they were used"),
            Note::Ignored(n) => write!(f, "{n} bytes after the last acknowledged record are left from an interrupted write and were ignored"),
        }
    }
}
