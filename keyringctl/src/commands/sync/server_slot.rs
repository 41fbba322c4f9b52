// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the server on this host can unlock what sync writes.

use super::loss::source;
use crate::commands::command_line::command_line;
use crate::commands::consent::{Consent, Plan};
use crate::commands::copies::Copies;
use crate::commands::dependents::{self, ServersSlots};
use crate::commands::output::Output;
use crate::commands::secret;
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::keyring::Keyring;
use keyring_external::unlock::UnlockSource;

/// What sync is about to write.
pub(super) struct Written<'a> {
    /// The keyring with the slots that all copies get.
    pub slots_of: &'a Keyring,
    pub copies: &'a Copies,
    /// Whether a copy loses a slot.
    pub loses_slots: bool,
}

impl Written<'_> {
    /// Refuses to write what the server's configured secret does not unlock, unless `force`d; the plan is then one that a
    /// typed word starts. `advice` says what helps, given where the server reads its secret: a sentence and a command.
    pub(super) fn check(
        &self,
        mut plan: Plan,
        (force, consent): (bool, &Consent),
        advice: impl FnOnce(&UnlockSource) -> Result<[String; 2]>,
        out: &mut Output,
    ) -> Result<Plan> {
        let servers = match dependents::find(self.slots_of, &self.copies.servers_secret, None)? {
            ServersSlots::Known { source, slots } if slots.is_empty() => source,
            ServersSlots::NotChecked(why) if self.loses_slots => {
                plan.note(format!(
                    "WARNING: it could not be checked whether the server on this host needs a slot that is removed: {why}."
                ));
                return Ok(plan);
            }
            _ => return Ok(plan),
        };
        let reason = format!(
            "the server on this host unlocks the keyring with {}, which fits no slot of what is written, those of {}. A \
             running server keeps running, but does not start again",
            servers.to_string().shown(),
            source(self.slots_of).shown()
        );
        plan.note(format!("WARNING: {reason}."));
        if force {
            return Ok(plan.typed("sync"));
        }
        plan.show(consent, out);
        let [advice, command] = advice(&servers)?;
        Err(Error::Lines(vec![
            format!("nothing was changed: {reason}"),
            advice,
            format!("  {command}"),
            "To write the copies nevertheless:".to_owned(),
            format!("  {} --force", command_line()),
        ]))
    }
}

/// The advice to add a slot for the server's secret to the keyring.
pub(super) fn to_add(keyring: &Keyring, unlock: &secret::Args, servers: &UnlockSource) -> [String; 2] {
    let path = source(keyring).shown();
    let new = secret::Args { unlock: Some(servers.clone()), ..secret::Args::default() }.unlock_option();
    let unlock = unlock.option();
    [
        "Add a slot for the server's secret first:".to_owned(),
        format!("keyringctl slot add {path}{unlock}") + &new.replacen("--unlock", "--new", 1),
    ]
}
