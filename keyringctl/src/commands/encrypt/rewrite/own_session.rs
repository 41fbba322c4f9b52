// SPDX-License-Identifier: GPL-2.0-or-later
//! Expressions of a table as the session that copies it reads them. The server keeps open tables for whatever session is next,
//! with the expressions as they were read when the table was opened: a session with NO_BACKSLASH_ESCAPES reads `'\\'` as two
//! backslashes, and an ALTER of another session that gets its table then stores them, and computes values with them. So the
//! session that copies such a table locks it, makes the server forget it, and opens it itself.

use super::clauses::{self, has_backslash};
use super::definition::Definition;
use crate::commands::encrypt::job::{Job, Step};
use crate::commands::encrypt::pace::WHOLE;
use crate::error::{Error, Result, ServerError};
use crate::server::{LOCK_WAIT_TIMEOUT, QUERY_INTERRUPTED, Session, Table};

pub(super) const NO_BACKSLASH_ESCAPES: &str = "NO_BACKSLASH_ESCAPES";

/// Whether what a table computes, or the text of its definition, may depend on the session that opened it.
pub(super) fn is_needed(text: &str) -> bool {
    has_backslash(text)
        || text.lines().any(|line| has(line, " GENERATED ALWAYS AS ") || is_index_of_expressions(line))
}

/// Whether the values in an index depend on how a session reads backslashes.
pub(super) fn has_index_of_backslashes(text: &str) -> bool {
    text.lines().any(|line| (has(line, ") VIRTUAL") || is_index_of_expressions(line)) && has_backslash(line))
}

fn is_index_of_expressions(line: &str) -> bool {
    ["  KEY ", "  UNIQUE KEY "].iter().any(|start| line.starts_with(start)) && has(line, "((")
}

fn has(line: &str, clause: &str) -> bool {
    clauses::unquoted(line).any(|part| part.contains(clause))
}

/// The statements after which a session has the table to itself, and reads its definition anew.
pub(super) fn locking(table: &Table) -> [String; 2] {
    let name = table.quoted();
    [format!("LOCK TABLES {name} WRITE"), format!("FLUSH NO_WRITE_TO_BINLOG TABLES {name}")]
}

/// Releases the table, unless the connection is lost, and the lock with it.
pub(super) fn unlock<T>(session: &mut Session, ended: &Result<T>) {
    if !matches!(ended, Err(Error::Server(ServerError { silent: true, .. }))) {
        let _ = session.run("UNLOCK TABLES");
    }
}

/// What became of reading a definition.
pub(super) enum Read {
    Definition(Definition),
    /// The server refuses the lock.
    Refused(ServerError),
    /// The user asked to stop.
    Stopped,
}

/// Reads the definition as the session that copies reads it.
pub(super) fn query(job: &mut Job<'_>, table: &Table) -> Result<Read> {
    let statements = locking(table);
    let locked = match job.carry_out_share(&table.full_name(), &statements, 0, WHOLE) {
        Ok(Step::Done) => Ok(()),
        Ok(Step::Stopped) => return Ok(Read::Stopped),
        Err(e) => Err(e),
    };
    let read = locked.and_then(|()| query_locked(job, table));
    unlock(&mut job.work, &read);
    let refused = match read {
        Err(Error::Server(refused)) if refused.code != 0 => refused,
        read => return read.map(Read::Definition),
    };
    if [LOCK_WAIT_TIMEOUT, QUERY_INTERRUPTED].contains(&refused.code) {
        return Err(Error::Server(refused));
    }
    // If the table is gone, this says so. If not, it was something else that LOCK TABLES needs.
    Definition::query(&mut job.watch, table)?;
    Ok(Read::Refused(refused))
}

/// Reads the definition of a table that the session that copies has locked.
pub(super) fn query_locked(job: &mut Job<'_>, table: &Table) -> Result<Definition> {
    let id = job.work.id();
    let read = Definition::query(&mut job.work, table)?;
    if job.work.id() == id {
        return Ok(read);
    }
    // The connection was lost meanwhile, and the lock with it.
    job.work.run_together(&locking(table))?;
    Definition::query(&mut job.work, table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_whose_expressions_depend_on_the_session_are_known() {
        let table = |line: &str| format!("CREATE TABLE `a\\b` (\n  `a` int,\n{line}\n) ENGINE=InnoDB");
        for (line, needed, index) in [
            (r"  `b` int", false, false),
            (r"  CONSTRAINT `c` CHECK ((`a` > 1))", false, false),
            (r"  CONSTRAINT `c` CHECK ((`a` <> _utf8mb4'\\'))", true, false),
            (r"  `b` varchar(9) DEFAULT (_utf8mb4'a\\b')", true, false),
            (r"  `b` int GENERATED ALWAYS AS ((`a` + 1)) STORED", true, false),
            (r"  `b` int GENERATED ALWAYS AS (concat(`a`,_utf8mb4'\\')) STORED", true, false),
            (r"  `b` int GENERATED ALWAYS AS (concat(`a`,_utf8mb4'\\')) VIRTUAL", true, true),
            (r"  KEY `k` ((concat(`a`,_utf8mb4'\\')))", true, true),
            (r"  KEY `k` ((`a` + 1))", true, false),
        ] {
            let text = table(line);
            assert_eq!((is_needed(&text), has_index_of_backslashes(&text)), (needed, index), "{line}");
        }
    }
}
