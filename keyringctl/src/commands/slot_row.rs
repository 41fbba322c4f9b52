// SPDX-License-Identifier: GPL-2.0-or-later
//! How an unlock slot is shown, by all commands that show one.

use super::output::time;
use keyring_external::format::cost::Cost;
use keyring_external::format::slots::{Slot, SlotKind};
use serde::Serialize;

/// An unlock slot, without what is sealed in it.
#[derive(Serialize)]
pub(super) struct SlotRow {
    kind: SlotKind,
    name: String,
    created: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    /// Whether it followed the last renewal of the data key without its secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    followed_by_public_key: bool,
}

impl From<&Slot> for SlotRow {
    fn from(slot: &Slot) -> Self {
        SlotRow {
            kind: slot.kind,
            name: slot.name.clone(),
            created: slot.created,
            cost: (slot.kind == SlotKind::Passphrase).then_some(slot.cost),
            followed_by_public_key: slot.follows_by_public_key(),
        }
    }
}

impl SlotRow {
    /// As people read it.
    pub fn text(&self) -> String {
        let followed =
            if self.followed_by_public_key { ", followed the last rekey by its public key" } else { "" };
        self.description() + followed
    }

    /// What it is, and since when.
    pub fn description(&self) -> String {
        let cost = self.cost.map_or_else(String::new, |c| {
            format!(", Argon2id {} MiB, {} passes", c.memory_kib / 1024, c.passes)
        });
        format!("{} ({}), made {}{cost}", self.kind, self.name.escape_debug(), time(self.created))
    }
}
