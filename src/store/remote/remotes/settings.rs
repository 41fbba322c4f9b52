// SPDX-License-Identifier: GPL-2.0-or-later
//! What the remotes file says of one remote.

use super::source::Source;
use crate::store::remote::http;

/// A remote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// Its name, without the `@`.
    pub name: String,
    /// Its endpoints, certificates and proxy.
    pub client: http::Settings,
    /// What kind of engine it is.
    pub kind: Kind,
}

/// A kind of engine, with its own settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An S3 bucket.
    S3(S3Settings),
    /// Vault or OpenBao.
    Vault(VaultSettings),
    /// An etcd cluster.
    Etcd(EtcdSettings),
}

impl Remote {
    /// All sources of secrets that it names.
    pub fn sources(&self) -> Vec<&Source> {
        match &self.kind {
            Kind::S3(s3) => {
                [&s3.access_key, &s3.secret_key].into_iter().chain(s3.session_token.as_ref()).collect()
            }
            Kind::Vault(vault) => match &vault.login {
                VaultLogin::Token(token) => vec![token],
                VaultLogin::AppRole { secret_id, .. } => vec![secret_id],
            },
            Kind::Etcd(etcd) => etcd.user.iter().map(|(_, password)| password).collect(),
        }
    }
}

/// An S3 bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Settings {
    /// The region that requests are signed for, `us-east-1` by default.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The access key's id.
    pub access_key: Source,
    /// The secret key.
    pub secret_key: Source,
    /// The token of temporary credentials.
    pub session_token: Option<Source>,
    /// Whether the bucket is named in the path (default), not in the host name.
    pub path_style: bool,
}

/// A KV v2 mount of Vault or OpenBao.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VaultSettings {
    /// Path of the mount, `secret` by default, without slashes at its ends.
    pub mount: String,
    /// The namespace, without slashes at its ends.
    pub namespace: Option<String>,
    /// How to get a token.
    pub login: VaultLogin,
}

/// How to get a token of Vault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VaultLogin {
    /// The token itself.
    Token(Source),
    /// The auth method AppRole.
    AppRole {
        /// The role's id.
        role_id: String,
        /// The secret id.
        secret_id: Source,
        /// Path of the auth method's mount, `approle` by default.
        mount: String,
    },
}

/// An etcd cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EtcdSettings {
    /// The user and the password, if authentication is on.
    pub user: Option<(String, Source)>,
}
