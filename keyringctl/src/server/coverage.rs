// SPDX-License-Identifier: GPL-2.0-or-later
//! What is encrypted, unencrypted or not supported by MySQL, place by place, as the server reports it; the
//! doublewrite files, of which it reports nothing, as their pages show it.

mod doublewrite;
mod item;
mod logs;
mod obstacle;
mod scratch;
mod tables;
mod tally;

pub use doublewrite::DoublewritePages;
pub use item::{DataPlace, PlaceKind, PlaceState, Remedy};
pub use obstacle::Obstacle;
pub use scratch::emptied_by_hand;
pub use tables::empty_log_table;
pub use tables::place_of;
pub use tables::stores_nothing;
pub use tables::to_innodb;
pub use tally::{PlaceSum, SettingsTally, Tally};

use super::Inventory;

/// Returns all places of a server. `pages`: what was found in its doublewrite files.
pub fn coverage(inventory: &Inventory, pages: &DoublewritePages) -> Vec<DataPlace> {
    let mut items = tables::items(inventory);
    items.extend(logs::items(inventory, pages));
    items
}
