// SPDX-License-Identifier: GPL-2.0-or-later
//! A temporary schema that leaves no trace in the binary log, and whose tables do not depend on the server's defaults.

use crate::error::{Error, Result, ServerError};
use crate::server::{SCHEMA_DEFAULTS, Session, first_known};

/// The schema's name. If it exists, an interrupted run left it behind.
pub(super) const NAME: &str = "keyring_external_canary";
/// The tables that are created in it.
const TABLES: &str = "'canary', 'filler', 'probe'";
/// A tablespace for its tables. If it exists, an interrupted run left it behind.
pub(super) const SPACE: &str = "keyring_external_probe";
/// The lock that one run at a time holds while it uses the schema. The server releases it with the connection.
const LOCK: &str = "keyring_external.canary";
/// MySQL's error for a statement that the account has no privilege for.
const DENIED: u16 = 1227;
/// MySQL's error for a schema whose directory contains files that belong to no table.
const DIRECTORY_NOT_EMPTY: u16 = 1010;
/// How long its statements wait for locks where nobody says for whom, in seconds.
pub(super) const PATIENCE: u32 = 10;
/// How many seconds to wait for another run.
const LOCK_WAIT: u32 = 60;

/// The schema and a connection for it. The schema is dropped with this value.
pub(super) struct Scratch {
    pub session: Session,
    exists: bool,
}

impl Scratch {
    /// Creates the schema on the server that `like` is connected to. No statement waits longer than `patience`, in seconds, for a
    /// lock, for example a backup's.
    pub(super) fn create(like: &Session, patience: u32) -> Result<Scratch> {
        let mut session = connect(like, patience)?;
        let lock = format!("SELECT GET_LOCK('{LOCK}', {LOCK_WAIT})");
        if session.first::<Option<i64>>(&lock)?.flatten() != Some(1) {
            return Err(Error::Usage(format!(
                "another keyringctl has been using the schema {NAME} for {LOCK_WAIT} seconds. Run this again when it has ended"
            )));
        }
        if let Some(foreign) = foreign(&mut session)? {
            return Err(Error::Usage(format!(
                "the schema {NAME} contains {foreign}, which this program did not create. It needs that name for a temporary schema, which it drops afterwards: rename yours, then run this again"
            )));
        }
        drop_all(&mut session)?;
        first_known(&SCHEMA_DEFAULTS, |defaults| session.run(&format!("CREATE SCHEMA {NAME} {defaults}")))?;
        let mut scratch = Scratch { session, exists: true };
        scratch.session.run(&format!("USE {NAME}"))?;
        Ok(scratch)
    }

    /// Creates an encrypted table with its own file, whatever the server's defaults are. `columns` include a primary key.
    pub(super) fn create_table(&mut self, name: &str, columns: &str) -> Result<()> {
        self.session.run(&format!(
            "CREATE TABLE {name} ({columns}) ENGINE = InnoDB TABLESPACE = innodb_file_per_table ROW_FORMAT = DYNAMIC
             DEFAULT CHARACTER SET utf8mb4 ENCRYPTION = 'Y'"
        ))
    }

    /// Drops the schema, and says if that fails.
    pub(super) fn remove(mut self) -> Result<()> {
        self.exists = false;
        match drop_all(&mut self.session) {
            // The connection is lost.
            Err(Error::Server(ServerError { code: 0, .. })) => {
                drop_all(&mut connect(&self.session, PATIENCE)?)
            }
            done => done,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.exists {
            // If this fails, the next run drops the schema.
            let _ = self.session.run("UNLOCK TABLES").and_then(|()| drop_all(&mut self.session));
        }
    }
}

/// Opens a connection whose statements are not written to the binary log.
fn connect(like: &Session, patience: u32) -> Result<Session> {
    let mut session = like.connect_again()?;
    session.run(&format!("SET SESSION lock_wait_timeout = {patience}"))?;
    session.run("SET SESSION sql_log_bin = 0")?;
    Ok(session)
}

/// Drops what was created, the tables first.
fn drop_all(session: &mut Session) -> Result<()> {
    drop_schema(session)?;
    let exists = format!("SELECT 1 FROM information_schema.INNODB_TABLESPACES WHERE NAME = '{SPACE}'");
    if session.first::<i64>(&exists)?.is_none() {
        return Ok(());
    }
    match session.run(&format!("DROP TABLESPACE {SPACE}")) {
        // Nothing is in it. Who creates it has the privilege to drop it.
        Err(Error::Server(ServerError { code: DENIED, .. })) => Ok(()),
        done => done,
    }
}

fn drop_schema(session: &mut Session) -> Result<()> {
    let drop = format!("DROP SCHEMA IF EXISTS {NAME}");
    let is_not_empty = |e: &Error| matches!(e, Error::Server(ServerError { code: DIRECTORY_NOT_EMPTY, .. }));
    match session.run(&drop) {
        // A server that is killed while it exports the table leaves files beside it. It deletes them when an export ends.
        Err(e) if is_not_empty(&e) => {
            session.run(&format!("FLUSH TABLES {NAME}.canary FOR EXPORT"))?;
            session.run("UNLOCK TABLES")?;
            session.run(&drop).map_err(|e| match is_not_empty(&e) {
                true => Error::Usage(format!(
                    "{e}. The server does not know some files in the directory {NAME} of its data directory: delete them"
                )),
                false => e,
            })
        }
        done => done,
    }
}

/// Returns the name of something in the schema that is not from a run of this program.
fn foreign(session: &mut Session) -> Result<Option<String>> {
    session.first(&format!(
        "SELECT CONCAT('the table or view ', TABLE_NAME) FROM information_schema.TABLES
         WHERE TABLE_SCHEMA = '{NAME}' AND TABLE_NAME NOT IN ({TABLES})
         UNION ALL SELECT CONCAT('the routine ', ROUTINE_NAME) FROM information_schema.ROUTINES
         WHERE ROUTINE_SCHEMA = '{NAME}'
         UNION ALL SELECT CONCAT('the event ', EVENT_NAME) FROM information_schema.EVENTS
         WHERE EVENT_SCHEMA = '{NAME}' LIMIT 1"
    ))
}
