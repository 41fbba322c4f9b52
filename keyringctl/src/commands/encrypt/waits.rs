// SPDX-License-Identifier: GPL-2.0-or-later
//! What a worker waits for: the lock that allows one run at a time, less load, and states of the server. Each wait ends when the
//! user asks to stop.

use super::job::{Job, LOCK, MOST_JOBS, Step, lock_of};
use super::sizes;
use crate::error::Result;
use crate::server::AtWork;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How often the tool checks whether the user asks to stop.
const TICK: Duration = Duration::from_millis(10);
/// Pause between two looks at who holds a lock, or at what the server does.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

impl Job<'_> {
    /// Takes the lock that allows one run at a time.
    pub(super) fn take_lock(&mut self) -> Result<Step> {
        let mut announced = false;
        loop {
            let holder = if self.work.lock(LOCK)? { self.other_workers()? } else { Some(LOCK.to_owned()) };
            let Some(lock) = holder else { return Ok(Step::Done) };
            if !announced {
                announced = true;
                let row: Option<(u64, Option<String>)> = self.watch.first(&format!(
                    "SELECT ID, INFO FROM information_schema.PROCESSLIST WHERE ID = IS_USED_LOCK('{lock}')"
                ))?;
                let by = match row {
                    Some((id, Some(statement))) => format!("connection {id}: {statement}"),
                    Some((id, None)) => format!("connection {id}"),
                    None => "another connection".to_owned(),
                };
                self.print_wait(format_args!(
                    "Waiting for another keyringctl encrypt to finish its statement ({by})"
                ));
            }
            if !self.pause(BETWEEN_LOOKS) {
                self.shared.is_left.store(true, Ordering::Relaxed);
                return Ok(Step::Stopped);
            }
        }
    }

    /// Returns the lock of another worker of an earlier run whose statement the server has not ended yet.
    fn other_workers(&mut self) -> Result<Option<String>> {
        let locks: Vec<String> = (1..MOST_JOBS).map(lock_of).collect();
        let queries =
            locks.iter().map(|lock| format!("SELECT '{lock}' AS name, IS_USED_LOCK('{lock}') AS holder"));
        let all = queries.collect::<Vec<_>>().join(" UNION ALL ");
        self.watch.first(&format!("SELECT name FROM ({all}) AS locks WHERE holder IS NOT NULL LIMIT 1"))
    }

    /// Waits until the server has completed an ALTER TABLESPACE that a crash interrupted. Until then it locks the tablespace, and
    /// reports the old state.
    pub(super) fn wait_for_resumption(&mut self) -> Result<Step> {
        let mut announced = false;
        while AtWork::is_resuming(&mut self.watch) {
            if !announced {
                announced = true;
                self.print_wait(
                    "Waiting: the server still carries out an ALTER TABLESPACE that a crash interrupted",
                );
            }
            self.shared().progress.show();
            if !self.pause(BETWEEN_LOOKS) {
                return Ok(Step::Stopped);
            }
        }
        Ok(Step::Done)
    }

    /// Waits while the server is busier than allowed, or while the pause file exists.
    pub(super) fn wait_until_allowed(&mut self) -> Result<Step> {
        self.wait(None, || false)
    }

    /// Waits in the same way before another table, also while fewer tables may be worked on at once; but not if none is left.
    pub(super) fn wait_for_table(&mut self, none_left: impl Fn() -> bool) -> Result<Step> {
        self.wait(Some(self.number), none_left)
    }

    fn wait(&mut self, worker: Option<usize>, is_over: impl Fn() -> bool) -> Result<Step> {
        let began = Instant::now();
        let mut told = false;
        loop {
            if self.is_stopping() {
                return Ok(Step::Stopped);
            }
            if is_over() {
                return Ok(Step::Done);
            }
            let mut throttle = self.shared.throttle();
            let Some(wait) = throttle.why_wait(&mut self.watch, worker)? else { break };
            let is_news = throttle.is_news(&wait.cause);
            drop(throttle);
            if is_news {
                told = true;
                self.print_wait(format_args!("Waiting: {}", wait.why));
            }
            self.shared().progress.show();
            self.pause(Duration::from_secs(1));
        }
        if told {
            self.print_wait(format_args!("Continuing after {}", sizes::time(began.elapsed())));
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
}
