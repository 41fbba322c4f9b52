// SPDX-License-Identifier: GPL-2.0-or-later
//! What must hold before anything is encrypted.

use super::direction::Direction;
use super::plan::Estimate;
use super::sizes;
use crate::server::{Here, Inventory, ServerKeyring, Way};
use keyring_external::error::{Error, Result};
use keyring_external::format::slots::SlotKind;
use keyring_external::keyring::inspect;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use std::path::Path;
use std::sync::Arc;

/// What the user takes upon himself.
#[derive(clap::Args)]
pub(super) struct Overrides {
    /// Start although the keyring has one copy only, and no recovery key that can be seen from here
    #[arg(long)]
    without_second_copy: bool,
    /// Start although it can't be seen from here how much room there is beside the data, or there is too little
    #[arg(long)]
    without_space_check: bool,
}

/// Refuses to start, with all reasons at once.
///
/// # Errors
/// [`Error::Config`].
pub(super) fn check(
    inventory: &Inventory,
    keyring: &ServerKeyring,
    here: &Here,
    estimate: &Estimate,
    overrides: &Overrides,
    direction: Direction,
) -> Result<()> {
    let mut why = Vec::new();
    why.extend(keyring_in_order(keyring));
    if why.is_empty() && direction == Direction::Encrypt && !overrides.without_second_copy {
        why.extend(second_copy(keyring));
    }
    if !overrides.without_space_check {
        why.extend(room(estimate, here));
    }
    if inventory.settings.is_on("super_read_only") {
        why.push("the server is super_read_only: SET GLOBAL super_read_only = OFF first".to_owned());
    }
    if inventory.settings.get("persisted_globals_load").is_some_and(|v| v.eq_ignore_ascii_case("OFF")) {
        why.push(
            "persisted_globals_load is OFF: settings would be forgotten at the next start. Switch it on"
                .to_owned(),
        );
    }
    if why.is_empty() {
        return Ok(());
    }
    Err(Error::Config(format!("not started, nothing was changed:\n  * {}", why.join("\n  * "))))
}

/// Our keyring, all of it, and one that can be written.
fn keyring_in_order(keyring: &ServerKeyring) -> Option<String> {
    let last = || match keyring.last_error.as_str() {
        "" => String::new(),
        e => format!(" ({e})"),
    };
    match &keyring.way {
        Way::None => Some(
            "the server has no keyring: load keyring_external first (README.md, 'On your own server')"
                .to_owned(),
        ),
        Way::Other(name) => Some(format!(
            "the server's keyring is {name}, not keyring_external: migrate its keys first (docs/OPERATIONS.md)"
        )),
        _ => match keyring.state.as_str() {
            "ATTACHED" => None,
            "DEGRADED" => Some(format!(
                "a copy of the keyring is missing or behind (DEGRADED, {}/{}){}: bring it back first",
                keyring.copies.0,
                keyring.copies.1,
                last()
            )),
            "READ_ONLY" => {
                Some("the keyring is read-only, and encrypting makes keys: allow changes first".to_owned())
            }
            state => Some(format!("the keyring is {state}{}: see docs/OPERATIONS.md, 'States'", last())),
        },
    }
}

/// A keyring in one place, and nothing on paper: whoever loses it loses the database.
fn second_copy(keyring: &ServerKeyring) -> Option<String> {
    if keyring.copies.1 >= 2 {
        return None;
    }
    let advice = "make a mirror (docs/OPERATIONS.md), add a recovery key (keyringctl slot add KEYRING --recovery --unlock SOURCE), or take the risk with --without-second-copy";
    let Some(path) = keyring.paths.first() else {
        return Some(format!("the keyring has one copy only: {advice}"));
    };
    match has_recovery_key(path, &keyring.id) {
        Some(true) => None,
        Some(false) => Some(format!("the keyring has one copy only, and no recovery key: {advice}")),
        None => Some(format!(
            "the keyring has one copy only, and whether it has a recovery key can't be seen from here ({} cannot be read): run this as root on the server, {advice}",
            path.display()
        )),
    }
}

fn has_recovery_key(path: &Path, id: &str) -> Option<bool> {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let claims = inspect(&fs, path).ok()?;
    (claims.header.id.to_string() == id)
        .then(|| claims.header.slots.iter().any(|slot| slot.kind == SlotKind::Recovery))
}

fn room(estimate: &Estimate, here: &Here) -> Option<String> {
    if estimate.needed_bytes == 0 {
        return None;
    }
    let needed = sizes::bytes(estimate.needed_bytes);
    let table = estimate.largest_table.as_deref().unwrap_or_default();
    match here.free() {
        Some(free) if free >= estimate.needed_bytes => None,
        Some(free) => Some(format!(
            "{needed} are needed beside the data for the copy of {table}, and {} are free: make room, leave the table out with --skip, or --without-space-check",
            sizes::bytes(free)
        )),
        None => Some(format!(
            "the data directory is not on this machine, so that free room can't be seen: make sure that {needed} are free beside the data for the copy of {table}, then give --without-space-check"
        )),
    }
}
