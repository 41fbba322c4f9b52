// SPDX-License-Identifier: GPL-2.0-or-later
//! A worker of a run of `encrypt apply`: two connections, one that runs statements and one that watches them, and what it
//! shares with other workers.

use super::super::output::Output;
use super::apply_report::{ApplyReport, DoneStep, FailedStep, StatementTime};
use super::latency;
use super::lock_wait::{self, LockWait};
use super::online::Choice;
use super::pace::WHOLE;
use super::shared::{Shared, State};
use super::sizes;
use super::stop::StopSignal;
use super::throttle::Throttle;
use crate::error::{Error, Result, ServerError};
use crate::server::{LOCK_WAIT_TIMEOUT, Session, Table};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

/// The lock that allows one run at a time on a server. The server releases it with the connection, so a killed run holds
/// it only until its last statement has ended.
pub(super) const LOCK: &str = "keyring_external.encrypt";
/// How many tables a run works on at once at most.
pub(super) const MOST_JOBS: usize = 64;

/// Why a statement that succeeded has failed.
pub(super) const NOT_REACHED: &str = "the statement succeeded, but the server reports the old state. Somebody else may have changed it back meanwhile: run this again";

/// How many times a statement is tried if it cannot get its locks.
pub(super) const ATTEMPTS: u32 = 3;
/// Pause before the next attempt, if there is nothing else to do.
pub(super) const BEFORE_AGAIN: Duration = Duration::from_secs(5);

/// How a step ended.
#[derive(Debug)]
pub(super) enum Step {
    Done,
    /// The user asked to stop. This step changed nothing, or a later run can continue it.
    Stopped,
}

pub(super) struct Job<'a> {
    /// The worker's number: 0, or that of one that runs beside it.
    pub number: usize,
    pub work: Session,
    pub watch: Session,
    pub shared: Arc<Shared<'a>>,
    /// The statements that were run since the last step was recorded, and how long each took.
    pub statements: Vec<(String, Duration)>,
    /// Whether replicas repeat the statements. One that a replica refuses stops its replication.
    pub is_repeated: bool,
    /// What comes before a statement that the administrator runs by hand instead of this run.
    pub before_by_hand: &'static str,
    /// Whether there must be room for a table before it is rewritten.
    pub checks_space: bool,
    /// Which tables are rewritten online.
    pub online: Arc<Choice>,
    pub lock_wait: LockWait,
    stages_were_off: bool,
}

impl<'a> Job<'a> {
    /// Opens a second connection. No statement waits longer than `lock_wait` for locks, because others wait behind it.
    pub(super) fn new(
        mut watch: Session,
        throttle: Throttle,
        lock_wait: LockWait,
        out: &'a mut Output,
    ) -> Result<Job<'a>> {
        let stop = StopSignal::listen()?;
        watch.stop_waiting_if(stop.stopping());
        let mut work = watch.connect_again()?;
        work.run(&lock_wait::bound(lock_wait.copy))?;
        if throttle.measures_statements() {
            latency::leave_out(&mut work)?;
            latency::leave_out(&mut watch)?;
        }
        let shared = Arc::new(Shared::new(stop, throttle, out));
        Ok(Job {
            number: 0,
            work,
            watch,
            shared,
            statements: Vec::new(),
            is_repeated: false,
            before_by_hand: "",
            checks_space: true,
            online: Arc::default(),
            lock_wait,
            stages_were_off: false,
        })
    }

    /// What this worker shares with others, which wait until it is given back. Not for as long as a query takes.
    pub(super) fn shared(&self) -> MutexGuard<'_, State<'a>> {
        self.shared.lock()
    }

    /// Whether the user has asked to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.shared.stop.is_requested()
    }

    /// Makes the server report the progress of statements. Waits for a lock of somebody.
    pub(super) fn show_progress(&mut self) {
        self.stages_were_off = enable_stages(&mut self.watch);
    }

    /// Prints what the run waits for at once.
    pub(super) fn print_wait(&self, line: impl std::fmt::Display) {
        self.shared().print_wait(line);
    }

    /// Remembers which tables are left, for the case that the run ends without asking the server.
    pub(super) fn leaves(&self, tables: &[&Table]) {
        self.shared().left = tables.iter().map(|table| table.full_name()).collect();
    }

    /// Changes the report of what was done.
    pub(super) fn note(&self, change: impl FnOnce(&mut ApplyReport)) {
        change(&mut self.shared().account);
    }

    /// Opens two more connections, for another worker. It has a lock of its own, which is held as long as the server works
    /// on its last statement.
    pub(super) fn another(&self, number: usize) -> Result<Job<'a>> {
        let (mut work, mut watch) = (self.work.connect_alike()?, self.watch.connect_again()?);
        if self.shared.throttle().measures_statements() {
            latency::leave_out(&mut work)?;
            latency::leave_out(&mut watch)?;
        }
        if !work.lock(&lock_of(number))? {
            return Err(Error::Usage(format!("another connection holds the lock {:?}", lock_of(number))));
        }
        Ok(Job {
            number,
            work,
            watch,
            shared: Arc::clone(&self.shared),
            statements: Vec::new(),
            is_repeated: self.is_repeated,
            before_by_hand: self.before_by_hand,
            checks_space: self.checks_space,
            online: Arc::clone(&self.online),
            lock_wait: self.lock_wait,
            stages_were_off: false,
        })
    }

    /// Shows a step that processes no table.
    pub(super) fn begin_step(&self, what: &str) {
        self.shared().progress.begin(self.number, what, 0, WHOLE);
    }

    /// Ends the worker's step of `bytes` bytes: nothing is left to do for it, or it has failed.
    pub(super) fn end_step(&mut self, bytes: u64) {
        self.shared().progress.end(self.number, bytes);
        self.statements.clear();
    }

    /// Ends the worker's step, which is to be tried again later.
    pub(super) fn give_up_step(&mut self) {
        self.shared().progress.give_up(self.number);
        self.statements.clear();
    }

    /// Prints a line at once.
    pub(super) fn print_line(&self, line: impl std::fmt::Display) {
        self.shared().print_line(line);
    }

    /// Records and prints a completed step.
    pub(super) fn record_done(&mut self, what: &str, bytes: u64, time: Duration) {
        let took = if bytes > 0 {
            format!("{what}  ({}, {})", sizes::bytes(bytes), sizes::time(time))
        } else {
            what.to_owned()
        };
        let statements = std::mem::take(&mut self.statements).into_iter();
        let statements = statements
            .map(|(statement, time)| StatementTime { statement, seconds: time.as_secs_f64() })
            .collect();
        let mut shared = self.shared();
        shared.print_line(format_args!("OK      {took}"));
        let done = DoneStep { what: what.to_owned(), bytes, seconds: time.as_secs_f64(), statements };
        shared.account.done.push(done);
    }

    /// Records and prints a failed step. The run continues.
    pub(super) fn record_failed(&self, what: &str, why: &str) {
        let mut shared = self.shared();
        shared.print_line(format_args!("FAILED  {what}: {why}"));
        shared.account.failed.push(FailedStep { what: what.to_owned(), why: why.to_owned(), by_hand: false });
    }

    /// Runs a statement that changes a setting. If it cannot get its locks, it is left for later, unless this is the
    /// `last` time: then it is tried a few times. It succeeded if the query `reached` then returns 1. A failure is recorded,
    /// and the run continues.
    pub(super) fn attempt(&mut self, what: &str, statement: &str, reached: &str, last: bool) -> Result<()> {
        let mut attempt = 1;
        loop {
            match self.carry_out(what, statement, 0) {
                Ok(Step::Stopped) => return Ok(()),
                Ok(Step::Done) => {
                    if self.watch.first::<Option<i64>>(reached)?.flatten() == Some(1) {
                        self.record_done(what, 0, Duration::ZERO);
                    } else {
                        self.record_failed(what, NOT_REACHED);
                    }
                    self.end_step(0);
                    return Ok(());
                }
                Err(Error::Server(ServerError { code: LOCK_WAIT_TIMEOUT, .. })) if !last => {
                    self.print_line(format_args!("LATER   {what}: open transactions use it; will retry"));
                    return Ok(());
                }
                Err(e) if self.should_retry(&e, &mut attempt) => {}
                // Such a statement may be repeated even if it was carried out.
                Err(e) => match self.after_loss(what, e)? {
                    None => {}
                    // KILL came after the server had done it.
                    Some(_) if self.watch.first::<Option<i64>>(reached)?.flatten() == Some(1) => {
                        self.record_done(what, 0, Duration::ZERO);
                        self.end_step(0);
                        return Ok(());
                    }
                    Some(e) => return self.note_failure(what, e),
                },
            }
        }
    }

    /// Returns whether to retry a failed statement, after a pause: it could not get its locks.
    pub(super) fn should_retry(&mut self, e: &Error, attempt: &mut u32) -> bool {
        let again = matches!(e, Error::Server(ServerError { code: LOCK_WAIT_TIMEOUT, .. }))
            && *attempt < ATTEMPTS
            && self.pause(BEFORE_AGAIN);
        *attempt += u32::from(again);
        again
    }

    /// Deals with an error that may be that of a lost connection. `None`: the server was restarted, and is back; the
    /// statement was undone or completed, and the caller tries again. Otherwise, an error to record.
    ///
    /// # Errors
    /// The server does not come back, or connections of this run are closed again and again.
    pub(super) fn after_loss(&mut self, what: &str, e: Error) -> Result<Option<Error>> {
        let Error::Server(ServerError { doing, silent: true, .. }) = e else { return Ok(Some(e)) };
        let loss = self.work.restore()?;
        // The other connection was probably lost, too. If it cannot be had, its next query says so.
        let _ = self.watch.first::<i64>("SELECT 1");
        self.shared().losses.judge(what, &doing, loss)
    }

    /// Grows when the server is restarted.
    pub(super) fn restarts(&self) -> u32 {
        self.work.restarts() + self.watch.restarts()
    }

    /// Records that a statement failed. A lost connection ends the run instead.
    pub(super) fn note_failure(&mut self, what: &str, e: Error) -> Result<()> {
        match e {
            Error::Server(ServerError { code, why, .. }) if code != 0 => {
                self.record_failed(what, &why);
                Ok(())
            }
            e => Err(e),
        }
    }

    /// Restores the server's instrumentation.
    pub(super) fn finish(&mut self) {
        self.shared().progress.clear();
        if self.stages_were_off {
            let _ = self.watch.run(&stages("NO"));
        }
    }
}

fn stages(enabled: &str) -> String {
    format!(
        "UPDATE performance_schema.setup_consumers SET ENABLED = '{enabled}' WHERE NAME = 'events_stages_current'"
    )
}

/// The lock of a worker beside the first.
pub(super) fn lock_of(number: usize) -> String {
    format!("{LOCK}.{number}")
}

/// Switches on the consumer without which the server does not report the progress of an ALTER. Returns whether it was
/// off. Without the privilege for it, progress is shown by whole tables.
fn enable_stages(watch: &mut Session) -> bool {
    let query = "SELECT ENABLED FROM performance_schema.setup_consumers WHERE NAME = 'events_stages_current'";
    let off = watch.first::<String>(query).is_ok_and(|enabled| enabled.is_some_and(|e| e == "NO"));
    off && watch.run(&stages("YES")).is_ok()
}
