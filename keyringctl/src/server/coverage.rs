// SPDX-License-Identifier: GPL-2.0-or-later
//! What is encrypted, unencrypted or not supported by MySQL, place by place, as the server reports it.

mod item;
mod logs;
mod tables;

pub use item::{DataPlace, PlaceKind, PlaceState, Remedy};

use super::Inventory;

/// Returns all places of a server.
pub fn coverage(inventory: &Inventory) -> Vec<DataPlace> {
    let mut items = tables::items(inventory);
    items.extend(logs::items(inventory));
    items
}
