// SPDX-License-Identifier: GPL-2.0-or-later
//! Measures, once a second and beside the run, how long clients' statements take and how far replicas are behind. A replica
//! that does not answer holds up only this thread.

use super::lag::Lag;
use super::lanes::Lanes;
use super::latency::{self, Meter};
use crate::error::{Error, Result};
use crate::server::Session;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);
/// A measurement that is older than this tells nothing about now.
const FRESH: Duration = Duration::from_secs(15);

/// Why the run waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wait {
    /// The option that asks for it.
    pub cause: String,
    /// The value and the limit.
    pub why: String,
}

/// What was measured last.
struct Measured {
    at: Instant,
    waits: Vec<Wait>,
    lanes: Option<Lanes>,
}

/// The measurements. They end when this is dropped.
pub(super) struct Gauge {
    measured: Arc<Mutex<Measured>>,
    is_over: Arc<AtomicBool>,
}

struct Gauges {
    session: Session,
    lag: Option<Lag>,
    p99: Option<(Meter, Duration)>,
}

impl Gauge {
    /// Starts to measure, and waits for the first values. Fewer than `jobs` tables are worked on at a time while
    /// clients' statements take longer than `p99`.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn start(
        from: &Session,
        lag: Option<Lag>,
        p99: Option<Duration>,
        jobs: usize,
    ) -> Result<Gauge> {
        // Another connection says that the server does not answer.
        let mut session = from.connect_again()?.telling(|_| {});
        if p99.is_some() {
            latency::leave_out(&mut session)?;
        }
        let mut gauges = Gauges { session, lag, p99: p99.map(|limit| (Meter::new(limit), limit)) };
        let mut lanes = p99.map(|limit| Lanes::new(jobs, limit));
        gauges.look(&mut lanes)?;
        if p99.is_some() {
            thread::sleep(EVERY);
        }
        let waits = gauges.look(&mut lanes)?;
        let measured = Arc::new(Mutex::new(Measured { at: Instant::now(), waits, lanes }));
        let is_over = Arc::new(AtomicBool::new(false));
        let (shared, ends) = (Arc::clone(&measured), Arc::clone(&is_over));
        thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                thread::sleep(EVERY);
                let mut lanes = locked(&shared).lanes.clone();
                let waits = gauges.look(&mut lanes).unwrap_or_else(|e| vec![unknown(&e)]);
                *locked(&shared) = Measured { at: Instant::now(), waits, lanes };
            }
        });
        Ok(Gauge { measured, is_over })
    }

    /// Returns why the run must wait, if it must.
    pub(super) fn why_wait(&self) -> Option<Wait> {
        let measured = locked(&self.measured);
        let age = measured.at.elapsed();
        if age > FRESH {
            let why = format!("a server that is asked for its load has not answered for {} s", age.as_secs());
            return Some(Wait { cause: "answer".to_owned(), why });
        }
        measured.waits.first().cloned()
    }

    /// How many tables may be worked on at a time; `None`: as many as the user allows.
    pub(super) fn lanes(&self) -> Option<usize> {
        locked(&self.measured).lanes.as_ref().map(Lanes::open)
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Gauges {
    fn look(&mut self, lanes: &mut Option<Lanes>) -> Result<Vec<Wait>> {
        let mut waits = Vec::new();
        if let Some((meter, limit)) = &mut self.p99 {
            let p99 = meter.look(&mut self.session)?;
            if let Some(lanes) = lanes {
                lanes.adjust(Instant::now(), p99);
            }
            if let Some(p99) = p99.filter(|p99| p99 > limit) {
                let why = format!(
                    "99 of 100 statements of clients take up to {} ms (p99 of the last seconds); the limit is {} ms",
                    p99.as_millis(),
                    limit.as_millis()
                );
                waits.push(Wait { cause: "--max-p99".to_owned(), why });
            }
        }
        if let Some(lag) = &mut self.lag
            && let Some(why) = lag.why_wait(&mut self.session)?
        {
            waits.push(Wait { cause: "--max-lag".to_owned(), why });
        }
        Ok(waits)
    }
}

fn unknown(e: &Error) -> Wait {
    Wait { cause: "answer".to_owned(), why: format!("the server's load cannot be measured: {e}") }
}

fn locked(measured: &Mutex<Measured>) -> std::sync::MutexGuard<'_, Measured> {
    measured.lock().unwrap_or_else(PoisonError::into_inner)
}
