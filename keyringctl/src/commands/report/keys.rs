// SPDX-License-Identifier: GPL-2.0-or-later
//! The master keys in a keyring: their purpose and their dates, never their bytes.

use keyring_external::keyring::Keyring;
use serde::Serialize;

/// The purpose of a key of the server's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Purpose {
    /// Wraps the keys of InnoDB's tablespaces and of redo and undo logs.
    Innodb,
    /// Wraps the passwords of binary and relay log files.
    BinaryLogs,
    /// Anything else that the server stores.
    Other,
}

impl Purpose {
    fn from_id(id: &str) -> Purpose {
        if id.starts_with("INNODBKey-") {
            Purpose::Innodb
        } else if id.strip_prefix("MySQLReplicationKey_").is_some_and(has_number) {
            Purpose::BinaryLogs
        } else {
            Purpose::Other
        }
    }

    /// The name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Purpose::Innodb => "InnoDB master keys (tablespaces, redo, undo)",
            Purpose::BinaryLogs => "binary log master keys",
            Purpose::Other => "other keys of the server",
        }
    }

    /// The name of one such key in a sentence.
    pub(super) fn short(self) -> &'static str {
        match self {
            Purpose::Innodb => "the InnoDB master key",
            Purpose::BinaryLogs => "the binary log master key",
            Purpose::Other => "another key of the server",
        }
    }
}

/// Whether a number follows the server's UUID. Without one, it is the key that says which number is in use.
fn has_number(rest: &str) -> bool {
    let number = rest.rsplit_once('_').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
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
    /// When it was retired, in seconds since 1970.
    pub retired: Option<u64>,
}

/// Returns the keys that belong to no user, the oldest first.
pub(super) fn master_keys(keyring: &Keyring) -> Vec<MasterKey> {
    let mut keys = Vec::new();
    keyring.for_each(|key| {
        if key.name.user().is_empty() {
            let id = key.name.id().escape_ascii().to_string();
            keys.push(MasterKey {
                purpose: Purpose::from_id(&id),
                id,
                key_type: key.key_type.bytes().escape_ascii().to_string(),
                bits: key.data.len() * 8,
                stored: key.created,
                retired: key.retired.map(|at| at.get()),
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
    fn the_id_shows_the_purpose_of_a_key() {
        assert_eq!(Purpose::from_id("INNODBKey-0f4d-3"), Purpose::Innodb);
        assert_eq!(Purpose::from_id("MySQLReplicationKey_0f4d_1"), Purpose::BinaryLogs);
        for other in ["MySQLReplicationKey", "MySQLReplicationKey_0f4d", "MySQLReplicationKey_0f4d_old"] {
            assert_eq!(Purpose::from_id(other), Purpose::Other, "{other}");
        }
    }
}
