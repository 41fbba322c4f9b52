// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables, one after the other: each is copied by the server into an encrypted tablespace.

use super::direction::Direction;
use super::job::{ATTEMPTS, BEFORE_AGAIN, Job, Step};
use super::{plan, sizes};
use crate::server::{Here, LOCK_WAIT_TIMEOUT, Place, Table, quoted_text};
use keyring_external::error::{Error, Result};
use std::collections::VecDeque;
use std::time::Instant;

/// MySQL's errors for a table, or a schema, that is not there any more.
const GONE: [u16; 2] = [1146, 1049];

/// Settings of the session that copies. The copy changes no row, so that rows and definitions that the
/// server would not take today are kept: zero dates, rows too large for strict mode, tables without a
/// primary key. Foreign keys are not checked: the check locks the parent's rows as long as the copy takes,
/// and a statement that changes one of them while the copy waits for that statement's table ends in a lock
/// wait timeout.
const SESSION: [&str; 4] = [
    "SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION foreign_key_checks = 0",
    "SET SESSION innodb_strict_mode = 0",
    "SET SESSION sql_require_primary_key = 0",
];

struct Todo<'a> {
    table: &'a Table,
    attempt: u32,
}

/// Encrypts or decrypts tables, the smallest first. `lock_wait`: seconds that a statement waits for locks.
pub(super) fn apply(
    job: &mut Job<'_>,
    tables: &[&Table],
    here: &Here,
    direction: Direction,
    lock_wait: u32,
) -> Result<Step> {
    // An account without leave for one of these has none of what they are for.
    SESSION.iter().for_each(|set| drop(job.work.run(set)));
    let mut sorted = tables.to_vec();
    sorted.sort_by_key(|t| t.bytes);
    let mut todo: VecDeque<_> = sorted.into_iter().map(|table| Todo { table, attempt: 1 }).collect();
    let all = todo.len();
    let mut ended = 0;
    while let Some(Todo { table, attempt }) = todo.pop_front() {
        if let Step::Stopped = job.wait_for_leave()? {
            return Ok(Step::Stopped);
        }
        let name = table.full_name();
        if let Some(why) = no_room(here, table) {
            job.failed(&name, &why);
            ended += 1;
            continue;
        }
        if attempt > 1 && todo.is_empty() && !job.pause(BEFORE_AGAIN) {
            return Ok(Step::Stopped);
        }
        let began = Instant::now();
        match job.carry_out(&name, &statement(table, direction), table.bytes) {
            Ok(Step::Stopped) => return Ok(Step::Stopped),
            Ok(Step::Done) => {
                ended += 1;
                let what = format!("{name} {} [{ended}/{all}]", direction.done());
                job.done(&what, table.bytes, began.elapsed());
            }
            Err(Error::Server { code: LOCK_WAIT_TIMEOUT, .. }) if attempt < ATTEMPTS => {
                let why = in_use(&holders(job, table), lock_wait);
                job.say(format_args!("LATER   {name}: {why}"));
                todo.push_back(Todo { table, attempt: attempt + 1 });
            }
            Err(Error::Server { code: LOCK_WAIT_TIMEOUT, .. }) => {
                let why = in_use(&holders(job, table), lock_wait);
                job.failed(&name, &why);
                ended += 1;
            }
            Err(Error::Server { code, .. }) if GONE.contains(&code) => {
                job.say(format_args!("GONE    {name}: it was dropped meanwhile"));
                ended += 1;
            }
            Err(e) => {
                job.note_failure(&name, e)?;
                ended += 1;
            }
        }
    }
    Ok(Step::Done)
}

fn statement(table: &Table, direction: Direction) -> String {
    // A table in ibdata1 can only be encrypted outside of it.
    let out = if table.place == Place::System { "TABLESPACE = innodb_file_per_table, " } else { "" };
    format!("ALTER TABLE {} {out}ENCRYPTION = '{}'", table.quoted(), direction.letter())
}

fn no_room(here: &Here, table: &Table) -> Option<String> {
    let (needed, free) = (plan::needed(table.bytes), here.free()?);
    (free < needed).then(|| {
        format!(
            "no room for its copy: {} are needed and {} are free beside the data",
            sizes::bytes(needed),
            sizes::bytes(free)
        )
    })
}

fn in_use(by: &[String], seconds: u32) -> String {
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join("; ")) };
    format!("in use by open transactions, its lock was not to be had in {seconds} s{by}")
}

/// Who holds a table's metadata lock.
fn holders(job: &mut Job<'_>, table: &Table) -> Vec<String> {
    let (schema, name) = (quoted_text(&table.schema), quoted_text(&table.name));
    let query = format!(
        "SELECT DISTINCT t.PROCESSLIST_ID, t.PROCESSLIST_USER, t.PROCESSLIST_TIME
         FROM performance_schema.metadata_locks l JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID
         WHERE l.OBJECT_TYPE = 'TABLE' AND l.OBJECT_SCHEMA = {schema} AND l.OBJECT_NAME = {name}
           AND l.LOCK_STATUS = 'GRANTED' AND t.PROCESSLIST_ID <> {} LIMIT 3",
        job.work.id()
    );
    let rows = job.watch.rows::<(u64, Option<String>, Option<i64>)>(&query).unwrap_or_default();
    rows.into_iter()
        .map(|(id, user, seconds)| {
            let user = user.unwrap_or_else(|| "the server".to_owned());
            format!("connection {id} of {user}, {} s", seconds.unwrap_or(0))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_quote_names_and_move_tables_out_of_the_system_tablespace() {
        let mut table = Table {
            schema: "bio`bank".to_owned(),
            name: "visits".to_owned(),
            place: Place::Own,
            bytes: 0,
            files: 1,
            encrypted_files: 0,
            discarded: false,
        };
        assert_eq!(
            statement(&table, Direction::Encrypt),
            "ALTER TABLE `bio``bank`.`visits` ENCRYPTION = 'Y'"
        );
        table.place = Place::System;
        assert_eq!(
            statement(&table, Direction::Encrypt),
            "ALTER TABLE `bio``bank`.`visits` TABLESPACE = innodb_file_per_table, ENCRYPTION = 'Y'"
        );
    }
}
