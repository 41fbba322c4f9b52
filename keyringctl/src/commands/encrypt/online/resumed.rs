// SPDX-License-Identifier: GPL-2.0-or-later
//! A server that crashes while it encrypts or decrypts a tablespace completes that at its next start, and writes the statement
//! to its binary log with a number of its own, also if it was not to be written there. Other servers do not know the
//! tablespace. This module finds that statement, and says what to do.

use crate::error::Result;
use crate::server::{Role, ScratchName, Session};

/// How many binary logs are searched, the newest first. The server begins a new one with each start.
const LOGS: usize = 50;
/// How many events of each. The statement is one of the first.
const EVENTS: usize = 40;

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
    let Some(written) = find(session, name)? else { return Ok(None) };
    Ok(Some(advice(&written, name, role)))
}

/// Where the statement is.
#[derive(PartialEq, Eq, Debug)]
struct Written {
    log: String,
    /// `server:number`; `None` without GTIDs.
    gtid: Option<String>,
}

fn find(session: &mut Session, name: &ScratchName) -> Result<Option<Written>> {
    // A server without a binary log refuses this, and one that does not show events to this account the next.
    let logs = match session.columns::<String>("SHOW BINARY LOGS", &["Log_name"]) {
        Ok(rows) => rows.into_iter().flatten().flatten().collect::<Vec<_>>(),
        Err(_) => return Ok(None),
    };
    for log in logs.into_iter().rev().take(LOGS) {
        // The server takes a literal without a character set only.
        let events = format!("SHOW BINLOG EVENTS IN '{}' LIMIT {EVENTS}", log.replace('\'', "''"));
        let Ok(rows) = session.columns::<String>(&events, &["Info"]) else { continue };
        let events: Vec<_> = rows.into_iter().flatten().flatten().collect();
        if let Some(gtid) = completed(&events, name) {
            return Ok(Some(Written { log, gtid }));
        }
    }
    Ok(None)
}

/// Looks among the first events of a binary log for the statement with which the server completes what it had begun. Returns
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
        let name = ScratchName::new(true, false, "d", "t");
        let gtid = "SET @@SESSION.GTID_NEXT= '13fc4651-e9e8-11f1-8189-02fc00000001:1'";
        let statement = format!("ALTER TABLESPACE {name} ENCRYPTION = 'Y' /* xid=2 */");
        let events = |all: &[&str]| all.iter().map(|event| (*event).to_owned()).collect::<Vec<_>>();
        let found = completed(&events(&["Server ver: 9.7.4", "", gtid, &statement]), &name);
        assert_eq!(found, Some(Some("13fc4651-e9e8-11f1-8189-02fc00000001:1".to_owned())));
        let without = "SET @@SESSION.GTID_NEXT= 'ANONYMOUS'";
        let quoted = statement.replace(name.as_str(), &name.quoted());
        assert_eq!(completed(&events(&[without, &quoted]), &name), Some(None));
        let other = ScratchName::new(true, false, "d", "other");
        assert_eq!(completed(&events(&[gtid, &statement]), &other), None);
        assert_eq!(completed(&events(&[gtid, &format!("DROP TABLESPACE {name}")]), &name), None);
    }

    #[test]
    fn the_advice_names_the_server_that_needs_an_empty_transaction() {
        let name = ScratchName::new(true, false, "d", "t");
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
