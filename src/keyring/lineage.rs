// SPDX-License-Identifier: GPL-2.0-or-later
//! The states that a keyring went through, as far as it remembers them. One rule tells an earlier state of a
//! keyring from one that went its own way, when it is opened and while it is in use.

use crate::format::commit::Commit;
use crate::format::crypto::Tag;
use crate::format::header::Header;
use crate::format::layout::{ANCESTOR_COUNT, EPOCH_LEN, LEFT_BEHIND_COUNT};
use crate::format::state::StateId;

/// The state of a keyring and its earlier ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lineage<'a> {
    /// The header, which remembers the states before it was written.
    pub header: &'a Header,
    /// The states since the header was written, the newest first.
    pub before: &'a [StateId],
    /// The present state.
    pub commit: &'a Commit,
}

impl Lineage<'_> {
    /// The present state.
    pub(crate) fn state(&self) -> StateId {
        StateId::new(&self.header.epoch, self.commit)
    }

    /// Whether the keyring went through that state.
    pub(crate) fn includes(&self, state: &StateId) -> bool {
        let header = self.header;
        self.before.contains(state) || header.ancestors.contains(state) || header.left_behind.contains(state)
    }

    /// Whether the file was written with that epoch once, as far as is remembered.
    pub(crate) fn knows_epoch(&self, epoch: &[u8; EPOCH_LEN]) -> bool {
        let header = self.header;
        header.epoch == *epoch
            || header.ancestors.iter().chain(&header.left_behind).any(|state| state.has_epoch(epoch))
    }

    /// Whether a copy in `state` is an earlier state of this keyring, so that nothing is lost when it is brought up
    /// to date. Of states of the same writing more than are remembered are told by their keys, which are a part of this
    /// keyring's then: `missing` counts those that it does not hold.
    pub(crate) fn supersedes(&self, state: &StateId, missing: impl FnOnce() -> usize) -> bool {
        let of_this_writing = state.has_epoch(&self.header.epoch);
        self.includes(state)
            || of_this_writing && state.generation() < self.commit.generation && missing() == 0
    }

    /// Whether the keyring was in the state of that generation and chain: `None` when it does not remember its state of
    /// that generation.
    pub(crate) fn had_chain(&self, generation: u64, chain: &Tag) -> Option<bool> {
        let present = self.state();
        let header = self.header;
        let states =
            [&present].into_iter().chain(self.before).chain(&header.ancestors).chain(&header.left_behind);
        let mut of_that_generation = states.filter(|state| state.generation() == generation).peekable();
        of_that_generation.peek()?;
        Some(of_that_generation.any(|state| state.has_chain(chain)))
    }

    /// What a header written next is to remember: the present state, those that `attempted` writes may have left, and
    /// the earlier ones, the newest first.
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

    /// The states of copies that a header written next does not reach, to be remembered until they are back: those of
    /// `away`, and those that were remembered before when some copy is in an `unknown` state.
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
