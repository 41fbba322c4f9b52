// SPDX-License-Identifier: GPL-2.0-or-later
//! Scratch tablespaces: what an interrupted run has left in them, and who takes it up.

use super::item::{PlaceState, Remedy};
use super::obstacle::Obstacle;
use crate::server::{Inventory, ScratchName, Table, TableLocation, Tablespace, pasteable, quoted};

/// Judges a scratch tablespace. The data in it is encrypted or not, as `by_server` says, but never where it belongs.
pub(super) fn judge(
    space: &Tablespace,
    by_server: PlaceState,
    inventory: &Inventory,
) -> (PlaceState, String, Remedy) {
    let state = if by_server == PlaceState::Encrypted { PlaceState::HalfDone } else { by_server };
    let what = match tables_in(space) {
        Some(tables) => format!("an interrupted run has left {tables} in it"),
        None => "an interrupted run has left it behind; it is empty".to_owned(),
    };
    let at_work = &inventory.at_work;
    let (about, remedy) = match at_work.running {
        Some(id) => (
            match tables_in(space) {
                Some(tables) => format!("connection {id}, a run of encrypt, is at work on {tables} in it"),
                None => format!("connection {id}, a run of encrypt, is at work on it"),
            },
            Remedy::ByHand("wait until that run has ended, then run this again".to_owned()),
        ),
        None if at_work.resumed => (
            format!("{what}, and the server still carries out an ALTER TABLESPACE that a crash interrupted"),
            Remedy::Apply,
        ),
        None => match space.obstacle(inventory) {
            Some(Obstacle { why, remedy }) => (format!("{what}; {why}"), Remedy::ByHand(remedy)),
            None => {
                (format!("{what}; apply completes it, and encrypt cleanup only puts it back"), Remedy::Apply)
            }
        },
    };
    (state, about, remedy)
}

/// The tables in it: `the table clinic.patients`.
fn tables_in(space: &Tablespace) -> Option<String> {
    match space.holds.as_slice() {
        [] => None,
        [table] => Some(format!("the table {table}")),
        tables => Some(format!("the tables {}", tables.join(", "))),
    }
}

/// Judges a table that keeps the full-text indexes of another. It holds no rows, and is encrypted or not as that was.
pub(super) fn kept_indexes(kept: &Table, inventory: &Inventory) -> (PlaceState, String, Remedy) {
    let state = match kept.fault() {
        Some(_) => PlaceState::Unknown,
        None if kept.has_clear() => PlaceState::Clear,
        None => PlaceState::HalfDone,
    };
    let name = ScratchName::parse(&kept.name);
    let is_its = |table: &&Table| name.as_ref().is_some_and(|name| name.is_for(&table.schema, &table.name));
    let of = inventory.tables.iter().find(is_its);
    let of = of.map_or_else(|| "a table that is gone or has got another name".to_owned(), Table::full_name);
    let (about, remedy) = match inventory.at_work.running {
        Some(id) => (
            format!(
                "connection {id}, a run of encrypt, keeps here the full-text indexes of {of}, which it rewrites"
            ),
            Remedy::ByHand("wait until that run has ended, then run this again".to_owned()),
        ),
        None => (
            format!(
                "an interrupted run has dropped the full-text indexes of {of} and keeps them here; apply or encrypt cleanup adds them again"
            ),
            Remedy::Apply,
        ),
    };
    (state, about, remedy)
}

/// Says why a general tablespace whose name is one of a scratch tablespace is none, and how to empty it by hand.
pub(super) fn why_not_ours(space: &Tablespace, inventory: &Inventory) -> String {
    if ScratchName::parse(&space.name).is_none() {
        return String::new();
    }
    format!(
        ". It is named like a scratch tablespace of keyringctl, but holds something else, so keyringctl encrypt cleanup leaves it alone. To give each table a file of its own: {}",
        emptied_by_hand(space, inventory)
    )
}

/// The statements that empty such a tablespace and drop it.
pub fn emptied_by_hand(space: &Tablespace, inventory: &Inventory) -> String {
    let place = TableLocation::General(space.name.clone());
    let letter = if space.encrypted { 'Y' } else { 'N' };
    let out = |table: &Table| {
        format!("ALTER TABLE {} TABLESPACE innodb_file_per_table, ENCRYPTION = '{letter}';", table.quoted())
    };
    let tables = inventory.tables.iter().filter(|table| table.place == place).map(out);
    let statements: Vec<_> = tables.chain([format!("DROP TABLESPACE {};", quoted(&space.name))]).collect();
    format!(
        "{}{}",
        inventory.before_by_hand,
        statements.iter().map(|statement| pasteable(statement)).collect::<Vec<_>>().join(" ")
    )
}
