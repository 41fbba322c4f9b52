// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs a statement that may take long: shows how far it is, and cancels it when the user asks to stop.
//!
//! The server undoes most statements in a moment. It does not cancel the encryption of a tablespace at all, and an online
//! rebuild that sorts or writes only after a while. Nobody waits for these: the connection is closed, and the server
//! completes or undoes the statement by itself. The lock of the run, or of its worker, is held until then, so that the next
//! run waits for it.

use super::job::{Job, Step};
use super::latency;
use super::pace::WHOLE;
use super::stage::Stage;
use crate::error::{Error, Result, ServerError};
use crate::server::{QUERY_INTERRUPTED, Session};
use keyring_external::error::BadRequest;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How often the tool checks whether a statement has ended.
const TICK: Duration = Duration::from_millis(10);
/// How often the tool asks the server how far a statement is.
const POLL: Duration = Duration::from_millis(500);
/// How long a cancelled statement may take to end.
const TO_END: Duration = Duration::from_millis(500);
/// How long until it is left alone.
const TO_CLOSE: Duration = Duration::from_millis(650);

impl Job<'_> {
    /// Runs a statement that may take long, on `bytes` of data. Shows its progress, and cancels it at Ctrl-C.
    pub(super) fn carry_out(&mut self, what: &str, statement: &str, bytes: u64) -> Result<Step> {
        self.carry_out_share(what, &[statement], bytes, WHOLE)
    }

    /// Runs statements in the same way, on one connection, which do a share of the work on a table of `bytes` bytes.
    pub(super) fn carry_out_share(
        &mut self,
        what: &str,
        statements: &[impl AsRef<str>],
        bytes: u64,
        share: Range<f64>,
    ) -> Result<Step> {
        if self.is_stopping() {
            return Ok(Step::Stopped);
        }
        // A new connection has another number.
        self.work.awake()?;
        self.shared().progress.begin(self.number, what, bytes, share);
        let began = Instant::now();
        let done = self.run_watched(what, statements);
        self.shared().progress.end_statement(self.number, done.is_ok());
        match done {
            Ok(()) => {
                let all = statements.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("; ");
                self.statements.push((all, began.elapsed()));
                Ok(Step::Done)
            }
            Err(Error::Server(ServerError { code, silent, .. }))
                if self.is_stopping() && (silent || code == QUERY_INTERRUPTED) =>
            {
                if silent {
                    self.work.give_up();
                }
                Ok(Step::Stopped)
            }
            Err(e) => Err(e),
        }
    }

    fn run_watched(&mut self, what: &str, statements: &[impl AsRef<str>]) -> Result<()> {
        let (number, id) = (self.number, self.work.id());
        let lent = self.work.lend(statements)?;
        let watcher = thread::current();
        // Not within a scope: it is left alone if the server does not end it.
        let statement = thread::spawn(move || {
            let used = lent.run();
            watcher.unpark();
            used
        });
        let (watch, shared) = (&mut self.watch, &*self.shared);
        let began = Instant::now();
        let mut asked = began;
        let mut cancelled: Option<Instant> = None;
        let mut is_killed = false;
        // Whether the server reports the stages of the statement, which is not measured.
        let (hidden, mut shown) = (shared.throttle().measures_statements(), false);
        while !statement.is_finished() {
            let hurry = hidden && !shown && began.elapsed() < POLL;
            thread::park_timeout(if hurry { TICK / 5 } else { TICK });
            match cancelled {
                None if shared.stop.is_requested() => {
                    cancelled = Some(Instant::now());
                    shared.lock().progress.note(&format!("Cancelling {what}"));
                    // Fails if the statement has just ended.
                    let _ = watch.run(&format!("KILL QUERY {id}"));
                }
                Some(at) if at.elapsed() >= TO_END && !is_killed => {
                    is_killed = true;
                    shared.is_left.store(true, Ordering::Relaxed);
                    shared.lock().progress.note(&format!(
                        "{what}: the server needs longer to end its statement, and does it by itself; the next run waits for it"
                    ));
                    // The server closes the connection at once, unless it is at the end of ALTER TABLESPACE.
                    let _ = watch.run(&format!("KILL {id}"));
                }
                Some(at) if at.elapsed() >= TO_CLOSE => {
                    self.work.give_up();
                    return Err(Error::Server(ServerError {
                        doing: format!("cancel {what}"),
                        code: 0,
                        silent: true,
                        why: "the server has not ended its statement".to_owned(),
                    }));
                }
                Some(_) => {}
                None => {
                    let is_due = asked.elapsed() >= POLL;
                    if hurry || (hidden && !shown && is_due) {
                        shown = latency::show_stages(watch, id);
                    }
                    if is_due {
                        asked = Instant::now();
                        let stage = stage(watch, id);
                        shared.lock().progress.reach(number, stage.as_ref());
                        shared.tell_overload(what);
                    }
                }
            }
        }
        if shown {
            latency::hide_stages(watch, id);
        }
        match statement.join() {
            Ok(used) => self.work.take_back(used),
            Err(_) => Err(BadRequest::Unavailable.into()),
        }
    }
}

/// Returns what the server reports about a connection's statement.
fn stage(watch: &mut Session, connection: u32) -> Option<Stage> {
    let query = format!(
        "SELECT s.EVENT_NAME, s.WORK_COMPLETED, s.WORK_ESTIMATED FROM performance_schema.events_stages_current s
         JOIN performance_schema.threads t ON t.THREAD_ID = s.THREAD_ID
         WHERE t.PROCESSLIST_ID = {connection} AND s.WORK_ESTIMATED > 0"
    );
    let (name, completed, estimated) = watch.first_now::<(String, u64, u64)>(&query)?;
    Some(Stage { name, completed, estimated })
}
