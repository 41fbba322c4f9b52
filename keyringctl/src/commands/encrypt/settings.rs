// SPDX-License-Identifier: GPL-2.0-or-later
//! Settings that make the server encrypt what it writes from now on. SET PERSIST keeps them across restarts.

use super::direction::Direction;
use super::job::Job;
use crate::error::Result;
use crate::server::{Inventory, Schema, quoted, quoted_text};
use crate::show::Shown;

/// The settings in the order in which they are switched on; `--undo` reverses it. Schemas are changed before the check
/// is switched on, because it would then require a privilege to change them.
const SWITCHES: [&str; 5] =
    [DEFAULT, "innodb_redo_log_encrypt", "innodb_undo_log_encrypt", "binlog_encryption", CHECK];
const IN_OPTION_FILE: [&str; 2] = ["innodb_redo_log_encrypt", "innodb_undo_log_encrypt"];
pub(super) const CHANGE_BUFFERING: &str = "innodb_change_buffering";
const CHECK: &str = "table_encryption_privilege_check";
const DEFAULT: &str = "default_table_encryption";

/// Changes all settings, and the defaults of the schemas `changed`. Runs first, so that tables created during the run are
/// encrypted, and a `last` time at the end, for schemas that were in use.
pub(super) fn apply(
    job: &mut Job<'_>,
    inventory: &Inventory,
    changed: &[&Schema],
    direction: Direction,
    last: bool,
) -> Result<()> {
    let mut switches = SWITCHES;
    if direction == Direction::Undo {
        switches.reverse();
    }
    if change_buffering(inventory, direction).is_some() {
        job.attempt(
            "setting innodb_change_buffering = none",
            "SET PERSIST innodb_change_buffering = 'none'",
            "SELECT @@GLOBAL.innodb_change_buffering = 'none'",
            last,
        )?;
    }
    for name in switches {
        if name == CHECK && direction == Direction::Encrypt {
            schemas(job, changed, direction, last)?;
        }
        if name == DEFAULT && inventory.settings.is_in_group() {
            // A member with another value than the group's is not taken back.
            if direction == Direction::Undo && last && inventory.settings.is_on(name) {
                job.note(|account| account.next_steps.push(format!("To set {name} = OFF, do it on all members while the group is stopped: SET PERSIST {name} = OFF")));
            }
            continue;
        }
        if is_due(name, inventory, direction) {
            let switch = direction.switch();
            job.attempt(
                &format!("setting {name} = {switch}"),
                &format!("SET PERSIST {name} = {switch}"),
                &format!("SELECT @@GLOBAL.{name} = {}", i32::from(direction == Direction::Encrypt)),
                last,
            )?;
        }
    }
    if direction == Direction::Undo {
        schemas(job, changed, direction, last)?;
    }
    Ok(())
}

/// Whether a setting exists and is not as `direction` needs it.
fn is_due(name: &str, inventory: &Inventory, direction: Direction) -> bool {
    let exists = inventory.settings.get(name).is_some();
    // What the administrator has moved to the option file (see `next_steps`) is not stored again.
    let lasts = inventory.settings.lasts(name) || IN_OPTION_FILE.contains(&name);
    exists && !(direction.is_reached(inventory.settings.is_on(name)) && lasts)
}

/// The value of `innodb_change_buffering`, if [`apply`] changes it. Otherwise entries of secondary indexes wait in ibdata1,
/// which is never encrypted. `--undo` does not switch the change buffer on again: most servers have it off by default.
pub(super) fn change_buffering(inventory: &Inventory, direction: Direction) -> Option<&str> {
    let value = inventory.settings.get(CHANGE_BUFFERING).filter(|value| !value.eq_ignore_ascii_case("none"));
    value.filter(|_| direction == Direction::Encrypt)
}

/// The settings that [`apply`] switches on or off.
pub(super) fn to_switch(inventory: &Inventory, direction: Direction) -> impl Iterator<Item = &'static str> {
    let by_group = |name: &str| name == DEFAULT && inventory.settings.is_in_group();
    SWITCHES.into_iter().filter(move |name| !by_group(name) && is_due(name, inventory, direction))
}

fn schemas(job: &mut Job<'_>, changed: &[&Schema], direction: Direction, last: bool) -> Result<()> {
    for schema in changed {
        let statement =
            format!("ALTER SCHEMA {} DEFAULT ENCRYPTION = '{}'", quoted(&schema.name), direction.letter());
        let state = if direction == Direction::Encrypt { "encrypted" } else { "unencrypted" };
        let reached = format!(
            "SELECT DEFAULT_ENCRYPTION = '{}' FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {}",
            if direction == Direction::Encrypt { "YES" } else { "NO" },
            quoted_text(&schema.name)
        );
        let what = format!("schema {}: new tables are {state}", schema.name.shown());
        job.attempt(&what, &statement, &reached, last)?;
    }
    Ok(())
}
