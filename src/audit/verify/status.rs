// SPDX-License-Identifier: GPL-2.0-or-later
//! What vouches for each line: its MAC, or the hash in the line after it.

use super::input::{Known, Physical};
use crate::audit::line::{Line, hash, unhex};
use crate::format::audit_key::{AuditKey, WRAPPED_LEN};
use crate::format::log_note::LOG_ID_LEN;

/// What is known of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// Its MAC is right.
    Authentic,
    /// It has no MAC that could be checked, and the line after it continues it.
    ByChain,
    /// It has no MAC that could be checked, and nothing contradicts it: the last line, or the one before a gap.
    Unchecked,
    /// Its MAC is wrong, it is no line, or it is of another log.
    Bad,
    /// An incomplete line that the line after it names as such.
    Interrupted,
}

impl Status {
    /// Whether its number can be relied on.
    pub(super) fn is_trusted(self) -> bool {
        matches!(self, Status::Authentic | Status::ByChain | Status::Unchecked)
    }
}

/// The status of each line.
pub(super) fn statuses(log: &[u8; LOG_ID_LEN], lines: &[Physical<'_>], known: &Known) -> Vec<Status> {
    let mut earlier: Vec<AuditKey> = Vec::new();
    // From the last line to the first: a line `rekey` has the key for those before it.
    let mut macs = vec![None; lines.len()];
    for (physical, mac) in lines.iter().zip(&mut macs).rev() {
        let Some(line) = physical.line.as_ref().filter(|line| line.log == *log) else { continue };
        let (Some(key), Some(id)) = (&known.key, known.keyring) else { continue };
        if line.keyring() != Some(id) || line.mac.is_none() {
            continue;
        }
        if let Some(wrapped) = line.text("earlier_key").and_then(|text| unhex::<WRAPPED_LEN>(text.as_bytes()))
        {
            let keys = || std::iter::once(key).chain(&earlier);
            let unwrapped = keys().find_map(|key| key.unwrap_earlier(&wrapped, &id));
            earlier.extend(unwrapped);
        }
        *mac = Some(std::iter::once(key).chain(&earlier).any(|key| Line::is_authentic(physical.bytes, key)));
    }
    // Before the first line whose MAC is right, the key may be one that is not known any more.
    let first_right = macs.iter().position(|mac| *mac == Some(true)).unwrap_or(lines.len());
    let any_right = first_right < lines.len();
    let mut all = Vec::with_capacity(lines.len());
    for (index, (physical, mac)) in lines.iter().zip(&macs).enumerate() {
        let next = lines.get(index + 1);
        let next_line = next.and_then(|next| next.line.as_ref());
        let is_continued = next_line.is_some_and(|next| next.prev == hash(physical.bytes));
        let names_incomplete =
            || next_line.is_some_and(|next| next.fields.get("after_incomplete_line").is_some());
        all.push(match (&physical.line, mac) {
            (None, _) if is_continued && names_incomplete() => Status::Interrupted,
            (None, _) => Status::Bad,
            (Some(line), _) if line.log != *log || line.seq == 0 => Status::Bad,
            (Some(_), Some(true)) => Status::Authentic,
            (Some(_), Some(false)) if index > first_right || !any_right => Status::Bad,
            (Some(_), _) if is_continued => Status::ByChain,
            // Its key is not known, and the line after it continues another one.
            (Some(_), Some(false)) => Status::Bad,
            (Some(_), None) => Status::Unchecked,
        });
    }
    all
}
