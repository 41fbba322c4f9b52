// SPDX-License-Identifier: GPL-2.0-or-later
//! A temporary schema that leaves no trace in the binary log.

use crate::error::{Error, Result};
use crate::server::Session;

/// The schema's name. If it exists, an interrupted run left it behind.
pub(super) const NAME: &str = "keyring_external_canary";
/// The tables that are created in it.
const TABLES: &str = "'canary', 'filler'";

/// The schema and a connection for it. The schema is dropped with this value.
pub(super) struct Scratch {
    pub session: Session,
}

impl Scratch {
    /// Creates the schema on the server that `like` is connected to.
    pub(super) fn create(like: &Session) -> Result<Scratch> {
        let mut session = like.connect_again()?;
        let foreign: Option<u64> = session.first(&format!(
            "SELECT COUNT(*) FROM information_schema.TABLES
             WHERE TABLE_SCHEMA = '{NAME}' AND TABLE_NAME NOT IN ({TABLES})"
        ))?;
        if foreign != Some(0) {
            return Err(Error::Usage(format!(
                "the schema {NAME} contains tables that this program did not create. It needs that name for a temporary schema: rename yours, then run this again"
            )));
        }
        // Do not wait long for a lock, for example a backup's.
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
        // If this fails, the next run drops the schema.
        let _ = self.session.run(&format!("DROP SCHEMA IF EXISTS {NAME}"));
    }
}
