// SPDX-License-Identifier: GPL-2.0-or-later
//! An account, and what it may do to the keyring.

use crate::server::quoted;
use serde::Serialize;

/// What an account may do to the keyring or around it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands::report) enum Ability {
    /// Rotate master keys.
    Rotate,
    /// Change the settings of the keyring, or make the server load it again.
    ChangeKeyring,
    /// Load code into the server, or remove it.
    LoadCode,
    /// Create unencrypted tables against the default.
    OverrideEncryption,
    /// Read and write files as the server.
    Files,
    /// Give itself or others these rights.
    Grant,
}

impl Ability {
    /// The ability in words.
    pub(in crate::commands::report) fn name(self) -> &'static str {
        match self {
            Ability::Rotate => "rotate master keys",
            Ability::ChangeKeyring => "change or reload the keyring",
            Ability::LoadCode => "load or remove plugins and components",
            Ability::OverrideEncryption => "create unencrypted tables",
            Ability::Files => "read and write files as the server",
            Ability::Grant => "give such rights",
        }
    }
}

/// A right that an account has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(in crate::commands::report) struct Right {
    pub ability: Ability,
    /// The privilege, as GRANT names it.
    pub privilege: String,
    /// The role through which the account has it, or the account for which it is a proxy.
    pub through: Option<String>,
}

/// An account with such a right.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(in crate::commands::report) struct Account {
    pub user: String,
    pub host: String,
    /// Whether it cannot log in.
    pub locked: bool,
    /// The plugin that authenticates it.
    pub plugin: String,
    /// Whether it logs in with an empty password.
    pub no_password: bool,
    /// Whether it must connect with TLS or a certificate: `ANY`, `X509`, `SPECIFIED`; empty if not.
    pub tls: String,
    pub rights: Vec<Right>,
}

impl Account {
    /// The account as statements name it.
    pub(in crate::commands::report) fn quoted(&self) -> String {
        quoted_account(&self.user, &self.host)
    }

    /// The account for people.
    pub(in crate::commands::report) fn name(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }

    /// What it may do, without repetition.
    pub(in crate::commands::report) fn abilities(&self) -> Vec<Ability> {
        let mut all: Vec<_> = self.rights.iter().map(|right| right.ability).collect();
        all.sort();
        all.dedup();
        all
    }

    pub(in crate::commands::report) fn may(&self, ability: Ability) -> bool {
        self.rights.iter().any(|right| right.ability == ability)
    }
}

/// An account as statements name it.
pub(super) fn quoted_account(user: &str, host: &str) -> String {
    format!("{}@{}", quoted(user), quoted(host))
}
