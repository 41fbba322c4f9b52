// SPDX-License-Identifier: GPL-2.0-or-later
//! Which statements of applications fail once new tables are encrypted. `plan` and `apply` say it before that is changed.

use crate::server::{
    Creations, Inventory, Role, Schema, Table, TableLocation, TablespaceKind, all_tables_of, full_name,
};
use crate::show::Shown;

/// How many names a line lists.
const MOST: usize = 5;

/// What to do instead of changing a schema's default.
fn keep(schema: &str) -> String {
    let all = all_tables_of(schema);
    format!(
        "Change the application, or keep the default of this schema: apply --skip {all}, then apply --only {all} for its tables"
    )
}

/// Returns a line for each kind of statement that fails after the defaults of `changed` are encryption. Empty if nothing changes.
pub(super) fn statements_that_fail(
    inventory: &Inventory,
    creations: &Creations,
    role: &Role,
    changed: &[&Schema],
) -> Vec<String> {
    if changed.is_empty() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if !creations.default_engine.eq_ignore_ascii_case("InnoDB") {
        lines.push(format!(
            "Every CREATE TABLE that names no engine fails (error 1178), because default_storage_engine is {}. First run SET PERSIST default_storage_engine = InnoDB",
            creations.default_engine
        ));
    }
    if inventory.settings.get("innodb_file_per_table").is_some()
        && !inventory.settings.is_on("innodb_file_per_table")
    {
        lines.push(
            "Every CREATE TABLE that names no tablespace fails (error 3825), because innodb_file_per_table is OFF. First run SET PERSIST innodb_file_per_table = ON"
                .to_owned(),
        );
    }
    for schema in changed {
        let name = schema.name.shown();
        let in_schema = |t: &&Table| t.schema == schema.name;
        let of_engine = inventory.tables.iter().filter(in_schema).filter_map(|table| match &table.place {
            TableLocation::Engine(engine) => Some(format!("{} ({engine})", table.full_name())),
            _ => None,
        });
        let of_engine = of_engine.collect::<Vec<_>>();
        if !of_engine.is_empty() {
            lines.push(format!(
                "Schema {name}: CREATE TABLE with an engine other than InnoDB fails (error 1178), also CREATE TABLE IF NOT EXISTS for a table that exists, CREATE TABLE ... LIKE such a table, and the restore of its dump. The schema has {}, which remain usable. {}",
                listed(&of_engine),
                keep(&schema.name)
            ));
        }
        let in_system =
            inventory.tables.iter().filter(in_schema).filter(|t| t.place == TableLocation::System);
        let in_system = in_system.map(Table::full_name).collect::<Vec<_>>();
        if !in_system.is_empty() {
            lines.push(format!(
                "Schema {name}: CREATE TABLE ... TABLESPACE innodb_system fails (error 3825). In that tablespace are {}",
                listed(&in_system)
            ));
        }
    }
    let programs = creations.programs.iter();
    let programs = programs
        .map(|p| format!("{} {} ({})", p.kind.to_lowercase(), full_name(&p.schema, &p.name), p.clause))
        .collect::<Vec<_>>();
    if !programs.is_empty() {
        lines.push(format!(
            "Stored programs with a CREATE TABLE that fails: {}. Change them",
            listed(&programs)
        ));
    }
    if !creations.seen.is_empty() {
        lines.push(format!(
            "Since its start, the server has run statements of this kind, which will fail: {}",
            listed(&creations.seen)
        ));
    }
    if let Some(grant) = &creations.unseen_programs {
        lines.push(format!(
            "Not all stored programs were checked, because this account may not see them all. As an administrator, run: {grant}"
        ));
    }
    lines.extend(unencrypted_spaces(inventory));
    lines.push(
        "CREATE TABLE and CREATE SCHEMA with ENCRYPTION='N' fail (errors 3826, 3827) for accounts without TABLE_ENCRYPTION_ADMIN. That includes restoring older dumps, whose CREATE DATABASE says so"
            .to_owned(),
    );
    if role.receives() {
        lines.push(
            "This server gets changes from others: if a source that is not encrypted yet runs such a statement (except for ENCRYPTION='N'), replication stops here with that error"
                .to_owned(),
        );
    }
    lines
}

/// Tables can be created in a general tablespace only if their schema's default is the same as its encryption.
fn unencrypted_spaces(inventory: &Inventory) -> Option<String> {
    let spaces = inventory.tablespaces.iter().filter(|s| s.kind == TablespaceKind::General && !s.encrypted);
    let spaces = spaces.map(|s| s.name.shown()).collect::<Vec<_>>();
    (!spaces.is_empty()).then(|| {
        format!(
            "Until apply has encrypted them, CREATE TABLE in these tablespaces fails (error 3825): {}",
            listed(&spaces)
        )
    })
}

fn listed(names: &[String]) -> String {
    match names.len() {
        n if n <= MOST => names.join(", "),
        n => format!("{} and {} more", names[..MOST].join(", "), n - MOST),
    }
}
