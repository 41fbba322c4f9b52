// SPDX-License-Identifier: GPL-2.0-or-later
//! What a keyring needs on the host of a MySQL server: the files that make mysqld load it, and permissions of the system.
//! This module parses and generates text; `commands` reads and writes the files.

pub mod accounts;
pub mod apparmor;
pub mod early_plugins;
pub mod files;
pub mod kept_lines;
pub mod mounts;
pub mod needs;
pub mod selinux;
pub mod unit;

use keyring_external::config::AuditConfig;
#[cfg(test)]
use keyring_external::config::DEFAULT_REMOTES;
use keyring_external::store::places::is_remote;
use keyring_external::unlock::UnlockSource;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How mysqld loads the keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// `early-plugin-load`, for 8.0.
    Plugin,
    /// A manifest, for 8.4 and later.
    Component,
}

impl Way {
    /// The way that MySQL recommends for this version: keyring plugins are deprecated from 8.4 on.
    pub fn for_version((major, minor): (u32, u32)) -> Way {
        if (major, minor) >= (8, 4) { Way::Component } else { Way::Plugin }
    }

    /// The file that mysqld loads, in its plugin directory.
    pub fn library(self) -> &'static str {
        match self {
            Way::Plugin => "keyring_external.so",
            Way::Component => "component_keyring_external.so",
        }
    }
}

/// A server and its keyring, existing or planned. Paths are those that mysqld sees.
#[derive(Clone, Debug)]
pub struct Host {
    /// How the keyring is loaded.
    pub way: Way,
    /// The keyring file.
    pub keyring: PathBuf,
    /// The other copies.
    pub mirrors: Vec<PathBuf>,
    /// How many copies must store a new key.
    pub min_copies: u32,
    /// Seconds to wait for a volume at start.
    pub wait: u32,
    /// Whether the keyring may be on the data directory's filesystem.
    pub allow_same_device: bool,
    /// Whether the server changes nothing in the keyring.
    pub read_only: bool,
    /// Whether the server creates a keyring where it finds none.
    pub auto_create: bool,
    /// The audit log.
    pub audit: AuditConfig,
    /// Where mysqld gets the unlock secret from.
    pub unlock: UnlockSource,
    /// The file that systemd passes on, if the source is a credential.
    pub credential: Option<PathBuf>,
    /// The mysqld program.
    pub mysqld: PathBuf,
    /// The directory of plugins and components.
    pub plugin_dir: PathBuf,
    /// The data directory.
    pub datadir: PathBuf,
    /// The systemd unit, such as `mysql.service`.
    pub unit: String,
    /// The option file with the plugin's settings.
    pub option_file: PathBuf,
    /// Whether the manifest beside the program refers to the one in the data directory.
    pub local_manifest: bool,
    /// The file that describes the remotes.
    pub remotes: PathBuf,
    /// The files that it names and that mysqld reads to reach the copies at remotes: certificates, keys and secrets.
    pub remote_files: Vec<PathBuf>,
}

impl Host {
    /// All copies of the keyring.
    pub fn copies(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.keyring).chain(&self.mirrors).map(PathBuf::as_path)
    }

    /// The copies that are files, each with its number among all copies.
    pub fn files(&self) -> impl Iterator<Item = (usize, &Path)> {
        self.copies().enumerate().filter(|(_, copy)| !is_remote(copy))
    }

    /// The copies at remotes, each with its number among all copies.
    pub fn at_remotes(&self) -> impl Iterator<Item = (usize, &Path)> {
        self.copies().enumerate().filter(|(_, copy)| is_remote(copy))
    }

    /// Whether mysqld needs the network for a copy.
    pub fn uses_remotes(&self) -> bool {
        self.at_remotes().next().is_some()
    }

    /// The manifest that names the component.
    pub fn manifest(&self) -> PathBuf {
        let global = manifest_of(&self.mysqld);
        match global.file_name() {
            Some(name) if self.local_manifest => self.datadir.join(name),
            _ => global,
        }
    }
}

/// The manifest beside a mysqld: the name of the program with `.my`.
pub fn manifest_of(mysqld: &Path) -> PathBuf {
    let mut name = mysqld.as_os_str().to_owned();
    name.push(".my");
    name.into()
}

#[cfg(test)]
pub(crate) fn example(way: Way) -> Host {
    Host {
        way,
        keyring: "/mnt/a/keys/main.keyring".into(),
        mirrors: vec!["/mnt/b/keys/main.keyring".into()],
        min_copies: 1,
        wait: 0,
        allow_same_device: false,
        read_only: false,
        auto_create: false,
        audit: AuditConfig::default(),
        unlock: UnlockSource::File("/etc/mysql/keyring_external.secret".into()),
        credential: None,
        mysqld: "/usr/sbin/mysqld".into(),
        plugin_dir: "/usr/lib/mysql/plugin".into(),
        datadir: "/var/lib/mysql".into(),
        unit: "mysql.service".to_owned(),
        option_file: "/etc/mysql/conf.d/keyring_external.cnf".into(),
        local_manifest: false,
        remotes: DEFAULT_REMOTES.into(),
        remote_files: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_beside_the_program_or_in_the_data_directory() {
        let mut host = example(Way::Component);
        assert_eq!(host.manifest(), Path::new("/usr/sbin/mysqld.my"));
        host.local_manifest = true;
        assert_eq!(host.manifest(), Path::new("/var/lib/mysql/mysqld.my"));
    }

    #[test]
    fn components_are_for_8_4_and_later() {
        assert_eq!(Way::for_version((8, 0)), Way::Plugin);
        assert_eq!(Way::for_version((8, 4)), Way::Component);
        assert_eq!(Way::for_version((9, 7)), Way::Component);
    }
}
