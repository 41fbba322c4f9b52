// SPDX-License-Identifier: GPL-2.0-or-later
//! Writes the keyring that results from merging diverged copies.

use super::state::Writer;
use crate::audit::{Event, EventKind};
use crate::error::{BadRequest, Result};
use crate::format::records::KeyRecord;
use crate::format::state::StateId;
use crate::keyring::log::Log;
use crate::keyring::memory::Memory;
use crate::keyring::replicas::{Member, Reach, Replicas, Standing};
use crate::store::reading::{FRONT_LEN, Reading};
use std::path::Path;

impl Writer {
    /// Writes `records` to the copies of this writer and of `others`, with the slots and the data key of this
    /// one. The new header lists the states of all of them as ancestors. All copies must be reached.
    ///
    /// When all copies are locked and found in the states that were read, and before anything is written,
    /// passes the bytes of this copy and of the first of the others to `keep`.
    ///
    /// # Errors
    /// A copy that cannot be reached or was changed since it was read; errors of `keep`; as [`Writer::add`].
    /// Each copy is then in the state before or after the merge.
    pub(crate) fn merge<'a>(
        &mut self,
        memory: &Memory,
        others: Vec<Writer>,
        log: Log,
        mut keep: impl FnMut(&Path, &[u8]) -> Result<()>,
        records: impl Iterator<Item = KeyRecord<'a>>,
    ) -> Result<()> {
        self.join(others, log);
        let open = self.open_copies(memory, Reach::Enough)?;
        for input in open.iter().take(2) {
            keep(input.file.path(), &self.bytes_of(input.file.reading())?)?;
        }
        self.rewrite_with(
            open,
            Reach::Enough,
            self.header.clone(),
            None,
            &Event::new(EventKind::Merged),
            records,
        )
    }

    /// Adds the copies of other writers to this one, and their states to its ancestors.
    fn join(&mut self, others: Vec<Writer>, log: Log) {
        let first = self.copies.members().first().map(|m| m.copy().clone());
        let mut members: Vec<_> =
            first.into_iter().map(|copy| Member::new(copy, Standing::Read, None)).collect();
        let mut lines = vec![self.known_ancestors()];
        for other in others {
            let state = other.lineage().state();
            if state != self.lineage().state() {
                // This makes the next generation higher than theirs, and the next header list their state.
                self.attempted.push(state);
            }
            lines.push(other.known_ancestors());
            let copies = other.copies.members().iter().map(|m| m.copy().clone());
            members.extend(copies.map(|copy| Member::new(copy, Standing::Behind, Some(state))));
            self.remember_keys(other.other_keys.into_iter().chain([other.keys]));
        }
        self.before = interleaved(&lines);
        let all = members.len();
        self.copies = Replicas::new(members, all, log);
    }

    /// The known ancestors, the newest first.
    fn known_ancestors(&self) -> Vec<StateId> {
        self.before.iter().chain(&self.header.ancestors).copied().collect()
    }

    fn bytes_of(&self, reading: &Reading) -> Result<Vec<u8>> {
        let rest = reading.rest(reading.len.saturating_sub(FRONT_LEN as u64), self.copies.time_left())?;
        if reading.front.0.len() + rest.len() != reading.len as usize {
            return Err(BadRequest::Unavailable.into());
        }
        Ok([&reading.front.0[..], &rest].concat())
    }
}

/// Takes the states from all lines in turn, each state once. The header has room for a limited number, and
/// the newest of each line matter most.
fn interleaved(lines: &[Vec<StateId>]) -> Vec<StateId> {
    let longest = lines.iter().map(Vec::len).max().unwrap_or(0);
    let mut all = Vec::new();
    for i in 0..longest {
        for state in lines.iter().filter_map(|line| line.get(i)) {
            if !all.contains(state) {
                all.push(*state);
            }
        }
    }
    all
}
