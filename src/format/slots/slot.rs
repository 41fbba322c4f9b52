// SPDX-License-Identifier: GPL-2.0-or-later
//! One unlock slot, and its encoding.

use super::kind::SlotKind;
use crate::format::bytes::{FieldReader, FieldWriter};
use crate::format::cost::Cost;
use crate::format::crypto::{IV_LEN, KEY_LEN, Tag};
use crate::format::layout::{SALT_LEN, SLOT_LEN, SLOT_NAME_LEN};
use crate::format::renewal::{Public, TOKEN_LEN, X25519_LEN};

/// One unlock slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The kind of secret that unlocks it.
    pub kind: SlotKind,
    /// The cost of Argon2id.
    pub cost: Cost,
    /// When the slot was created, in seconds since 1970.
    pub created: u64,
    /// A name for people, at most [`SLOT_NAME_LEN`] bytes.
    pub name: String,
    pub(in crate::format) salt: [u8; SALT_LEN],
    pub(super) iv: [u8; IV_LEN],
    pub(super) wrapped: [u8; KEY_LEN],
    /// The public key made for the last renewal, if that was done without the secret.
    pub(super) renewal: Option<Public>,
    /// The public key of the slot, for renewals without the secret.
    pub(super) public: Public,
    pub(super) tag: Tag,
    /// The renewal token, encrypted under the data key. It is stored in the header, not in the bytes of the
    /// slot.
    pub(in crate::format) token: [u8; TOKEN_LEN],
}

impl Slot {
    /// Whether the data key was last wrapped with the public key of the slot, without its secret.
    pub fn was_renewed_by_public_key(&self) -> bool {
        self.renewal.is_some()
    }

    /// Whether this is the same slot, although the data key may have been renewed since: a renewal changes its
    /// bytes, but not what a slot is for.
    pub(crate) fn is_renewal_of(&self, other: &Slot) -> bool {
        (self.kind, self.created, &self.name) == (other.kind, other.created, &other.name)
    }

    /// The bytes of the slot up to its tag, with `public` as its public key.
    pub(super) fn authenticated(&self, public: &Public) -> Vec<u8> {
        let mut w = FieldWriter::with_capacity(SLOT_LEN);
        w.put(&self.kind.encode())
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

    /// Returns the bytes of the slot in the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.authenticated(&self.public);
        bytes.extend_from_slice(&self.tag);
        bytes
    }

    /// Reads a slot: `Some(None)` if it is unused, `None` if the bytes cannot be a slot. This checks only the
    /// bounds of the cost; `Slot::open` authenticates.
    pub fn decode(bytes: &[u8]) -> Option<Option<Self>> {
        if bytes.iter().all(|b| *b == 0) {
            return Some(None);
        }
        let mut r = FieldReader(bytes);
        let kind = SlotKind::decode(r.array()?)?;
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
        // Encoding the slot again reveals reserved bytes that were set.
        (cost.fits(kind) && slot.encode() == bytes).then_some(Some(slot))
    }
}
