// SPDX-License-Identifier: GPL-2.0-or-later
//! Sources of master keys.

use keyring_external::key::NameRef;
use keyring_external::keyring::Keyring;

/// A source of master keys.
pub trait MasterKeys: Sync {
    /// Passes the bytes of the server's own key of that id to `look`. Returns `false` if there is none.
    fn with_key(&self, id: &str, look: &mut dyn FnMut(&[u8])) -> bool;

    /// Returns the ids of all keys of the server's own.
    fn ids(&self) -> Vec<String>;
}

/// No keys, to find out which are needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

impl MasterKeys for NoKeys {
    fn with_key(&self, _: &str, _: &mut dyn FnMut(&[u8])) -> bool {
        false
    }

    fn ids(&self) -> Vec<String> {
        Vec::new()
    }
}

impl MasterKeys for Keyring {
    fn with_key(&self, id: &str, look: &mut dyn FnMut(&[u8])) -> bool {
        let Ok(name) = NameRef::new(id.as_bytes(), b"") else { return false };
        self.fetch(&name, |key| look(key.data)).is_some()
    }

    fn ids(&self) -> Vec<String> {
        let names = self.names();
        let own = names.iter().map(|name| name.as_ref()).filter(|name| name.user().is_empty());
        own.map(|name| String::from_utf8_lossy(name.id()).into_owned()).collect()
    }
}
