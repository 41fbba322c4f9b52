// SPDX-License-Identifier: GPL-2.0-or-later
//! Encrypts tables, several at once if that was asked for, the largest first.

use super::direction::Direction;
use super::job::{Job, MOST_JOBS, Step};
use super::locks;
use super::queue::{Next, Queue, Todo};
use super::renamed::FileNumbers;
use super::rewrite::definition::Definition;
use super::rewrite::{Rewritten, rewrite};
use super::{estimate, room};
use crate::error::{Error, Result, ServerError};
use crate::server::{
    DEADLOCK, DatadirAccess, ForeignKey, LOCK_WAIT_TIMEOUT, QUERY_INTERRUPTED, Session, Table, is_gone,
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a worker that has nothing to do now waits before it looks again.
const IDLE: Duration = Duration::from_millis(50);

/// What the workers need to know.
pub(super) struct Tables<'t> {
    pub here: &'t DatadirAccess,
    pub direction: Direction,
    /// How many tables at once.
    pub jobs: usize,
    pub foreign_keys: &'t [ForeignKey],
}

/// Encrypts or decrypts tables.
pub(super) fn apply(job: &mut Job<'_>, tables: &[&Table], with: &Tables<'_>) -> Result<Step> {
    for not_set in job.work.prepare_for_copies()? {
        job.print_line(format_args!("NOTE    {not_set}"));
    }
    let numbers = FileNumbers::query(&mut job.watch)?;
    let queue = Mutex::new(Queue::new(tables, with.foreign_keys, estimate::space_for_copy));
    let others = more_workers(job, with.jobs.min(tables.len()))?;
    thread::scope(|scope| {
        let (queue, numbers) = (&queue, &numbers);
        let others: Vec<_> = others
            .into_iter()
            .map(|mut job| scope.spawn(move || work(&mut job, queue, with, numbers)))
            .collect();
        let mut ended = work(job, queue, with, numbers);
        for other in others {
            let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // The first error tells what the others ran into, too.
            ended = match (ended, other) {
                (Err(e), _) | (Ok(_), Err(e)) => Err(e),
                (Ok(Step::Done), Ok(Step::Done)) => Ok(Step::Done),
                (Ok(_), Ok(_)) => Ok(Step::Stopped),
            };
        }
        ended
    })
}

/// Opens the connections of other workers, so that there are `wanted` of them. Says it if there are fewer.
fn more_workers<'a>(job: &mut Job<'a>, wanted: usize) -> Result<Vec<Job<'a>>> {
    let mut others = Vec::new();
    if wanted < 2 {
        return Ok(others);
    }
    let most = most_workers(&mut job.watch)?;
    let mut why = format!("more connections are not free (max_connections): at most {most}");
    for number in 1..wanted.min(most) {
        match job.another(number) {
            Ok(other) => others.push(other),
            Err(e) => {
                why = e.to_string();
                break;
            }
        }
    }
    let all = others.len() + 1;
    if all < wanted {
        job.print_line(format_args!("NOTE    --jobs {wanted}: {all} at once, because {why}"));
    }
    Ok(others)
}

/// Returns how many workers there may be. Each has two connections, and half of those that are free are left to others.
fn most_workers(session: &mut Session) -> Result<usize> {
    let number = |text: Option<String>| text.and_then(|text| text.parse::<usize>().ok());
    let most = number(session.variable("max_connections")?);
    let used = session.first::<(String, String)>("SHOW GLOBAL STATUS LIKE 'Threads_connected'")?;
    let used = number(used.map(|(_, value)| value)).unwrap_or(0);
    Ok(most.map_or(MOST_JOBS, |most| (1 + most.saturating_sub(used) / 4).min(MOST_JOBS)))
}

fn locked<'q, 't>(queue: &'q Mutex<Queue<'t>>) -> MutexGuard<'q, Queue<'t>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a worker does: one table after the other. Its error ends the others' work, too.
fn work<'t>(
    job: &mut Job<'_>,
    queue: &Mutex<Queue<'t>>,
    with: &Tables<'_>,
    numbers: &FileNumbers,
) -> Result<Step> {
    let ended = work_on_all(job, queue, with, numbers);
    if ended.is_err() {
        locked(queue).is_over = true;
        job.shared.stop.request();
    }
    ended
}

fn work_on_all<'t>(
    job: &mut Job<'_>,
    queue: &Mutex<Queue<'t>>,
    with: &Tables<'_>,
    numbers: &FileNumbers,
) -> Result<Step> {
    loop {
        if let Step::Stopped = job.wait_for_table(|| locked(queue).is_empty())? {
            return Ok(Step::Stopped);
        }
        let free = if job.checks_space { with.here.free() } else { None };
        let next = locked(queue).take(free);
        match next {
            Next::Nothing => return Ok(Step::Done),
            Next::Later if job.pause(IDLE) => {}
            Next::Later => return Ok(Step::Stopped),
            Next::Table { todo, is_last } => {
                if todo.attempt > 1 && is_last && !job.pause(locks::pause_after(todo.attempt - 1)) {
                    return Ok(Step::Stopped);
                }
                if let Step::Stopped = work_on(job, todo, queue, with, numbers)? {
                    return Ok(Step::Stopped);
                }
            }
        }
    }
}

/// Rewrites one table, and puts it back into the queue if it is to be tried again.
fn work_on<'t>(
    job: &mut Job<'_>,
    todo: Todo<'t>,
    queue: &Mutex<Queue<'t>>,
    with: &Tables<'_>,
    numbers: &FileNumbers,
) -> Result<Step> {
    let table = todo.table;
    let name = table.full_name();
    let began = Instant::now();
    let rewritten = match room::too_little(table, with.here) {
        Some(why) if job.checks_space => {
            Ok(Rewritten::Failed(format!("{why}, or skip this check with --without-space-check")))
        }
        _ => locks::check(job, table).and_then(|()| rewrite(job, table, with.here, with.direction)),
    };
    match rewritten {
        Ok(Rewritten::Stopped) => return Ok(Step::Stopped),
        // The server has ended the statement, or does it by itself.
        Err(Error::Server(ServerError { code, silent, .. }))
            if job.is_stopping() && (silent || code == QUERY_INTERRUPTED) =>
        {
            return Ok(Step::Stopped);
        }
        Ok(Rewritten::Failed(why)) => job.record_failed(&name, &why),
        Ok(Rewritten::Done) => {
            let (ended, all) = {
                let mut queue = locked(queue);
                (queue.end(todo), queue.all)
            };
            let what = format!("{name} {} [{ended}/{all}]", with.direction.done());
            job.record_done(&what, table.bytes, began.elapsed());
            let mut shared = job.shared();
            shared.account.summary.tables += 1;
            shared.left.retain(|left| *left != name);
            drop(shared);
            job.end_step(table.bytes);
            return Ok(Step::Done);
        }
        Err(Error::Server(refused)) if [LOCK_WAIT_TIMEOUT, DEADLOCK].contains(&refused.code) => {
            let why = locks::why(job, table, &refused);
            if todo.attempt < locks::ATTEMPTS {
                job.print_line(format_args!("LATER   {name}: {why}; will retry"));
                job.give_up_step();
                locked(queue).put_last(todo);
                return Ok(Step::Done);
            }
            job.record_failed(&name, &why);
        }
        Err(e) if is_gone(&e) => match numbers.renamed(&mut job.watch, table) {
            Ok(Some(why)) => job.record_failed(&name, &why),
            _ => {
                job.print_line(format_args!("GONE    {name}: it has been dropped"));
                job.shared().left.retain(|left| *left != name);
            }
        },
        Err(e) => match job.after_loss(&name, e)? {
            // KILL came after the server had done it: what is left after the statement is done now.
            Some(e) if !is_reached(job, table, with.direction) => job.note_failure(&name, e)?,
            // If the server completed it, the statement does nothing.
            _ => {
                job.give_up_step();
                locked(queue).put_first(todo);
                return Ok(Step::Done);
            }
        },
    }
    job.end_step(table.bytes);
    locked(queue).end(todo);
    Ok(Step::Done)
}

/// Whether a table whose connection was lost has all its files as they are to be.
fn is_reached(job: &mut Job<'_>, table: &Table, direction: Direction) -> bool {
    Definition::query(&mut job.watch, table).is_ok_and(|now| now.has_reached(direction))
}
