// SPDX-License-Identifier: GPL-2.0-or-later
//! What the administrator must do when everything has been encrypted.

use crate::server::{DataPlace, DatadirAccess, Inventory, PlaceKind, PlaceState, Remedy, Table};
use crate::show::visible;

/// Returns the steps in order, beginning with what the steps of apply left to do (`left`).
pub(super) fn after_encrypting(
    inventory: &Inventory,
    items: &[DataPlace],
    here: &DatadirAccess,
    left: Vec<String>,
) -> Vec<String> {
    // Only our own line feeds divide a step.
    let mut steps: Vec<String> = left.iter().map(visible).collect();
    let unencrypted = || items.iter().filter(|item| item.state == PlaceState::Clear);
    steps.extend(move_to_option_file(
        &unencrypted().filter(|item| item.kind == PlaceKind::LateSetting).collect::<Vec<_>>(),
        inventory,
    ));
    // These have steps of their own.
    let own = |kind| matches!(kind, PlaceKind::BinaryLog | PlaceKind::LateSetting | PlaceKind::Doublewrite);
    for item in unencrypted().filter(|item| !own(item.kind)) {
        if let Remedy::ByHand(how) = &item.remedy {
            steps.push(visible(format_args!("{}: {}. {how}", item.name, item.about)));
        }
    }
    steps.extend(discarded(inventory));
    let doublewrite = items.iter().filter(|item| item.kind == PlaceKind::Doublewrite && item.is_left());
    steps.extend(doublewrite.filter_map(|item| match &item.remedy {
        Remedy::ByHand(how) => Some(visible(format_args!("{}: {}. {how}", item.name, item.about))),
        Remedy::Apply | Remedy::None => None,
    }));
    steps.push(
        "MySQL cannot encrypt ibdata1. If the change buffer was in use (the default up to 8.3, and in 9.7), ibdata1 keeps old entries of secondary indexes. To get rid of them, load a dump into a new instance"
            .to_owned(),
    );
    steps.push(
        "Blocks of deleted and rebuilt files still hold unencrypted data: overwrite the free space (run fstrim on an SSD, or write a file that fills the disk), and destroy old dumps and backups"
            .to_owned(),
    );
    steps.push(
        "The keyring has new keys: back up the keyring, and the database with it (README.md, 'What to back up')"
            .to_owned(),
    );
    let verify = match here {
        DatadirAccess::Readable(_) => "keyringctl encrypt verify",
        _ => "keyringctl encrypt verify, as root on the server so that it can read the files",
    };
    steps.push(format!("Check the result: {verify}"));
    steps
}

/// Returns a step for tables that could be rebuilt, or need not be, of which tablespaces were discarded.
fn discarded(inventory: &Inventory) -> Option<String> {
    let tables = inventory.tables.iter().filter(|table| !table.has_clear() && table.fault().is_none());
    let tables: Vec<_> =
        tables.filter(|table| table.discarded().next().is_some()).map(Table::full_name).collect();
    let first = tables.first()?;
    let more =
        if tables.len() > 1 { format!(" and {} more tables", tables.len() - 1) } else { String::new() };
    Some(format!(
        "Tablespaces of {first}{more} were discarded, so there was nothing of them to encrypt. After you import any, run this again; keyringctl encrypt verify names unencrypted files in their places"
    ))
}

/// Returns one step for all settings that only SET PERSIST stores.
fn move_to_option_file(items: &[&DataPlace], inventory: &Inventory) -> Option<String> {
    let lines = items
        .iter()
        .map(|item| format!("{} = {}", item.name, inventory.settings.get(&item.name).unwrap_or_default()));
    let resets = items.iter().map(|item| format!("RESET PERSIST IF EXISTS {};", item.name));
    items.first()?;
    Some(format!(
        "MySQL applies SET PERSIST values too late during startup: after a crash, it first writes old values of rows unencrypted. Add to the group [mysqld] of the server's option file\n\n       {}\n\n   and then run in the server: {}",
        lines.collect::<Vec<_>>().join("\n       "),
        resets.collect::<Vec<_>>().join(" ").trim_end_matches(';')
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
