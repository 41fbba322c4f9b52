// SPDX-License-Identifier: GPL-2.0-or-later
//! The privileges that a command changes a server with. Without one of them, it would fail in the middle.

use super::direction::Direction;
use super::scratch;
use crate::error::{Error, Result};
use crate::server::{Inventory, Privileges, Session, Table};

/// What copying a table needs on its schema.
const ON_TABLES: [&str; 4] = ["SELECT", "INSERT", "CREATE", "ALTER"];
/// What a whole run of `encrypt apply` needs besides: it changes tablespaces and settings, locks some tables, writes to a
/// schema of its own until the redo log is encrypted, and reads events and other stored programs for statements that fail
/// afterwards.
const EVERYTHING: [&str; 6] =
    ["DROP", "EVENT", "LOCK TABLES", "RELOAD", "CREATE TABLESPACE", "SYSTEM_VARIABLES_ADMIN"];

/// Returns why this account cannot run `encrypt apply` for the whole server, with the statement that grants what it lacks.
///
/// # Errors
/// What the server answers.
pub(super) fn to_apply(
    session: &mut Session,
    privileges: &Privileges,
    purge_binary_logs: bool,
) -> Result<Option<String>> {
    let mut wanted = [&ON_TABLES[..], &EVERYTHING].concat();
    // SUPER stands for all privileges that come with these settings. A server that lacks one lacks the other.
    if !privileges.has("SUPER") {
        for (setting, privilege) in [
            ("binlog_encryption", "BINLOG_ENCRYPTION_ADMIN"),
            ("default_table_encryption", "TABLE_ENCRYPTION_ADMIN"),
        ] {
            if session.variable(setting)?.is_some() {
                wanted.push(privilege);
            }
        }
        let check = session.variable("table_encryption_privilege_check")?;
        // No other privilege allows to change it.
        if check.is_some_and(|value| !value.eq_ignore_ascii_case("ON")) {
            wanted.push("SUPER");
        }
        if purge_binary_logs {
            wanted.push("BINLOG_ADMIN");
        }
    } else {
        wanted.retain(|name| *name != "SYSTEM_VARIABLES_ADMIN");
    }
    Ok(privileges.refusal("encrypt apply", &wanted))
}

/// Returns why this account cannot rewrite these tables, with everything that it lacks, also of `others`.
pub(super) fn to_rewrite(
    inventory: &Inventory,
    tables: &[&Table],
    direction: Direction,
    others: &[&'static str],
) -> Option<String> {
    let privileges = &inventory.privileges;
    // Such a server lets few give a table another encryption than its schema's default (error 3826).
    let differs = |table: &&Table| {
        let schema = inventory.schemas.iter().find(|schema| schema.name == table.schema);
        schema.is_some_and(|schema| !direction.is_reached(schema.default_encryption))
    };
    let is_checked = inventory.settings.is_on("table_encryption_privilege_check");
    let is_administrator = privileges.has("TABLE_ENCRYPTION_ADMIN") || privileges.has("SUPER");
    let lacks_check = is_checked && !is_administrator && tables.iter().any(differs);
    let lacks = |name: &&&'static str| tables.iter().any(|table| !privileges.has_below(&table.schema, name));
    let mut wanted: Vec<_> = ON_TABLES.iter().filter(lacks).copied().collect();
    wanted.extend(lacks_check.then_some("TABLE_ENCRYPTION_ADMIN"));
    wanted.extend(others.iter().filter(|name| !wanted.contains(name)).copied().collect::<Vec<_>>());
    privileges.refusal("encrypt apply", &wanted)
}

/// Returns the privileges that rewriting tables online needs besides, and this account lacks.
///
/// # Errors
/// What the server answers.
pub(super) fn lacks_for_online(session: &mut Session, privileges: &Privileges) -> Result<Vec<&'static str>> {
    let mut lacks = Vec::new();
    if !privileges.has("CREATE TABLESPACE") {
        lacks.push("CREATE TABLESPACE");
    }
    // A tablespace that is not as default_table_encryption says needs this, and each is so once.
    let check = session.variable("table_encryption_privilege_check")?;
    let is_checked = check.is_some_and(|value| value.eq_ignore_ascii_case("ON"));
    if is_checked && !privileges.has("TABLE_ENCRYPTION_ADMIN") && !privileges.has("SUPER") {
        lacks.push("TABLE_ENCRYPTION_ADMIN");
    }
    // For the probe, which is not written to the binary log.
    let sets = ["SYSTEM_VARIABLES_ADMIN", "SESSION_VARIABLES_ADMIN", "SUPER"];
    if !sets.iter().any(|name| privileges.has(name)) {
        lacks.push(sets[0]);
    }
    let in_schema = ON_TABLES.iter().chain(&["DROP"]).copied();
    lacks.extend(in_schema.filter(|name| !privileges.has_below(scratch::NAME, name)));
    Ok(lacks)
}

/// What a step of `encrypt finish` does to a server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// It sets or resets settings.
    Settings,
    /// It recreates undo tablespaces and redo log files.
    Recreates,
    /// It purges binary logs.
    Purges,
    /// It shuts the server down.
    ShutsDown,
}

/// Refuses to do these steps without the privileges for them.
///
/// # Errors
/// [`Error::Usage`] with the statement that grants them.
pub(super) fn to_finish(privileges: &Privileges, deeds: &[Deed]) -> Result<()> {
    let mut wanted: Vec<&'static str> = Vec::new();
    for deed in deeds {
        wanted.extend(match deed {
            Deed::Settings => &["SYSTEM_VARIABLES_ADMIN"][..],
            Deed::Recreates => {
                &["CREATE TABLESPACE", "CREATE", "INSERT", "SELECT", "DROP", "SYSTEM_VARIABLES_ADMIN"]
            }
            Deed::Purges => &["BINLOG_ADMIN"],
            Deed::ShutsDown => &["SHUTDOWN"],
        });
    }
    wanted.sort_unstable();
    wanted.dedup();
    if privileges.has("SUPER") {
        wanted.retain(|name| !matches!(*name, "SYSTEM_VARIABLES_ADMIN" | "BINLOG_ADMIN"));
    }
    match privileges.refusal("encrypt finish", &wanted) {
        Some(why) => Err(Error::Usage(format!("nothing was changed: {why}"))),
        None => Ok(()),
    }
}

/// Refuses to put back what an interrupted run left without the privileges for it.
///
/// # Errors
/// [`Error::Usage`] with the statement that grants them.
pub(super) fn to_clean_up(privileges: &Privileges) -> Result<()> {
    let mut wanted = [&ON_TABLES[..], &["CREATE TABLESPACE", "SYSTEM_VARIABLES_ADMIN"]].concat();
    if privileges.has("SUPER") {
        wanted.retain(|name| *name != "SYSTEM_VARIABLES_ADMIN");
    }
    match privileges.refusal("encrypt cleanup", &wanted) {
        Some(why) => Err(Error::Usage(format!("nothing was changed: {why}"))),
        None => Ok(()),
    }
}

/// Refuses to rotate master keys without the privileges for it.
///
/// # Errors
/// [`Error::Usage`] with the statement that grants them.
pub(super) fn to_rotate(session: &mut Session, innodb: bool, binary_logs: bool) -> Result<()> {
    let privileges = Privileges::query(session)?;
    if privileges.has("SUPER") {
        return Ok(());
    }
    let wanted = [(innodb, "ENCRYPTION_KEY_ADMIN"), (binary_logs, "BINLOG_ENCRYPTION_ADMIN")];
    let wanted: Vec<_> = wanted.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
    match privileges.refusal("encrypt rotate", &wanted) {
        Some(why) => Err(Error::Usage(format!("nothing was changed: {why}"))),
        None => Ok(()),
    }
}
