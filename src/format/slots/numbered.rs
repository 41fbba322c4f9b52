// SPDX-License-Identifier: GPL-2.0-or-later
//! The unlock slots of a header, by number.

use super::slot::Slot;
use crate::format::layout::SLOT_COUNT;
use std::collections::BTreeMap;

/// The unlock slots of a header. The number of a slot is its position in the header, from 1 to [`SLOT_COUNT`]. It
/// stays as long as the slot exists: a removed slot leaves a gap, which the next new slot fills.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Slots(BTreeMap<usize, Slot>);

impl Slots {
    /// The numbers of all positions in a header, used or not.
    pub fn positions() -> std::ops::RangeInclusive<usize> {
        1..=SLOT_COUNT
    }

    /// The slots with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.0.iter().map(|(number, slot)| (*number, slot))
    }

    /// As [`Slots::iter`], to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Slot)> {
        self.0.iter_mut().map(|(number, slot)| (*number, slot))
    }

    /// The slot with this number.
    pub fn get(&self, number: usize) -> Option<&Slot> {
        self.0.get(&number)
    }

    /// As [`Slots::get`], to change it.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut Slot> {
        self.0.get_mut(&number)
    }

    /// How many slots are in use.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no slot is in use.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a slot at the lowest free position and returns its number. Returns `None` if all positions are in use.
    pub fn add(&mut self, slot: Slot) -> Option<usize> {
        let free = Self::positions().find(|number| !self.0.contains_key(number))?;
        self.0.insert(free, slot);
        Some(free)
    }

    /// Puts a slot at the position where it was read.
    pub(in crate::format) fn put(&mut self, number: usize, slot: Slot) {
        self.0.insert(number, slot);
    }

    /// Removes the slot with this number. The others keep theirs.
    pub fn remove(&mut self, number: usize) -> Option<Slot> {
        self.0.remove(&number)
    }

    /// The kinds of the slots, as messages name them.
    pub(in crate::format) fn kinds(&self) -> String {
        let kinds: Vec<_> = self.0.values().map(|slot| slot.kind.to_string()).collect();
        if kinds.is_empty() { "none at all".to_owned() } else { kinds.join(", ") }
    }
}
