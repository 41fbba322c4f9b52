// SPDX-License-Identifier: GPL-2.0-or-later
//! One unlock slot, and its bytes.

use super::kind::SlotKind;
use crate::format::bytes::{FieldReader, FieldWriter};
use crate::format::cost::Cost;
use crate::format::crypto::{IV_LEN, KEY_LEN, Tag};
use crate::format::renewal::{Public, TOKEN_LEN, X25519_LEN};

/// Slots of a header.
pub(crate) const SLOT_COUNT: usize = 8;
/// Bytes of one slot.
pub const SLOT_LEN: usize = 256;
/// Longest name of a slot in bytes.
pub(crate) const SLOT_NAME_LEN: usize = 55;
/// Bytes of a slot's salt.
pub(crate) const SALT_LEN: usize = 32;

/// One unlock slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Which secret opens it.
    pub kind: SlotKind,
    /// Argon2id's cost.
    pub cost: Cost,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// A name for people, at most [`SLOT_NAME_LEN`] bytes.
    pub name: String,
    pub(in crate::format) salt: [u8; SALT_LEN],
    pub(super) iv: [u8; IV_LEN],
    pub(super) wrapped: [u8; KEY_LEN],
    /// The public key that the data key was last wrapped with, when that was done without the secret.
    pub(super) renewal: Option<Public>,
    /// What the data key is wrapped for when the secret is not at hand.
    pub(super) public: Public,
    pub(super) tag: Tag,
    /// The renewal token, encrypted under the data key. Lies in the header, not in the slot's own bytes.
    pub(in crate::format) token: [u8; TOKEN_LEN],
}

impl Slot {
    /// Whether the data key was last wrapped by the slot's public key, without its secret.
    pub fn was_renewed_by_public_key(&self) -> bool {
        self.renewal.is_some()
    }

    /// The slot's bytes up to its tag, with a public key.
    pub(super) fn authenticated(&self, public: &Public) -> Vec<u8> {
        let mut w = FieldWriter::with_capacity(SLOT_LEN);
        w.put(&[self.kind.code(), 0, 0, 0])
            .put(&self.cost.memory_kib.to_le_bytes())
            .put(&self.cost.passes.to_le_bytes())
            .put(&self.cost.lanes.to_le_bytes())
            .put(&self.created.to_le_bytes())
            .put(&self.salt)
            .put(&self.iv)
            .put(&self.wrapped)
            .text(&self.name, SLOT_NAME_LEN)
            .put(&self.renewal.unwrap_or_default())
            .put(public);
        w.0
    }

    /// The slot as it lies in the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.authenticated(&self.public);
        bytes.extend_from_slice(&self.tag);
        bytes
    }

    /// Reads a slot: `Some(None)` for an unused one, `None` when it cannot be a slot. Nothing but the
    /// bounds of the cost is checked here; [`Slot::open`] authenticates.
    pub fn decode(bytes: &[u8]) -> Option<Option<Self>> {
        if bytes.iter().all(|b| *b == 0) {
            return Some(None);
        }
        let mut r = FieldReader(bytes);
        let kind = SlotKind::from_code(r.u8()?)?;
        r.array::<3>()?;
        let cost = Cost { memory_kib: r.u32()?, passes: r.u32()?, lanes: r.u32()? };
        let slot = Slot {
            kind,
            cost,
            created: r.u64()?,
            salt: r.array()?,
            iv: r.array()?,
            wrapped: r.array()?,
            name: r.text(SLOT_NAME_LEN)?,
            renewal: Some(r.array()?).filter(|renewal| *renewal != [0; X25519_LEN]),
            public: r.array()?,
            tag: r.array()?,
            token: [0; TOKEN_LEN],
        };
        // Re-encoding shows whether reserved bytes were set.
        (cost.fits(kind) && slot.encode() == bytes).then_some(Some(slot))
    }
}

/// The kinds of slots, as messages name them.
pub(in crate::format) fn kinds(slots: &[Slot]) -> String {
    let kinds: Vec<_> = slots.iter().map(|s| s.kind.to_string()).collect();
    if kinds.is_empty() { "none at all".to_owned() } else { kinds.join(", ") }
}
