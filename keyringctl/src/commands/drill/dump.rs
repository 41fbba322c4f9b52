// SPDX-License-Identifier: GPL-2.0-or-later
//! Restores a dump into a server that is made for it.

use super::load::{Load, Loaded};
use super::outcome::FailedTable;
use super::read::tables;
use super::scratch_server::{Grants, NotStarted, ScratchHost};
use crate::error::{Error, Result};
use crate::server::quoted;
use std::collections::BTreeSet;

/// What the server encrypts; the tables as the dump says, and by default all. It has no keyring while its directory is made.
const ENCRYPTED: [&str; 3] =
    ["default-table-encryption=ON", "innodb-redo-log-encrypt=ON", "innodb-undo-log-encrypt=ON"];

/// What became of the dump before its tables are read.
#[derive(Default)]
pub(super) struct Restored {
    pub failed: Vec<FailedTable>,
    pub faults: Vec<String>,
    pub notes: Vec<String>,
    /// Whether the dump has statements that create tables.
    pub names_tables: bool,
}

/// Makes a data directory, and loads the dump into it. Leaves no server running.
pub(super) fn restore(host: &mut ScratchHost<'_>, load: &Load<'_>) -> Result<Restored> {
    host.initialize()?;
    host.options.extend(ENCRYPTED.map(str::to_owned));
    let mut server = host.start(Grants::Fresh).map_err(|e| match e {
        NotStarted::Ended(why) => Error::Usage(format!("the temporary server does not start: {why}")),
        NotStarted::Error(e) => e,
    })?;
    let schema = load.schema()?;
    if let Some(schema) = &schema {
        server.session.run(&format!("CREATE DATABASE IF NOT EXISTS {}", quoted(schema)))?;
    }
    let loaded = load.run(schema.as_deref())?;
    host.work.require_not_full()?;
    let names_tables = loaded.text.tables().next().is_some();
    let mut restored = Restored { names_tables, ..Restored::default() };
    let missing = missing(&loaded, &tables(&mut server.session)?.iter().map(|table| table.shown()).collect());
    match loaded.fault(load.dump) {
        Some((table, why)) => {
            let others = missing.into_iter().filter(|missing| Some(missing) != table.as_ref());
            let others: Vec<_> = others
                .map(|table| FailedTable {
                    table,
                    reason: "it is in the dump, and was not loaded".to_owned(),
                })
                .collect();
            restored.failed.extend(table.map(|table| FailedTable { table, reason: why.clone() }));
            restored.failed.extend(others);
            restored.faults.push(why);
        }
        None => restored.failed.extend(missing.into_iter().map(|table| FailedTable {
            table,
            reason: "it is in the dump, and not in the server that loaded it".to_owned(),
        })),
    }
    if names_tables && !loaded.text.has_end() && restored.failed.is_empty() {
        restored.notes.push(
            "the dump was written without comments (--skip-comments), so that it cannot be told whether it was cut off between two \
             statements: compare it with a record (--record)"
                .to_owned(),
        );
    }
    server.shut_down(host.stop)?;
    Ok(restored)
}

/// The tables of the dump that the server does not have. A later statement of the dump may have replaced one by a view.
fn missing(loaded: &Loaded, present: &BTreeSet<String>) -> Vec<String> {
    let mut missing: Vec<_> =
        loaded.text.tables().filter(|table| !present.contains(*table)).map(str::to_owned).collect();
    let logs: Vec<_> = ["general_log", "slow_log"].map(|log| crate::server::full_name("mysql", log)).to_vec();
    missing.retain(|table| !logs.contains(table));
    missing.dedup();
    missing
}
