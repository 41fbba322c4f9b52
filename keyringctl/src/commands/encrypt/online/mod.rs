// SPDX-License-Identifier: GPL-2.0-or-later
//! Rewriting a table while it is written to: it moves into a scratch tablespace, which is encrypted or decrypted in place,
//! and out again.

mod choice;
pub(super) mod fulltext;
mod log;
mod passage;
mod probe;
mod resumed;
mod safety;
mod server_wide;
mod state;
mod statements;
mod steps;
mod texts;
pub(super) mod way;

pub(super) use choice::{Choice, Online};
pub(super) use server_wide::ServerWide;

use super::direction::Direction;
use super::job::{Job, Step};
use super::locks;
use super::rewrite::clauses;
use super::rewrite::definition::Definition;
use super::rewrite::ended::Rewritten;
use crate::error::Result;
use crate::server::{DatadirAccess, Role, ScratchName, ScratchTablespace, Table, is_gone};
use choice::THRESHOLD;
pub(super) use log::in_binary_log;
use log::is_logged;
use passage::Passage;
pub(super) use resumed::what_to_do;
use std::sync::Arc;
use steps::Ended;
use way::CopyReason;

/// How an attempt to rewrite a table online ended.
pub(super) enum Attempt {
    Ended(Rewritten),
    /// The table is to be copied: it is as it was.
    Copy,
}

/// Rewrites a table online, if that was asked for and the server allows it.
///
/// # Errors
/// What the server answers if it is not about the table's definition: a lock that cannot be had, a table that is gone.
pub(super) fn attempt(
    job: &mut Job<'_>,
    table: &Table,
    here: &DatadirAccess,
    direction: Direction,
) -> Result<Attempt> {
    let definition = match Definition::query(&mut job.watch, table) {
        Err(e) if is_gone(&e) => {
            // This run may have moved it in, and somebody renamed it while the connection was lost.
            let encrypts = direction == Direction::Encrypt;
            let name = ScratchName::new(encrypts, is_logged(job)?, (&table.schema, &table.name), 0);
            let Some(name) = ScratchTablespace::begun_as(&mut job.watch, &name)? else { return Err(e) };
            return lead_out(job, &Passage { name: &name, table, here, direction, starts: false })
                .map(Attempt::Ended);
        }
        definition => definition?,
    };
    let begun = definition.tablespace().and_then(|space| ScratchName::parse(&space));
    let choice = Arc::clone(&job.online);
    let (restarts, is_begun) = (job.restarts(), begun.is_some());
    let name = match begun {
        // A run that was interrupted, or this one when it lost the connection, has moved it in.
        Some(name) => {
            if let Some(why) = choice.temporary.too_little(table, here) {
                return Ok(Attempt::Ended(Rewritten::Failed(format!(
                    "{why}. It stays in the scratch tablespace {name}, and can be used"
                ))));
            }
            name
        }
        None if choice.online == Online::Never => return Ok(Attempt::Copy),
        None if choice.online == Online::Auto && table.bytes < THRESHOLD => return Ok(Attempt::Copy),
        None => {
            let why_not = why_not(&choice, table, &definition);
            let goes = why_not.as_ref().is_none_or(|why| why.is_only_fulltext && choice.rebuild_fulltext);
            if goes
                && job.checks_space
                && let Some(why) = choice.temporary.too_little(table, here)
            {
                return Ok(Attempt::Ended(Rewritten::Failed(why)));
            }
            let encrypts = direction == Direction::Encrypt;
            let begun = job.work.first::<u32>("SELECT UNIX_TIMESTAMP()")?.unwrap_or_default();
            let name = ScratchName::new(encrypts, is_logged(job)?, (&table.schema, &table.name), begun);
            // This run may have created one before it lost the connection.
            let name = ScratchTablespace::begun_as(&mut job.watch, &name)?.unwrap_or(name);
            match why_not {
                None => {}
                Some(why) if why.is_only_fulltext && choice.rebuild_fulltext => {
                    if let Step::Stopped = fulltext::drop_indexes(job, table, &name)? {
                        return Ok(Attempt::Ended(Rewritten::Stopped));
                    }
                }
                Some(why) => return Ok(not_online(table, choice.online, &why.text)),
            }
            name
        }
    };
    if is_begun && direction == Direction::Undo {
        match job.wait_for_resumption()? {
            Step::Done => {}
            Step::Stopped => return Ok(Attempt::Ended(Rewritten::Stopped)),
        }
        warn_of_resumption(job, &name)?;
        if ScratchTablespace::look(&mut job.watch, &name)?.is_some_and(|scratch| scratch.encrypted) {
            // A crash while the server decrypts a tablespace may cost data, and so it is copied, from a file of its own.
            return Ok(match put_back(job, table, &name, true, here)? {
                Rewritten::Done => Attempt::Copy,
                ended => Attempt::Ended(ended),
            });
        }
    }
    let passage = Passage { name: &name, table, here, direction, starts: true };
    let ended = follow(job, &passage)?;
    if is_begun || job.restarts() != restarts {
        warn_of_resumption(job, &name)?;
    }
    match ended {
        Ended::Rewritten(rewritten) => Ok(Attempt::Ended(rewritten)),
        Ended::NotOnline(why) => {
            if choice.online == Online::Auto {
                job.print_line(format_args!("NOTE    {}: copied, because {why}", table.full_name()));
            }
            Ok(not_online(table, choice.online, &why))
        }
    }
}

/// Says what to do if the server has completed an ALTER TABLESPACE after a crash and written it to its binary log.
///
/// # Errors
/// The connection is lost.
pub(super) fn warn_of_resumption(job: &mut Job<'_>, name: &ScratchName) -> Result<()> {
    let role = Role::query(&mut job.watch)?;
    let Some(warning) = resumed::what_to_do(&mut job.watch, name, &role)? else { return Ok(()) };
    if !job.shared().account.warnings.contains(&warning) {
        job.print_line(format_args!("NOTE    {warning}"));
        job.shared().account.warnings.push(warning);
    }
    Ok(())
}

/// Why a table cannot be rewritten online, as far as that can be seen beforehand.
struct WhyNot {
    text: String,
    /// It could be without its full-text indexes.
    is_only_fulltext: bool,
}

fn why_not(choice: &Choice, table: &Table, definition: &Definition) -> Option<WhyNot> {
    let by_server = choice.ways.why_copy(table, !definition.directories().is_empty());
    if let Some(why) = by_server.filter(|why| *why != CopyReason::FulltextIndex) {
        return Some(WhyNot { text: why.to_string(), is_only_fulltext: false });
    }
    if clauses::has_backslash(&definition.text) {
        return Some(WhyNot { text: CopyReason::Backslashes.to_string(), is_only_fulltext: false });
    }
    by_server.map(|why| WhyNot { text: why.to_string(), is_only_fulltext: true })
}

fn not_online(table: &Table, online: Online, why: &str) -> Attempt {
    match online {
        Online::Always => Attempt::Ended(Rewritten::Failed(format!(
            "it cannot be rewritten online: {why}. Nothing was changed. To copy it while its writers wait, run this with --only {} --online auto",
            table.full_name()
        ))),
        Online::Auto | Online::Never => Attempt::Copy,
    }
}

/// Follows the way of a table to its end, with statements that do not wait long for locks.
fn follow(job: &mut Job<'_>, passage: &Passage<'_>) -> Result<Ended> {
    let seconds = job.lock_wait.online;
    in_binary_log(job, passage.name, |job| locks::bounded(job, seconds, |job| passage.follow(job)))
}

/// Ends what an interrupted run has begun: moves a table out of a scratch tablespace that is encrypted or not, into a file of its
/// own that is the same, and drops the scratch tablespace.
///
/// # Errors
/// As [`attempt`].
pub(super) fn put_back(
    job: &mut Job<'_>,
    table: &Table,
    name: &ScratchName,
    encrypted: bool,
    here: &DatadirAccess,
) -> Result<Rewritten> {
    let direction = if encrypted { Direction::Encrypt } else { Direction::Undo };
    lead_out(job, &Passage { name, table, here, direction, starts: false })
}

/// Follows the way of a table that is inside already.
fn lead_out(job: &mut Job<'_>, passage: &Passage<'_>) -> Result<Rewritten> {
    match follow(job, passage)? {
        Ended::Rewritten(rewritten) => Ok(rewritten),
        Ended::NotOnline(why) => Ok(Rewritten::Failed(why)),
    }
}
