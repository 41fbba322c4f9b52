// SPDX-License-Identifier: GPL-2.0-or-later
//! The statements of a table's way through a scratch tablespace, and what the server may answer.

use super::passage::Passage;
use crate::commands::encrypt::job::{ATTEMPTS, BEFORE_AGAIN, Job, Step};
use crate::commands::encrypt::locks;
use crate::commands::encrypt::rewrite::copying::Copying;
use crate::commands::encrypt::rewrite::definition::Definition;
use crate::commands::encrypt::rewrite::ended::Rewritten;
use crate::commands::encrypt::rewrite::refusal;
use crate::commands::encrypt::rewrite::strictly::{self, Statements};
use crate::error::{Error, ServerError};
use crate::server::{DEADLOCK, LOCK_WAIT_TIMEOUT, ScratchName, ScratchTablespace, quoted_text};
use std::ops::Range;

/// The same for both moves: writers go on, or the server refuses.
const ONLINE: &str = "ALGORITHM = INPLACE, LOCK = NONE";
/// The server does not rebuild this table in place, not with writers, or not into a general tablespace.
/// Also options that it accepts only without innodb_strict_mode, in which it would drop others silently.
const NOT_ONLINE: [u16; 6] = [1005, 1031, 1118, 1478, 1845, 1846];
/// Another attempt may succeed: two transactions waited for each other, or wrote an equal key while the table was rebuilt, one
/// of which was rolled back; or they wrote more than the server keeps meanwhile.
const AGAIN: [u16; 3] = [DEADLOCK, DUPLICATE, LOG_FULL];
const DUPLICATE: u16 = 1062;
/// The table's rows may become longer than strict mode allows. Without it, this loses nothing.
pub(super) const LONG_ROWS: u16 = 1118;
/// The limit is innodb_online_alter_log_max_size.
const LOG_FULL: u16 = 1799;

/// How many times a statement is tried for such a reason. All of its work is lost each time.
fn attempts(code: u16) -> u32 {
    if code == LOG_FULL { 2 } else { ATTEMPTS }
}

/// Why a statement was not carried out.
pub(super) enum Refused {
    /// The table cannot go this way.
    NotOnline(String),
    /// A lock could not be had.
    Locked(Error),
    /// Another reason, with what to do.
    Failed(String),
    /// The connection is lost.
    Lost(Error),
}

impl Refused {
    pub(super) fn why(self) -> String {
        match self {
            Refused::NotOnline(why) | Refused::Failed(why) => why,
            Refused::Locked(Error::Server(e)) => format!("could not lock it: {}", e.why),
            Refused::Locked(e) | Refused::Lost(e) => e.to_string(),
        }
    }
}

impl From<Error> for Refused {
    fn from(e: Error) -> Refused {
        match e {
            Error::Server(ServerError { code: LOCK_WAIT_TIMEOUT, .. }) => Refused::Locked(e),
            Error::Server(refused) if refused.code == DUPLICATE => Refused::Failed(format!(
                "{}. Applications wrote an equal key while the server rebuilt the table: it takes this for an error even if it refused or replaced that row. Run this again when less is written, or with --online never",
                refused.why
            )),
            Error::Server(refused) if NOT_ONLINE.contains(&refused.code) => Refused::NotOnline(refused.why),
            Error::Server(refused) if refused.code != 0 => Refused::Failed(refusal::explained(&refused)),
            e => Refused::Lost(e),
        }
    }
}

/// A table before a move, and what keeps it so.
pub(super) struct Moved<'a> {
    pub before: &'a Definition,
    /// A clause, or nothing.
    pub row_format: &'a str,
}

pub(super) type Ran = std::result::Result<Step, Refused>;

/// Creates the scratch tablespace, unencrypted for a table that is to be encrypted. It keeps the table's AUTOEXTEND_SIZE, which the
/// table loses in it.
pub(super) fn create(job: &mut Job<'_>, passage: &Passage<'_>) -> Ran {
    let Passage { name, table, direction, .. } = passage;
    let space = quoted_text(&format!("{}/{}", table.schema, table.name));
    let rows = job.watch.columns::<String>(
        &format!("SELECT * FROM information_schema.INNODB_TABLESPACES WHERE NAME = {space}"),
        &["ZIP_PAGE_SIZE", "AUTOEXTEND_SIZE"],
    )?;
    let mut columns = rows.into_iter().next().unwrap_or_default().into_iter();
    let mut option = |option: &str| {
        let value = columns.next().flatten().filter(|value| value != "0");
        value.map_or_else(String::new, |value| format!("{option} = {value} "))
    };
    let (block, extent) = (option("FILE_BLOCK_SIZE"), option("AUTOEXTEND_SIZE"));
    job.work.run(&format!(
        "CREATE TABLESPACE {} ADD DATAFILE '{}' {block}{extent}ENCRYPTION = '{}'",
        name.quoted(),
        name.file(),
        direction.opposite().letter()
    ))?;
    Ok(Step::Done)
}

pub(super) fn move_in(job: &mut Job<'_>, passage: &Passage<'_>, moved: &Moved<'_>) -> Ran {
    let Passage { name, table, .. } = passage;
    let statement = format!(
        "ALTER TABLE {} {}TABLESPACE = {}, {ONLINE}",
        table.quoted(),
        moved.row_format,
        name.quoted()
    );
    move_table(job, passage, moved, 1, &statement)
}

pub(super) fn turn(job: &mut Job<'_>, passage: &Passage<'_>) -> Ran {
    let Passage { name, table, direction, .. } = passage;
    let statement = format!("ALTER TABLESPACE {} ENCRYPTION = '{}'", name.quoted(), direction.letter());
    patiently(job, passage, 2, |job| {
        Ok(job.carry_out_share(&step_name(passage, 2), &[&statement], table.bytes, share(2))?)
    })
}

pub(super) fn move_out(job: &mut Job<'_>, passage: &Passage<'_>, moved: &Moved<'_>) -> Ran {
    let Passage { name, table, direction, .. } = passage;
    let scratch = ScratchTablespace::look(&mut job.watch, name)?;
    let extent = match scratch.map_or(0, |scratch| scratch.autoextend_size) {
        0 => String::new(),
        bytes => format!("AUTOEXTEND_SIZE = {bytes}, "),
    };
    let statement = format!(
        "ALTER TABLE {} {}{extent}TABLESPACE = innodb_file_per_table, ENCRYPTION = '{}'",
        table.quoted(),
        moved.row_format,
        direction.letter()
    );
    let (online, copied) = (format!("{statement}, {ONLINE}"), format!("{statement}, ALGORITHM = COPY"));
    match patiently(job, passage, 3, |job| move_table(job, passage, moved, 3, &online)) {
        // Meanwhile somebody has added a full-text or spatial index, or even dropped it again. It must not stay inside.
        Err(Refused::NotOnline(why)) => {
            job.print_line(format_args!("NOTE    {}: its writers wait: {why}", table.full_name()));
            patiently(job, passage, 3, |job| move_table(job, passage, moved, 3, &copied))
        }
        ended => ended,
    }
}

/// Tries until the statement gets its locks.
fn patiently(job: &mut Job<'_>, passage: &Passage<'_>, number: u8, run: impl Fn(&mut Job<'_>) -> Ran) -> Ran {
    let mut attempt = 1;
    loop {
        let ended = match locks::check(job, passage.table) {
            Ok(()) => run(job),
            Err(e) => Err(e.into()),
        };
        let Err(Refused::Locked(Error::Server(refused))) = ended else { return ended };
        let why = locks::why(job, passage.table, &refused);
        if attempt == locks::ATTEMPTS {
            return Err(Refused::Locked(Error::Server(ServerError { why, ..refused })));
        }
        job.print_line(format_args!("LATER   {}: {why}; will retry", step_name(passage, number)));
        if !job.pause(locks::pause_after(attempt)) {
            return Ok(Step::Stopped);
        }
        attempt += 1;
    }
}

/// Moves the table, online if the statement says so, as strictly as the server accepts it.
fn move_table(
    job: &mut Job<'_>,
    passage: &Passage<'_>,
    moved: &Moved<'_>,
    number: u8,
    statement: &str,
) -> Ran {
    let what = step_name(passage, number);
    let passed_on = [&NOT_ONLINE[..], &AGAIN].concat();
    let statements = Statements {
        what: &what,
        table: passage.table,
        before: moved.before,
        statements: &[statement],
        bytes: passage.table.bytes,
        share: share(number),
        passed_on: &passed_on,
    };
    let mut attempt = 1;
    let mut copying = Copying::strict(&mut job.work)?;
    loop {
        match strictly::run(job, &statements, copying.clone()) {
            Ok(Rewritten::Done) => return Ok(Step::Done),
            Ok(Rewritten::Stopped) => return Ok(Step::Stopped),
            Ok(Rewritten::Failed(why)) => return Err(Refused::Failed(why)),
            Err(Error::Server(e)) if AGAIN.contains(&e.code) && attempt < attempts(e.code) => {
                job.print_line(format_args!("LATER   {what}: {}; will retry", e.why));
                if !job.pause(BEFORE_AGAIN) {
                    return Ok(Step::Stopped);
                }
                attempt += 1;
            }
            Err(Error::Server(e)) if e.code == LONG_ROWS && !job.is_repeated => {
                match copying.with_any_option() {
                    Some(relaxed) => copying = relaxed,
                    None => return Err(Error::Server(e).into()),
                }
            }
            Err(e) => return Err(e.into()),
        }
    }
}

pub(super) fn drop(job: &mut Job<'_>, name: &ScratchName) -> Ran {
    let mut attempt = 1;
    loop {
        match job.work.run(&dropping(name)) {
            Ok(()) => return Ok(Step::Done),
            Err(e) if job.should_retry(&e, &mut attempt) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

pub(super) fn dropping(name: &ScratchName) -> String {
    format!("DROP TABLESPACE {}", name.quoted())
}

/// The share of the whole way that a step of it takes, as measured.
fn share(number: u8) -> Range<f64> {
    const TURNING: f64 = 0.38;
    const MOVING_OUT: f64 = 0.56;
    match number {
        1 => 0.0..TURNING,
        2 => TURNING..MOVING_OUT,
        _ => MOVING_OUT..1.0,
    }
}

fn step_name(passage: &Passage<'_>, number: u8) -> String {
    format!("{} (step {number} of 3)", passage.table.full_name())
}
