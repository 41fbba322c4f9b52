// SPDX-License-Identifier: GPL-2.0-or-later
//! What a key is for, by its name.

use serde::Serialize;

/// What a key is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum KeyKind {
    /// A master key of InnoDB: server UUID and number.
    Innodb(String, u64),
    /// A master key of binary and relay logs: server UUID and number.
    BinaryLogs(String, u64),
    /// Anything else: keys of users, and what the server stores for other purposes.
    Other,
}

/// The kind as a word in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum KindWord {
    Innodb,
    BinaryLogs,
    Other,
}

impl KeyKind {
    pub(super) fn of(id: &str, user: &[u8]) -> KeyKind {
        let split = |rest: &str, between: char| {
            let (uuid, number) = rest.split_at_checked(36)?;
            let number = number.strip_prefix(between)?;
            let is_plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
            let uuid = uuid::Uuid::try_parse(uuid).ok().map(|_| uuid.to_ascii_lowercase())?;
            Some((uuid, number.parse().ok().filter(|_| is_plain)?))
        };
        if !user.is_empty() {
            return KeyKind::Other;
        }
        if let Some((uuid, number)) = id.strip_prefix("INNODBKey-").and_then(|rest| split(rest, '-')) {
            return KeyKind::Innodb(uuid, number);
        }
        match id.strip_prefix("MySQLReplicationKey_").and_then(|rest| split(rest, '_')) {
            Some((uuid, number)) => KeyKind::BinaryLogs(uuid, number),
            None => KeyKind::Other,
        }
    }

    pub(super) fn word(&self) -> KindWord {
        match self {
            KeyKind::Innodb(..) => KindWord::Innodb,
            KeyKind::BinaryLogs(..) => KindWord::BinaryLogs,
            KeyKind::Other => KindWord::Other,
        }
    }

    /// The server that made it, and its number.
    pub(super) fn of_server(&self) -> Option<(&str, u64)> {
        match self {
            KeyKind::Innodb(uuid, number) | KeyKind::BinaryLogs(uuid, number) => Some((uuid, *number)),
            KeyKind::Other => None,
        }
    }
}

impl KindWord {
    /// The name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            KindWord::Innodb => "InnoDB",
            KindWord::BinaryLogs => "binary logs",
            KindWord::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "dd687905-e7cf-11f1-848c-02fc00000001";

    #[test]
    fn only_names_that_mysql_gives_to_master_keys_are_those_of_master_keys() {
        let innodb = |n| KeyKind::Innodb(UUID.to_owned(), n);
        let logs = |n| KeyKind::BinaryLogs(UUID.to_owned(), n);
        for (id, kind) in [
            (format!("INNODBKey-{UUID}-7"), innodb(7)),
            (format!("INNODBKey-{}-12", UUID.to_uppercase()), innodb(12)),
            (format!("MySQLReplicationKey_{UUID}_1"), logs(1)),
            // The server keeps numbers under these names.
            (format!("MySQLReplicationKey_{UUID}"), KeyKind::Other),
            (format!("MySQLReplicationKey_{UUID}_old"), KeyKind::Other),
            (format!("MySQLReplicationKey_{UUID}_last_purged"), KeyKind::Other),
            // MySQL 5.7.11 has the server's number in the name.
            ("INNODBKey-1-7".to_owned(), KeyKind::Other),
            (format!("INNODBKey-{UUID}-07"), KeyKind::Other),
            (format!("INNODBKey-{UUID}-"), KeyKind::Other),
            (format!("INNODBKey-{UUID}-+7"), KeyKind::Other),
            (format!("INNODBKey-{UUID}_7"), KeyKind::Other),
            ("INNODBKey-ääääääääääääääääääää-1".to_owned(), KeyKind::Other),
        ] {
            assert_eq!(KeyKind::of(&id, b""), kind, "{id}");
            assert_eq!(KeyKind::of(&id, b"anna"), KeyKind::Other, "{id}");
        }
    }
}
