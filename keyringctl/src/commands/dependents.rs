// SPDX-License-Identifier: GPL-2.0-or-later
//! Which slots the server on this host depends on: those that the secret from its configured unlock source unlocks.

use super::copies::ServersSecret;
use super::hints;
use super::secret;
use crate::error::Result;
use crate::show::Shown;
use keyring_external::keyring::Keyring;
use keyring_external::unlock::UnlockSource;

/// What the server on this host unlocks the keyring with.
pub(super) enum ServersSlots {
    /// No server on this host is known to use the keyring.
    NoServer,
    /// The secret from this source, which unlocks these slots.
    Known { source: UnlockSource, slots: Vec<usize> },
    /// It cannot be found out. Says why.
    NotChecked(String),
}

/// Finds the slots of `keyring` that the server depends on. `servers` is what its configuration says; `named` is where its
/// secret can be read, if not where it is configured.
pub(super) fn find(
    keyring: &Keyring,
    servers: &ServersSecret,
    named: Option<&UnlockSource>,
) -> Result<ServersSlots> {
    let source = match (named, servers) {
        (Some(source), _) | (None, ServersSecret::From(source)) => source,
        (None, ServersSecret::NoServer) => return Ok(ServersSlots::NoServer),
        (None, ServersSecret::Unknown(why)) => return Ok(ServersSlots::NotChecked(why.clone())),
    };
    let secret = match secret::read_source(source) {
        Ok(secret) => secret,
        Err(e) => return Ok(ServersSlots::NotChecked(hints::explained(&e.into()))),
    };
    let slots = keyring.slots_of(&secret)?;
    // The environment and a program may give the server another secret than this process.
    let is_sure = matches!(source, UnlockSource::File(_)) && named.is_none();
    if slots.is_empty() && !is_sure {
        let why = format!("what this command reads from {} unlocks no slot", source.to_string().shown());
        return Ok(ServersSlots::NotChecked(why));
    }
    Ok(ServersSlots::Known { source: source.clone(), slots })
}
