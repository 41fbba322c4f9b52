// SPDX-License-Identifier: GPL-2.0-or-later
//! Which files of certificates the connections of a server use.

use super::answers::seconds;
use super::replication::ReplicationLink;
use crate::commands::apart::remote_of;
use crate::commands::report::certificates::{CertificateFile, Use};
use crate::commands::store_places::remotes_file;
use crate::error::Result;
use crate::server::Session;
use keyring_external::store::places::is_remote;
use keyring_external::store::remote::remotes::Remotes;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// An interface of a server that clients connect to: its name, its settings and the status of its certificate.
struct Interface {
    of: &'static str,
    certificate: &'static str,
    authority: &'static str,
    /// The channel in `performance_schema.tls_channel_status`, and the status variable if that table does not tell.
    channel: &'static str,
    status: &'static str,
}

const INTERFACES: [Interface; 3] = [
    Interface {
        of: "clients",
        certificate: "ssl_cert",
        authority: "ssl_ca",
        channel: "mysql_main",
        status: "Ssl_server_not_after",
    },
    Interface {
        of: "the administrative port",
        certificate: "admin_ssl_cert",
        authority: "admin_ssl_ca",
        channel: "mysql_admin",
        status: "",
    },
    Interface {
        of: "clients of the X Protocol",
        certificate: "mysqlx_ssl_cert",
        authority: "mysqlx_ssl_ca",
        channel: "",
        status: "Mysqlx_ssl_server_not_after",
    },
];

/// The files of the server itself.
pub(super) fn of_server(session: &mut Session, datadir: Option<&Path>) -> Result<Vec<CertificateFile>> {
    // The table exists since 8.0.21. An account that may not read it, and a server without it, have the status variables.
    let channels: Vec<(String, String)> = session
        .rows(
            "SELECT CHANNEL, VALUE FROM performance_schema.tls_channel_status WHERE PROPERTY = 'Ssl_server_not_after'",
        )
        .unwrap_or_default();
    let mut files = Vec::new();
    for Interface { of, certificate, authority, channel, status } in INTERFACES {
        let mut variable = |name: &str| -> Result<Option<String>> {
            Ok(session.variable(name)?.filter(|path| !path.is_empty()))
        };
        let (certificate, authority) = (variable(certificate)?, variable(authority)?);
        if let Some(path) = certificate {
            let mut loaded = channels.iter().find(|(name, _)| name == channel).map(|(_, end)| end.clone());
            if loaded.is_none() && !status.is_empty() {
                let row: Option<(String, String)> =
                    session.first(&format!("SHOW GLOBAL STATUS LIKE '{status}'"))?;
                loaded = row.map(|(_, end)| end);
            }
            let mut file = CertificateFile::read(of, Use::Server, &path, datadir);
            file.loaded_not_after = loaded.and_then(|end| seconds(&end));
            files.push(file);
        }
        files.extend(authority.map(|path| CertificateFile::read(of, Use::Authority, &path, datadir)));
    }
    Ok(files)
}

/// The files of a connection to another server.
pub(super) fn of_link(link: &ReplicationLink, datadir: Option<&Path>) -> Vec<CertificateFile> {
    let of = format!("replication from {}", link.source);
    let files = [(&link.certificate, Use::Client), (&link.ca, Use::Authority)];
    let files = files.into_iter().filter(|(path, _)| link.tls && !path.is_empty());
    files.map(|(path, purpose)| CertificateFile::read(&of, purpose, path, datadir)).collect()
}

/// The files that the remotes file names for the remotes of these copies.
pub(super) fn of_remotes(copies: &[PathBuf]) -> Vec<CertificateFile> {
    let names: BTreeSet<_> =
        copies.iter().filter(|copy| is_remote(copy)).filter_map(|copy| remote_of(copy)).collect();
    if names.is_empty() {
        return Vec::new();
    }
    // What is wrong with the remotes file is said of the copies.
    let Ok(remotes) = Remotes::read(&remotes_file()) else { return Vec::new() };
    let of = names.into_iter().filter_map(|name| remotes.get(name).ok());
    of.flat_map(|remote| {
        let tls = &remote.client.tls;
        let files = [(&tls.cert, Use::Client), (&tls.ca, Use::Authority)];
        files.map(|(path, purpose)| {
            let path = path.as_ref()?.to_str()?;
            Some(CertificateFile::read(
                &format!("the remote {}", remote.name),
                purpose,
                path,
                Some(Path::new("/")),
            ))
        })
    })
    .flatten()
    .collect()
}
