// SPDX-License-Identifier: GPL-2.0-or-later
//! A server that crashes while it encrypts or decrypts a tablespace completes that at its next start, and writes the statement
//! to its binary log with a number of its own, also if it was not to be written there. Other servers do not know the
//! tablespace. This module finds that statement, and says what to do.

use crate::error::Result;
use crate::server::{Role, ScratchName, Session};

/// How many binary logs are searched, the newest first. The server begins a new one with each start.
const LOGS: usize = 50;
/// How many events are asked for at once. If many clients write, some of theirs come first.
const PIECE: usize = 2000;
/// How many events of all logs are searched, so that this takes seconds.
const MOST: usize = 400_000;

/// Returns what to do about the statement; `None` if it was written nowhere, or belongs there. `role`: what the server is to
/// others.
///
/// # Errors
/// The connection is lost.
pub(in crate::commands::encrypt) fn what_to_do(
    session: &mut Session,
    name: &ScratchName,
    role: &Role,
) -> Result<Option<String>> {
    if name.is_logged() && !role.receives() {
        return Ok(None);
    }
    if !may_have_crashed(session, name)? {
        return Ok(None);
    }
    Ok(match find(session, name)? {
        Found::Written(written) => Some(advice(&written, name, role)),
        Found::Nowhere => None,
        Found::GaveUp => Some(format!(
            "the server was restarted since {name} was begun. If it crashed, it may have written ALTER TABLESPACE {name} ENCRYPTION to a binary log by itself, which other servers do not know. The first {MOST} events looked at do not have it; look for it in the others with mysqlbinlog"
        )),
    })
}

/// Whether the server was started after a scratch tablespace was begun.
fn may_have_crashed(session: &mut Session, name: &ScratchName) -> Result<bool> {
    let Some(begun) = name.begun() else { return Ok(true) };
    let now = session.first::<u64>("SELECT UNIX_TIMESTAMP()")?;
    let up: Vec<(String, u64)> = session.rows("SHOW GLOBAL STATUS LIKE 'Uptime'")?;
    let (Some(now), Some((_, up))) = (now, up.first()) else { return Ok(true) };
    // Both are rounded to seconds.
    Ok(now.saturating_sub(*up) >= begun)
}

/// What the binary logs say.
enum Found {
    Written(Written),
    Nowhere,
    /// There are too many events.
    GaveUp,
}

/// A binary log, as far as it was searched.
struct Search {
    log: String,
    /// Where the next event begins. `None`: there is none.
    next: Option<u64>,
    /// The last event of the piece before.
    last: Vec<String>,
}

/// Where the statement is.
#[derive(PartialEq, Eq, Debug)]
struct Written {
    log: String,
    /// `server:number`; `None` without GTIDs.
    gtid: Option<String>,
}

fn find(session: &mut Session, name: &ScratchName) -> Result<Found> {
    // A server without a binary log refuses this, and one that does not show events to this account the next.
    let Ok(logs) = session.columns::<String>("SHOW BINARY LOGS", &["Log_name"]) else {
        return Ok(Found::Nowhere);
    };
    let logs = logs.into_iter().flatten().flatten().rev().take(LOGS);
    let mut all: Vec<_> = logs.map(|log| Search { log, next: Some(4), last: Vec::new() }).collect();
    let mut looked_at = 0;
    // The statement is near the beginning of its log: all beginnings first.
    for search in &mut all {
        if let Some(written) = search.piece(session, name, &mut looked_at) {
            return Ok(Found::Written(written));
        }
    }
    for search in &mut all {
        while search.next.is_some() {
            if looked_at >= MOST {
                return Ok(Found::GaveUp);
            }
            if let Some(written) = search.piece(session, name, &mut looked_at) {
                return Ok(Found::Written(written));
            }
        }
    }
    Ok(Found::Nowhere)
}

impl Search {
    /// Looks at the next events.
    fn piece(&mut self, session: &mut Session, name: &ScratchName, looked_at: &mut usize) -> Option<Written> {
        let from = self.next.take()?;
        // The server takes a literal without a character set only.
        let log = self.log.replace('\'', "''");
        let query = format!("SHOW BINLOG EVENTS IN '{log}' FROM {from} LIMIT {PIECE}");
        let rows = session.columns::<String>(&query, &["Info", "End_log_pos"]).ok()?;
        *looked_at += rows.len();
        if rows.len() == PIECE {
            let end = rows.last().and_then(|row| row.get(1)?.as_deref()?.parse().ok());
            self.next = end.filter(|end| *end > from);
        }
        let mut events = std::mem::take(&mut self.last);
        events.extend(rows.into_iter().map(|row| row.into_iter().next().flatten().unwrap_or_default()));
        let gtid = completed(&events, name);
        self.last.extend(events.pop());
        Some(Written { log: self.log.clone(), gtid: gtid? })
    }
}

/// Looks among events of a binary log for the statement with which the server completes what it had begun. Returns
/// its GTID, if it has one.
fn completed(events: &[String], name: &ScratchName) -> Option<Option<String>> {
    let statement = |event: &String| {
        let words: Vec<_> = event.split_whitespace().collect();
        words.starts_with(&["ALTER", "TABLESPACE"])
            && words.get(2).is_some_and(|word| word.trim_matches('`') == name.as_str())
            && words.get(3) == Some(&"ENCRYPTION")
    };
    let index = events.iter().position(statement)?;
    let before = index.checked_sub(1).and_then(|before| events[before].split_once("GTID_NEXT="));
    let gtid = before.map(|(_, gtid)| gtid.trim().trim_matches('\'').to_owned());
    Some(gtid.filter(|gtid| gtid.contains(':')))
}

fn advice(written: &Written, name: &ScratchName, role: &Role) -> String {
    let mut text = format!(
        "the server crashed while it encrypted or decrypted {name}, completed that when it started, and wrote the statement to its binary log {} by itself",
        written.log
    );
    let Some(gtid) = &written.gtid else {
        text += ". A replica that reads it stops with error 3510. On each replica that does, run: SET GLOBAL sql_replica_skip_counter = 1; START REPLICA;";
        return text;
    };
    let empty = format!("SET GTID_NEXT = '{gtid}'; BEGIN; COMMIT; SET GTID_NEXT = 'AUTOMATIC';");
    text += &match (&role.group, role.receives()) {
        (Some(_), _) => format!(
            " as the errant transaction {gtid}. Before this server joins its group again, give the group an empty transaction of that number. On its primary, run: {empty}"
        ),
        (None, true) => format!(
            " as the errant transaction {gtid}. Give the other servers an empty one of that number. On the source, run: {empty}"
        ),
        (None, false) => format!(
            " as the transaction {gtid}. A replica that reads it stops with error 3510. On each replica, run: STOP REPLICA; {empty} START REPLICA;"
        ),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Channel, Group};

    #[test]
    fn the_statement_that_a_server_writes_after_a_crash_is_found() {
        let name = ScratchName::new(true, false, ("d", "t"), 1);
        let gtid = "SET @@SESSION.GTID_NEXT= '13fc4651-e9e8-11f1-8189-02fc00000001:1'";
        let statement = format!("ALTER TABLESPACE {name} ENCRYPTION = 'Y' /* xid=2 */");
        let events = |all: &[&str]| all.iter().map(|event| (*event).to_owned()).collect::<Vec<_>>();
        let found = completed(&events(&["Server ver: 9.7.4", "", gtid, &statement]), &name);
        assert_eq!(found, Some(Some("13fc4651-e9e8-11f1-8189-02fc00000001:1".to_owned())));
        let without = "SET @@SESSION.GTID_NEXT= 'ANONYMOUS'";
        let quoted = statement.replace(name.as_str(), &name.quoted());
        assert_eq!(completed(&events(&[without, &quoted]), &name), Some(None));
        let other = ScratchName::new(true, false, ("d", "other"), 1);
        // An earlier run of the same table.
        let earlier = ScratchName::new(true, false, ("d", "t"), 0);
        assert_eq!(completed(&events(&[gtid, &statement]), &earlier), None);
        assert_eq!(completed(&events(&[gtid, &statement]), &other), None);
        assert_eq!(completed(&events(&[gtid, &format!("DROP TABLESPACE {name}")]), &name), None);
    }

    #[test]
    fn the_advice_names_the_server_that_needs_an_empty_transaction() {
        let name = ScratchName::new(true, false, ("d", "t"), 1);
        let written = Written { log: "binlog.000009".to_owned(), gtid: Some("a:1".to_owned()) };
        let channel = Channel { name: String::new(), source: "s:3306".to_owned() };
        let group = Group { name: "g".to_owned(), role: String::new(), state: String::new() };
        for (role, expected) in [
            (Role::default(), "On each replica, run: STOP REPLICA; SET GTID_NEXT = 'a:1';"),
            (
                Role { channels: vec![channel], ..Role::default() },
                "On the source, run: SET GTID_NEXT = 'a:1';",
            ),
            (Role { group: Some(group), ..Role::default() }, "On its primary, run: SET GTID_NEXT = 'a:1';"),
        ] {
            let text = advice(&written, &name, &role);
            assert!(text.contains(expected) && text.contains("binlog.000009"), "{text}");
        }
        let without = Written { gtid: None, ..written };
        assert!(advice(&without, &name, &Role::default()).contains("sql_replica_skip_counter"));
    }
}
