// SPDX-License-Identifier: GPL-2.0-or-later
//! What the sessions of a run are waiting for the server to answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A query or statement that the server has not answered yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// The number of its connection.
    pub connection: u32,
    /// The statement.
    pub statement: String,
    /// When it was sent.
    pub since: Instant,
}

/// The calls of sessions that are connected from each other.
#[derive(Default, Debug)]
pub struct Busy(Mutex<BTreeMap<u32, Call>>);

/// Ends a call.
pub(super) struct Ended(Arc<Busy>, u32);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Busy {
    /// The server is being asked for something until the result is dropped.
    pub(super) fn begin(busy: &Arc<Busy>, connection: u32, statement: &str) -> Ended {
        let call = Call { connection, statement: statement.to_owned(), since: Instant::now() };
        busy.lock().insert(connection, call);
        Ended(Arc::clone(busy), connection)
    }

    /// Returns the calls that the server has not answered for that long.
    pub fn longer_than(&self, time: Duration) -> Vec<Call> {
        self.lock().values().filter(|call| call.since.elapsed() >= time).cloned().collect()
    }

    /// Whether the server has still not answered a call.
    pub fn goes_on(&self, call: &Call) -> bool {
        self.lock().get(&call.connection).is_some_and(|now| now.since == call.since)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_there_until_it_has_ended() {
        let busy = Arc::default();
        let ended = Busy::begin(&busy, 8, "DROP SCHEMA s");
        let calls = busy.longer_than(Duration::ZERO);
        assert_eq!(
            calls.iter().map(|c| (c.connection, &*c.statement)).collect::<Vec<_>>(),
            [(8, "DROP SCHEMA s")]
        );
        assert!(busy.longer_than(Duration::from_secs(3600)).is_empty());
        assert!(busy.goes_on(&calls[0]));
        drop(ended);
        assert!(!busy.goes_on(&calls[0]) && busy.longer_than(Duration::ZERO).is_empty());
    }
}
