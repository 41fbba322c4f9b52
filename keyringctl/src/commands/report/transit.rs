// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether connections to the server are encrypted, as the server reports it.

mod answers;
mod files;
mod replication;

use answers::{denied, seconds};
pub(super) use replication::ReplicationLink;
use replication::replicas;

use super::certificates::CertificateFile;
use super::known::Known;
use crate::error::{Error, Result};
use crate::server::{Role, Session};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Connections and their encryption.
#[derive(Serialize)]
pub(super) struct Transit {
    pub require_secure_transport: Option<bool>,
    /// The allowed versions of TLS, separated by commas.
    pub tls_version: String,
    /// The file of the server's certificate; empty if there is none.
    pub certificate: String,
    /// In the server's format: `Nov 21 12:07:58 2036 GMT`.
    pub not_before: String,
    pub not_after: String,
    /// The clients' connections at that moment, by `TCP/IP`, `SSL/TLS`, `Socket`.
    pub connections: Known<Vec<(String, u64)>>,
    /// The connections through which this server gets the changes of others.
    pub replication: Known<Vec<ReplicationLink>>,
    /// The replicas that are connected, and whether with TLS.
    pub replicas: Known<Vec<(String, bool)>>,
    /// The files of certificates of all these connections, and of those to remotes.
    pub certificates: Vec<CertificateFile>,
}

/// Why the connections are not counted.
pub(super) const HIDDEN: &str =
    "the server does not list its connections: start it with performance_schema = ON";

impl Transit {
    /// Asks the server, and reads the files of its certificates if `datadir`, its data directory, is on this machine.
    /// `copies`: the copies of the keyring, of which some may be at remotes.
    pub(super) fn query(
        session: &mut Session,
        datadir: Option<&Path>,
        copies: &[PathBuf],
    ) -> Result<Transit> {
        let status = session.rows::<(String, String)>("SHOW GLOBAL STATUS LIKE 'Ssl_server_not_%'")?;
        let status = |name: &str| {
            let found = status.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let required = session.variable("require_secure_transport")?;
        let role = Role::query(session)?;
        let links = replication::links(session, &role)?;
        let mut certificates = files::of_server(session, datadir)?;
        certificates
            .extend(links.measured().into_iter().flatten().flat_map(|link| files::of_link(link, datadir)));
        certificates.extend(files::of_remotes(copies));
        let connections = connections(session)?;
        let replicas = match connections.why_not() {
            // Those of replicas are among them.
            Some(why) => Known::NotMeasured(why.to_owned()),
            None => replicas(session)?,
        };
        Ok(Transit {
            require_secure_transport: required.map(|v| v == "ON"),
            tls_version: session.variable("tls_version")?.unwrap_or_default(),
            certificate: session.variable("ssl_cert")?.unwrap_or_default(),
            not_before: status("Ssl_server_not_before"),
            not_after: status("Ssl_server_not_after"),
            connections,
            replication: links,
            replicas,
            certificates,
        })
    }

    /// Returns when the certificate expires, in seconds since 1970; `None` if there is none or the format is unknown.
    pub(super) fn expires(&self) -> Option<u64> {
        seconds(&self.not_after)
    }
}

/// Counts the clients' connections. The account may not be allowed to read them, or the server may not collect them.
fn connections(session: &mut Session) -> Result<Known<Vec<(String, u64)>>> {
    let counted = session.rows(
        "SELECT CONNECTION_TYPE, COUNT(*) FROM performance_schema.threads
         WHERE TYPE = 'FOREGROUND' AND CONNECTION_TYPE IS NOT NULL GROUP BY 1 ORDER BY 1",
    );
    Ok(match counted {
        // This one exists.
        Ok(none) if none.is_empty() => Known::NotMeasured(HIDDEN.to_owned()),
        Ok(counted) => Known::Measured(counted),
        Err(Error::Server(e)) if e.code != 0 => Known::NotMeasured(denied(&e.why, "threads")),
        Err(e) => return Err(e),
    })
}
