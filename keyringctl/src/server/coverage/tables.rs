// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables, tablespaces and schema defaults.

use super::item::{DataPlace, PlaceKind, PlaceState, Remedy};
use super::logs::off_at_start;
use super::obstacle::{Obstacle, fault_remedy};
use super::scratch;
use crate::server::{
    Inventory, KEPT_INDEXES, MergeTable, PartPlace, Schema, Settings, Table, TableLocation, Tablespace,
    TablespaceKind, pasteable,
};
use crate::show::{Shown, counted, counted_of};
use std::collections::BTreeSet;

/// The details of the system tablespace.
const ABOUT_SYSTEM: &str = "MySQL cannot encrypt ibdata1. It holds the change buffer, and keeps old entries of secondary indexes and rows of tables \
     that were once in it. To get rid of them, load a dump into a new instance";

/// What to do about a table of which the server says nothing.
const LOOK_AT_LOG: &str = "run this again; if it is still so, see the server's error log";

pub(super) fn items(inventory: &Inventory) -> Vec<DataPlace> {
    let tables = inventory.tables.iter().filter_map(|t| table(t, inventory)).chain(unseen(inventory));
    // What belongs to a table that keeps full-text indexes is one place.
    let has_kept = inventory.tables.iter().any(Table::keeps_indexes);
    let spaces = inventory.tablespaces.iter().filter(|space| !(has_kept && space.is_of_kept_indexes()));
    let spaces = spaces.map(|space| tablespace(space, inventory));
    let schemas = inventory.schemas.iter().filter(|schema| schema.name != KEPT_INDEXES).map(schema);
    tables.chain(spaces).chain(schemas).collect()
}

/// Returns `None` for a table in a general tablespace, which is encrypted together with it, or in a scratch tablespace.
fn table(table: &Table, inventory: &Inventory) -> Option<DataPlace> {
    let item = |kind, state, about: String, remedy| DataPlace {
        kind,
        name: table.full_name(),
        bytes: table.bytes,
        state,
        about,
        remedy,
        files: Vec::new(),
    };
    if table.keeps_indexes() {
        let (state, about, remedy) = scratch::kept_indexes(table, inventory);
        return Some(item(PlaceKind::Scratch, state, about, remedy));
    }
    Some(match &table.place {
        TableLocation::General(_) | TableLocation::Scratch(_) | TableLocation::Dictionary => return None,
        TableLocation::Unknown(why) => item(PlaceKind::Table, PlaceState::Unknown, why.clone(), Remedy::ByHand(LOOK_AT_LOG.to_owned())),
        TableLocation::Own if table.is_discarded() => {
            item(PlaceKind::Table, PlaceState::Unused, "its tablespace was discarded".to_owned(), Remedy::None)
        }
        TableLocation::Own if table.fault().is_some() => {
            let Obstacle { why, remedy } = table.obstacle(inventory.before_by_hand)?;
            item(PlaceKind::Table, PlaceState::Unknown, why, Remedy::ByHand(remedy))
        }
        TableLocation::Own if table.is_encrypted() => item(PlaceKind::Table, PlaceState::Encrypted, files(table), Remedy::None),
        TableLocation::Own => match inventory.obstacle(table) {
            Some(Obstacle { why, remedy }) => item(PlaceKind::Table, PlaceState::Clear, why, Remedy::ByHand(remedy)),
            None => item(PlaceKind::Table, PlaceState::Clear, files(table), Remedy::Apply),
        },
        TableLocation::System => item(
            PlaceKind::SystemTable,
            PlaceState::Clear,
            "in the system tablespace; apply moves it to its own tablespace, but its old pages remain in ibdata1".to_owned(),
            Remedy::Apply,
        ),
        TableLocation::Engine(engine) if is_log_table(table) => {
            let about = format!("a server log in a {engine} table, which MySQL cannot encrypt");
            let empty = empty_log_table(table, &inventory.settings, inventory.before_by_hand);
            match inventory.log_tables.get(&format!("{}.{}", table.schema, table.name)) {
                Some(true) => item(PlaceKind::OtherEngine, PlaceState::Clear, about, Remedy::ByHand(empty)),
                Some(false) => item(PlaceKind::OtherEngine, PlaceState::Unused, about, Remedy::ByHand(empty)),
                None => item(
                    PlaceKind::OtherEngine,
                    PlaceState::Unknown,
                    format!("{about}, and the server did not show whether it holds rows"),
                    Remedy::ByHand(match inventory.grant() {
                        grant if grant.is_empty() => empty,
                        grant => format!("as an administrator, run: {grant}"),
                    }),
                ),
            }
        }
        TableLocation::Engine(engine) if stores_nothing(engine) => DataPlace {
            // What the server says of a MERGE table is the sum of others, or no number at all.
            bytes: 0,
            ..item(PlaceKind::OtherEngine, PlaceState::Unused, without_rows(engine), Remedy::None)
        },
        TableLocation::Engine(engine) => item(
            PlaceKind::OtherEngine,
            PlaceState::Clear,
            format!("MySQL encrypts only InnoDB tables, not {engine}{}", read_by(table, &inventory.merges)),
            Remedy::ByHand(to_innodb(table, &inventory.merges, inventory.before_by_hand)),
        ),
    })
}

/// Says which MERGE tables read a table.
fn read_by(table: &Table, merges: &[MergeTable]) -> String {
    match names_of(table, merges) {
        names if names.is_empty() => String::new(),
        names => format!(
            ". It is read through MERGE: {names}, which fails (error 1168) as soon as one of its tables is InnoDB. A view can take its place; INSERT into that fails"
        ),
    }
}

/// The names of the MERGE tables that read a table.
fn names_of(table: &Table, merges: &[MergeTable]) -> String {
    let names = merges.iter().filter(|merge| merge.reads(table)).map(MergeTable::full_name);
    names.collect::<Vec<_>>().join(", ")
}

/// How to make an encrypted InnoDB table of a table of another engine, so that what MERGE tables read can still be read.
/// `first`: what comes before statements.
pub fn to_innodb(table: &Table, merges: &[MergeTable], first: &str) -> String {
    let words = match names_of(table, merges) {
        names if names.is_empty() => String::new(),
        names => {
            format!("replace the MERGE table {names}, which has no rows of its own, with a view first: ")
        }
    };
    // Its definition may name a tablespace of its time as an InnoDB table, and innodb_file_per_table may be OFF.
    let alter = format!(
        "ALTER TABLE {} ENGINE = InnoDB, TABLESPACE = innodb_file_per_table, ENCRYPTION = 'Y';",
        table.quoted()
    );
    let views = merges.iter().filter(|merge| merge.reads(table)).flat_map(MergeTable::to_view);
    let statements: Vec<_> = views.chain([alter]).map(|statement| pasteable(&statement)).collect();
    format!("{words}{first}{}", statements.join(" "))
}

/// Whether tables of an engine store no rows on disk.
pub fn stores_nothing(engine: &str) -> bool {
    matches!(engine, "MEMORY" | "BLACKHOLE" | "MRG_MYISAM" | "FEDERATED")
}

/// Where the rows of such a table are.
fn without_rows(engine: &str) -> String {
    match engine {
        "MRG_MYISAM" => "a MERGE table has no rows of its own, and cannot be read when its tables are no longer MyISAM: replace it with a view".to_owned(),
        "FEDERATED" => "the rows of a FEDERATED table are on another server".to_owned(),
        _ => format!("{engine} tables store no rows on disk"),
    }
}

/// What the account cannot see. InnoDB lists its own tables to everyone with PROCESS, but the server lists those of other
/// engines, and schemas, only to those with a privilege on them.
fn unseen(inventory: &Inventory) -> Vec<DataPlace> {
    let Some(why) = inventory.privileges.unseen() else { return Vec::new() };
    let listed = |schema: &str| inventory.schemas.iter().any(|s| s.name == schema);
    let hidden: BTreeSet<&str> =
        inventory.tables.iter().map(|t| t.schema.as_str()).filter(|s| !listed(s)).collect();
    let known = match hidden.len() {
        0 => String::new(),
        _ => format!("; among them are {}", hidden.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let place = |kind, name: &str, what: String| DataPlace {
        kind,
        name: name.to_owned(),
        bytes: 0,
        state: PlaceState::Unknown,
        about: format!("{why}. {what}"),
        remedy: Remedy::ByHand(format!("as an administrator, run: {}", inventory.grant())),
        files: Vec::new(),
    };
    vec![
        place(
            PlaceKind::OtherEngine,
            "tables of other engines",
            "All tables of InnoDB are listed here, but tables of other engines, which MySQL cannot encrypt, may be missing"
                .to_owned(),
        ),
        place(
            PlaceKind::Schema,
            "schemas not visible to this account",
            format!("Whether their new tables are encrypted is not known{known}"),
        ),
    ]
}

/// How to empty a table that the server writes a log to. `first`: what comes before statements.
pub fn empty_log_table(table: &Table, settings: &Settings, first: &str) -> String {
    let switch = if table.name == "slow_log" { "slow_query_log" } else { "general_log" };
    let off = off_at_start(switch, settings);
    format!("{off}{first}SET PERSIST log_output = 'NONE'; TRUNCATE TABLE {};", table.quoted())
}

/// Whether this is one of the CSV tables that the server writes logs to.
fn is_log_table(table: &Table) -> bool {
    table.schema == "mysql" && matches!(table.name.as_str(), "general_log" | "slow_log")
}

/// How many partitions there are, and how many of them are encrypted.
fn files(table: &Table) -> String {
    let encrypted = table.count(|place| *place == PartPlace::Own { encrypted: true });
    let all = table.parts.len() - table.discarded().count();
    let discarded = match table.discarded().count() {
        0 => String::new(),
        n => format!("; the tablespaces of {n} more were discarded"),
    };
    match (encrypted, all) {
        (_, 0 | 1) if discarded.is_empty() => String::new(),
        (some, all) if some == 0 || some == all => format!("{}{discarded}", counted(all, "partition")),
        (some, all) => format!("{} encrypted{discarded}", counted_of(some, all, "partition")),
    }
}

fn tablespace(space: &Tablespace, inventory: &Inventory) -> DataPlace {
    let by_server = match space.fault {
        Some(_) => PlaceState::Unknown,
        None if space.encrypted => PlaceState::Encrypted,
        None => PlaceState::Clear,
    };
    let (state, about, remedy) = match space.kind {
        TablespaceKind::Mysql => {
            (by_server, "the data dictionary, accounts, comments".to_owned(), Remedy::Apply)
        }
        TablespaceKind::General => {
            let tables = inventory.tables.iter().filter(|t| t.place == TableLocation::General(space.name.clone())).count();
            (by_server, format!("{}{}", counted(tables, "table"), scratch::why_not_ours(space, inventory)), Remedy::Apply)
        }
        TablespaceKind::Scratch => scratch::judge(space, by_server, inventory),
        TablespaceKind::Undo => (by_server, space.state.clone(), Remedy::Apply),
        TablespaceKind::Temporary => (
            PlaceState::Cannot,
            "MySQL cannot encrypt temporary tablespaces (ibtmp1 and #innodb_temp) or sort files in tmpdir. It recreates them at each start"
                .to_owned(),
            Remedy::ByHand("put them and tmpdir on an encrypted filesystem or on tmpfs".to_owned()),
        ),
        TablespaceKind::System => (PlaceState::Cannot, ABOUT_SYSTEM.to_owned(), Remedy::None),
        TablespaceKind::FullText => {
            (by_server, "encrypted with the table that it belongs to".to_owned(), Remedy::Apply)
        }
        TablespaceKind::Leftover => leftover(space, by_server, inventory),
        TablespaceKind::Unowned => (PlaceState::Unknown, String::new(), Remedy::None),
    };
    let (about, remedy) = match &space.fault {
        Some(fault) => (fault.to_string(), Remedy::ByHand(fault_remedy(space, fault, inventory))),
        None => (about, remedy),
    };
    let remedy = if state == PlaceState::Encrypted { Remedy::None } else { remedy };
    let (kind, name) = place_of(space);
    DataPlace { kind, name, bytes: space.bytes, state, about, remedy, files: Vec::new() }
}

/// The kind and the name of a tablespace's place.
pub fn place_of(space: &Tablespace) -> (PlaceKind, String) {
    let name = space.name.shown();
    match space.kind {
        TablespaceKind::System => (PlaceKind::SystemTablespace, "ibdata1".to_owned()),
        TablespaceKind::Temporary => (PlaceKind::Temporary, "temporary tables".to_owned()),
        TablespaceKind::Mysql => (PlaceKind::MysqlTablespace, format!("tablespace {name}")),
        TablespaceKind::General => (PlaceKind::Tablespace, format!("tablespace {name}")),
        TablespaceKind::Scratch => (PlaceKind::Scratch, format!("scratch tablespace {name}")),
        TablespaceKind::Undo => (PlaceKind::Undo, format!("undo tablespace {name}")),
        TablespaceKind::FullText => (PlaceKind::FullText, name),
        TablespaceKind::Leftover => (PlaceKind::Leftover, name),
        TablespaceKind::Unowned => (PlaceKind::Table, name),
    }
}

/// Describes what a statement creates while it rebuilds a table.
fn leftover(space: &Tablespace, state: PlaceState, inventory: &Inventory) -> (PlaceState, String, Remedy) {
    let table = space.table.as_deref().unwrap_or(&space.name);
    let (about, remedy) = match inventory.rebuilding {
        Some(id) => (
            format!("connection {id} may be rebuilding a table"),
            "wait until its statement has ended, then run this again".to_owned(),
        ),
        None => (
            "a statement that was rebuilding a table was cancelled".to_owned(),
            format!(
                "while no ALTER TABLE runs: {}{}",
                inventory.before_by_hand,
                pasteable(&format!("DROP TABLE {table};"))
            ),
        ),
    };
    (state, about, Remedy::ByHand(remedy))
}

fn schema(schema: &Schema) -> DataPlace {
    let (state, about, remedy) = if schema.default_encryption {
        (PlaceState::Encrypted, "new tables are encrypted", Remedy::None)
    } else {
        (PlaceState::Clear, "new tables are unencrypted", Remedy::Apply)
    };
    DataPlace {
        kind: PlaceKind::Schema,
        name: schema.name.shown(),
        bytes: 0,
        state,
        about: about.to_owned(),
        remedy,
        files: Vec::new(),
    }
}
