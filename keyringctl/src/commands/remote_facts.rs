// SPDX-License-Identifier: GPL-2.0-or-later
//! What the remotes file says of the remote that a copy is at, as an auditor or administrator wants to see it.

use super::apart::remote_of;
use super::store_places::remotes_file;
use keyring_external::store::remote::remotes::{Kind, Remote, Remotes, VaultLogin};
use serde::Serialize;
use std::path::Path;

/// The remote of a copy.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RemoteFacts {
    /// Its name in the remotes file.
    pub name: String,
    /// The kind of engine, and the bucket or mount.
    pub engine: String,
    pub endpoints: Vec<String>,
    /// Whether every connection is encrypted. If not, the endpoints are on the loopback interface of this machine.
    pub tls: bool,
    /// How the server proves to the engine who it is.
    pub login: String,
}

impl RemoteFacts {
    /// The remote of the copy of this name.
    ///
    /// # Errors
    /// Why the remotes file does not say it.
    pub(super) fn of(copy: &Path) -> Result<Self, String> {
        let remotes = Remotes::read(&remotes_file()).map_err(|trouble| trouble.told)?;
        remotes.get(remote_of(copy).unwrap_or_default()).map(Self::from).map_err(|trouble| trouble.told)
    }

    /// The facts in one line.
    pub(super) fn text(&self) -> String {
        let way = if self.tls { "TLS" } else { "not encrypted, on loopback" };
        format!("{} at {} ({way}), {}", self.engine, self.endpoints.join(", "), self.login)
    }
}

impl From<&Remote> for RemoteFacts {
    fn from(remote: &Remote) -> Self {
        let (engine, login) = match &remote.kind {
            Kind::S3(s3) => {
                (format!("S3 bucket {}", s3.bucket), "authenticated with an access key".to_owned())
            }
            Kind::Vault(vault) => {
                let login = match &vault.login {
                    VaultLogin::Token(_) => "a token",
                    VaultLogin::AppRole { .. } => "an AppRole",
                };
                (format!("Vault or OpenBao, mount {}", vault.mount), format!("authenticated with {login}"))
            }
            Kind::Etcd(etcd) => {
                let login = match &etcd.user {
                    Some((user, _)) => format!("authenticated as user {user}"),
                    None => "without a user".to_owned(),
                };
                ("etcd".to_owned(), login)
            }
        };
        let certificate = if remote.client.tls.cert.is_some() { " and a client certificate" } else { "" };
        Self {
            name: remote.name.clone(),
            engine,
            endpoints: remote.client.endpoints.iter().map(ToString::to_string).collect(),
            tls: remote.client.endpoints.iter().all(|endpoint| endpoint.tls()),
            login: login + certificate,
        }
    }
}
