// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for accounts that may rotate or change the keyring, or get around it.

use super::data::names;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::report::access::{Ability, Access, Account};
use crate::commands::report::facts::Facts;
use crate::server::pasteable;
use crate::show::Shown;
use std::path::Path;

pub(super) fn access(facts: &Facts, found: &mut Findings) {
    let Some(access) = facts.access.measured() else { return };
    found.run_checks(&["account", "file-privilege"]);
    without_password(access, found);
    files(facts, access, found);
}

fn without_password(access: &Access, found: &mut Findings) {
    let open: Vec<_> =
        access.accounts.iter().filter(|account| account.no_password && !account.locked).collect();
    if open.is_empty() {
        return;
    }
    let fix = open
        .iter()
        .map(|account| pasteable(&format!("ALTER USER {} IDENTIFIED BY RANDOM PASSWORD;", account.quoted())));
    let fix = format!(
        "run in the server, and keep what it prints: {} Or lock the account: ALTER USER ... ACCOUNT LOCK;",
        fix.collect::<Vec<_>>().join(" ")
    );
    let what = format!("no password is needed for {}", listed(&open));
    let why = "Anyone who can connect from its host may do what the page lists for it.";
    found.add(FindingLevel::Warning, "account", what, why, &[fix]);
}

/// FILE reads the keyring and the secret if the server does not confine it to a directory.
fn files(facts: &Facts, access: &Access, found: &mut Findings) {
    let with_file: Vec<_> =
        access.accounts.iter().filter(|account| account.may(Ability::Files) && !account.locked).collect();
    let Some(directory) = access.secure_file_priv.as_deref().filter(|_| !with_file.is_empty()) else {
        return;
    };
    let inside = |path: &Path| path.starts_with(directory);
    let is_open = directory.is_empty() || facts.copies.iter().any(|copy| inside(&copy.path));
    if !is_open || !facts.keyring.is_ours() {
        return;
    }
    let where_to =
        if directory.is_empty() { "everywhere".to_owned() } else { format!("in {}", directory.shown()) };
    let what = format!("secure_file_priv lets {} read files {where_to}", listed(&with_file));
    let why = "LOAD_FILE() then reads the keyring file, and the file of the unlock secret: together, they are all keys.";
    let fix = [
        "set secure_file_priv = NULL, or a directory for nothing else, in the server's option file, and restart it".to_owned(),
        "take FILE from accounts that do not need it".to_owned(),
    ];
    found.add(FindingLevel::Warning, "file-privilege", what, why, &fix);
}

fn listed(accounts: &[&Account]) -> String {
    let all: Vec<_> = accounts.iter().map(|account| account.name().shown()).collect();
    names(all.iter().map(String::as_str))
}
