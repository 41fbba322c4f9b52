// SPDX-License-Identifier: GPL-2.0-or-later
//! What identifies one state of a keyring.

use super::bytes::{FieldReader, FieldWriter};
use super::commit::Commit;
use super::crypto::Tag;
use super::layout::{CHAIN_PART_LEN, EPOCH_LEN};

/// Identifies a state of a keyring by epoch, generation and half of the chain of MACs. If two copies
/// diverged, their chains differ even when epoch and generation are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateId {
    epoch: [u8; EPOCH_LEN],
    generation: u64,
    chain: [u8; CHAIN_PART_LEN],
}

impl StateId {
    /// The state of a file with this epoch at this commit.
    pub fn new(epoch: &[u8; EPOCH_LEN], commit: &Commit) -> Self {
        let mut chain = [0; CHAIN_PART_LEN];
        chain.iter_mut().zip(commit.chain).for_each(|(to, from)| *to = from);
        Self { epoch: *epoch, generation: commit.generation, chain }
    }

    /// Appends its [`STATE_ID_LEN`](super::layout::STATE_ID_LEN) bytes.
    pub(super) fn encode(&self, w: &mut FieldWriter) {
        w.put(&self.epoch).put(&self.generation.to_le_bytes()).put(&self.chain);
    }

    /// Reads what [`StateId::encode`] wrote. Returns `None` if there are too few bytes.
    pub(super) fn decode(r: &mut FieldReader<'_>) -> Option<Self> {
        Some(Self { epoch: r.array()?, generation: r.u64()?, chain: r.array()? })
    }

    /// The generation.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the file had this epoch in that state.
    pub(crate) fn has_epoch(&self, epoch: &[u8; EPOCH_LEN]) -> bool {
        self.epoch == *epoch
    }

    /// Whether this is the chain of MACs of that state, as far as the half kept here can tell.
    pub(crate) fn has_chain(&self, chain: &Tag) -> bool {
        chain.starts_with(&self.chain)
    }
}
