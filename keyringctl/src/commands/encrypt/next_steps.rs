// SPDX-License-Identifier: GPL-2.0-or-later
//! What is left to do by hand when all has been encrypted.

use crate::server::{Here, Inventory, Item, Kind, Remedy, State};

/// The steps, in their order. `left`: what single steps of apply left to do.
pub(super) fn of(inventory: &Inventory, items: &[Item], here: &Here, left: Vec<String>) -> Vec<String> {
    let mut steps = left;
    let in_clear = || items.iter().filter(|item| item.state == State::Clear);
    steps.extend(late(
        &in_clear().filter(|item| item.kind == Kind::LateSetting).collect::<Vec<_>>(),
        inventory,
    ));
    // Dumps, temporary files and binary logs are told elsewhere.
    for item in in_clear().filter(|item| !matches!(item.kind, Kind::BinaryLog | Kind::LateSetting)) {
        if let Remedy::ByHand(how) = &item.remedy {
            steps.push(format!("{}: {}. {how}", item.name, item.about));
        }
    }
    let doublewrite = inventory.settings.get("innodb_doublewrite").unwrap_or_default();
    if !doublewrite.eq_ignore_ascii_case("OFF") {
        let dir = inventory.settings.get("innodb_doublewrite_dir").filter(|d| !d.is_empty());
        let dir = dir.unwrap_or(&inventory.about.datadir).trim_end_matches('/');
        steps.push(format!(
            "Old pages in clear stay in the doublewrite files. Stop the server cleanly (SET GLOBAL innodb_fast_shutdown = 0; then stop it), delete {dir}/*.dblwr, start it: it makes them anew"
        ));
    }
    steps.push(
        "ibdata1 cannot be encrypted and keeps old entries of secondary indexes, if the change buffer was in use (the default up to 8.3, and in 9.7). Only a new instance, into which a dump is loaded, is free of them"
            .to_owned(),
    );
    steps.push(
        "What was in clear is still on the disk where files were deleted or rebuilt: overwrite free space (fstrim on an SSD, or a file that fills it), and destroy old dumps and backups"
            .to_owned(),
    );
    steps.push(
        "Keys were made: back the keyring up, and the database with it (README.md, 'What to back up')"
            .to_owned(),
    );
    let verify = match here {
        Here::Readable(_) => "keyringctl encrypt verify",
        _ => "keyringctl encrypt verify, as root on the server so that it can look into the files",
    };
    steps.push(format!("Prove it: {verify}"));
    steps
}

/// One step for all settings that are persisted only.
fn late(items: &[&Item], inventory: &Inventory) -> Option<String> {
    let lines = items
        .iter()
        .map(|item| format!("{} = {}", item.name, inventory.settings.get(&item.name).unwrap_or_default()));
    let resets = items.iter().map(|item| format!("RESET PERSIST IF EXISTS {};", item.name));
    items.first()?;
    Some(format!(
        "At a start the server heeds what SET PERSIST keeps too late: after a crash it writes old values of rows in clear before. Write into the group [mysqld] of its option file\n\n       {}\n\n   and then, in the server, {}",
        lines.collect::<Vec<_>>().join("\n       "),
        resets.collect::<Vec<_>>().join(" ").trim_end_matches(';')
    ))
}

/// The steps after `--undo`.
pub(super) fn of_undo(left: Vec<String>) -> Vec<String> {
    let mut steps = left;
    steps.push(
        "Take innodb_redo_log_encrypt and innodb_undo_log_encrypt out of the server's option file, if they are there".to_owned(),
    );
    steps.push(
        "The redo log still names a master key: restart the server, and run this once more. Then keyringctl encrypt verify --undo says whether anything needs the keyring; keep it as long as old backups need it"
            .to_owned(),
    );
    steps
}
