// SPDX-License-Identifier: GPL-2.0-or-later
//! The presentation of an unlock slot in all commands.

use super::output::{Output, time};
use crate::show::counted;
use keyring_external::custodians::Custodians;
use keyring_external::format::cost::Cost;
use keyring_external::format::slots::{Slot, SlotKind, Slots};
use keyring_external::keyring::set_in_name;
use serde::Serialize;

/// An unlock slot, without the data key that it holds.
#[derive(Serialize)]
pub(super) struct SlotRow {
    /// Its position in the header, from 1. It stays when other slots are removed.
    pub number: usize,
    kind: SlotKind,
    name: String,
    created: u64,
    /// How many shares of custodians are needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u8>,
    /// How many custodians have a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    shares: Option<u8>,
    /// The set of their shares, if the slot's name ends with it, as each has that was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    /// Whether the last renewal of the data key used its public key instead of its secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    followed_by_public_key: bool,
}

impl From<(usize, &Slot)> for SlotRow {
    fn from((number, slot): (usize, &Slot)) -> Self {
        let custodians = match slot.kind {
            SlotKind::Custodians(custodians) => Some(custodians),
            _ => None,
        };
        SlotRow {
            number,
            kind: slot.kind,
            threshold: custodians.map(Custodians::threshold),
            shares: custodians.map(Custodians::shares),
            set: custodians.and_then(|_| set_in_name(&slot.name)).map(|(_, set)| set.to_owned()),
            name: slot.name.clone(),
            created: slot.created,
            cost: (slot.kind == SlotKind::Passphrase).then_some(slot.cost),
            followed_by_public_key: slot.was_renewed_by_public_key(),
        }
    }
}

impl SlotRow {
    /// The slot as text.
    pub(super) fn text(&self) -> String {
        let renewed =
            if self.followed_by_public_key { ", last renewed with its public key, not verified" } else { "" };
        self.description() + renewed
    }

    /// How many custodians unlock the slot together; `None` if one secret does.
    pub(super) fn custodians(&self) -> Option<String> {
        Some(format!("any {} of {}", self.threshold?, self.shares?))
    }

    /// A slot of this kind.
    #[cfg(test)]
    pub(super) fn sample(kind: SlotKind) -> SlotRow {
        let custodians = match kind {
            SlotKind::Custodians(custodians) => Some(custodians),
            _ => None,
        };
        SlotRow {
            number: 1,
            kind,
            name: "name".to_owned(),
            created: 0,
            threshold: custodians.map(Custodians::threshold),
            shares: custodians.map(Custodians::shares),
            set: None,
            cost: None,
            followed_by_public_key: false,
        }
    }

    /// Kind and name of the slot.
    pub(super) fn short(&self) -> String {
        format!("{} ({})", self.kind, self.name.escape_debug())
    }

    /// Kind, name and date of the slot.
    pub(super) fn identity(&self) -> String {
        format!("{} ({}), created {}", self.kind, self.name.escape_debug(), time(self.created))
    }

    /// Kind, name, date and cost of the slot.
    pub(super) fn description(&self) -> String {
        let cost = self.cost.map_or_else(String::new, |c| {
            format!(", Argon2id {} MiB, {}", c.memory_kib / 1024, counted(c.passes as usize, "pass"))
        });
        self.identity() + &cost
    }
}

/// The slots of a header.
pub(super) fn rows(slots: &Slots) -> Vec<SlotRow> {
    slots.iter().map(SlotRow::from).collect()
}

/// The slots of `before` that `after` lacks. A renewal of the data key changes the bytes of a slot, but not the secret that
/// fits it.
pub(super) fn lost(before: &Slots, after: &Slots) -> Vec<SlotRow> {
    let is_same = |a: &Slot, b: &Slot| (a.kind, &a.name, a.created) == (b.kind, &b.name, b.created);
    let is_lost = |slot: &Slot| !after.iter().any(|(_, other)| is_same(slot, other));
    before.iter().filter(|(_, slot)| is_lost(slot)).map(SlotRow::from).collect()
}

/// Shows slots with their numbers.
pub(super) fn print(rows: &[SlotRow], out: &mut Output) {
    for row in rows {
        out.field(&format!("slot {}", row.number), row.text());
    }
}

/// A slot in a sentence.
pub(super) fn named(slots: &Slots, number: usize) -> String {
    let row = slots.get(number).map(|slot| SlotRow::from((number, slot)));
    row.map_or_else(|| format!("slot {number}"), |row| format!("slot {number}, {}", row.identity()))
}
