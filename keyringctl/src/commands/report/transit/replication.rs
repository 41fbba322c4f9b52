// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the connections between servers are encrypted. An encrypted binary log is decrypted before it is sent.

use super::answers::denied;
use crate::commands::report::known::Known;
use crate::error::{Error, Result};
use crate::server::{Role, Session};
use serde::Serialize;

/// A connection through which a server gets the changes of another one.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands::report) struct ReplicationLink {
    /// The source's host and port, or what it is in a group.
    pub source: String,
    /// The channel; empty for the default one, and in a group.
    pub channel: String,
    /// Whether it is encrypted.
    pub tls: bool,
    /// Whether the other server's certificate is checked.
    pub verified: bool,
    /// The file of certificates that it is checked with, and the one of this server's own; empty if there is none.
    pub ca: String,
    pub certificate: String,
    /// The statements, or the setting, that encrypt it.
    #[serde(skip)]
    pub remedy: String,
}

/// The connections of channels, and those of the group that the server is in.
pub(super) fn links(session: &mut Session, role: &Role) -> Result<Known<Vec<ReplicationLink>>> {
    let rows = session.rows::<(String, String, u32, String, String, String, String)>(
        "SELECT CHANNEL_NAME, HOST, PORT, SSL_ALLOWED, SSL_VERIFY_SERVER_CERTIFICATE, SSL_CA_FILE, SSL_CERTIFICATE
         FROM performance_schema.replication_connection_configuration
         WHERE CHANNEL_NAME NOT LIKE 'group\\_replication\\_%' ORDER BY CHANNEL_NAME",
    );
    let rows = match rows {
        Ok(rows) => rows,
        Err(Error::Server(e)) if e.code != 0 => {
            return Ok(Known::NotMeasured(denied(&e.why, "replication_connection_configuration")));
        }
        Err(e) => return Err(e),
    };
    let mut links: Vec<_> = rows
        .into_iter()
        .map(|(channel, host, port, tls, verify, ca, certificate)| {
            let of = for_channel(&channel);
            let remedy = format!(
                "run in this server: STOP REPLICA{of}; CHANGE REPLICATION SOURCE TO SOURCE_SSL = 1{of}; START REPLICA{of};"
            );
            let tls = tls == "YES";
            ReplicationLink {
                source: format!("{host}:{port}"),
                channel,
                tls,
                verified: tls && verify == "YES",
                ca,
                certificate,
                remedy,
            }
        })
        .collect();
    if role.group.is_some() {
        links.extend(of_group(session)?);
    }
    Ok(Known::Measured(links))
}

/// A group's connections: those for its messages, and those from which a member that joins gets what it lacks.
fn of_group(session: &mut Session) -> Result<Vec<ReplicationLink>> {
    let mut variable = |name: &str| Ok::<_, Error>(session.variable(name)?.unwrap_or_default());
    let mode = variable("group_replication_ssl_mode")?;
    let recovery = variable("group_replication_recovery_use_ssl")?;
    let verify = variable("group_replication_recovery_ssl_verify_server_cert")?;
    let link = |source: &str, tls, verified, ca: String, certificate: String, setting: &str| {
        ReplicationLink {
            source: source.to_owned(),
            channel: String::new(),
            tls,
            verified,
            ca,
            certificate,
            remedy: format!(
                "on every member, one after the other, run in the server: STOP GROUP_REPLICATION; SET PERSIST {setting}; START GROUP_REPLICATION;"
            ),
        }
    };
    Ok(vec![
        link(
            "messages of the replication group",
            !mode.is_empty() && mode != "DISABLED",
            mode.starts_with("VERIFY"),
            String::new(),
            String::new(),
            "group_replication_ssl_mode = 'REQUIRED'",
        ),
        link(
            "distributed recovery in the replication group",
            recovery == "ON",
            verify == "ON",
            variable("group_replication_recovery_ssl_ca")?,
            variable("group_replication_recovery_ssl_cert")?,
            "group_replication_recovery_use_ssl = ON",
        ),
    ])
}

/// The hosts of replicas that are connected, and whether with TLS. Each may be there more than once.
pub(super) fn replicas(session: &mut Session) -> Result<Known<Vec<(String, bool)>>> {
    let rows = session.rows::<(Option<String>, Option<String>)>(
        "SELECT PROCESSLIST_HOST, CONNECTION_TYPE FROM performance_schema.threads
         WHERE PROCESSLIST_COMMAND LIKE 'Binlog Dump%' ORDER BY PROCESSLIST_ID",
    );
    Ok(match rows {
        Ok(rows) => {
            let encrypted = |kind: &str| matches!(kind, "SSL/TLS" | "Socket" | "Shared Memory");
            let rows = rows
                .into_iter()
                .map(|(host, kind)| (host.unwrap_or_default(), kind.is_some_and(|kind| encrypted(&kind))));
            Known::Measured(rows.collect())
        }
        Err(Error::Server(e)) if e.code != 0 => Known::NotMeasured(denied(&e.why, "threads")),
        Err(e) => return Err(e),
    })
}

/// The clause that names a channel, also the default one: there may be others.
fn for_channel(name: &str) -> String {
    let name = if name.contains(['\'', '\\', '"']) { "..." } else { name };
    format!(" FOR CHANNEL '{name}'")
}
