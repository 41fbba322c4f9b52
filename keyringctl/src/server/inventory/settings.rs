// SPDX-License-Identifier: GPL-2.0-or-later
//! The global variables that decide what is encrypted and where else data is stored.

use crate::error::{Error, Result};
use crate::server::Session;
use serde::Serialize;
use std::collections::BTreeMap;

const NAMES: [&str; 29] = [
    "binlog_encryption",
    "datadir",
    "default_table_encryption",
    "general_log",
    "general_log_file",
    "group_replication_group_name",
    "innodb_buffer_pool_size",
    "innodb_change_buffering",
    "innodb_data_file_path",
    "innodb_doublewrite",
    "innodb_doublewrite_dir",
    "innodb_file_per_table",
    "innodb_online_alter_log_max_size",
    "innodb_redo_log_capacity",
    "innodb_redo_log_encrypt",
    "innodb_undo_log_encrypt",
    "log_bin",
    "log_error",
    "log_output",
    "lower_case_table_names",
    "persisted_globals_load",
    "read_only",
    "require_secure_transport",
    "slow_query_log",
    "slow_query_log_file",
    "super_read_only",
    "table_encryption_privilege_check",
    "tmpdir",
    "innodb_tmpdir",
];

/// Global variables by name, without those that the server does not have.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Settings {
    #[serde(flatten)]
    values: BTreeMap<String, String>,
    /// Where their values come from, as the server reports it: `PERSISTED`, `GLOBAL`, `COMMAND_LINE`, ...
    #[serde(skip)]
    sources: BTreeMap<String, String>,
    /// Why the server did not say where they come from.
    #[serde(skip)]
    no_sources: Option<String>,
    /// The values that SET PERSIST stored for the next start. `None`: the server does not tell.
    #[serde(skip)]
    persisted: Option<BTreeMap<String, String>>,
}

impl Settings {
    pub(super) fn query(session: &mut Session) -> Result<Settings> {
        let names = NAMES.map(|name| format!("'{name}'")).join(", ");
        let query = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})");
        let rows = session.rows::<(String, Option<String>)>(&query)?;
        let values = rows.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect();
        let query = format!(
            "SELECT VARIABLE_NAME, VARIABLE_SOURCE FROM performance_schema.variables_info WHERE VARIABLE_NAME IN ({names})"
        );
        let (sources, no_sources) = match session.rows(&query) {
            Ok(rows) => (rows.into_iter().collect(), None),
            Err(Error::Server(e)) if e.code != 0 => (BTreeMap::new(), Some(e.why)),
            Err(e) => return Err(e),
        };
        let query = format!(
            "SELECT VARIABLE_NAME, VARIABLE_VALUE FROM performance_schema.persisted_variables WHERE VARIABLE_NAME IN ({names})"
        );
        let persisted = session.rows(&query).ok().map(|rows| rows.into_iter().collect());
        Ok(Settings { values, sources, no_sources, persisted })
    }

    /// Whether the server is set up as a member of a replication group, whose members must all have the same value of
    /// `default_table_encryption`.
    pub fn is_in_group(&self) -> bool {
        self.get("group_replication_group_name").is_some_and(|name| !name.is_empty())
    }

    /// Whether a variable was set while the server was running, or is applied too late at each start.
    pub fn is_late(&self, name: &str) -> bool {
        self.sources.get(name).is_some_and(|source| matches!(source.as_str(), "PERSISTED" | "DYNAMIC"))
    }

    /// Why it is not known whether variables are set too late.
    pub fn no_sources(&self) -> Option<&str> {
        self.no_sources.as_deref()
    }

    /// Whether an option file or the command line sets a variable. A persisted value replaces it only when a start is
    /// almost complete.
    pub fn is_option(&self, name: &str) -> bool {
        let source = self.sources.get(name).map(String::as_str);
        source.is_some_and(|source| !matches!(source, "COMPILED" | "PERSISTED" | "DYNAMIC"))
    }

    /// Whether a variable has the same value after the next start, as far as the server tells: SET GLOBAL alone lasts until
    /// then, and a value that SET PERSIST stored takes precedence over option files and the command line.
    pub fn lasts(&self, name: &str) -> bool {
        let Some(persisted) = &self.persisted else { return true };
        match (persisted.get(name), self.get(name)) {
            (Some(stored), Some(value)) => stored.eq_ignore_ascii_case(value),
            _ => self.sources.get(name).is_none_or(|source| source != "DYNAMIC"),
        }
    }

    /// Which of these variables SET PERSIST has stored for the next start. `None`: the server does not tell.
    pub fn persisted_among<'n>(&self, names: &[&'n str]) -> Option<Vec<&'n str>> {
        let persisted = self.persisted.as_ref()?;
        Some(names.iter().copied().filter(|name| persisted.contains_key(*name)).collect())
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether a variable is `ON`.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("ON") || value == "1")
    }

    /// A variable's value as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}
