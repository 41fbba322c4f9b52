// SPDX-License-Identifier: GPL-2.0-or-later
//! A schema of our own for a moment, without a trace in the binary log.

use crate::server::Session;
use keyring_external::error::{Error, Result};

/// Its name. One of that name that is there was left by a run that ended early.
pub(super) const NAME: &str = "keyring_external_canary";
/// The tables that are made in it.
const TABLES: &str = "'canary', 'filler'";

/// The schema, and a connection for it. It goes with its value.
pub(super) struct Scratch {
    pub session: Session,
}

impl Scratch {
    /// Makes it; `like` says on which server.
    pub fn make(like: &Session) -> Result<Scratch> {
        let mut session = like.again()?;
        let foreign: Option<u64> = session.first(&format!(
            "SELECT COUNT(*) FROM information_schema.TABLES
             WHERE TABLE_SCHEMA = '{NAME}' AND TABLE_NAME NOT IN ({TABLES})"
        ))?;
        if foreign != Some(0) {
            return Err(Error::Config(format!(
                "the schema {NAME} holds tables that are not of keyringctl: rename it, that name is needed for a moment"
            )));
        }
        // A backup's lock, for instance, is not waited for.
        session.run("SET SESSION lock_wait_timeout = 30")?;
        session.run("SET SESSION sql_log_bin = 0")?;
        session.run(&format!("DROP SCHEMA IF EXISTS {NAME}"))?;
        session.run(&format!("CREATE SCHEMA {NAME} DEFAULT ENCRYPTION = 'Y'"))?;
        session.run(&format!("USE {NAME}"))?;
        Ok(Scratch { session })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be dropped now is dropped by the next run.
        let _ = self.session.run(&format!("DROP SCHEMA IF EXISTS {NAME}"));
    }
}
