// SPDX-License-Identifier: GPL-2.0-or-later
//! Why no table of a server is rewritten online unless that is asked for, or at all, although the server could.

use super::super::direction::Direction;
use super::super::replication::Replication;
use super::way::CopyReason;
use crate::server::Role;

/// Releases of MySQL that may lose rows of a table that is rebuilt while rows are deleted from it (bugs 115608 and 117436), by
/// series: the first one and the last one. The loss depends on the moment, so no probe finds it.
const LOSE_ROWS: [((u64, u64), u64, u64); 5] =
    [((8, 0), 27, 42), ((8, 1), 0, u64::MAX), ((8, 2), 0, u64::MAX), ((8, 3), 0, u64::MAX), ((8, 4), 0, 5)];
/// The same of the releases that got no corrections.
const LOSE_ROWS_9: u64 = 3;

/// Returns why no table of this server goes online; `None` if they may. `lacks`: the privileges that the account has not got.
pub(in crate::commands::encrypt) fn why_copy(
    role: &Role,
    replication: &Replication,
    direction: Direction,
    lacks: &[&str],
) -> Option<CopyReason> {
    if loses_rows(&role.version) {
        return Some(CopyReason::LosesRows);
    }
    if !lacks.is_empty() {
        return Some(CopyReason::Privileges);
    }
    // Nobody may insist on this one, whatever the replicas do.
    if direction == Direction::Undo {
        return Some(CopyReason::Decrypted);
    }
    replication.is_repeated(role).then_some(CopyReason::Replicated)
}

/// Whether this release may lose rows.
fn loses_rows(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u64>().ok());
    let (Some(major), Some(minor), Some(patch)) = (numbers.next(), numbers.next(), numbers.next()) else {
        return false;
    };
    major == 9 && minor <= LOSE_ROWS_9
        || LOSE_ROWS
            .iter()
            .any(|(series, first, last)| *series == (major, minor) && (*first..=*last).contains(&patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ConnectedReplica;

    #[test]
    fn releases_that_lose_rows_are_known() {
        for (version, loses) in [
            ("8.0.13", false),
            ("8.0.26-log", false),
            ("8.0.27", true),
            ("8.0.42-0ubuntu0.24.04.1", true),
            ("8.0.43", false),
            ("8.1.0", true),
            ("8.4.0", true),
            ("8.4.5-5", true),
            ("8.4.6", false),
            ("9.3.0", true),
            ("9.4.0", false),
            ("9.7.4-2", false),
            ("unknown", false),
        ] {
            assert_eq!(loses_rows(version), loses, "{version}");
        }
    }

    #[test]
    fn what_replicas_repeat_goes_online_only_if_the_administrator_insists() {
        let alone = Role { version: "9.7.4".to_owned(), ..Role::default() };
        let replica = ConnectedReplica {
            host: "b".to_owned(),
            program: Some("mysqld".to_owned()),
            version: Some("9.7.4".to_owned()),
            has_all: None,
        };
        let source = Role { replicas: vec![replica], ..alone.clone() };
        let replicate = Replication::default();
        assert_eq!(why_copy(&alone, &replicate, Direction::Encrypt, &[]), None);
        assert_eq!(why_copy(&source, &replicate, Direction::Encrypt, &[]), Some(CopyReason::Replicated));
        assert_eq!(why_copy(&alone, &replicate, Direction::Undo, &[]), Some(CopyReason::Decrypted));
        let undone = why_copy(&source, &replicate, Direction::Undo, &[]).unwrap();
        assert!(undone == CopyReason::Decrypted && !undone.may_insist());
        let lacks = ["CREATE TABLESPACE"];
        assert_eq!(why_copy(&source, &replicate, Direction::Encrypt, &lacks), Some(CopyReason::Privileges));
        let losing = Role { version: "8.0.40".to_owned(), ..source };
        let why = why_copy(&losing, &replicate, Direction::Encrypt, &[]).unwrap();
        assert!(why == CopyReason::LosesRows && !why.may_insist());
    }
}
