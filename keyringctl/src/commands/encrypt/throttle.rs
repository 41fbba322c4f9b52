// SPDX-License-Identifier: GPL-2.0-or-later
//! When to wait: the server is busier than allowed, its clients wait too long, replicas are too far behind, or the pause file
//! exists.

use super::gauge::{Gauge, Wait};
use super::lag::Lag;
use super::latency;
use super::replica_address::ReplicaAddress;
use crate::error::{Error, Result};
use crate::server::Session;
use crate::show::{Shown, counted};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// A cause that returns within this time is not told again.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// The conditions, as the user gives them.
#[derive(clap::Args, Default)]
#[group(id = "throttle")]
pub(super) struct Args {
    /// Wait before each statement while this status variable of the server is higher than N (repeatable)
    #[arg(long, value_name = "NAME=N")]
    max_load: Vec<Limit>,
    /// Wait before each statement while 99 of 100 statements of clients do not end within this time, measured over the last
    /// 5 seconds; 100 suits many servers
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    max_p99: Option<u64>,
    /// Wait before each statement while a replica is further behind: this server, if it is one, and its own replicas
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_lag: Option<u64>,
    /// With --max-lag, also ask this replica, with the same account; for those that do not set report_host [default port:
    /// 3306] (repeatable)
    #[arg(long, value_name = "HOST[:PORT]", requires = "max_lag")]
    replica: Vec<ReplicaAddress>,
    /// Wait before each statement while this file exists
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
}

/// A status variable and the highest value that it may have.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Limit {
    name: String,
    limit: u64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("{text:?} is not of the form NAME=N, for example Threads_running=25");
        let (name, limit) = text.split_once(['=', ':']).ok_or_else(wrong)?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        match limit.parse() {
            Ok(limit) if is_name => Ok(Limit { name: name.to_owned(), limit }),
            _ => Err(wrong()),
        }
    }
}

impl Limit {
    fn why_wait(&self, session: &mut Session) -> Result<Option<Wait>> {
        let query = format!("SHOW GLOBAL STATUS LIKE '{}'", self.name.replace('_', "\\_"));
        let row = session.first::<(String, String)>(&query)?;
        let value = row.and_then(|(_, value)| value.parse::<u64>().ok()).ok_or_else(|| {
            Error::Usage(format!("--max-load {}: SHOW GLOBAL STATUS has no number of that name", self.name))
        })?;
        Ok((value > self.limit).then(|| Wait {
            cause: self.name.clone(),
            why: format!("{} is {value}; the limit is {}", self.name, self.limit),
        }))
    }
}

impl Args {
    fn max_p99(&self) -> Option<Duration> {
        self.max_p99.map(Duration::from_millis)
    }

    fn lag(&self, session: &mut Session) -> Result<Option<Lag>> {
        let limit = self.max_lag.map(Duration::from_secs);
        limit.map(|limit| Lag::new(session, limit, &self.replica)).transpose()
    }

    /// Returns why a run with these conditions cannot start: what they are about cannot be measured.
    ///
    /// # Errors
    /// What the server answers; it has no status variable of that name.
    pub(super) fn refusals(&self, session: &mut Session) -> Result<Vec<String>> {
        for limit in &self.max_load {
            limit.why_wait(session)?;
        }
        let mut why = match self.lag(session)? {
            Some(mut lag) => lag.refusals(session)?,
            None => Vec::new(),
        };
        if self.max_p99.is_some() {
            why.extend(latency::refusal(session)?);
        }
        Ok(why)
    }
}

/// The conditions under which the run waits.
#[derive(Default)]
pub(super) struct Throttle {
    limits: Vec<Limit>,
    pause_file: Option<PathBuf>,
    gauge: Option<Gauge>,
    measures_statements: bool,
    /// When each cause last held.
    told: BTreeMap<String, Instant>,
}

impl Throttle {
    /// Starts to measure. At most `jobs` statements run at a time.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn start(args: &Args, session: &mut Session, jobs: usize) -> Result<Throttle> {
        let (lag, p99) = (args.lag(session)?, args.max_p99());
        let gauge = match (&lag, p99) {
            (None, None) => None,
            _ => Some(Gauge::start(session, lag, p99, jobs)?),
        };
        Ok(Throttle {
            limits: args.max_load.clone(),
            pause_file: args.pause_file.clone(),
            gauge,
            measures_statements: p99.is_some(),
            told: BTreeMap::new(),
        })
    }

    /// Whether the statements of this run's connections must not be measured.
    pub(super) fn measures_statements(&self) -> bool {
        self.measures_statements
    }

    /// Returns why no statement must begin now, if none must; or why the worker of this number, from 0, must not begin with a
    /// table.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn why_wait(&self, session: &mut Session, worker: Option<usize>) -> Result<Option<Wait>> {
        if let Some(file) = self.pause_file.as_ref().filter(|f| f.exists()) {
            let why = format!("{} exists. Remove it to continue", file.shown());
            return Ok(Some(Wait { cause: "--pause-file".to_owned(), why }));
        }
        if let Some(wait) = self.why_not() {
            return Ok(Some(wait));
        }
        if let (Some(worker), Some(open)) = (worker, self.gauge.as_ref().and_then(Gauge::lanes))
            && worker >= open
        {
            let why = format!(
                "{} at a time, until clients' statements have been fast for 10 s (--max-p99)",
                counted(open, "table")
            );
            return Ok(Some(Wait { cause: "--jobs".to_owned(), why }));
        }
        for limit in &self.limits {
            if let Some(wait) = limit.why_wait(session)? {
                return Ok(Some(wait));
            }
        }
        Ok(None)
    }

    /// Returns why no statement would begin now, as far as it is measured all the time.
    pub(super) fn why_not(&self) -> Option<Wait> {
        self.gauge.as_ref()?.why_wait()
    }

    /// Whether the user is to be told of this now: not if it has lasted since they were told, or returned after a short time.
    pub(super) fn is_news(&mut self, cause: &str) -> bool {
        let last = self.told.insert(cause.to_owned(), Instant::now());
        last.is_none_or(|at| at.elapsed() >= TOLD_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let limit = "Threads_running=25".parse::<Limit>().unwrap();
        assert_eq!((limit.name.as_str(), limit.limit), ("Threads_running", 25));
        assert_eq!("Threads_running:25".parse::<Limit>().unwrap(), limit);
        for bad in ["Threads_running", "=3", "a'b=3", "Threads_running=many"] {
            bad.parse::<Limit>().unwrap_err();
        }
    }

    #[test]
    fn each_cause_is_told_once() {
        let mut throttle = Throttle::default();
        assert!(throttle.is_news("--max-lag") && !throttle.is_news("--max-lag"));
        assert!(throttle.is_news("--max-p99"));
    }
}
