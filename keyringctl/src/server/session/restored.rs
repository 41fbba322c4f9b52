// SPDX-License-Identifier: GPL-2.0-or-later
//! How a session that has lost its connection connects anew.

use super::{IDLE, Session, present};
use crate::error::{Error, Result};
use crate::server::session_state::Loss;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How long a session waits for a server that does not answer, for example while it is restarted.
const PATIENCE: Duration = Duration::from_secs(300);
/// Pause between two attempts to connect.
const BETWEEN: Duration = Duration::from_millis(500);
/// Pause between two attempts to take a lock.
const BETWEEN_LOCKS: Duration = Duration::from_millis(200);

impl Session {
    /// Connects anew, waits for the server if it does not answer, and finds out why the connection was lost.
    ///
    /// # Errors
    /// [`Error::Server`]: the server does not come back, or is another one.
    pub fn restore(&mut self) -> Result<Loss> {
        let until = Instant::now() + PATIENCE;
        let mut waited = false;
        let mut session = loop {
            match Session::connect(&self.options) {
                Ok(session) => break session,
                Err(Error::Server(e)) if e.silent && Instant::now() < until && !self.is_given_up() => {
                    if !waited && self.told.is_lost_now() {
                        let (address, seconds) = (self.address(), PATIENCE.as_secs());
                        (self.tell)(&format!(
                            "lost the connection to the server at {address}; waiting up to {seconds} s for it to answer"
                        ));
                    }
                    waited = true;
                    thread::sleep(BETWEEN);
                }
                Err(e) => {
                    self.gone.store(true, Ordering::Relaxed);
                    return Err(e);
                }
            }
        };
        self.require_same(&session)?;
        self.set_alike(&mut session)?;
        if let Some(lock) = &self.kept.lock {
            self.lock_again(&mut session, lock, until)?;
        }
        let loss = match (&self.server, &session.server) {
            (Some(before), Some(now)) => before.loss(now),
            _ => Loss::Closed,
        };
        self.restarts += u32::from(loss == Loss::Restart);
        let is_news = session.server.as_ref().is_some_and(|now| self.told.is_back_now(loss, waited, now));
        if is_news {
            (self.tell)(match loss {
                Loss::Restart => "the server was restarted; connected to it again",
                Loss::Closed => "the connection to the server was closed; connected again",
            });
        }
        self.conn = session.conn;
        self.server = session.server;
        self.used = Instant::now();
        self.lost = false;
        Ok(loss)
    }

    /// Whether another session to the same server belongs to a later start of it.
    pub fn was_before_restart(&self, later: &Session) -> bool {
        match (&self.server, &later.server) {
            (Some(before), Some(now)) => before.loss(now) == Loss::Restart,
            _ => false,
        }
    }

    /// How often this session has found that the server was restarted.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Takes the lock on a new connection. The earlier connection's statement may still run, and hold it.
    fn lock_again(&self, session: &mut Session, lock: &str, until: Instant) -> Result<()> {
        while !session.lock(lock)? {
            if Instant::now() >= until || self.is_given_up() {
                return Err(Error::Usage(format!(
                    "another connection holds the lock {lock:?}: a statement of this run that has not ended yet, or another \
                     keyringctl encrypt. SHOW PROCESSLIST shows it"
                )));
            }
            thread::sleep(BETWEEN_LOCKS);
        }
        Ok(())
    }

    fn is_given_up(&self) -> bool {
        self.stopping.load(Ordering::Relaxed) || self.gone.load(Ordering::Relaxed)
    }

    /// Connects anew if the connection was lost while it was idle.
    ///
    /// # Errors
    /// As [`Session::restore`].
    pub fn awake(&mut self) -> Result<()> {
        let can_be_restored = self.server.is_some();
        if can_be_restored
            && (self.lost || (self.used.elapsed() > IDLE && present(&mut self.conn)?.ping().is_err()))
        {
            self.restore()?;
        }
        Ok(())
    }
}
