// SPDX-License-Identifier: GPL-2.0-or-later
//! What a run of `encrypt apply` was asked for: everything, or the tables of `--only`; in both cases without those of `--skip`.

use super::direction::Direction;
use crate::server::{
    DataPlace, Inventory, NameCase, Pattern, PlaceKind, PlaceState, Remedy, Schema, ScratchName, Table,
    TableLocation, place_of,
};
use crate::show::Shown;

/// What a run was asked for.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub only: &'a [Pattern],
    pub skip: &'a [Pattern],
    pub direction: Direction,
}

impl Scope<'_> {
    /// Whether the run covers everything, not only the tables of `--only`.
    pub(super) fn covers_all(&self) -> bool {
        self.only.is_empty()
    }

    /// Whether it includes a table.
    pub(super) fn selects(&self, table: &Table, case: NameCase) -> bool {
        let matches =
            |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(&table.schema, &table.name, case));
        (self.covers_all() || matches(self.only)) && !matches(self.skip)
    }

    /// Whether a schema's default must not be changed.
    fn skips_schema(&self, name: &str, case: NameCase) -> bool {
        self.skip.iter().any(|pattern| pattern.covers(name, case))
    }

    /// Returns the schemas whose defaults are changed.
    pub(super) fn schemas<'i>(&self, inventory: &'i Inventory) -> Vec<&'i Schema> {
        let case = inventory.name_case();
        let todo = |s: &&Schema| {
            !self.skips_schema(&s.name, case) && !self.direction.is_reached(s.default_encryption)
        };
        inventory.schemas.iter().filter(todo).collect()
    }

    /// Returns the selected tables that must be copied.
    pub(super) fn tables<'i>(&self, inventory: &'i Inventory) -> Vec<&'i Table> {
        let case = inventory.name_case();
        let todo = |table: &&Table| self.selects(table, case) && needs_copy(table, self.direction);
        inventory.tables.iter().filter(todo).collect()
    }

    /// Whether the run was asked to change a place.
    pub(super) fn asks_for(&self, place: &DataPlace, inventory: &Inventory) -> bool {
        let case = inventory.name_case();
        match place.kind {
            PlaceKind::Table | PlaceKind::SystemTable | PlaceKind::OtherEngine => {
                let table = inventory.tables.iter().find(|table| table.full_name() == place.name);
                table.map_or_else(|| self.covers_all(), |table| self.selects(table, case))
            }
            // The place has the name as it is shown.
            PlaceKind::Schema => {
                let mut schemas = inventory.schemas.iter().filter(|s| s.name.shown() == place.name);
                self.covers_all() && !schemas.any(|s| self.skips_schema(&s.name, case))
            }
            PlaceKind::Scratch => {
                let mut spaces = inventory.tablespaces.iter().filter(|space| place_of(space).1 == place.name);
                let kept = |table: &&Table| table.keeps_indexes() && table.full_name() == place.name;
                let name = match spaces.next() {
                    Some(space) => Some(&space.name),
                    None => inventory.tables.iter().find(kept).map(|table| &table.name),
                };
                let name = name.and_then(|name| ScratchName::parse(name));
                name.map_or_else(|| self.covers_all(), |name| self.takes_up(&name, inventory))
            }
            // It may belong to a table that was left out.
            PlaceKind::FullText => self.covers_all() && self.skip.is_empty(),
            _ => self.covers_all(),
        }
    }

    /// Whether it includes a table in this scratch tablespace, or the one for which an interrupted run has created it, or whose full-text indexes
    /// it has dropped. What is left of a table that is gone belongs to every run that covers everything.
    pub(super) fn takes_up(&self, name: &ScratchName, inventory: &Inventory) -> bool {
        let is_inside =
            |table: &&Table| matches!(&table.place, TableLocation::Scratch(space) if space == name.as_str());
        let is_its = |table: &&Table| name.is_for(&table.schema, &table.name);
        let mut tables: Vec<_> = inventory.tables.iter().filter(is_inside).collect();
        if tables.is_empty() {
            tables.extend(inventory.tables.iter().find(is_its));
        }
        match tables.is_empty() {
            true => self.covers_all(),
            false => tables.into_iter().any(|table| self.selects(table, inventory.name_case())),
        }
    }

    /// Whether the plan of such a run lists a place. Without `--only` it lists all but the tables of `--skip`.
    pub(super) fn plans(&self, place: &DataPlace, inventory: &Inventory) -> bool {
        let is_table = place.kind.is_table() || place.kind == PlaceKind::OtherEngine;
        match place.kind {
            PlaceKind::Scratch => self.covers_all() || self.asks_for(place, inventory),
            _ if is_table => self.asks_for(place, inventory),
            _ => self.covers_all(),
        }
    }

    /// Whether a place that the run was asked to change is not as it was asked for. A setting that only the administrator can
    /// change is left to the next steps.
    pub(super) fn is_left(&self, place: &DataPlace, inventory: &Inventory) -> bool {
        let is_left = match self.direction {
            Direction::Encrypt => {
                matches!(place.state, PlaceState::Clear | PlaceState::HalfDone)
                    && (!place.kind.is_setting() || place.remedy == Remedy::Apply)
            }
            Direction::Undo => {
                place.kind == PlaceKind::Scratch
                    || place.state == PlaceState::Encrypted && is_undone(place.kind)
            }
        };
        is_left && self.asks_for(place, inventory)
    }
}

fn needs_copy(table: &Table, direction: Direction) -> bool {
    if table.keeps_indexes() {
        return false;
    }
    match (&table.place, direction) {
        (TableLocation::Own, Direction::Encrypt) => table.is_own_and_clear(),
        (TableLocation::Own, Direction::Undo) => table.has_encrypted(),
        (TableLocation::System, Direction::Encrypt) | (TableLocation::Scratch(_), _) => true,
        _ => false,
    }
}

/// Whether `--undo` changes such places back.
fn is_undone(kind: PlaceKind) -> bool {
    use PlaceKind::{FullText, MysqlTablespace, Redo, Schema, Setting, Table, Tablespace, Undo};
    matches!(kind, Table | Tablespace | MysqlTablespace | FullText | Undo | Redo | Setting | Schema)
}
