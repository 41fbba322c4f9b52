// SPDX-License-Identifier: GPL-2.0-or-later
//! The note of an audit log in a commit slot: which line of which log was the last one.

use super::bytes::{FieldReader, FieldWriter};

/// Bytes of a note.
pub const LOG_NOTE_LEN: usize = 64;
/// Bytes of the id of a log.
pub const LOG_ID_LEN: usize = 16;
/// Bytes of the hash of a line.
pub const LINE_HASH_LEN: usize = 32;

/// A line of an audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogNote {
    /// The id of the log.
    pub log: [u8; LOG_ID_LEN],
    /// The number of the line.
    pub seq: u64,
    /// The hash of the line.
    pub hash: [u8; LINE_HASH_LEN],
}

impl LogNote {
    /// Its bytes in a commit slot.
    pub fn encode(&self) -> [u8; LOG_NOTE_LEN] {
        let mut w = FieldWriter::with_capacity(LOG_NOTE_LEN);
        w.put(&self.log).put(&self.seq.to_le_bytes()).put(&self.hash).pad_to(LOG_NOTE_LEN);
        w.0.try_into().unwrap_or([0; LOG_NOTE_LEN])
    }

    /// Reads what [`LogNote::encode`] wrote. `None` if no note has these bytes: all are zero, or the last eight
    /// are not.
    pub fn decode(bytes: &[u8; LOG_NOTE_LEN]) -> Option<Self> {
        let mut r = FieldReader(bytes);
        let note = Self { log: r.array()?, seq: r.u64()?, hash: r.array()? };
        (r.0.iter().all(|b| *b == 0) && bytes != &[0; LOG_NOTE_LEN]).then_some(note)
    }
}
