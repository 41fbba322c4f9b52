// SPDX-License-Identifier: GPL-2.0-or-later
//! What identifies one state of a keyring among all others.

use super::bytes::{FieldReader, FieldWriter};
use super::commit::Commit;
use super::crypto::Tag;
use super::layout::{CHAIN_PART_LEN, EPOCH_LEN};

/// Identifies a state of a keyring: the writing that it belongs to, its generation, and half of its chain of MACs.
/// Copies that diverged have different chains even when epoch and generation are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateId {
    epoch: [u8; EPOCH_LEN],
    generation: u64,
    chain: [u8; CHAIN_PART_LEN],
}

impl StateId {
    /// The state of the writing with this epoch at this commit.
    pub fn new(epoch: &[u8; EPOCH_LEN], commit: &Commit) -> Self {
        let mut chain = [0; CHAIN_PART_LEN];
        chain.iter_mut().zip(commit.chain).for_each(|(to, from)| *to = from);
        Self { epoch: *epoch, generation: commit.generation, chain }
    }

    /// Appends its [`STATE_ID_LEN`](super::layout::STATE_ID_LEN) bytes.
    pub(super) fn encode(&self, w: &mut FieldWriter) {
        w.put(&self.epoch).put(&self.generation.to_le_bytes()).put(&self.chain);
    }

    /// Reads what [`StateId::encode`] wrote; `None` when there are too few bytes.
    pub(super) fn decode(r: &mut FieldReader<'_>) -> Option<Self> {
        Some(Self { epoch: r.array()?, generation: r.u64()?, chain: r.array()? })
    }

    /// Its generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it is a state of the writing with that epoch.
    pub(crate) fn has_epoch(&self, epoch: &[u8; EPOCH_LEN]) -> bool {
        self.epoch == *epoch
    }

    /// Whether a chain of MACs, of which this remembers half, is that of this state.
    pub(crate) fn has_chain(&self, chain: &Tag) -> bool {
        chain.starts_with(&self.chain)
    }
}
