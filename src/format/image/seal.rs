// SPDX-License-Identifier: GPL-2.0-or-later
//! Seals keys as a keyring file.

use crate::format::commit::Commit;
use crate::format::crypto::DataKeys;
use crate::format::error::Result;
use crate::format::header::Header;
use crate::format::layout::FIXED_LEN;
use crate::format::log_note::LogNote;
use crate::format::records::{KeyRecord, Sealer};

/// A complete keyring file.
#[derive(Debug)]
pub struct Image {
    /// The header, with its new epoch.
    pub header: Header,
    /// The acknowledged state.
    pub commit: Commit,
    /// The bytes of the file.
    pub bytes: Vec<u8>,
}

impl Image {
    /// Seals `records` under a new epoch, as `generation`, with the note of an audit log.
    ///
    /// # Errors
    /// No randomness.
    pub fn seal<'a>(
        header: &Header,
        keys: &DataKeys,
        generation: u64,
        note: Option<LogNote>,
        records: impl Iterator<Item = KeyRecord<'a>>,
        sealer: &mut Sealer,
    ) -> Result<Self> {
        let header = header.with_new_epoch()?;
        let (copy, mut chain) = header.encode(keys);
        let mut bytes = copy.repeat(2);
        bytes.resize(FIXED_LEN, 0);
        let mut count = 0;
        for record in records {
            chain = sealer.seal(keys, &chain, &record, &mut bytes)?;
            count += 1;
        }
        let commit = Commit { generation, length: bytes.len() as u64, count, chain, note };
        let slots = commit.encode_both(keys, &header.epoch);
        if let Some(place) = bytes.get_mut(FIXED_LEN - slots.len()..FIXED_LEN) {
            place.copy_from_slice(&slots);
        }
        Ok(Self { header, commit, bytes })
    }
}
