// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a server can encrypt a table online. It does so with a table of its own, in a schema of its own, and the run learns
//! it before it changes anything. Nothing of it is written to the binary log.

use super::super::scratch::{NAME, SPACE, Scratch};
use crate::error::{Error, Result, ServerError};
use crate::server::{LOCK_WAIT_TIMEOUT, Session};

/// The table.
const TABLE: &str = "probe";
/// How long a statement waits for a lock, in seconds: a backup may take hours. The user is told meanwhile.
const PATIENCE: u32 = 7 * 24 * 3600;
/// How many rows are in it.
const ROWS: u64 = 3;

/// Returns why the server that `like` is connected to cannot encrypt a table online; `None` if it can.
///
/// # Errors
/// The connection is lost, the server does not get its locks, or the schema that it takes place in belongs to others.
pub(in crate::commands::encrypt) fn why_not(like: &Session) -> Result<Option<String>> {
    let mut scratch = Scratch::create(like, PATIENCE)?;
    let why = match whole_way(&mut scratch.session) {
        Ok(why) => why,
        Err(Error::Server(ServerError { code, doing, why, .. }))
            if code != 0 && code != LOCK_WAIT_TIMEOUT =>
        {
            Some(format!("the server refuses it: {doing}: {why}"))
        }
        Err(e) => return Err(e),
    };
    scratch.remove()?;
    Ok(why)
}

/// Takes the table into a tablespace, encrypts that, and takes the table out again. Returns what did not change.
fn whole_way(session: &mut Session) -> Result<Option<String>> {
    session.run(&format!(
        "CREATE TABLE {TABLE} (id INT PRIMARY KEY, name VARCHAR(20), KEY (name)) ENGINE = InnoDB
         TABLESPACE = innodb_file_per_table ROW_FORMAT = DYNAMIC ENCRYPTION = 'N'"
    ))?;
    session.run(&format!("INSERT INTO {TABLE} VALUES (1, 'a'), (2, 'b'), (3, NULL)"))?;
    session.run(&format!("CREATE TABLESPACE {SPACE} ADD DATAFILE '{SPACE}.ibd' ENCRYPTION = 'N'"))?;
    session.run(&format!("ALTER TABLE {TABLE} TABLESPACE {SPACE}, ALGORITHM = INPLACE, LOCK = NONE"))?;
    if place(session)? != Some(Place::Tablespace { encrypted: false }) {
        return Ok(Some("a table does not move into a tablespace".to_owned()));
    }
    session.run(&format!("ALTER TABLESPACE {SPACE} ENCRYPTION = 'Y'"))?;
    if place(session)? != Some(Place::Tablespace { encrypted: true }) {
        return Ok(Some("it does not encrypt a tablespace that has a table".to_owned()));
    }
    session.run(&format!(
        "ALTER TABLE {TABLE} TABLESPACE innodb_file_per_table, ENCRYPTION = 'Y', ALGORITHM = INPLACE, LOCK = NONE"
    ))?;
    if place(session)? != Some(Place::Own { encrypted: true }) {
        return Ok(Some("a table does not move out of a tablespace, or loses its encryption".to_owned()));
    }
    let rows = session.first::<u64>(&format!("SELECT COUNT(*) FROM {TABLE} FORCE INDEX (PRIMARY)"))?;
    Ok((rows != Some(ROWS)).then(|| "rows were lost on the way".to_owned()))
}

/// Where the table is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the tablespace, which is encrypted or not.
    Tablespace { encrypted: bool },
    /// In a file of its own, which is encrypted or not.
    Own { encrypted: bool },
}

/// Returns where the table is; `None` if it is in neither place.
fn place(session: &mut Session) -> Result<Option<Place>> {
    let own = format!("{NAME}/{TABLE}");
    // Older servers have no such column, and do not encrypt such a tablespace.
    let rows = session.columns::<String>(
        &format!("SELECT * FROM information_schema.INNODB_TABLESPACES WHERE NAME IN ('{own}', '{SPACE}')"),
        &["NAME", "ENCRYPTION"],
    )?;
    let encrypted = |wanted: &str| {
        let row = rows.iter().find(|row| row[0].as_deref() == Some(wanted))?;
        Some(row[1].as_deref() == Some("Y"))
    };
    let place = encrypted(&own).map(|encrypted| Place::Own { encrypted });
    Ok(place.or_else(|| encrypted(SPACE).map(|encrypted| Place::Tablespace { encrypted })))
}
