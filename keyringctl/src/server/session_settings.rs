// SPDX-License-Identifier: GPL-2.0-or-later
//! The variables of a session on which results, limits, locks and statements depend. A server hands its own defaults for
//! them to every connection, and `init_connect` may change them, so each connection sets them when it is made.
//!
//! Some are left as the server has them, because an ALTER TABLE that copies a table computes generated columns and indexes
//! anew with them: `time_zone`, `default_week_format`, `div_precision_increment`, `lc_time_names`,
//! `block_encryption_mode`, `default_collation_for_utf8mb4`, `innodb_ft_enable_stopword`,
//! `innodb_ft_user_stopword_table`. The server's values are those that its applications wrote with.

use mysql::Conn;
use mysql::prelude::Queryable;
use std::collections::HashMap;
use std::fmt;

/// Set before the values are read: with hostile ones, reading fails or is cut off. Every server has these, and every
/// account may set them. A new value of `max_join_size` changes `sql_big_selects`.
const FIRST: [&str; 2] = [
    "SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci",
    "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', sql_select_limit = 18446744073709551615, \
     max_join_size = 18446744073709551615, sql_big_selects = 1, max_execution_time = 0",
];

/// What a variable must be.
#[derive(Clone, Copy)]
enum Wanted {
    Exactly(&'static str),
    AtLeast(u64),
}

use Wanted::{AtLeast, Exactly};

/// A variable, what it must be, and what is wrong otherwise.
type Setting = (&'static str, Wanted, &'static str);

/// For every connection.
const COMMON: &[Setting] = &[
    // Transactions.
    ("autocommit", Exactly("ON"), "some statements are refused within a transaction"),
    ("completion_type", Exactly("NO_CHAIN"), "COMMIT would begin a transaction or disconnect"),
    ("transaction_read_only", Exactly("OFF"), "changes are refused"),
    ("transaction_isolation", Exactly("REPEATABLE-READ"), "reads would lock, or see what is not committed"),
    // Results of queries.
    ("sql_auto_is_null", Exactly("OFF"), "IS NULL would find the row inserted last"),
    ("character_set_filesystem", Exactly("binary"), "paths are read as text of that character set"),
    ("sql_safe_updates", Exactly("OFF"), "UPDATE without a key is refused"),
    ("use_secondary_engine", Exactly("OFF"), "queries on InnoDB's own tables are refused"),
    ("max_sort_length", AtLeast(1024), "names would be sorted by their first bytes"),
    ("sort_buffer_size", AtLeast(262_144), "sorting is refused"),
    ("group_concat_max_len", AtLeast(1 << 20), "lists would be cut off"),
    ("sql_notes", Exactly("ON"), "notes would be lost"),
    ("information_schema_stats_expiry", Exactly("86400"), "sizes would differ between sessions"),
    ("lc_messages", Exactly("en_US"), "messages of the server are quoted among English ones"),
    ("terminology_use_previous", Exactly("NONE"), "names in SHOW and performance_schema would differ"),
    ("resultset_metadata", Exactly("FULL"), "columns would have no names"),
    // SHOW CREATE TABLE, which tells where a table is, and is compared before and after a copy.
    ("sql_quote_show_create", Exactly("ON"), "names would have no quotes"),
    ("show_create_table_verbosity", Exactly("OFF"), "defaults would be shown as if they were given"),
    ("show_create_table_skip_secondary_engine", Exactly("OFF"), "a clause would be hidden"),
    (
        "show_gipk_in_create_table_and_information_schema",
        Exactly("ON"),
        "a column and an index would be hidden",
    ),
    ("show_old_temporals", Exactly("OFF"), "comments would be added"),
    // Statements.
    ("old_alter_table", Exactly("OFF"), "ALTER TABLE would copy what needs no copy"),
    ("default_storage_engine", Exactly("InnoDB"), "new tables would be of an engine that cannot encrypt"),
    ("collation_server", Exactly("utf8mb4_0900_ai_ci"), "new schemas store texts in another character set"),
    ("unique_checks", Exactly("ON"), "duplicate keys could be stored"),
    ("foreign_key_checks", Exactly("ON"), "parents could be dropped"),
    // Locks and waiting.
    ("lock_wait_timeout", Exactly("60"), "a year by default; with 1, a short lock of others is an error"),
    ("innodb_lock_wait_timeout", Exactly("50"), "a short lock of others would be an error"),
    (
        "wait_timeout",
        AtLeast(86_400),
        "a pause, or the other connection's long statement, ends the connection",
    ),
    ("net_read_timeout", AtLeast(600), "a client that is held up would lose the connection"),
    ("net_write_timeout", AtLeast(600), "a client that is held up would lose the connection"),
];

/// For the connection that copies tables, on top of what each table needs. A copy must accept definitions that the server would
/// refuse today, such as tables without a primary key, and add nothing to them. Foreign keys are not checked: the check would lock the parent's rows until the copy ends, and a statement that changes such a row while the
/// copy waits for that statement's table would fail with a lock wait timeout.
const COPYING: &[Setting] = &[
    (
        "foreign_key_checks",
        Exactly("OFF"),
        "statements that change rows of parents may fail with lock wait timeouts until the copy ends",
    ),
    ("sql_require_primary_key", Exactly("OFF"), "tables without a primary key are refused"),
    (
        "restrict_fk_on_non_standard_key",
        Exactly("OFF"),
        "parents of foreign keys on a key that is not unique are refused",
    ),
    ("sql_generate_invisible_primary_key", Exactly("OFF"), "tables could get another column"),
    ("explicit_defaults_for_timestamp", Exactly("ON"), "TIMESTAMP columns could get other defaults"),
];

/// A variable that this account may not set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotSet {
    name: &'static str,
    value: String,
    otherwise: &'static str,
    why: String,
}

impl fmt::Display for NotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotSet { name, value, otherwise, why } = self;
        write!(
            f,
            "the server's {name} is {value}, and this account may not change it for its session ({why}): {otherwise}"
        )
    }
}

/// Makes a new connection independent of the server's defaults, with all privileges of the account's roles. Returns what
/// it could not set.
pub(super) fn common(conn: &mut Conn) -> mysql::Result<Vec<NotSet>> {
    for statement in FIRST {
        conn.query_drop(statement)?;
    }
    // Fails where an account may not have roles.
    match conn.query_drop("SET ROLE ALL") {
        Ok(()) | Err(mysql::Error::MySqlError(_)) => {}
        Err(e) => return Err(e),
    }
    let not_set = set(conn, COMMON)?;
    // What init_connect has begun.
    conn.query_drop("COMMIT")?;
    Ok(not_set)
}

/// Prepares a connection for copying tables. Returns what it could not set.
pub(super) fn copying(conn: &mut Conn) -> mysql::Result<Vec<NotSet>> {
    set(conn, COPYING)
}

/// Sets what differs. A variable that the server does not have is left out.
fn set(conn: &mut Conn, settings: &[Setting]) -> mysql::Result<Vec<NotSet>> {
    let names = settings.iter().map(|(name, ..)| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let query = format!("SHOW SESSION VARIABLES WHERE Variable_name IN ({names})");
    let present: HashMap<String, String> = conn.query::<(String, String), _>(query)?.into_iter().collect();
    let differing: Vec<_> = settings
        .iter()
        .filter_map(|setting| Some((setting, present.get(setting.0)?)))
        .filter(|((_, wanted, _), value)| !wanted.is_met_by(value))
        .collect();
    let assignment = |(name, wanted, _): &Setting| format!("{name} = {}", wanted.literal());
    let all = differing.iter().map(|(setting, _)| assignment(setting)).collect::<Vec<_>>().join(", ");
    if all.is_empty() || conn.query_drop(format!("SET SESSION {all}")).is_ok() {
        return Ok(Vec::new());
    }
    let mut not_set = Vec::new();
    for (setting, value) in differing {
        match conn.query_drop(format!("SET SESSION {}", assignment(setting))) {
            Ok(()) => {}
            Err(mysql::Error::MySqlError(e)) => {
                let &(name, _, otherwise) = setting;
                not_set.push(NotSet { name, value: value.clone(), otherwise, why: e.message });
            }
            Err(e) => return Err(e),
        }
    }
    Ok(not_set)
}

impl Wanted {
    fn is_met_by(self, value: &str) -> bool {
        match self {
            Exactly(wanted) => value.eq_ignore_ascii_case(wanted),
            AtLeast(least) => value.parse().is_ok_and(|value: u64| value >= least),
        }
    }

    fn literal(self) -> String {
        match self {
            Exactly(wanted) if wanted.bytes().all(|b| b.is_ascii_digit()) => wanted.to_owned(),
            Exactly(wanted) => format!("'{wanted}'"),
            AtLeast(least) => least.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_changed_only_if_it_is_not_as_wanted() {
        assert!(Exactly("OFF").is_met_by("off"));
        assert!(!Exactly("OFF").is_met_by("ON"));
        assert!(AtLeast(1024).is_met_by("18446744073709551615"));
        assert!(!AtLeast(1024).is_met_by("4"));
        assert_eq!(Exactly("60").literal(), "60");
        assert_eq!(Exactly("REPEATABLE-READ").literal(), "'REPEATABLE-READ'");
    }
}
