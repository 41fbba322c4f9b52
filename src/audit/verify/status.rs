// SPDX-License-Identifier: GPL-2.0-or-later
//! What vouches for each line: its MAC, or the hash in the line after it.

use super::input::{Known, Physical};
use crate::audit::line::{Line, hash, unhex};
use crate::format::audit_key::{AuditKey, WRAPPED_LEN};
use crate::format::log_note::{LOG_ID_LEN, LogNote};

/// What is known of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    /// Its MAC is right.
    Authentic,
    /// Its MAC is one of a key that is not known any more, but the keyring notes its hash.
    ByNote,
    /// It has no MAC that could be checked, and the line after it continues it.
    ByChain,
    /// It has no MAC that could be checked, and nothing contradicts it: the last line, or the one before a gap.
    Unchecked,
    /// Its MAC is not one of a known key, and no line after it that can be checked leads to it by the hashes: it was written
    /// before the data key was renewed without this log, or by somebody else.
    NotCheckable,
    /// Its MAC is wrong, it is no line, or it is of another log.
    Bad,
    /// An incomplete line that the line after it names as such.
    Interrupted,
}

impl Status {
    /// Whether its number can be relied on.
    pub(super) fn is_trusted(self) -> bool {
        self.is_certain() || matches!(self, Status::ByChain | Status::Unchecked | Status::NotCheckable)
    }

    /// Whether the keyring vouches for every byte of it.
    pub(super) fn is_certain(self) -> bool {
        matches!(self, Status::Authentic | Status::ByNote)
    }
}

/// The audit keys from before renewals of the data key that lines of any log keep. Several servers with one keyring have a
/// log each, and only one of them has the line about a renewal.
pub(super) fn earlier_keys<'a>(lines: impl Iterator<Item = &'a Line>, known: &Known) -> Vec<AuditKey> {
    let (Some(present), Some(id)) = (&known.key, known.keyring) else { return Vec::new() };
    let of_keyring = lines.filter(|line| line.keyring() == Some(id));
    let mut wrapped: Vec<[u8; WRAPPED_LEN]> = of_keyring.filter_map(wrapped_key).collect();
    let mut unwrap_with = |key: &AuditKey| {
        let mut found = Vec::new();
        wrapped.retain(|wrapped| match key.unwrap_earlier(wrapped, &id) {
            Some(earlier) => {
                found.push(earlier);
                false
            }
            None => true,
        });
        found
    };
    // Each key unwraps the one before it.
    let mut keys = Vec::new();
    let mut found: Vec<_> =
        std::iter::once(present).chain(&known.earlier).flat_map(&mut unwrap_with).collect();
    while !found.is_empty() {
        let next = found.iter().flat_map(&mut unwrap_with).collect();
        keys.append(&mut found);
        found = next;
    }
    keys
}

fn wrapped_key(line: &Line) -> Option<[u8; WRAPPED_LEN]> {
    unhex(line.text("earlier_key")?.as_bytes())
}

/// Whether the MAC of each line is right; `None` if the keyring's keys do not tell. `elsewhere` are the earlier keys that
/// lines of any log keep.
fn macs(
    log: &[u8; LOG_ID_LEN],
    lines: &[Physical<'_>],
    known: &Known,
    elsewhere: &[AuditKey],
) -> Vec<Option<bool>> {
    let mut macs = vec![None; lines.len()];
    let (Some(key), Some(id)) = (&known.key, known.keyring) else { return macs };
    let mut earlier: Vec<AuditKey> = Vec::new();
    // From the last line to the first: a line `rekey` has the key for those before it.
    for (physical, mac) in lines.iter().zip(&mut macs).rev() {
        let Some(line) = physical.line.as_ref().filter(|line| line.log == *log) else { continue };
        if line.keyring() != Some(id) || line.mac.is_none() {
            continue;
        }
        if let Some(wrapped) = wrapped_key(line) {
            let keys = || std::iter::once(key).chain(&earlier);
            let unwrapped = keys().find_map(|key| key.unwrap_earlier(&wrapped, &id));
            earlier.extend(unwrapped);
        }
        *mac = Some(std::iter::once(key).chain(&earlier).any(|key| Line::is_authentic(physical.bytes, key)));
    }
    // A key from before a renewal that another log tells of, or that an older copy of the keyring has, vouches for the lines from before it only.
    for (physical, mac) in lines.iter().zip(&mut macs) {
        match mac {
            Some(true) => break,
            Some(false) => {
                let mut keys = elsewhere.iter().chain(&known.earlier);
                *mac = Some(keys.any(|key| Line::is_authentic(physical.bytes, key)));
            }
            None => {}
        }
    }
    macs
}

/// The status of each line. `elsewhere` are the [`earlier_keys`] of all logs.
pub(super) fn statuses(
    log: &[u8; LOG_ID_LEN],
    lines: &[Physical<'_>],
    known: &Known,
    elsewhere: &[AuditKey],
) -> Vec<Status> {
    let macs = macs(log, lines, known, elsewhere);
    // Before the first line whose MAC is right, the key may be one that is not known any more.
    let first_right = macs.iter().position(|mac| *mac == Some(true));
    // The keyring vouches for the line that it notes, and through its hash for all before it.
    let note = known.note.filter(|note| known.key.is_some() && note.log == *log);
    let is_noted = |physical: &Physical<'_>, note: LogNote| {
        physical.line.as_ref().is_some_and(|line| line.note(physical.bytes) == note)
    };
    let noted = note.and_then(|note| lines.iter().position(|physical| is_noted(physical, note)));
    let last_covered = first_right.max(noted);
    let mut all = vec![Status::Bad; lines.len()];
    // From the last line to the first: what vouches for a line may be the one after it.
    let mut after = None;
    for (index, ((physical, mac), status)) in lines.iter().zip(&macs).zip(&mut all).enumerate().rev() {
        let next = lines.get(index + 1);
        let next_line = next.and_then(|next| next.line.as_ref());
        let is_continued = next_line.is_some_and(|next| next.prev == hash(physical.bytes));
        let names_incomplete =
            || next_line.is_some_and(|next| next.fields.get("after_incomplete_line").is_some());
        let is_behind = || last_covered.is_none_or(|last| index > last);
        *status = match (&physical.line, mac) {
            (None, _) if is_continued && names_incomplete() => Status::Interrupted,
            (None, _) => Status::Bad,
            (Some(line), _) if line.log != *log || line.seq == 0 => Status::Bad,
            // Anybody can write such a line. No program does.
            (Some(line), _) if line.mac.is_none() && !line.may_lack_mac() => Status::Bad,
            (Some(line), _) if line.mac.is_some() && line.keyring().is_none() => Status::Bad,
            (Some(_), Some(true)) => Status::Authentic,
            (Some(_), Some(false)) if noted == Some(index) => Status::ByNote,
            (Some(_), Some(false)) if first_right.is_some_and(|right| index > right) => Status::Bad,
            (Some(_), Some(false)) if is_behind() => Status::NotCheckable,
            // Its key is not known. What the line after it tells of it counts as much as that line does.
            (Some(_), Some(false)) => match after {
                Some(Status::Authentic | Status::ByNote | Status::ByChain) if is_continued => Status::ByChain,
                // The one that continued it is missing. It may have told of the renewal.
                Some(Status::Authentic | Status::ByNote | Status::ByChain) if is_before_gap(lines, index) => {
                    Status::NotCheckable
                }
                Some(Status::Authentic | Status::ByNote | Status::ByChain) => Status::Bad,
                _ => Status::NotCheckable,
            },
            (Some(_), None) if is_continued => Status::ByChain,
            (Some(_), None) => Status::Unchecked,
        };
        after = Some(*status);
    }
    all
}

/// Whether the line after this one does not have the next number, and this one continues the line before it.
fn is_before_gap(lines: &[Physical<'_>], index: usize) -> bool {
    let line = |index: usize| lines.get(index)?.line.as_ref();
    let (Some(this), Some(next)) = (line(index), line(index + 1)) else { return false };
    let continues = index.checked_sub(1).is_none_or(|before| {
        line(before).is_some_and(|line| line.seq.checked_add(1) == Some(this.seq))
            && lines.get(before).is_some_and(|before| hash(before.bytes) == this.prev)
    });
    continues && this.seq.checked_add(1).is_some_and(|following| next.seq > following)
}
