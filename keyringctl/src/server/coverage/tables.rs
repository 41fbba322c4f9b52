// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables, tablespaces and schema defaults.

use super::item::{DataPlace, PlaceKind, PlaceState, Remedy};
use crate::server::{Inventory, Schema, Table, TableLocation, Tablespace, TablespaceKind, quoted};

/// The details of the system tablespace.
const ABOUT_SYSTEM: &str = "MySQL cannot encrypt ibdata1. It holds the change buffer, and keeps old entries of secondary indexes and rows of tables \
     that were once in it. To get rid of them, load a dump into a new instance";

pub(super) fn items(inventory: &Inventory) -> Vec<DataPlace> {
    let tables = inventory.tables.iter().filter_map(table);
    let spaces = inventory.tablespaces.iter().map(|space| tablespace(space, inventory));
    tables.chain(spaces).chain(inventory.schemas.iter().map(schema)).collect()
}

/// Returns `None` for a table in a general tablespace, which is encrypted together with it.
fn table(table: &Table) -> Option<DataPlace> {
    let item = |kind, state, about: String, remedy| DataPlace {
        kind,
        name: table.full_name(),
        bytes: table.bytes,
        state,
        about,
        remedy,
    };
    let quoted = table.quoted();
    Some(match &table.place {
        TableLocation::General(_) | TableLocation::Dictionary => return None,
        TableLocation::Own if table.discarded => {
            item(PlaceKind::Table, PlaceState::Unused, "its tablespace was discarded".to_owned(), Remedy::None)
        }
        TableLocation::Own if table.is_encrypted() => item(PlaceKind::Table, PlaceState::Encrypted, files(table), Remedy::None),
        TableLocation::Own => item(PlaceKind::Table, PlaceState::Clear, files(table), Remedy::Apply),
        TableLocation::System => item(
            PlaceKind::SystemTable,
            PlaceState::Clear,
            "in the system tablespace; apply moves it to its own tablespace, but its old pages remain in ibdata1".to_owned(),
            Remedy::Apply,
        ),
        TableLocation::Engine(engine) if is_log_table(table) => item(
            PlaceKind::OtherEngine,
            if table.bytes == 0 { PlaceState::Unused } else { PlaceState::Clear },
            format!("a server log in a {engine} table, which MySQL cannot encrypt"),
            Remedy::ByHand(format!("SET PERSIST log_output = 'NONE'; TRUNCATE TABLE {quoted};")),
        ),
        TableLocation::Engine(engine) if engine == "MEMORY" || engine == "BLACKHOLE" => {
            item(PlaceKind::OtherEngine, PlaceState::Unused, format!("{engine} tables store no rows on disk"), Remedy::None)
        }
        TableLocation::Engine(engine) if engine == "MRG_MYISAM" => item(
            PlaceKind::OtherEngine,
            PlaceState::Unused,
            "a MERGE table has no rows of its own, and cannot be read when its tables are no longer MyISAM: replace it with a view".to_owned(),
            Remedy::None,
        ),
        TableLocation::Engine(engine) if engine == "FEDERATED" => {
            item(PlaceKind::OtherEngine, PlaceState::Unused, "the rows of a FEDERATED table are on another server".to_owned(), Remedy::None)
        }
        TableLocation::Engine(engine) => item(
            PlaceKind::OtherEngine,
            PlaceState::Clear,
            format!("MySQL encrypts only InnoDB tables, not {engine}"),
            Remedy::ByHand(format!("ALTER TABLE {quoted} ENGINE = InnoDB, ENCRYPTION = 'Y';")),
        ),
    })
}

/// Whether this is one of the CSV tables that the server writes logs to.
fn is_log_table(table: &Table) -> bool {
    table.schema == "mysql" && matches!(table.name.as_str(), "general_log" | "slow_log")
}

fn files(table: &Table) -> String {
    match (table.encrypted_files, table.files) {
        (_, 0 | 1) => String::new(),
        (0, all) => format!("{all} partitions"),
        (some, all) if some == all => format!("{all} partitions"),
        (some, all) => format!("{some} of {all} partitions are encrypted"),
    }
}

fn tablespace(space: &Tablespace, inventory: &Inventory) -> DataPlace {
    let by_server = if space.encrypted { PlaceState::Encrypted } else { PlaceState::Clear };
    let (kind, state, about, remedy) = match space.kind {
        TablespaceKind::Mysql => {
            (PlaceKind::MysqlTablespace, by_server, "the data dictionary, accounts, comments".to_owned(), Remedy::Apply)
        }
        TablespaceKind::General => {
            let tables = inventory.tables.iter().filter(|t| t.place == TableLocation::General(space.name.clone())).count();
            (PlaceKind::Tablespace, by_server, format!("{tables} tables"), Remedy::Apply)
        }
        TablespaceKind::Undo => (PlaceKind::Undo, by_server, space.state.clone(), Remedy::Apply),
        TablespaceKind::Temporary => (
            PlaceKind::Temporary,
            PlaceState::Cannot,
            "MySQL cannot encrypt temporary tablespaces (ibtmp1 and #innodb_temp) or sort files in tmpdir. It recreates them at each start"
                .to_owned(),
            Remedy::ByHand("put them and tmpdir on an encrypted filesystem or on tmpfs".to_owned()),
        ),
        TablespaceKind::System => (PlaceKind::SystemTablespace, PlaceState::Cannot, ABOUT_SYSTEM.to_owned(), Remedy::None),
        TablespaceKind::FullText => {
            (PlaceKind::FullText, by_server, "encrypted with the table that it belongs to".to_owned(), Remedy::Apply)
        }
        TablespaceKind::Leftover => (
            PlaceKind::Leftover,
            by_server,
            "a statement is rebuilding a table, or was cancelled".to_owned(),
            Remedy::ByHand(format!("while no ALTER TABLE runs: DROP TABLE {};", leftover_table(&space.name))),
        ),
    };
    let remedy = if state == PlaceState::Encrypted { Remedy::None } else { remedy };
    let name = match space.kind {
        TablespaceKind::System => "ibdata1".to_owned(),
        TablespaceKind::Temporary => "temporary tables".to_owned(),
        TablespaceKind::Mysql | TablespaceKind::General => format!("tablespace {}", space.name),
        TablespaceKind::Undo => format!("undo tablespace {}", space.name),
        TablespaceKind::FullText | TablespaceKind::Leftover => space.name.clone(),
    };
    DataPlace { kind, name, bytes: space.bytes, state, about, remedy }
}

/// Returns the name of the table `schema/#sql-1f_2` for a statement.
fn leftover_table(name: &str) -> String {
    let (schema, table) = name.split_once('/').unwrap_or(("", name));
    format!("{}.{}", quoted(schema), quoted(table))
}

fn schema(schema: &Schema) -> DataPlace {
    let (state, about, remedy) = if schema.default_encryption {
        (PlaceState::Encrypted, "new tables are encrypted", Remedy::None)
    } else {
        (PlaceState::Clear, "new tables are unencrypted", Remedy::Apply)
    };
    DataPlace {
        kind: PlaceKind::Schema,
        name: schema.name.clone(),
        bytes: 0,
        state,
        about: about.to_owned(),
        remedy,
    }
}
