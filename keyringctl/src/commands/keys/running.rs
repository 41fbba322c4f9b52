// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether running servers know that a key is retired: only then do they follow its destruction without a restart.

use crate::show::Shown;
use keyring_external::error::{Error, Refusal};
use keyring_external::keyring::{Keyring, Witnessed};
use keyring_external::store::places::Places;
use std::path::PathBuf;

/// Returns what to say of a server that does not, for each of these data directories in which one runs.
pub(super) fn not_adopted(places: &Places, keyring: &Keyring, running: &[PathBuf]) -> Vec<String> {
    let mut texts = Vec::new();
    for datadir in running {
        match keyring.check_witness(places.fs(), datadir) {
            Ok(Witnessed::KeyringAhead) => texts.push(format!(
                "the server that runs in {} has not read the keyring since it was last changed. Have it look: \
                 mysql --execute=\"SHOW GLOBAL STATUS LIKE 'Keyring_external_generation'\". Then run this command again",
                datadir.shown()
            )),
            Err(Error::Refusal(Refusal::WitnessFork { .. })) => texts.push(format!(
                "the server that runs in {} uses a state of the keyring that has diverged from this one: keyringctl status",
                datadir.shown()
            )),
            // It uses this state, has made a later one, or uses another keyring. Without a witness, it is not known.
            Ok(_) | Err(_) => {}
        }
    }
    texts
}
