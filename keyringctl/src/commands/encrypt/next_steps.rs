// SPDX-License-Identifier: GPL-2.0-or-later
//! What is particular to a run of `encrypt apply` and left to do after it. What is left in any case is the checklist of
//! `encrypt finish`.

use crate::server::{Inventory, Table};
use crate::show::{counted, visible};

/// Returns the steps, beginning with what the steps of apply left to do (`left`).
pub(super) fn after_encrypting(inventory: &Inventory, left: Vec<String>) -> Vec<String> {
    // Only our own line feeds divide a step.
    left.iter().map(visible).chain(discarded(inventory)).collect()
}

/// Returns a step for tables that could be rebuilt, or need not be, of which tablespaces were discarded.
fn discarded(inventory: &Inventory) -> Option<String> {
    let tables = inventory.tables.iter().filter(|table| !table.has_clear() && table.fault().is_none());
    let tables: Vec<_> =
        tables.filter(|table| table.discarded().next().is_some()).map(Table::full_name).collect();
    let first = tables.first()?;
    let more = if tables.len() > 1 {
        format!(" and {}", counted(tables.len() - 1, "more table"))
    } else {
        String::new()
    };
    Some(format!(
        "Tablespaces of {first}{more} were discarded, so there was nothing of them to encrypt. After you import any, run this again; keyringctl encrypt verify names unencrypted files in their places"
    ))
}

/// Returns the steps after `--undo`, beginning with `left`.
pub(super) fn after_undo(left: Vec<String>) -> Vec<String> {
    // Only our own line feeds divide a step.
    let mut steps: Vec<String> = left.iter().map(visible).collect();
    steps.push(
        "Remove innodb_redo_log_encrypt and innodb_undo_log_encrypt from the server's option file, if they are set there".to_owned(),
    );
    steps.push(
        "The redo log still refers to a master key: restart the server, then run this command again. After that, keyringctl encrypt verify --undo shows whether anything still needs the keyring. Keep the keyring as long as old backups need it"
            .to_owned(),
    );
    steps
}
