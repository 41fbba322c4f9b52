// SPDX-License-Identifier: GPL-2.0-or-later
//! What is encrypted, what is not, and what can't be: the server's own view, place by place.

mod item;
mod logs;
mod tables;

pub use item::{Item, Kind, Remedy, State};

use super::Inventory;

/// All places of a server.
pub fn coverage(inventory: &Inventory) -> Vec<Item> {
    let mut items = tables::items(inventory);
    items.extend(logs::items(inventory));
    items
}
