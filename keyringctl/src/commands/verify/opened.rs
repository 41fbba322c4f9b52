// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring that `keyringctl verify` opened, to be opened again.

use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::keyring::{Keyring, Relation, load_with};
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::places::Places;
use std::path::PathBuf;

/// An open keyring, with what it takes to open it again.
pub(super) struct OpenedKeyring {
    pub path: PathBuf,
    pub keyring: Keyring,
    pub secret: UnlockSecret,
    pub source_name: String,
}

impl OpenedKeyring {
    /// Reads the keyring again: a server may have stored keys meanwhile.
    pub(super) fn reload(&mut self, places: &Places) -> Result<()> {
        let secret = || Ok(UnlockSecret::new(Locked::copy_of(self.secret.raw())?));
        let (keyring, _) = load_with(places, &self.path, &self.source_name, secret)?;
        self.keyring = keyring;
        Ok(())
    }

    /// The newer of two copies of a keyring.
    pub(super) fn newest(
        first: Option<OpenedKeyring>,
        second: Option<OpenedKeyring>,
    ) -> Result<Option<OpenedKeyring>> {
        let (Some(a), Some(b)) = (&first, &second) else { return Ok(first.or(second)) };
        let one_at_a_time = |what| {
            let (a, b) = (a.path.shown(), b.path.shown());
            Err(Error::Usage(format!("{a} and {b} {what}: verify them one at a time")))
        };
        match a.keyring.relation_to(&b.keyring) {
            Relation::OtherKeyring => one_at_a_time("are two different keyrings"),
            Relation::Diverged => one_at_a_time("have diverged and hold different keys"),
            Relation::Ancestor => Ok(second),
            Relation::Same | Relation::Descendant | Relation::Unknown => Ok(first),
        }
    }
}
