// SPDX-License-Identifier: GPL-2.0-or-later
//! Writes the keyring that comes of several copies that have diverged.

use super::state::Writer;
use crate::error::{BadRequest, Result};
use crate::format::records::KeyRecord;
use crate::format::state::StateId;
use crate::keyring::log::Log;
use crate::keyring::memory::Memory;
use crate::keyring::replicas::{Member, Reach, Replicas, Standing};
use crate::store::replica::{FRONT_LEN, Reading};
use std::path::Path;

impl Writer {
    /// Writes `records` to the copy of this writer and those of `others`, with the slots and the data key of this
    /// one. All copies are reached, or an error says that some were not; each is as before or as after then. The new
    /// header remembers the states of all of them, so that each is an earlier state of what was written.
    ///
    /// With all copies locked and found in the states that were read, and before anything is written, `keep` gets
    /// the bytes of this copy and of the first of the others.
    ///
    /// # Errors
    /// A copy that cannot be reached, or was changed since it was read; what `keep` answers; as [`Writer::add`].
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
        self.rewrite_with(open, Reach::Enough, self.header.clone(), None, records)
    }

    /// Takes the copies of other writers for copies of this keyring, and their states for earlier ones of its own.
    fn join(&mut self, others: Vec<Writer>, log: Log) {
        let first = self.copies.members().first().map(|m| m.copy().clone());
        let mut members: Vec<_> =
            first.into_iter().map(|copy| Member::new(copy, Standing::Read, None)).collect();
        let mut lines = vec![self.earlier()];
        for other in others {
            let state = other.lineage().state();
            if state != self.lineage().state() {
                // The next generation is above it then, and the next header remembers it.
                self.attempted.push(state);
            }
            lines.push(other.earlier());
            let copies = other.copies.members().iter().map(|m| m.copy().clone());
            members.extend(copies.map(|copy| Member::new(copy, Standing::Behind, Some(state))));
            self.remember_keys(other.other_keys.into_iter().chain([other.keys]));
        }
        self.before = in_turn(&lines);
        let all = members.len();
        self.copies = Replicas::new(members, all, log);
    }

    /// The earlier states that are remembered, the newest first.
    fn earlier(&self) -> Vec<StateId> {
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

/// One of each line after the other, each once: the header has room for so many only, and the newest of all lines
/// matter most.
fn in_turn(lines: &[Vec<StateId>]) -> Vec<StateId> {
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
