// SPDX-License-Identifier: GPL-2.0-or-later
//! Rewrites one table by COPY: the server copies it into encrypted or unencrypted tablespaces, while its writers wait.

use super::copying::Copying;
use super::definition::Definition;
use super::ended::{Rewritten, look_again};
use super::generated::{self, Found};
use super::own_session::Read;
use super::strictly::{self, Statements};
use super::{own_session, refusal, row_format};
use crate::commands::encrypt::direction::Direction;
use crate::commands::encrypt::job::Job;
use crate::commands::encrypt::pace::WHOLE;
use crate::error::Result;
use crate::server::{DatadirAccess, OutsideDirectories, Table, TableLocation};

/// Copies `table`. Its writers wait.
///
/// # Errors
/// What the server answers if it is not about the table's definition: a lock that cannot be had, a table that is gone.
pub(super) fn copy(
    job: &mut Job<'_>,
    table: &Table,
    here: &DatadirAccess,
    direction: Direction,
) -> Result<Rewritten> {
    let mut before = Definition::query(&mut job.watch, table)?;
    let strict = Copying::strict(&mut job.work)?;
    let is_locked = own_session::is_needed(&before.text);
    if is_locked {
        strict.set(&mut job.work)?;
        before = match own_session::query(job, table)? {
            Read::Definition(before) => before,
            Read::Stopped => return Ok(Rewritten::Stopped),
            Read::Refused(refused) => return Ok(Rewritten::Failed(refusal::not_locked(&refused))),
        };
        let mode = job.watch.variable("sql_mode")?.unwrap_or_default();
        if own_session::has_index_of_backslashes(&before.text)
            && mode.split(',').any(|mode| mode == own_session::NO_BACKSLASH_ESCAPES)
        {
            return Ok(Rewritten::Failed(refusal::backslashes(&mode)));
        }
    }
    let copying = match generated::settings(job, table, &before.text, &strict)? {
        Found::Settings(copying) => copying,
        Found::Nothing(columns) => {
            return Ok(Rewritten::Failed(refusal::generated(table, &columns, direction, job.before_by_hand)));
        }
        Found::Stopped => return Ok(Rewritten::Stopped),
    };
    let extra = match Extra::new(job, table, &before)? {
        Ok(extra) => extra,
        Err(why) => return Ok(Rewritten::Failed(why)),
    };
    let statement =
        format!("ALTER TABLE {} {}ENCRYPTION = '{}'", table.quoted(), extra.clauses, direction.letter());
    let mut statements = if is_locked { own_session::locking(table).to_vec() } else { Vec::new() };
    statements.push(statement);
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    let run = Statements {
        what: &table.full_name(),
        table,
        before: &before,
        statements: &statements,
        bytes: table.bytes,
        share: WHOLE,
        passed_on: &[],
    };
    let mut ended = strictly::run(job, &run, copying);
    let mut after = None;
    if let (Ok(Rewritten::Done), true) = (&ended, is_locked) {
        match own_session::query_locked(job, table) {
            Ok(definition) => after = Some(definition),
            Err(e) => ended = Err(e),
        }
    }
    if is_locked {
        own_session::unlock(&mut job.work, &ended);
    }
    match ended? {
        Rewritten::Done => {}
        ended => return Ok(ended),
    }
    let after = match after {
        Some(after) => after,
        None => Definition::query(&mut job.watch, table)?,
    };
    let changes = (&before, &after, &extra.announced[..], &[][..]);
    look_again(table, changes, here, direction, job.before_by_hand)
}

/// Clauses that keep the table as it is.
struct Extra {
    clauses: String,
    /// The beginnings of clauses that the definition has from now on.
    announced: Vec<&'static str>,
}

impl Extra {
    /// `Err`: why nothing keeps it so.
    fn new(
        job: &mut Job<'_>,
        table: &Table,
        before: &Definition,
    ) -> Result<std::result::Result<Extra, String>> {
        let mut extra = Extra { clauses: String::new(), announced: Vec::new() };
        let is_own_by_default =
            job.watch.variable("innodb_file_per_table")?.is_none_or(|v| !v.eq_ignore_ascii_case("OFF"));
        let named = before.has(" TABLESPACE ");
        if !is_own_by_default && before.has(" DATA DIRECTORY = ") {
            return Ok(Err(refusal::foreseen(&OutsideDirectories::without_files())));
        }
        // A table in ibdata1 can be encrypted only after it is moved out, and a copy goes there if files of their own are
        // not the default.
        if table.place == TableLocation::System || (!is_own_by_default && !named) {
            extra.clauses.push_str("TABLESPACE = innodb_file_per_table, ");
            extra.announced.push("TABLESPACE");
        }
        extra.clauses.push_str(&row_format::kept(job, table, before)?);
        Ok(Ok(extra))
    }
}
