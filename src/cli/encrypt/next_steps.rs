// SPDX-License-Identifier: GPL-2.0-or-later
//! What is left to do by hand when all has been encrypted.

use crate::server::{Here, Inventory, Item, Kind, Remedy, State};

/// The steps, in their order. `left`: what single steps of apply left to do.
pub(super) fn of(inventory: &Inventory, items: &[Item], here: &Here, left: Vec<String>) -> Vec<String> {
    let mut steps = left;
    for item in items.iter().filter(|item| item.state == State::Clear) {
        // Dumps, temporary files and binary logs are told elsewhere.
        if let (Remedy::ByHand(how), false) = (&item.remedy, item.kind == Kind::BinaryLog) {
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

/// The steps after `--undo`.
pub(super) fn of_undo(left: Vec<String>) -> Vec<String> {
    let mut steps = left;
    steps.push(
        "The redo log still names a master key: restart the server, and run this once more. Then keyringctl encrypt verify --undo says whether anything needs the keyring; keep it as long as old backups need it"
            .to_owned(),
    );
    steps
}
