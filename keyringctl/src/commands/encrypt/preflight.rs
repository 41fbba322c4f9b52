// SPDX-License-Identifier: GPL-2.0-or-later
//! The conditions that must hold before anything is encrypted.

use super::direction::Direction;
use super::estimate::Estimate;
use super::replication::not_started;
use super::room;
use super::sizes;
use crate::commands::store_places::store_places;
use crate::error::Result;
use crate::server::{DatadirAccess, Inventory, LoadedAs, ServerKeyring};
use crate::show::Shown;
use keyring_external::keyring::inspect;
use std::path::Path;

/// Risks that the administrator accepts.
#[derive(clap::Args)]
pub(super) struct Overrides {
    /// Start even if the keyring has a single copy and neither a recovery key nor custodians were found
    #[arg(long)]
    without_second_copy: bool,
    /// Skip the free-space checks, at the start and before each table
    #[arg(long)]
    without_space_check: bool,
}

impl Overrides {
    /// Whether there must be room for a table before it is rewritten.
    pub(super) fn checks_space(&self) -> bool {
        !self.without_space_check
    }
}

/// Refuses to start and lists all reasons at once.
///
/// # Errors
/// [`Error::Lines`](crate::error::Error::Lines).
pub(super) fn check(
    inventory: &Inventory,
    keyring: &ServerKeyring,
    here: &DatadirAccess,
    estimate: &Estimate,
    overrides: &Overrides,
    direction: Direction,
    of_replication: Vec<String>,
) -> Result<()> {
    let mut why = Vec::new();
    why.extend(keyring_not_ready(keyring));
    if why.is_empty() && direction == Direction::Encrypt && !overrides.without_second_copy {
        why.extend(single_copy(keyring));
    }
    if !overrides.without_space_check {
        why.extend(too_little_space(estimate, here));
    }
    why.extend(of_replication);
    if inventory.settings.get("persisted_globals_load").is_some_and(|v| v.eq_ignore_ascii_case("OFF")) {
        why.push(
            "persisted_globals_load is OFF, so the server would lose the new settings at its next start: set it to ON in the option file and restart the server"
                .to_owned(),
        );
    }
    if why.is_empty() {
        return Ok(());
    }
    Err(not_started(&why))
}

/// Returns why the server's keyring cannot take new keys: it is not ours, incomplete or read-only.
fn keyring_not_ready(keyring: &ServerKeyring) -> Option<String> {
    let last_error = || match keyring.last_error.as_str() {
        "" => String::new(),
        e => format!(" ({e})"),
    };
    match &keyring.way {
        LoadedAs::None => Some(
            "the server has no keyring: load keyring_external first (README.md, 'On your own server')"
                .to_owned(),
        ),
        LoadedAs::Unknown(why) => Some(format!("it is not known which keyring the server uses: {why}")),
        LoadedAs::Other(name) => Some(format!(
            "the server's keyring is {name}, not keyring_external: migrate its keys first (docs/OPERATIONS.md)"
        )),
        _ => match keyring.state.as_str() {
            "ATTACHED" => None,
            "DEGRADED" => Some(format!(
                "a copy of the keyring is missing or behind (DEGRADED, {}/{} up to date){}: mount or replace it first",
                keyring.copies.0,
                keyring.copies.1,
                last_error()
            )),
            "READ_ONLY" => Some(
                "the keyring is read-only, but encrypting stores new keys: set read_only to OFF first"
                    .to_owned(),
            ),
            state => {
                Some(format!("the keyring is {state}{}: see docs/OPERATIONS.md, 'States'", last_error()))
            }
        },
    }
}

/// Returns why the keyring is not safe enough: if its only copy is lost and there is no recovery key and there are no custodians,
/// so is the database.
fn single_copy(keyring: &ServerKeyring) -> Option<String> {
    if keyring.copies.1 >= 2 {
        return None;
    }
    let advice = "create a mirror (docs/OPERATIONS.md), add a recovery key (keyringctl slot add KEYRING --new-recovery --unlock SOURCE) or custodians (--new-custodians 2-of-3), or accept the risk with --without-second-copy";
    let Some(path) = keyring.paths.first() else {
        return Some(format!("the keyring has a single copy: {advice}"));
    };
    match has_recovery_key(path, &keyring.id) {
        Some(true) => None,
        Some(false) => {
            Some(format!("the keyring has a single copy and neither a recovery key nor custodians: {advice}"))
        }
        None => Some(format!(
            "the keyring has a single copy, and {} cannot be read to check for a recovery key or custodians: run this as root on the server, {advice}",
            path.shown()
        )),
    }
}

fn has_recovery_key(path: &Path, id: &str) -> Option<bool> {
    let places = store_places();
    let claims = inspect(&places, path).ok()?;
    (claims.header.id.to_string() == id)
        .then(|| claims.header.slots.iter().any(|(_, slot)| slot.kind.is_for_recovery()))
}

/// Returns why there is too little space for one table at a time.
fn too_little_space(estimate: &Estimate, here: &DatadirAccess) -> Vec<String> {
    if estimate.least_bytes == 0 {
        return Vec::new();
    }
    let needed = format!("{} ({})", sizes::bytes(estimate.least_bytes), estimate.parts());
    let table = estimate.largest_table.as_deref().unwrap_or_default();
    let mut why = Vec::new();
    match here.free() {
        Some(free) if free >= estimate.least_bytes => {}
        Some(free) => why.push(format!(
            "the copy of {table} needs {needed} on the filesystem of the data directory, but only {} are free: free some space, leave the table out with --skip, or skip this check with --without-space-check",
            sizes::bytes(free)
        )),
        None => why.push(format!(
            "the free space cannot be checked because the data directory is not on this machine: make sure that {needed} are free on its filesystem for the copy of {table}, then use --without-space-check"
        )),
    }
    let temporary = estimate.temporary.as_ref().filter(|temporary| !temporary.with_data);
    if let Some(temporary) = temporary
        && let Some(free) = temporary.free_bytes
        && free < estimate.least_temporary
    {
        why.push(format!(
            "{}, or skip this check with --without-space-check",
            room::too_little_temporary(estimate.least_temporary, &temporary.directory, free)
        ));
    }
    why
}
