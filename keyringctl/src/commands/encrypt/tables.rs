// SPDX-License-Identifier: GPL-2.0-or-later
//! Encrypts tables one after the other. The server copies each into an encrypted tablespace.

use super::direction::Direction;
use super::job::{ATTEMPTS, BEFORE_AGAIN, Job, Step};
use super::rewrite::{Rewritten, rewrite};
use super::{estimate, sizes};
use crate::error::{Error, Result, ServerError};
use crate::server::{DatadirAccess, LOCK_WAIT_TIMEOUT, Table, quoted_text};
use std::collections::VecDeque;
use std::time::Instant;

/// MySQL's errors for a table or schema that no longer exists.
const GONE: [u16; 2] = [1146, 1049];

struct Todo<'a> {
    table: &'a Table,
    attempt: u32,
}

/// Encrypts or decrypts tables, the smallest first. A statement waits `lock_wait` seconds for locks.
pub(super) fn apply(
    job: &mut Job<'_>,
    tables: &[&Table],
    here: &DatadirAccess,
    direction: Direction,
    lock_wait: u32,
) -> Result<Step> {
    for not_set in job.work.prepare_for_copies()? {
        job.print_line(format_args!("NOTE    {not_set}"));
    }
    let mut sorted = tables.to_vec();
    sorted.sort_by_key(|t| t.bytes);
    let mut todo: VecDeque<_> = sorted.into_iter().map(|table| Todo { table, attempt: 1 }).collect();
    let all = todo.len();
    let mut ended = 0;
    while let Some(Todo { table, attempt }) = todo.pop_front() {
        if let Step::Stopped = job.wait_until_allowed()? {
            return Ok(Step::Stopped);
        }
        let name = table.full_name();
        if let Some(why) = too_little_space(here, table) {
            job.record_failed(&name, &why);
            job.skip(table.bytes);
            ended += 1;
            continue;
        }
        if attempt > 1 && todo.is_empty() && !job.pause(BEFORE_AGAIN) {
            return Ok(Step::Stopped);
        }
        let began = Instant::now();
        match rewrite(job, table, here, direction) {
            Ok(Rewritten::Stopped) => return Ok(Step::Stopped),
            Ok(Rewritten::Failed(why)) => {
                job.record_failed(&name, &why);
                job.skip(table.bytes);
                ended += 1;
            }
            Ok(Rewritten::Done) => {
                ended += 1;
                let what = format!("{name} {} [{ended}/{all}]", direction.done());
                job.record_done(&what, table.bytes, began.elapsed());
                job.shared().account.summary.tables += 1;
            }
            Err(Error::Server(ServerError { code: LOCK_WAIT_TIMEOUT, .. })) if attempt < ATTEMPTS => {
                let why = not_locked(&holders(job, table), lock_wait);
                job.print_line(format_args!("LATER   {name}: {why}; will retry"));
                todo.push_back(Todo { table, attempt: attempt + 1 });
            }
            Err(Error::Server(ServerError { code: LOCK_WAIT_TIMEOUT, .. })) => {
                let why = not_locked(&holders(job, table), lock_wait);
                job.record_failed(&name, &why);
                job.skip(table.bytes);
                ended += 1;
            }
            Err(Error::Server(ServerError { code, .. })) if GONE.contains(&code) => {
                job.print_line(format_args!("GONE    {name}: it has been dropped"));
                job.skip(table.bytes);
                ended += 1;
            }
            Err(e) => match job.after_loss(&name, e)? {
                Some(e) => {
                    job.note_failure(&name, e)?;
                    job.skip(table.bytes);
                    ended += 1;
                }
                // If the server completed it, the statement does nothing.
                None => todo.push_front(Todo { table, attempt }),
            },
        }
    }
    Ok(Step::Done)
}

fn too_little_space(here: &DatadirAccess, table: &Table) -> Option<String> {
    let (needed, free) = (estimate::space_for_copy(table.bytes), here.free()?);
    (free < needed).then(|| {
        format!(
            "not enough free space for its copy: needs {}, {} are free on the filesystem of the data directory",
            sizes::bytes(needed),
            sizes::bytes(free)
        )
    })
}

fn not_locked(by: &[String], seconds: u32) -> String {
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join("; ")) };
    format!("could not lock it within {seconds} s: open transactions use it{by}")
}

/// Returns the connections that hold a table's metadata lock.
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
            format!("connection {id} of {user}, for {} s", seconds.unwrap_or(0))
        })
        .collect()
}
