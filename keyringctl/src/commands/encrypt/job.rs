// SPDX-License-Identifier: GPL-2.0-or-later
//! A worker of a run of `encrypt apply`: two connections, one that runs statements and one that watches them, and what it
//! shares with other workers.

use super::super::output::Output;
use super::apply_report::{ApplyReport, DoneStep, FailedStep};
use super::latency;
use super::online::Choice;
use super::shared::{Shared, State};
use super::sizes;
use super::stop::StopSignal;
use super::throttle::Throttle;
use crate::error::{Error, Result, ServerError};
use crate::server::{LOCK_WAIT_TIMEOUT, QUERY_INTERRUPTED, Session};
use keyring_external::error::BadRequest;
use std::sync::{Arc, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The lock that allows one run at a time on a server. The server releases it with the connection, so a killed run holds
/// it only until its last statement has ended.
const LOCK: &str = "keyring_external.encrypt";
/// How often the tool checks whether a statement has ended.
const TICK: Duration = Duration::from_millis(10);
/// How often the tool asks the server how far a statement is.
const POLL: Duration = Duration::from_millis(500);

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
    pub work: Session,
    pub watch: Session,
    shared: Arc<Shared<'a>>,
    /// Whether replicas repeat the statements. One that a replica refuses stops its replication.
    pub is_repeated: bool,
    /// What comes before a statement that the administrator runs by hand instead of this run.
    pub before_by_hand: &'static str,
    /// Which tables are rewritten online.
    pub online: Arc<Choice>,
    stages_were_off: bool,
}

impl<'a> Job<'a> {
    /// Opens a second connection. No statement waits longer than `lock_wait` seconds for locks, because others wait
    /// behind it.
    pub(super) fn new(
        mut watch: Session,
        throttle: Throttle,
        lock_wait: u32,
        out: &'a mut Output,
    ) -> Result<Job<'a>> {
        let stop = StopSignal::listen()?;
        watch.stop_waiting_if(stop.stopping());
        let mut work = watch.connect_again()?;
        work.run(&format!("SET SESSION lock_wait_timeout = {lock_wait}"))?;
        if throttle.measures_statements() {
            latency::leave_out(&mut work)?;
            latency::leave_out(&mut watch)?;
        }
        let stages_were_off = enable_stages(&mut watch);
        let shared = Arc::new(Shared::new(stop, throttle, out));
        Ok(Job {
            work,
            watch,
            shared,
            is_repeated: false,
            before_by_hand: "",
            online: Arc::default(),
            stages_were_off,
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

    /// Changes the report of what was done.
    pub(super) fn note(&self, change: impl FnOnce(&mut ApplyReport)) {
        change(&mut self.shared().account);
    }

    /// Leaves out `bytes` bytes: nothing more is done for them.
    pub(super) fn skip(&self, bytes: u64) {
        self.shared().progress.skip(bytes);
    }

    /// Takes the lock that allows one run at a time.
    pub(super) fn take_lock(&mut self) -> Result<Step> {
        let mut announced = false;
        loop {
            if self.work.lock(LOCK)? {
                return Ok(Step::Done);
            }
            if !announced {
                announced = true;
                let row: Option<(u64, Option<String>)> = self.watch.first(&format!(
                    "SELECT ID, INFO FROM information_schema.PROCESSLIST WHERE ID = IS_USED_LOCK('{LOCK}')"
                ))?;
                let by = match row {
                    Some((id, Some(statement))) => format!("connection {id}: {statement}"),
                    Some((id, None)) => format!("connection {id}"),
                    None => "another connection".to_owned(),
                };
                self.print_line(format_args!(
                    "Waiting for another keyringctl encrypt to finish its statement ({by})"
                ));
            }
            if self.is_stopping() {
                return Ok(Step::Stopped);
            }
        }
    }

    /// Prints a line at once.
    pub(super) fn print_line(&self, line: impl std::fmt::Display) {
        self.shared().print_line(line);
    }

    /// Records and prints a completed step.
    pub(super) fn record_done(&self, what: &str, bytes: u64, time: Duration) {
        let took = if bytes > 0 {
            format!("{what}  ({}, {})", sizes::bytes(bytes), sizes::time(time))
        } else {
            what.to_owned()
        };
        let mut shared = self.shared();
        shared.print_line(format_args!("OK      {took}"));
        shared.account.done.push(DoneStep { what: what.to_owned(), bytes, seconds: time.as_secs_f64() });
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
            match self.work.run(statement) {
                Ok(()) => {
                    if self.watch.first::<Option<i64>>(reached)?.flatten() == Some(1) {
                        self.record_done(what, 0, Duration::ZERO);
                    } else {
                        self.record_failed(what, NOT_REACHED);
                    }
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

    /// Runs a statement that may take long, on `bytes` of data. Shows its progress, and cancels it at Ctrl-C.
    pub(super) fn carry_out(&mut self, what: &str, statement: &str, bytes: u64) -> Result<Step> {
        self.carry_out_together(what, &[statement], bytes)
    }

    /// Runs statements in the same way, on one connection.
    pub(super) fn carry_out_together(&mut self, what: &str, statements: &[&str], bytes: u64) -> Result<Step> {
        // A new connection has another number.
        self.work.awake()?;
        let id = self.work.id();
        self.shared().progress.begin(what);
        let (work, watch, shared) = (&mut self.work, &mut self.watch, &*self.shared);
        let done = thread::scope(|scope| {
            let statement = scope.spawn(|| match statements {
                [statement] => work.run(statement),
                statements => work.run_together(statements),
            });
            let began = Instant::now();
            let mut asked = began;
            let mut cancelled = false;
            // Whether the server reports the stages of the statement, which is not measured.
            let (hidden, mut shown) = (shared.throttle().measures_statements(), false);
            while !statement.is_finished() {
                let hurry = hidden && !shown && began.elapsed() < POLL;
                thread::sleep(if hurry { TICK / 5 } else { TICK });
                if !cancelled && shared.stop.is_requested() {
                    cancelled = true;
                    shared.lock().progress.note(&format!("Cancelling {what}"));
                    // Fails if the statement has just ended.
                    let _ = watch.run(&format!("KILL QUERY {id}"));
                }
                let is_due = asked.elapsed() >= POLL;
                if hurry || (hidden && !shown && is_due) {
                    shown = latency::show_stages(watch, id);
                }
                if is_due {
                    asked = Instant::now();
                    let fraction = fraction(watch, id);
                    shared.lock().progress.set(bytes, fraction);
                    shared.tell_overload(what);
                }
            }
            if shown {
                latency::hide_stages(watch, id);
            }
            statement.join().unwrap_or_else(|_| Err(BadRequest::Unavailable.into()))
        });
        match done {
            Ok(()) => {
                self.shared().progress.end(bytes);
                Ok(Step::Done)
            }
            Err(e) => {
                self.shared().progress.end(0);
                match e {
                    Error::Server(ServerError { code: QUERY_INTERRUPTED, .. }) if self.is_stopping() => {
                        Ok(Step::Stopped)
                    }
                    e => Err(e),
                }
            }
        }
    }

    /// Waits while the server is busier than allowed, or while the pause file exists.
    pub(super) fn wait_until_allowed(&mut self) -> Result<Step> {
        let began = Instant::now();
        let mut told = false;
        loop {
            if self.is_stopping() {
                return Ok(Step::Stopped);
            }
            let mut throttle = self.shared.throttle();
            let Some(wait) = throttle.why_wait(&mut self.watch, 0)? else { break };
            let is_news = throttle.is_news(&wait.cause);
            drop(throttle);
            if is_news {
                told = true;
                self.print_line(format_args!("Waiting: {}", wait.why));
            }
            self.shared().progress.show();
            self.pause(Duration::from_secs(1));
        }
        if told {
            self.print_line(format_args!("Continuing after {}", sizes::time(began.elapsed())));
        }
        Ok(Step::Done)
    }

    /// Waits, or returns `false` as soon as the user asks to stop.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.is_stopping() {
                return false;
            }
            thread::sleep(TICK);
        }
        true
    }

    /// Waits until a query returns 1. Returns `false` if the user asks to stop, or after `limit`.
    pub(super) fn wait_until(&mut self, query: &str, limit: Duration) -> Result<bool> {
        let until = Instant::now() + limit;
        loop {
            if self.watch.first::<Option<i64>>(query)?.flatten() == Some(1) {
                return Ok(true);
            }
            self.shared().progress.show();
            if Instant::now() >= until || !self.pause(Duration::from_millis(200)) {
                return Ok(false);
            }
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

/// Switches on the consumer without which the server does not report the progress of an ALTER. Returns whether it was
/// off. Without the privilege for it, progress is shown by whole tables.
fn enable_stages(watch: &mut Session) -> bool {
    let query = "SELECT ENABLED FROM performance_schema.setup_consumers WHERE NAME = 'events_stages_current'";
    let off = watch.first::<String>(query).is_ok_and(|enabled| enabled.is_some_and(|e| e == "NO"));
    off && watch.run(&stages("YES")).is_ok()
}

/// Returns how far a connection's statement is, from 0 to 1.
fn fraction(watch: &mut Session, connection: u32) -> Option<f64> {
    let query = format!(
        "SELECT s.WORK_COMPLETED, s.WORK_ESTIMATED FROM performance_schema.events_stages_current s
         JOIN performance_schema.threads t ON t.THREAD_ID = s.THREAD_ID
         WHERE t.PROCESSLIST_ID = {connection} AND s.WORK_ESTIMATED > 0"
    );
    let (done, all) = watch.first_now::<(u64, u64)>(&query)?;
    Some((done as f64 / all as f64).min(1.0))
}
