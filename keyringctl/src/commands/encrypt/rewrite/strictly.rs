// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs statements that rewrite a table, as strictly as the server accepts it.

use super::copying::Copying;
use super::definition::Definition;
use super::ended::Rewritten;
use super::generated;
use super::refusal::{self, Cause};
use crate::commands::encrypt::job::{Job, Step};
use crate::error::{Error, Result};
use crate::server::{OutsideDirectories, Table};
use std::ops::Range;

/// Statements, and what they are about.
pub(crate) struct Statements<'a> {
    /// Their name in progress and messages.
    pub what: &'a str,
    pub table: &'a Table,
    pub before: &'a Definition,
    pub statements: &'a [&'a str],
    pub bytes: u64,
    /// Which share of the work on the table they do.
    pub share: Range<f64>,
    /// Codes of errors that the caller deals with.
    pub passed_on: &'a [u16],
}

/// Runs the statements.
///
/// # Errors
/// What the server answers if it is not about the table's definition, and the errors that are passed on.
pub(crate) fn run(job: &mut Job<'_>, run: &Statements<'_>, mut copying: Copying) -> Result<Rewritten> {
    let Statements { what, table, before, statements, bytes, share, passed_on } = run;
    loop {
        copying.set(&mut job.work)?;
        // Without that mode the server drops a DATA DIRECTORY that it does not know.
        if job.work.first::<i64>("SELECT @@SESSION.innodb_strict_mode")? != Some(1) {
            let outside = OutsideDirectories::query(&mut job.watch)?;
            if before.directories().iter().any(|directory| !outside.is_known(directory)) {
                return Ok(Rewritten::Failed(refusal::directory(&outside, before.directories())));
            }
        }
        let refused = match job.carry_out_share(what, statements, *bytes, share.clone()) {
            Ok(Step::Done) => return Ok(Rewritten::Done),
            Ok(Step::Stopped) => return Ok(Rewritten::Stopped),
            Err(Error::Server(refused)) if refused.code != 0 && !passed_on.contains(&refused.code) => refused,
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
