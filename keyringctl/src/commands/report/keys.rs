// SPDX-License-Identifier: GPL-2.0-or-later
//! The master keys in a keyring: what they are for and when they were made. Never their bytes.

use keyring_external::keyring::Keyring;
use serde::Serialize;

/// What a key of the server's own is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// Seals the keys of InnoDB's tablespaces and of redo and undo logs.
    Innodb,
    /// Seals the passwords of binary and relay log files.
    BinaryLogs,
    /// Something else that the server keeps.
    Other,
}

impl Purpose {
    fn of(id: &str) -> Purpose {
        if id.starts_with("INNODBKey-") {
            Purpose::Innodb
        } else if id.starts_with("MySQLReplicationKey_") {
            Purpose::BinaryLogs
        } else {
            Purpose::Other
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Innodb => "InnoDB master keys (tablespaces, redo, undo)",
            Purpose::BinaryLogs => "binary log master keys",
            Purpose::Other => "other keys of the server",
        }
    }
}

/// A key that belongs to the server itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct MasterKey {
    pub id: String,
    pub purpose: Purpose,
    #[serde(rename = "type")]
    pub key_type: String,
    pub bits: usize,
    /// When it was stored, in seconds since 1970.
    pub stored: u64,
}

/// The keys that belong to no user, the oldest first.
pub(super) fn master_keys(keyring: &Keyring) -> Vec<MasterKey> {
    let mut keys = Vec::new();
    keyring.for_each(|key| {
        if key.name.user().is_empty() {
            let id = key.name.id().escape_ascii().to_string();
            keys.push(MasterKey {
                purpose: Purpose::of(&id),
                id,
                key_type: key.key_type.bytes().escape_ascii().to_string(),
                bits: key.data.len() * 8,
                stored: key.created,
            });
        }
    });
    keys.sort_by(|a, b| (a.stored, &a.id).cmp(&(b.stored, &b.id)));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_names_tell_what_keys_are_for() {
        assert_eq!(Purpose::of("INNODBKey-0f4d-3"), Purpose::Innodb);
        assert_eq!(Purpose::of("MySQLReplicationKey_0f4d_1"), Purpose::BinaryLogs);
        assert_eq!(Purpose::of("MySQLReplicationKey"), Purpose::Other);
    }
}
