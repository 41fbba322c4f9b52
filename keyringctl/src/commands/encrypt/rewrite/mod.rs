// SPDX-License-Identifier: GPL-2.0-or-later
//! Rewrites one table: the server copies it into encrypted or unencrypted tablespaces. Nothing else may change. Afterwards the
//! table is looked at again, because a statement that succeeded may have done something else than what was asked for.

mod clauses;
mod copying;
mod definition;
mod generated;
mod own_session;
mod refusal;

use super::direction::Direction;
use super::file_state;
use super::job::{Job, Step};
use crate::error::{Error, Result};
use crate::server::{DatadirAccess, OutsideDirectories, Table, TableLocation, quoted_text};
use copying::Copying;
use definition::Definition;
use generated::Found;
use refusal::Cause;

/// How a rewrite ended.
pub(super) enum Rewritten {
    Done,
    Stopped,
    /// It was refused or did not succeed: why, and what to do.
    Failed(String),
}

/// Rewrites `table`.
///
/// # Errors
/// What the server answers if it is not about the table's definition: a lock that cannot be had, a table that is gone.
pub(super) fn rewrite(
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
            Ok(before) => before,
            Err(refused) => return Ok(Rewritten::Failed(refusal::not_locked(&refused))),
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
    let histograms = histograms(job, table)?;
    let mut ended = copy(job, table, &before, copying, &statements);
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
    if direction == Direction::Encrypt && !histograms.is_empty() {
        job.print_line(format_args!(
            "NOTE    {}: the server dropped the histograms of {}: MySQL keeps none of encrypted tables, because they hold values",
            table.full_name(),
            histograms.join(", ")
        ));
    }
    look_again(table, (&before, &after), &extra, here, direction, job.before_by_hand)
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
        // A row format that the definition does not name would become the server's present default.
        if let Some(format) = before.row_format()
            && !has_row_format(job, table)?
            && job
                .watch
                .variable("innodb_default_row_format")?
                .is_some_and(|d| !d.eq_ignore_ascii_case(&format))
        {
            extra.clauses.push_str(&format!("ROW_FORMAT = {format}, "));
        }
        Ok(Ok(extra))
    }
}

/// The columns that the optimizer has histograms of.
fn histograms(job: &mut Job<'_>, table: &Table) -> Result<Vec<String>> {
    job.watch.rows(&format!(
        "SELECT COLUMN_NAME FROM information_schema.COLUMN_STATISTICS WHERE SCHEMA_NAME = {} AND TABLE_NAME = {} ORDER BY 1",
        quoted_text(&table.schema),
        quoted_text(&table.name)
    ))
}

/// Whether a table was created with a row format, or a block size that implies one.
fn has_row_format(job: &mut Job<'_>, table: &Table) -> Result<bool> {
    let options: Option<Option<String>> = job.watch.first(&format!(
        "SELECT CREATE_OPTIONS FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        quoted_text(&table.schema),
        quoted_text(&table.name)
    ))?;
    let options = options.flatten().unwrap_or_default().to_lowercase();
    Ok(options.contains("row_format=") || options.contains("key_block_size="))
}

/// Runs the statements, as strictly as the server accepts it.
fn copy(
    job: &mut Job<'_>,
    table: &Table,
    before: &Definition,
    mut copying: Copying,
    statements: &[String],
) -> Result<Rewritten> {
    let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
    loop {
        copying.set(&mut job.work)?;
        // Without that mode the server drops a DATA DIRECTORY that it does not know.
        if job.work.first::<i64>("SELECT @@SESSION.innodb_strict_mode")? != Some(1) {
            let outside = OutsideDirectories::query(&mut job.watch)?;
            if before.directories().iter().any(|directory| !outside.is_known(directory)) {
                return Ok(Rewritten::Failed(refusal::directory(&outside, before.directories())));
            }
        }
        let refused = match job.carry_out_together(&table.full_name(), &statements, table.bytes) {
            Ok(Step::Done) => return Ok(Rewritten::Done),
            Ok(Step::Stopped) => return Ok(Rewritten::Stopped),
            Err(Error::Server(refused)) if refused.code != 0 => refused,
            Err(e) => return Err(e),
        };
        let relaxed = match refusal::of(&refused) {
            // The mode of this session is not in the binary log.
            Cause::Options if job.is_repeated => {
                return Ok(Rewritten::Failed(refusal::on_replicas(&refused)));
            }
            Cause::Options => copying.with_any_option(),
            Cause::Values if generated::computes(&before.text) => {
                copying.with_any_value(!generated::has_dates(&before.text))
            }
            Cause::Subtraction => {
                // The server keeps expressions of open tables as the session had them that opened the table.
                let flush = format!("FLUSH NO_WRITE_TO_BINLOG TABLES {}", table.quoted());
                let _ = job.work.run(&flush);
                copying.with_signed_subtraction()
            }
            Cause::Directory => {
                let outside = OutsideDirectories::query(&mut job.watch)?;
                return Ok(Rewritten::Failed(refusal::directory(&outside, before.directories())));
            }
            Cause::Other => return Err(Error::Server(refused)),
            _ => None,
        };
        match relaxed {
            Some(relaxed) => copying = relaxed,
            None => return Ok(Rewritten::Failed(refusal::explained(&refused))),
        }
    }
}

/// Compares the table, its partitions and files with what was asked for, and with what was there before. `first`:
/// what comes before statements that the administrator runs by hand.
fn look_again(
    table: &Table,
    (before, after): (&Definition, &Definition),
    extra: &Extra,
    here: &DatadirAccess,
    direction: Direction,
    first: &str,
) -> Result<Rewritten> {
    let changes = before.changes(after, &extra.announced);
    if !changes.is_empty() {
        return Ok(Rewritten::Failed(refusal::changed(table, &changes, first)));
    }
    let others: Vec<&str> = after
        .files
        .iter()
        .filter(|file| !direction.is_reached(file.encrypted))
        .map(|file| file.space.as_str())
        .collect();
    if after.files.is_empty() || !others.is_empty() {
        return Ok(Rewritten::Failed(refusal::not_reached(&others, direction)));
    }
    if direction == Direction::Encrypt {
        for file in &after.files {
            if let Some(why) = file_state::why_not_encrypted(here, &file.path) {
                return Ok(Rewritten::Failed(why));
            }
        }
    }
    Ok(Rewritten::Done)
}
