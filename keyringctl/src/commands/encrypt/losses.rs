// SPDX-License-Identifier: GPL-2.0-or-later
//! What follows when a connection is lost in the middle of a statement. After a restart of the server, the step is tried
//! again, but not for ever: it may be what brings the server down. A connection that was closed on a server that kept running
//! was probably killed. Its step is not tried again, and if that happens again and again, the run stops.

use crate::error::{Error, Result, ServerError};
use crate::server::Loss;

/// The mysql client's error for a connection that was lost during a statement.
const SERVER_LOST: u16 = 2013;
/// How often a step is tried if the server goes down during it.
const ATTEMPTS: u32 = 3;
/// How many connections may be closed before the run stops.
const MOST_CLOSED: u32 = 3;

/// How often connections were lost in the middle of a statement.
#[derive(Default)]
pub(super) struct Losses {
    /// The step during which the server went down last, and how often in a row.
    last: (String, u32),
    /// Connections that were closed while the server kept running.
    closed: u32,
}

impl Losses {
    /// Returns the error to record for the step `what`, or `None` if it is to be tried again.
    ///
    /// # Errors
    /// The run is to stop.
    pub(super) fn judge(&mut self, what: &str, doing: &str, loss: Loss) -> Result<Option<Error>> {
        let error = |code, why: String| {
            Error::Server(ServerError { doing: doing.to_owned(), code, silent: false, why })
        };
        match loss {
            Loss::Restart => {
                let (last, times) = &mut self.last;
                *times = if last == what { *times + 1 } else { 1 };
                what.clone_into(last);
                let why =
                    format!("the server went down {ATTEMPTS} times during this step: see its error log");
                Ok((*times >= ATTEMPTS).then(|| error(SERVER_LOST, why)))
            }
            Loss::Closed => {
                self.closed += 1;
                if self.closed < MOST_CLOSED {
                    let why = "its connection was closed, for example with KILL, so it was not tried again. Run this again for it";
                    return Ok(Some(error(SERVER_LOST, why.to_owned())));
                }
                Err(error(
                    0,
                    format!(
                        "{MOST_CLOSED} connections of this run were closed in the middle of a statement, for example with KILL, \
                         so it has stopped"
                    ),
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_tried_again_after_restarts_but_not_for_ever() {
        let mut losses = Losses::default();
        for what in ["a", "b", "b", "a"] {
            assert!(losses.judge(what, "run", Loss::Restart).unwrap().is_none(), "{what}");
        }
        losses.judge("a", "run", Loss::Restart).unwrap();
        let failed = losses.judge("a", "run", Loss::Restart).unwrap().unwrap();
        assert!(failed.to_string().contains("went down 3 times"), "{failed}");
    }

    #[test]
    fn whoever_kills_connections_again_and_again_stops_the_run() {
        let mut losses = Losses::default();
        for what in ["a", "b"] {
            let failed = losses.judge(what, "run", Loss::Closed).unwrap().unwrap();
            assert!(failed.to_string().contains("KILL"), "{failed}");
        }
        assert!(losses.judge("c", "run", Loss::Closed).unwrap_err().to_string().contains("has stopped"));
    }
}
