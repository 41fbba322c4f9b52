// SPDX-License-Identifier: GPL-2.0-or-later
//! The files of InnoDB's tablespaces.

use crate::error::{Error, Result};
use crate::server::Session;
use std::collections::HashMap;

/// The system tablespace.
pub(super) const SYSTEM: &str = "innodb_system";
/// Seconds that a query waits for the lock of a tablespace, where it is not known which are locked.
const NOT_OPEN_WAIT: u64 = 1;
/// Leaves out the tablespaces that `ALTER TABLESPACE` has locked.
const EXCEPT_LOCKED: &str =
    " AND TABLESPACE_NAME NOT IN (SELECT OBJECT_NAME FROM performance_schema.metadata_locks
    WHERE OBJECT_TYPE = 'TABLESPACE' AND LOCK_TYPE = 'EXCLUSIVE' AND OBJECT_NAME IS NOT NULL)";
/// The server's warning if it did not get a lock in time.
const WAITED_IN_VAIN: &str = "1205";

/// What information_schema.FILES says of a tablespace.
#[derive(Default)]
pub(super) struct Files {
    pub path: String,
    pub is_open: bool,
    pub bytes: u64,
}

/// Returns the files of each tablespace, by its name. Does not wait for a tablespace that `ALTER TABLESPACE` has locked: the
/// server shows its name without the lock, and it is open.
pub(super) fn files(session: &mut Session) -> Result<HashMap<String, Files>> {
    let datadir: String = session.first("SELECT @@datadir")?.unwrap_or_default();
    let rows: Vec<(String, String)> = session
        .rows("SELECT TABLESPACE_NAME, FILE_NAME FROM information_schema.FILES WHERE ENGINE = 'InnoDB'")?;
    let mut files: HashMap<String, Files> = HashMap::new();
    for (name, path) in rows {
        let entry = files.entry(name).or_default();
        // Relative paths are relative to the data directory.
        let relative =
            path.strip_prefix("./").map(|rest| format!("{}/{rest}", datadir.trim_end_matches('/')));
        entry.path = relative.unwrap_or(path);
        entry.is_open = true;
    }
    for name in not_open(session)? {
        files.entry(name).or_default().is_open = false;
    }
    let size = session.first::<Option<u64>>(&format!(
        "SELECT CAST(SUM(TOTAL_EXTENTS * EXTENT_SIZE) AS UNSIGNED) FROM information_schema.FILES
         WHERE ENGINE = 'InnoDB' AND TABLESPACE_NAME = '{SYSTEM}'"
    ))?;
    if let (Some(system), Some(bytes)) = (files.get_mut(SYSTEM), size.flatten()) {
        system.bytes = bytes;
    }
    Ok(files)
}

/// Returns the tablespaces whose files the server has not opened.
fn not_open(session: &mut Session) -> Result<Vec<String>> {
    let (not_open, waited) = without_long_waits(session, NOT_OPEN_WAIT, |session| {
        let not_open = match session.rows(&not_open_query(EXCEPT_LOCKED)) {
            // Without performance_schema, or the privilege to read it.
            Err(Error::Server(e)) if e.code != 0 => session.rows(&not_open_query("")),
            done => done,
        }?;
        let warnings = session.columns::<String>("SHOW WARNINGS", &["Code"])?;
        Ok((not_open, warnings.iter().any(|row| row[0].as_deref() == Some(WAITED_IN_VAIN))))
    })?;
    // One that could not be locked looks as if it were not open.
    Ok(if waited { Vec::new() } else { not_open })
}

fn not_open_query(except: &str) -> String {
    format!(
        "SELECT TABLESPACE_NAME FROM information_schema.FILES WHERE ENGINE = 'InnoDB'{except} AND FILE_ID IS NULL"
    )
}

/// Does something with a session whose statements wait at most some seconds for the lock of a table or tablespace.
pub(super) fn without_long_waits<T>(
    session: &mut Session,
    seconds: u64,
    work: impl FnOnce(&mut Session) -> Result<T>,
) -> Result<T> {
    let limit: u64 = session.first("SELECT @@SESSION.lock_wait_timeout")?.unwrap_or(seconds);
    session.run(&format!("SET SESSION lock_wait_timeout = {}", seconds.min(limit)))?;
    let done = work(session);
    session.run(&format!("SET SESSION lock_wait_timeout = {limit}"))?;
    done
}
