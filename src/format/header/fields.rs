// SPDX-License-Identifier: GPL-2.0-or-later
//! The fields of a header, and their layout.

use crate::format::bytes::{FieldReader, FieldWriter};
use crate::format::cost::BUDGET;
use crate::format::crypto::TAG_LEN;
use crate::format::layout::{
    ANCESTOR_COUNT, EPOCH_LEN, HEADER_LEN, LABEL_LEN, LEFT_BEHIND_COUNT, SLOT_COUNT, SLOT_LEN, STATE_ID_LEN,
};
use crate::format::renewal::TOKEN_LEN;
use crate::format::slots::{Slot, Slots};
use crate::format::state::StateId;
use uuid::Uuid;

/// The format version that this program writes and reads.
pub const VERSION: u32 = 1;
/// The first bytes of a keyring file.
pub const MAGIC: &[u8; 16] = b"KEYRING_EXTERNAL";

pub(super) const SLOTS_AT: usize = 24 + 16 + EPOCH_LEN + 8 + 1 + LABEL_LEN;
pub(super) const ANCESTORS_AT: usize = SLOTS_AT + SLOT_COUNT * SLOT_LEN;
pub(super) const LEFT_BEHIND_AT: usize = ANCESTORS_AT + ANCESTOR_COUNT * STATE_ID_LEN;
pub(super) const TOKENS_AT: usize = LEFT_BEHIND_AT + LEFT_BEHIND_COUNT * STATE_ID_LEN;
pub(super) const MAC_AT: usize = HEADER_LEN - TAG_LEN - CHECKSUM_LEN;
pub(super) const CHECKSUM_LEN: usize = 32;

/// The fields of a header, authentic or not. Unless they are part of a [`Header`](super::Header), use them
/// for display and to find the slots only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimedHeader {
    /// Identity of the keyring, which never changes.
    pub id: Uuid,
    /// Random, and new each time the file is written as a whole, so that records of an older file do not fit.
    pub epoch: [u8; EPOCH_LEN],
    /// When the keyring was created, in seconds since 1970.
    pub created: u64,
    /// A name for people, at most [`LABEL_LEN`] bytes.
    pub label: String,
    /// The unlock slots.
    pub slots: Slots,
    /// Ancestors, the newest first, at most [`ANCESTOR_COUNT`].
    pub ancestors: Vec<StateId>,
    /// Ancestors in which copies were when they went away, at most [`LEFT_BEHIND_COUNT`]. With this list, a
    /// copy that returns is recognised after any number of changes.
    pub(crate) left_behind: Vec<StateId>,
}

impl ClaimedHeader {
    /// Encodes the fields, up to the MAC.
    pub(super) fn encode(&self) -> FieldWriter {
        let mut w = FieldWriter::with_capacity(HEADER_LEN);
        w.put(MAGIC)
            .put(&VERSION.to_le_bytes())
            .pad_to(24)
            .put(self.id.as_bytes())
            .put(&self.epoch)
            .put(&self.created.to_le_bytes())
            .text(&self.label, LABEL_LEN);
        for number in Slots::positions() {
            if let Some(slot) = self.slots.get(number) {
                w.put(&slot.encode());
            }
            w.pad_to(SLOTS_AT + number * SLOT_LEN);
        }
        for (states, at_most, end) in [
            (&self.ancestors, ANCESTOR_COUNT, LEFT_BEHIND_AT),
            (&self.left_behind, LEFT_BEHIND_COUNT, TOKENS_AT),
        ] {
            for state in states.iter().take(at_most) {
                state.encode(&mut w);
            }
            w.pad_to(end);
        }
        for number in Slots::positions() {
            if let Some(slot) = self.slots.get(number) {
                w.put(&slot.token);
            }
            w.pad_to(TOKENS_AT + number * TOKEN_LEN);
        }
        w
    }

    /// Decodes what [`ClaimedHeader::encode`] wrote after the version.
    pub(super) fn decode(mut r: FieldReader<'_>) -> Option<Self> {
        r.array::<4>()?;
        let mut header = ClaimedHeader {
            id: Uuid::from_bytes(r.array()?),
            epoch: r.array()?,
            created: r.u64()?,
            label: r.text(LABEL_LEN)?,
            slots: Slots::default(),
            ancestors: Vec::new(),
            left_behind: Vec::new(),
        };
        for number in Slots::positions() {
            if let Some(slot) = Slot::decode(r.take(SLOT_LEN)?)? {
                header.slots.put(number, slot);
            }
        }
        is_bounded(&header.slots).then_some(())?;
        for index in 0..ANCESTOR_COUNT + LEFT_BEHIND_COUNT {
            let state = StateId::decode(&mut FieldReader(r.take(STATE_ID_LEN)?))?;
            let states = if index < ANCESTOR_COUNT { &mut header.ancestors } else { &mut header.left_behind };
            // Generations start at 1, so this entry is unused.
            if state.generation() > 0 {
                states.push(state);
            }
        }
        for number in Slots::positions() {
            let token = r.array()?;
            if let Some(slot) = header.slots.get_mut(number) {
                slot.token = token;
            }
        }
        Some(header)
    }
}

/// Whether a reader would try all of these slots: see [`BUDGET`].
pub(super) fn is_bounded(slots: &Slots) -> bool {
    slots.iter().map(|(_, slot)| slot.cost.work()).sum::<u64>() <= BUDGET
}
