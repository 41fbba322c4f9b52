// SPDX-License-Identifier: GPL-2.0-or-later
//! What a server is to other servers: a source with replicas, a replica, a member of a group. That decides whether a
//! statement may be written to its binary log.

use super::codes::SYNTAX;
use super::session::Session;
use crate::error::{Error, Result, ServerError};
use crate::show::Shown;
use serde::Serialize;
use std::fmt;

/// Prefix of the channels that group replication creates.
const GROUP_CHANNELS: &str = "group_replication_";
/// The program that only stores binary logs.
const ARCHIVER: &str = "mysqlbinlog";

/// What the server says of a connection that has been sent all of the binary log, in each of its wordings.
const ALL_SENT: &str = "has sent all binlog to";

/// What keeps the statements after it out of the binary log.
pub const UNLOGGED: &str = "SET SESSION sql_log_bin = 0; ";

/// What a server is to other servers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Role {
    /// Its version, as it reports it.
    pub version: String,
    /// The channels through which it gets other servers' changes, also stopped ones, without those of its group.
    pub channels: Vec<Channel>,
    /// Its group, if it is set up as a member of one.
    pub group: Option<Group>,
    /// Who repeats the statements of its binary log at the moment.
    pub replicas: Vec<ConnectedReplica>,
    /// Whether it is a node of a Galera cluster.
    pub galera: bool,
    /// Which writes it refuses.
    pub refuses: RefusedWrites,
}

/// Which writes a server refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedWrites {
    /// None.
    #[default]
    None,
    /// Those of accounts without CONNECTION_ADMIN (`read_only`).
    OfUsers,
    /// Those of all accounts (`super_read_only`).
    OfAll,
    /// Also its own (`innodb_read_only`).
    Always,
}

/// A replication channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Channel {
    /// Its name; the default channel has none.
    pub name: String,
    /// Its source's host and port.
    pub source: String,
}

/// A server's place in a group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// `PRIMARY` or `SECONDARY`; empty while it is not online, or if it could not be asked.
    pub role: String,
    /// `ONLINE`, `OFFLINE`, `RECOVERING`, ...; empty if it could not be asked.
    pub state: String,
}

/// A connection that reads the binary log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConnectedReplica {
    /// The host that it connects from.
    pub host: String,
    /// What it says that it is: `mysqld`, `mysqlbinlog`, ...; `None` if that could not be asked.
    pub program: Option<String>,
    /// Its version, if that could be asked.
    pub version: Option<String>,
    /// Whether it has been sent all of the binary log, if the server says so.
    pub has_all: Option<bool>,
}

impl Role {
    /// Asks the server. What the account cannot see in performance_schema is asked with SHOW statements.
    ///
    /// # Errors
    /// What the server answers.
    pub fn query(session: &mut Session) -> Result<Role> {
        Ok(Role {
            version: session.first("SELECT @@version")?.unwrap_or_default(),
            channels: channels(session)?,
            group: group(session)?,
            replicas: replicas(session)?,
            // "none" outside of a cluster. Only servers with Galera have it.
            galera: session.variable("wsrep_provider")?.is_some_and(|p| !p.is_empty() && p != "none"),
            refuses: if is_on(session, "innodb_read_only")? {
                RefusedWrites::Always
            } else if is_on(session, "super_read_only")? {
                RefusedWrites::OfAll
            } else if is_on(session, "read_only")? {
                RefusedWrites::OfUsers
            } else {
                RefusedWrites::None
            },
        })
    }

    /// Whether it gets changes from other servers. A transaction of its own in its binary log would be an errant one.
    pub fn receives(&self) -> bool {
        !self.channels.is_empty() || self.group.is_some()
    }

    /// Whether it gets the statements of another server's binary log, and writes none of its own to a group.
    pub fn repeats(&self) -> bool {
        let is_primary = |group: &Group| group.state == "ONLINE" && group.role == "PRIMARY";
        !self.channels.is_empty() || self.group.as_ref().is_some_and(|group| !is_primary(group))
    }

    /// The connected replicas of another release series than its own, or of an unknown one.
    pub fn other_versions(&self) -> impl Iterator<Item = &ConnectedReplica> {
        self.replicas
            .iter()
            .filter(|replica| replica.version.as_deref().is_none_or(|v| series(v) != series(&self.version)))
    }
}

impl Channel {
    fn new(name: String, host: Option<String>, port: Option<String>) -> Channel {
        Channel { name, source: format!("{}:{}", host.unwrap_or_default(), port.unwrap_or_default()) }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            write!(f, "the source {}", self.source.shown())
        } else {
            write!(f, "the source {} (channel {})", self.source.shown(), self.name.shown())
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the replication group {}", self.name.shown())?;
        match (self.state.as_str(), self.role.as_str()) {
            ("", _) => Ok(()),
            (state, "") => write!(f, " ({state})"),
            (state, role) => write!(f, " ({state}, {role})"),
        }
    }
}

impl fmt::Display for ConnectedReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host.shown())?;
        match (&self.program, &self.version) {
            (Some(program), Some(version)) => write!(f, " ({} {})", program.shown(), version.shown()),
            _ => write!(f, " (version not visible)"),
        }
    }
}

/// Returns what comes before a statement that changes data and that the administrator runs by hand: [`UNLOGGED`] on a server
/// that gets changes from others.
pub(super) fn before_by_hand(session: &mut Session) -> Result<&'static str> {
    let receives = group(session)?.is_some() || !channels(session)?.is_empty();
    Ok(if receives { UNLOGGED } else { "" })
}

/// Returns the release series of a version: `8.4` of `8.4.7-log`.
fn series(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(end, _)| &version[..end])
}

fn is_on(session: &mut Session, variable: &str) -> Result<bool> {
    Ok(session.variable(variable)?.is_some_and(|value| value.eq_ignore_ascii_case("ON")))
}

fn channels(session: &mut Session) -> Result<Vec<Channel>> {
    let seen = session.rows::<(String, Option<String>, Option<u32>)>(
        "SELECT CHANNEL_NAME, HOST, PORT FROM performance_schema.replication_connection_configuration
         ORDER BY CHANNEL_NAME",
    );
    let all = match seen {
        Ok(rows) => rows
            .into_iter()
            .map(|(name, host, port)| Channel::new(name, host, port.map(|port| port.to_string())))
            .collect(),
        Err(_) => shown_channels(session)?,
    };
    Ok(all.into_iter().filter(|channel| !channel.name.starts_with(GROUP_CHANNELS)).collect())
}

/// For an account that may not read performance_schema.
fn shown_channels(session: &mut Session) -> Result<Vec<Channel>> {
    let old = ["Channel_Name", "Master_Host", "Master_Port"];
    let new = ["Channel_Name", "Source_Host", "Source_Port"];
    // The first exists since 8.0.22, and the second until 8.3.
    let rows = match session.columns::<String>("SHOW REPLICA STATUS", &new) {
        Err(Error::Server(ServerError { code: SYNTAX, .. })) => session.columns("SHOW SLAVE STATUS", &old)?,
        rows => rows?,
    };
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut columns = row.into_iter();
            let mut next = || columns.next().flatten();
            Channel::new(next().unwrap_or_default(), next(), next())
        })
        .collect())
}

/// A server with a group's name in its settings is a member, also while it is outside of the group.
fn group(session: &mut Session) -> Result<Option<Group>> {
    let name = session.variable("group_replication_group_name")?.filter(|name| !name.is_empty());
    let Some(name) = name else { return Ok(None) };
    let own: Option<(String, String)> = session
        .first(
            "SELECT MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members
             WHERE MEMBER_ID = @@server_uuid",
        )
        .unwrap_or_default();
    let (state, role) = own.unwrap_or_default();
    Ok(Some(Group { name, role, state }))
}

fn replicas(session: &mut Session) -> Result<Vec<ConnectedReplica>> {
    let readers: Vec<(u64, String, Option<String>)> = session.rows(
        "SELECT ID, HOST, STATE FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%' ORDER BY ID",
    )?;
    let replicas = readers.into_iter().map(|(id, host, state)| {
        let attributes: Vec<(String, Option<String>)> = session
            .rows(&format!(
                "SELECT ATTR_NAME, ATTR_VALUE FROM performance_schema.session_connect_attrs
                     WHERE PROCESSLIST_ID = {id}"
            ))
            .unwrap_or_default();
        let find = |name| attributes.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.clone());
        // The port is that of the connection, where nobody listens.
        let host = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host).to_owned();
        ConnectedReplica {
            host,
            program: find("program_name"),
            version: find("_client_version"),
            has_all: state.map(|state| state.contains(ALL_SENT)),
        }
    });
    Ok(replicas.filter(|replica| replica.program.as_deref() != Some(ARCHIVER)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(version: Option<&str>) -> ConnectedReplica {
        ConnectedReplica {
            host: "b".to_owned(),
            program: version.map(|_| "mysqld".to_owned()),
            version: version.map(str::to_owned),
            has_all: None,
        }
    }

    #[test]
    fn replicas_of_another_release_series_are_known() {
        let all = [Some("9.7.5"), Some("8.4.7"), None, Some("9.7")].map(replica);
        let role = Role { version: "9.7.4-2-log".to_owned(), replicas: all.to_vec(), ..Role::default() };
        let others: Vec<_> = role.other_versions().map(ToString::to_string).collect();
        assert_eq!(others, ["b (mysqld 8.4.7)", "b (version not visible)"]);
    }

    #[test]
    fn a_server_with_any_channel_or_group_receives() {
        let channel = Channel { name: String::new(), source: "a:3306".to_owned() };
        assert!(Role { channels: vec![channel], ..Role::default() }.receives());
        let group = Group { name: "g".to_owned(), role: String::new(), state: "OFFLINE".to_owned() };
        assert_eq!(group.to_string(), "the replication group g (OFFLINE)");
        let primary = Group { state: "ONLINE".to_owned(), role: "PRIMARY".to_owned(), ..group.clone() };
        let member = |group| Role { group: Some(group), ..Role::default() };
        assert!(member(group.clone()).receives() && member(group).repeats());
        assert!(member(primary.clone()).receives() && !member(primary).repeats());
        assert!(!Role { replicas: vec![replica(None)], ..Role::default() }.receives());
    }
}
