// SPDX-License-Identifier: GPL-2.0-or-later
//! The states that a keyring is known to have been in. One rule distinguishes an ancestor from a state that
//! diverged, when a keyring is opened and while it is in use.

use crate::format::commit::Commit;
use crate::format::crypto::Tag;
use crate::format::header::Header;
use crate::format::layout::{ANCESTOR_COUNT, EPOCH_LEN, LEFT_BEHIND_COUNT};
use crate::format::state::StateId;

/// The present state of a keyring and its known ancestors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lineage<'a> {
    /// The header, which lists the ancestors at the time when it was written.
    pub header: &'a Header,
    /// The states since then, the newest first, without the present one.
    pub before: &'a [StateId],
    /// The present state.
    pub commit: &'a Commit,
}

impl Lineage<'_> {
    /// The present state.
    pub(crate) fn state(&self) -> StateId {
        StateId::new(&self.header.epoch, self.commit)
    }

    /// Whether the keyring was in that state.
    pub(crate) fn includes(&self, state: &StateId) -> bool {
        let header = self.header;
        self.before.contains(state) || header.ancestors.contains(state) || header.left_behind.contains(state)
    }

    /// Whether the keyring file is known to have had that epoch.
    pub(crate) fn knows_epoch(&self, epoch: &[u8; EPOCH_LEN]) -> bool {
        let header = self.header;
        header.epoch == *epoch
            || header.ancestors.iter().chain(&header.left_behind).any(|state| state.has_epoch(epoch))
    }

    /// Whether `state` is an ancestor of the present one, so that no key is lost when a copy in that state is
    /// brought up to date.
    ///
    /// More states than are listed may exist under the present epoch. Those are recognised by their keys, all
    /// of which this keyring has: `missing` counts those that it does not have.
    pub(crate) fn supersedes(&self, state: &StateId, missing: impl FnOnce() -> usize) -> bool {
        let of_this_writing = state.has_epoch(&self.header.epoch);
        self.includes(state)
            || of_this_writing && state.generation() < self.commit.generation && missing() == 0
    }

    /// Whether the keyring had this chain of MACs in that generation. `None` if its state in that generation
    /// is not known.
    pub(crate) fn had_chain(&self, generation: u64, chain: &Tag) -> Option<bool> {
        let present = self.state();
        let header = self.header;
        let states =
            [&present].into_iter().chain(self.before).chain(&header.ancestors).chain(&header.left_behind);
        let mut of_that_generation = states.filter(|state| state.generation() == generation).peekable();
        of_that_generation.peek()?;
        Some(of_that_generation.any(|state| state.has_chain(chain)))
    }

    /// The ancestors for the next header, the newest first: the present state, the states that the
    /// `attempted` writes may have left, and older ones.
    pub(crate) fn ancestors(&self, attempted: &[StateId]) -> Vec<StateId> {
        let mut ancestors: Vec<StateId> = Vec::with_capacity(ANCESTOR_COUNT);
        let present = [self.state()];
        let states =
            present.iter().chain(attempted.iter().rev()).chain(self.before).chain(&self.header.ancestors);
        for state in states {
            if ancestors.len() < ANCESTOR_COUNT && !ancestors.contains(state) {
                ancestors.push(*state);
            }
        }
        ancestors
    }

    /// The states for the next header of copies that it will not reach, so that they are recognised when they
    /// return: those of `away`, and, if the state of some copy is `unknown`, those that the present header
    /// lists.
    pub(crate) fn left_behind<'a>(
        &'a self,
        away: impl Iterator<Item = &'a StateId>,
        unknown: bool,
    ) -> Vec<StateId> {
        let before = self.header.left_behind.iter().filter(|_| unknown);
        let mut left: Vec<StateId> = Vec::new();
        for state in away.chain(before) {
            if left.len() < LEFT_BEHIND_COUNT && !left.contains(state) {
                left.push(*state);
            }
        }
        left
    }
}
