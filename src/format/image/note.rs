// SPDX-License-Identifier: GPL-2.0-or-later
//! What is odd about a file that opens all the same.

use std::fmt;

/// Something worth saying about a file that was opened all the same. The next write of a file with
/// any of them writes it whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// One copy of the header is damaged.
    HeaderCopy,
    /// One commit slot is unreadable or stale.
    CommitSlot,
    /// This many whole records behind the last committed one were taken.
    RolledForward(u64),
    /// Bytes behind the last record do not count: an interrupted write.
    Ignored(u64),
}

impl Note {
    /// Whether it may be damage. The others are what any interrupted write leaves.
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
