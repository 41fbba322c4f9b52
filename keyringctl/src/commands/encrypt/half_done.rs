// SPDX-License-Identifier: GPL-2.0-or-later
//! What interrupted runs have left half-done: what a run does with what it was asked for, and what it leaves to others.

use super::direction::Direction;
use super::scope::Scope;
use super::sizes;
use super::unfinished::Unfinished;
use crate::commands::consent::Effect;
use crate::server::{Inventory, KEPT_INDEXES, ScratchName, Table};

/// What is done with a scratch tablespace. `then`: the encryption of its table afterwards, in a word.
/// `stays`: something keeps it from being taken up.
pub(super) fn of_space(left: &Unfinished<'_>, stays: bool, then: &str) -> Effect {
    let then = match left.tables.len() {
        _ if stays => "as it is: see below".to_owned(),
        0 => "dropped".to_owned(),
        1 => format!("dropped; {} in a file of its own, {then}", left.names()),
        _ => format!("dropped; {} in files of their own, {then}", left.names()),
    };
    Effect::new(left.shown(), now(left), then)
}

/// What is done with full-text indexes that were dropped.
pub(super) fn of_kept(name: &ScratchName, inventory: &Inventory) -> Effect {
    let then = if table_of(name, inventory).is_some() { "added again" } else { "as it is: see below" };
    Effect::new(indexes(name, inventory), format!("dropped, kept in {KEPT_INDEXES}"), then)
}

/// What a run does with what it was asked for.
pub(super) fn effects(inventory: &Inventory, scope: &Scope<'_>) -> Vec<Effect> {
    let then = match scope.direction {
        Direction::Encrypt => "encrypted",
        Direction::Undo => "unencrypted",
    };
    let spaces = Unfinished::of_scope(inventory, scope)
        .into_iter()
        .map(|left| of_space(&left, left.obstacle(inventory).is_some(), then));
    let kept = kept(inventory).into_iter().filter(|name| scope.takes_up(name, inventory));
    spaces.chain(kept.map(|name| of_kept(&name, inventory))).collect()
}

/// Why some of that stays.
pub(super) fn obstacles(inventory: &Inventory, scope: &Scope<'_>) -> Vec<String> {
    Unfinished::of_scope(inventory, scope)
        .into_iter()
        .filter_map(|left| Some(format!("{} stays: {}.", left.shown(), left.obstacle(inventory)?)))
        .collect()
}

/// What a run leaves, because it was asked for other tables.
pub(super) fn of_others(inventory: &Inventory, scope: &Scope<'_>) -> Vec<String> {
    let is_of_others = |name: &ScratchName| !scope.takes_up(name, inventory);
    let spaces = Unfinished::all(inventory).into_iter().filter(|left| is_of_others(&left.name));
    let spaces = spaces.map(|left| {
        format!(
            "{}: {}. This run was not asked for its table: keyringctl encrypt apply completes it, and keyringctl encrypt cleanup only puts it back",
            left.shown(),
            now(&left)
        )
    });
    let kept = kept(inventory).into_iter().filter(is_of_others).map(|name| {
        format!(
            "{}: dropped by an interrupted run, so that MATCH fails, and kept in {KEPT_INDEXES}. This run was not asked for that table: keyringctl encrypt apply or keyringctl encrypt cleanup adds them again",
            indexes(&name, inventory)
        )
    });
    spaces.chain(kept).collect()
}

fn now(left: &Unfinished<'_>) -> String {
    let bytes = left.tables.iter().map(|table| table.bytes).fold(0, u64::saturating_add);
    match left.tables.is_empty() {
        false => format!("holds {}, {}, {}", left.names(), left.state(), sizes::bytes(bytes)),
        true => format!("empty, {}", left.state()),
    }
}

/// The tables that keep full-text indexes of others.
fn kept(inventory: &Inventory) -> Vec<ScratchName> {
    let tables = inventory.tables.iter().filter(|table| table.keeps_indexes());
    tables.filter_map(|table| ScratchName::parse(&table.name)).collect()
}

/// The table whose full-text indexes were dropped.
pub(super) fn table_of<'i>(name: &ScratchName, inventory: &'i Inventory) -> Option<&'i Table> {
    inventory.tables.iter().find(|table| name.is_for(&table.schema, &table.name))
}

fn indexes(name: &ScratchName, inventory: &Inventory) -> String {
    let of = table_of(name, inventory).map_or_else(|| "a table that is gone".to_owned(), Table::full_name);
    format!("full-text indexes of {of}")
}
