// SPDX-License-Identifier: GPL-2.0-or-later
//! How far replicas are behind: the server itself, if it is a replica, and its own replicas.
//!
//! Each transaction carries the time at which its first source committed it. The oldest one that a replica applies or receives
//! tells how far it is behind. Servers and accounts without these times have Seconds_Behind_Source.

use super::replica_address::ReplicaAddress;
use crate::error::{Error, Result, ServerError};
use crate::server::{SYNTAX, Session};
use crate::show::Shown;
use std::collections::BTreeMap;
use std::time::Duration;

/// The channel through which a member of a group gets what it missed, once.
const RECOVERY: &str = "group_replication_recovery";
/// How its address is set.
const BY: &str = "Set the address of a replica with --replica HOST[:PORT]";
/// How long another server may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// One channel of a replica.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Channel {
    name: String,
    /// `Err`: why it is not known.
    behind: std::result::Result<Duration, String>,
}

/// A server other than the one that is encrypted.
struct Replica {
    address: ReplicaAddress,
    session: Option<Session>,
}

/// The replicas that the run waits for.
pub(super) struct Lag {
    limit: Duration,
    replicas: Vec<Replica>,
}

impl Lag {
    /// Finds the replicas: those that the server names with a host, and those of `more`.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn new(session: &mut Session, limit: Duration, more: &[ReplicaAddress]) -> Result<Lag> {
        let mut addresses = more.to_vec();
        for known in registered(session)? {
            addresses.extend(known.address.filter(|address| !more.contains(address)));
        }
        let replicas = addresses.into_iter().map(|address| Replica { address, session: None }).collect();
        Ok(Lag { limit, replicas })
    }

    /// Returns why the run must not start: a replica that cannot be asked, or whose replication is stopped; one that is not
    /// known; none at all.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn refusals(&mut self, session: &mut Session) -> Result<Vec<String>> {
        let own = channels(session)?;
        let mut why: Vec<String> = own.iter().filter_map(|c| c.unknown("this server")).collect();
        let mut found = Vec::new();
        for replica in &mut self.replicas {
            match replica.channels(session) {
                Ok((_, all)) if all.is_empty() => {
                    why.push(format!("{} is not a replica of any server", replica.name()));
                }
                Ok((uuid, all)) => {
                    why.extend(all.iter().filter_map(|c| c.unknown(&replica.name())));
                    found.push(uuid);
                }
                Err(e) => {
                    found.push(String::new());
                    why.push(format!("{} cannot be asked: {e}", replica.name()));
                }
            }
        }
        // One that could not be asked may be any of them.
        if !found.iter().any(String::is_empty) {
            why.extend(registered(session)?.into_iter().filter(|known| !found.contains(&known.uuid)).map(
                |known| {
                    format!(
                        "the replica with server_id {} does not say where it is (report_host). Add --replica HOST:PORT for it",
                        known.server_id
                    )
                },
            ));
        }
        if own.is_empty() && self.replicas.is_empty() && why.is_empty() {
            why.push(
                "this server is no replica, and has none. Leave --max-lag out, or add --replica HOST:PORT"
                    .to_owned(),
            );
        }
        Ok(why.into_iter().map(|why| format!("--max-lag: {why}")).collect())
    }

    /// Returns why the run must wait now, if it must.
    ///
    /// # Errors
    /// What the server answers that is encrypted.
    pub(super) fn why_wait(&mut self, session: &mut Session) -> Result<Option<String>> {
        if let Some(why) = too_far(&channels(session)?, "this server", self.limit) {
            return Ok(Some(why));
        }
        for replica in &mut self.replicas {
            let why = match replica.channels(session) {
                Ok((_, all)) if all.is_empty() => {
                    Some(format!("{} is not a replica of any server any more", replica.name()))
                }
                Ok((_, all)) => too_far(&all, &replica.name(), self.limit),
                Err(e) => Some(format!("{} cannot be asked how far it is behind: {e}", replica.name())),
            };
            if why.is_some() {
                return Ok(why);
            }
        }
        Ok(None)
    }
}

impl Replica {
    fn name(&self) -> String {
        format!("the replica {}", self.address.to_string().shown())
    }

    /// Returns its server_uuid and its channels. Connects if there is no connection; one that fails is not used again.
    fn channels(&mut self, from: &Session) -> Result<(String, Vec<Channel>)> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => from.connect_elsewhere(&self.address.host, self.address.port, ANSWER, BY)?,
        };
        let uuid: String = session.first("SELECT @@server_uuid")?.unwrap_or_default();
        let all = channels(&mut session)?;
        self.session = Some(session);
        Ok((uuid, all))
    }
}

impl Channel {
    fn of(&self, server: &str) -> String {
        if self.name.is_empty() {
            server.to_owned()
        } else {
            format!("{server} (channel {})", self.name.shown())
        }
    }

    fn unknown(&self, server: &str) -> Option<String> {
        let why = self.behind.as_ref().err()?;
        Some(format!("{}: {why}", self.of(server)))
    }
}

/// Returns what is wrong with the channel that is furthest behind, or that does not tell.
fn too_far(channels: &[Channel], server: &str, limit: Duration) -> Option<String> {
    if let Some(unknown) = channels.iter().find_map(|channel| channel.unknown(server)) {
        return Some(unknown);
    }
    let behind = |channel: &&Channel| channel.behind.clone().unwrap_or_default();
    let last = channels.iter().max_by_key(behind)?;
    let lag = behind(&last);
    (lag > limit).then(|| {
        format!("{} is {} s behind; the limit is {} s", last.of(server), lag.as_secs(), limit.as_secs())
    })
}

/// A replica that the server knows.
struct Registered {
    server_id: String,
    uuid: String,
    /// `None`: it does not say where it is.
    address: Option<ReplicaAddress>,
}

/// The connected replicas.
fn registered(session: &mut Session) -> Result<Vec<Registered>> {
    let new = ["Server_Id", "Host", "Port", "Replica_UUID"];
    let old = ["Server_id", "Host", "Port", "Slave_UUID"];
    // The first exists since 8.0.22, and the second until 8.3.
    let rows = match session.columns::<String>("SHOW REPLICAS", &new) {
        Err(Error::Server(ServerError { code: SYNTAX, .. })) => session.columns("SHOW SLAVE HOSTS", &old)?,
        rows => rows?,
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Ok(rows
        .iter()
        .filter_map(|row| {
            let [server_id, host, port, uuid] = row.as_slice() else { return None };
            let host = text(host);
            Some(Registered {
                server_id: text(server_id),
                uuid: text(uuid),
                address: (!host.is_empty()).then(|| ReplicaAddress {
                    host,
                    port: text(port).parse().unwrap_or(ReplicaAddress::PORT),
                }),
            })
        })
        .collect())
}

/// Returns a server's channels; none if it gets no changes from others.
fn channels(session: &mut Session) -> Result<Vec<Channel>> {
    match by_times(session) {
        Ok(Some(channels)) => Ok(channels),
        Err(Error::Server(e)) if e.silent => Err(Error::Server(e)),
        // There are no times, or the account may not read them.
        Ok(None) | Err(_) => by_status(session),
    }
}

/// What the server says of a channel: its name, the states of its two threads, and the delay that is asked for.
type States = (String, Option<String>, Option<String>, Option<u64>);

/// `None`: a transaction carries no time, because a source before 8.0 committed it.
fn by_times(session: &mut Session) -> Result<Option<Vec<Channel>>> {
    let states: Vec<States> = session.rows(&format!(
        "SELECT c.CHANNEL_NAME, s.SERVICE_STATE, a.SERVICE_STATE, d.DESIRED_DELAY
         FROM performance_schema.replication_connection_configuration c
         LEFT JOIN performance_schema.replication_connection_status s ON s.CHANNEL_NAME = c.CHANNEL_NAME
         LEFT JOIN performance_schema.replication_applier_status a ON a.CHANNEL_NAME = c.CHANNEL_NAME
         LEFT JOIN performance_schema.replication_applier_configuration d ON d.CHANNEL_NAME = c.CHANNEL_NAME
         WHERE c.CHANNEL_NAME <> '{RECOVERY}' ORDER BY 1"
    ))?;
    // UNIX_TIMESTAMP of a column does not depend on time zones.
    let oldest: Vec<(String, i64)> = session.rows(
        "SELECT CHANNEL_NAME, CAST(FLOOR(MIN(UNIX_TIMESTAMP(committed))) AS SIGNED) FROM (
             SELECT CHANNEL_NAME, APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP AS committed
             FROM performance_schema.replication_applier_status_by_worker WHERE APPLYING_TRANSACTION <> ''
             UNION ALL SELECT CHANNEL_NAME, QUEUEING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP
             FROM performance_schema.replication_connection_status WHERE QUEUEING_TRANSACTION <> ''
         ) AS transactions GROUP BY CHANNEL_NAME",
    )?;
    let now: i64 = session.first("SELECT UNIX_TIMESTAMP()")?.unwrap_or_default();
    let oldest: BTreeMap<String, i64> = oldest.into_iter().collect();
    Ok(states.into_iter().map(|states| timed(states, &oldest, now)).collect())
}

/// `oldest`: when the oldest transaction of each channel was committed that is being received or applied; 0: not known.
fn timed(
    (name, receives, applies, delay): States,
    oldest: &BTreeMap<String, i64>,
    now: i64,
) -> Option<Channel> {
    let is_on = |state: &Option<String>| state.as_deref() == Some("ON");
    let behind = match oldest.get(&name) {
        _ if !is_on(&applies) => Err(stopped("applies")),
        _ if !is_on(&receives) => Err(stopped("receives")),
        Some(0) => return None,
        Some(committed) => {
            let seconds = u64::try_from(now - committed).unwrap_or_default();
            Ok(Duration::from_secs(seconds.saturating_sub(delay.unwrap_or_default())))
        }
        None => Ok(Duration::ZERO),
    };
    Some(Channel { name, behind })
}

fn by_status(session: &mut Session) -> Result<Vec<Channel>> {
    let new =
        ["Channel_Name", "Replica_SQL_Running", "Replica_IO_Running", "Seconds_Behind_Source", "SQL_Delay"];
    let old = ["Channel_Name", "Slave_SQL_Running", "Slave_IO_Running", "Seconds_Behind_Master", "SQL_Delay"];
    let rows = match session.columns::<String>("SHOW REPLICA STATUS", &new) {
        Err(Error::Server(ServerError { code: SYNTAX, .. })) => session.columns("SHOW SLAVE STATUS", &old)?,
        rows => rows?,
    };
    Ok(rows.iter().filter_map(|row| reported(row)).filter(|c| c.name != RECOVERY).collect())
}

fn reported(row: &[Option<String>]) -> Option<Channel> {
    let [name, applies, receives, seconds, delay] = row else { return None };
    let is_on = |state: &Option<String>| state.as_deref() == Some("Yes");
    let number = |value: &Option<String>| value.as_deref().and_then(|v| v.parse::<u64>().ok());
    let behind = match number(seconds) {
        _ if !is_on(applies) => Err(stopped("applies")),
        _ if !is_on(receives) => Err(stopped("receives")),
        Some(seconds) => Ok(Duration::from_secs(seconds.saturating_sub(number(delay).unwrap_or_default()))),
        None => {
            Err("the server does not say how far it is behind (Seconds_Behind_Source is NULL)".to_owned())
        }
    };
    Some(Channel { name: name.clone().unwrap_or_default(), behind })
}

fn stopped(does: &str) -> String {
    format!(
        "the thread that {does} its source's changes does not run. See SHOW REPLICA STATUS there, and run START REPLICA"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(applies: &str, receives: &str, delay: u64) -> States {
        let text = |text: &str| Some(text.to_owned());
        (String::new(), text(receives), text(applies), Some(delay))
    }

    #[test]
    fn a_channel_is_as_far_behind_as_the_oldest_transaction_that_it_applies() {
        let oldest = |at| BTreeMap::from([(String::new(), at)]);
        let behind = |states, oldest: &BTreeMap<String, i64>| timed(states, oldest, 1000).unwrap().behind;
        assert_eq!(behind(states("ON", "ON", 0), &oldest(958)), Ok(Duration::from_secs(42)));
        assert_eq!(behind(states("ON", "ON", 0), &BTreeMap::new()), Ok(Duration::ZERO));
        // A replica that is late on purpose is late only beyond that.
        assert_eq!(behind(states("ON", "ON", 40), &oldest(958)), Ok(Duration::from_secs(2)));
        assert_eq!(behind(states("ON", "ON", 3600), &oldest(958)), Ok(Duration::ZERO));
        // The clock of the source is ahead.
        assert_eq!(behind(states("ON", "ON", 0), &oldest(1005)), Ok(Duration::ZERO));
        assert!(behind(states("OFF", "ON", 0), &oldest(999)).unwrap_err().contains("applies"));
        assert!(behind(states("ON", "CONNECTING", 0), &oldest(999)).unwrap_err().contains("receives"));
        assert_eq!(timed(states("ON", "ON", 0), &oldest(0), 1000), None);
    }

    #[test]
    fn without_times_the_server_says_how_far_it_is_behind() {
        let row = |applies: &str, seconds: Option<&str>, delay: &str| {
            let some = |text: &str| Some(text.to_owned());
            [some("east"), some(applies), some("Yes"), seconds.map(str::to_owned), some(delay)]
        };
        let read = |row: [Option<String>; 5]| reported(&row).unwrap();
        assert_eq!(read(row("Yes", Some("42"), "0")).behind, Ok(Duration::from_secs(42)));
        assert_eq!(read(row("Yes", Some("42"), "40")).behind, Ok(Duration::from_secs(2)));
        assert!(read(row("No", None, "0")).behind.unwrap_err().contains("START REPLICA"));
        assert!(read(row("Yes", None, "0")).behind.unwrap_err().contains("NULL"));
        assert_eq!(read(row("Yes", Some("1"), "0")).name, "east");
    }

    #[test]
    fn the_channel_that_is_furthest_behind_is_named() {
        let channel =
            |name: &str, seconds| Channel { name: name.to_owned(), behind: Ok(Duration::from_secs(seconds)) };
        let all = [channel("", 9), channel("east", 42)];
        let too_far = |limit| too_far(&all, "this server", Duration::from_secs(limit));
        assert_eq!(too_far(10).unwrap(), "this server (channel east) is 42 s behind; the limit is 10 s");
        assert_eq!(too_far(42), None);
    }
}
