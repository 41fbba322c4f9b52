// SPDX-License-Identifier: GPL-2.0-or-later
//! Where master keys are looked up.

use keyring_external::key::NameRef;
use keyring_external::keyring::Keyring;

/// Where master keys are looked up.
pub trait MasterKeys: Sync {
    /// Hands the bytes of the server's own key of that id to `look`; `false` when there is none.
    fn look(&self, id: &str, look: &mut dyn FnMut(&[u8])) -> bool;

    /// The ids of all keys that are the server's own.
    fn ids(&self) -> Vec<String>;
}

/// No key at all: to find out what is needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

impl MasterKeys for NoKeys {
    fn look(&self, _: &str, _: &mut dyn FnMut(&[u8])) -> bool {
        false
    }

    fn ids(&self) -> Vec<String> {
        Vec::new()
    }
}

impl MasterKeys for Keyring {
    fn look(&self, id: &str, look: &mut dyn FnMut(&[u8])) -> bool {
        let Ok(name) = NameRef::new(id.as_bytes(), b"") else { return false };
        self.fetch(&name, |key| look(key.data)).is_some()
    }

    fn ids(&self) -> Vec<String> {
        let names = self.names();
        let own = names.iter().map(|name| name.as_ref()).filter(|name| name.user().is_empty());
        own.map(|name| String::from_utf8_lossy(name.id()).into_owned()).collect()
    }
}
