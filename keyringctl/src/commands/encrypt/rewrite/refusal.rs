// SPDX-License-Identifier: GPL-2.0-or-later
//! Why the server refuses to rewrite a table, and what to do.

use crate::commands::encrypt::direction::Direction;
use crate::commands::output::counted;
use crate::error::ServerError;
use crate::server::{LOCK_WAIT_TIMEOUT, Obstacle, OutsideDirectories, Table, pasteable};
use std::path::PathBuf;

/// What a refusal is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// An option or a row format that strict mode refuses: the row may become too long, for example.
    Options,
    /// A value that does not fit, in strict mode.
    Values,
    /// A subtraction of unsigned numbers is negative.
    Subtraction,
    /// A DATA DIRECTORY that the server does not know.
    Directory,
    /// Another reason in the table's definition or rows.
    Table,
    /// Nothing about the table itself: a lock, a cancelled statement, a table that is gone.
    Other,
}

/// Returns what a refusal is about.
pub(super) fn of(refused: &ServerError) -> Cause {
    match refused.code {
        1005 | 1031 | 1118 | 1478 => Cause::Options,
        1264 | 1265 | 1292 | 1365 | 1366 | 1406 | 1411 | 1441 | 1525 | 3140 | 3141 | 3156 => Cause::Values,
        1690 => Cause::Subtraction,
        3121 => Cause::Directory,
        LOCK_WAIT_TIMEOUT | 1213 | 1049 | 1146 | 1317 => Cause::Other,
        _ => Cause::Table,
    }
}

/// Returns the reason why replicas must not get a statement: they may refuse the table's options, and stop.
pub(super) fn on_replicas(refused: &ServerError) -> String {
    format!(
        "{}. The server accepts this definition only without innodb_strict_mode, and a replica that has it would stop. Run apply with --skip-binary-log for this table, here and on each replica",
        refused.why
    )
}

/// Returns the server's reason, and what to do about it if that is known.
pub(crate) fn explained(refused: &ServerError) -> String {
    let way = match refused.code {
        1062 => {
            "A unique index would have two equal entries: change one of the rows or drop the index, then run this again"
        }
        1071 | 1118 | 1709 => {
            "The server accepts this definition no longer: shorten the columns or indexes that it names, then run this again"
        }
        1067 | 1101 => {
            "Change the default of that column with ALTER TABLE ... ALTER COLUMN ... SET DEFAULT, then run this again"
        }
        1114 | 1021 | 1030 | 1026 | 3 => {
            "Free some space on the filesystem of the table's files, then run this again"
        }
        1526 | 1748 | 1863 => {
            "A row lies in a partition that is not its own, and no other takes it: add one (ALTER TABLE ... ADD PARTITION), then run this again"
        }
        1799 => {
            "Its writers changed more than the server keeps while it rebuilds the table: raise innodb_online_alter_log_max_size (SET GLOBAL), or run this when less is written"
        }
        1812 => {
            "A file of the table is missing: restore it from a backup or drop the table. Until then, leave it out with --skip"
        }
        1814 => {
            "A tablespace of it was discarded: import it (ALTER TABLE ... IMPORT TABLESPACE, or IMPORT PARTITION ... TABLESPACE) or drop that partition, then run this again"
        }
        1305 | 1128 | 1210 if refused.why.contains("parser") => {
            "Install the plugin of its full-text parser, then run this again"
        }
        3185 => "The keyring does not answer: see keyringctl status and docs/OPERATIONS.md, 'States'",
        3819 => {
            "A row violates that constraint: change the row, or run ALTER TABLE ... ALTER CHECK ... NOT ENFORCED, then run this again"
        }
        3825 | 3826 => "Give this account TABLE_ENCRYPTION_ADMIN, and check that innodb_file_per_table is ON",
        _ => return refused.why.clone(),
    };
    format!("{}. {way}", refused.why)
}

/// Returns what to do about a table whose files are in `directories`, some of which the server does not know.
pub(super) fn directory(outside: &OutsideDirectories, mut directories: Vec<PathBuf>) -> String {
    directories.retain(|directory| !outside.is_known(directory));
    foreseen(&outside.refusal(&directories))
}

/// Explains what the plan foresees too.
pub(super) fn foreseen(obstacle: &Obstacle) -> String {
    format!("{}. Nothing was changed. {}", obstacle.why, obstacle.remedy)
}

/// Returns what to do about stored generated columns whose values a copy would change. `first`: what comes before statements.
pub(super) fn generated(table: &Table, columns: &[String], direction: Direction, first: &str) -> String {
    format!(
        "the server would change values of {} {}: it computes them again when it copies the table, and in every session setting that was tried, their expressions return something else than what is stored for some rows. Nothing was changed. Run {first}{} in a session with the time_zone, sql_mode and lc_time_names in which the rows were written (or, if the new values are right, in the server's defaults), but never with NO_BACKSLASH_ESCAPES, and all of it: without the lock and the flush, the server may use the settings of another session that has the table open",
        if columns.len() == 1 { "the stored generated column" } else { "the stored generated columns" },
        columns.join(", "),
        by_hand(table, direction)
    )
}

/// The statements that copy a table with its expressions as the session reads them.
fn by_hand(table: &Table, direction: Direction) -> String {
    let alter = format!("ALTER TABLE {} ENCRYPTION = '{}'", table.quoted(), direction.letter());
    let all: Vec<String> = super::own_session::locking(table)
        .iter()
        .chain([&alter, &"UNLOCK TABLES".to_owned()])
        .map(|statement| pasteable(statement).trim_end_matches(';').to_owned())
        .collect();
    all.join("; ") + ";"
}

/// Returns what to do about a table that the session cannot lock.
pub(super) fn not_locked(refused: &ServerError) -> String {
    const DENIED: [u16; 4] = [1044, 1142, 1227, 1370];
    let way = if DENIED.contains(&refused.code) {
        "Give this account SELECT and LOCK TABLES on it, and on the tables of its triggers and foreign keys, and RELOAD"
    } else {
        "If that is about its triggers or foreign keys, repair or drop them"
    };
    format!(
        "it computes values, or has expressions with backslashes, and can be copied safely only by a session that has locked it and read its definition anew, which the server refuses: {}. Nothing was changed. {way}, then run this again",
        refused.why
    )
}

/// Returns what to do about a table with backslashes in the expressions of its indexes, if `mode` is the server's.
pub(super) fn backslashes(mode: &str) -> String {
    let others: Vec<&str> =
        mode.split(',').filter(|mode| *mode != super::own_session::NO_BACKSLASH_ESCAPES).collect();
    format!(
        "the server's sql_mode has NO_BACKSLASH_ESCAPES, in which it reads the backslashes of this table's virtual columns or indexes otherwise than it stored them, and a copy would store the new reading or fill the indexes with other values. Nothing was changed. Run SET GLOBAL sql_mode = '{}' in the server, let the applications connect again, then run this again",
        others.join(",")
    )
}

/// Returns what to say if the statement succeeded, but these tablespaces of the table are not as they should be.
pub(super) fn not_reached(spaces: &[&str], direction: Direction) -> String {
    let what = match spaces {
        [] => "it has no tablespace of its own".to_owned(),
        spaces => {
            let state = if direction == Direction::Encrypt { "unencrypted" } else { "encrypted" };
            format!("the server reports {} as {state}", spaces.join(", "))
        }
    };
    format!(
        "the statement succeeded, but {what}. Somebody else may have changed the table meanwhile: run this again"
    )
}

/// Returns what to do about a table that is another one after the rewrite. What was lost is named as it was, so that it can be
/// compared; a statement is named only if it surely puts it back. `first`: what comes before statements.
pub(super) fn changed(table: &Table, changes: &[String], first: &str) -> String {
    const OPTIONS: [&str; 3] = ["ROW_FORMAT=", "KEY_BLOCK_SIZE=", "COMPRESSION="];
    let lost: Vec<&str> = changes.iter().filter_map(|change| change.strip_prefix("lost ")).collect();
    let back: Vec<String> = lost
        .iter()
        .filter(|clause| OPTIONS.iter().any(|option| clause.starts_with(option)))
        .map(|clause| format!("{first}{}", pasteable(&format!("ALTER TABLE {} {clause}", table.quoted()))))
        .collect();
    let back = match back.len() {
        0 => ". Compare it with what was there before".to_owned(),
        n if n == changes.len() => format!(". To put it back: {}", back.join("; ")),
        _ => format!(". To put a part of it back: {}; compare the rest", back.join("; ")),
    };
    format!(
        "the server rewrote it, but made {} in its definition: {}{back}",
        counted(changes.len(), "other change"),
        changes.join("; ")
    )
}
