// SPDX-License-Identifier: GPL-2.0-or-later
//! What is around a keyring on the host of a MySQL server: the files that make mysqld load it, and what the system
//! must allow for that. Understands and makes texts; `cli` reads and writes the files.

pub mod accounts;
pub mod apparmor;
pub mod files;
pub mod mounts;
pub mod needs;
pub mod unit;

use keyring_external::unlock::UnlockSource;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How mysqld loads the keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// `early-plugin-load`, for 8.0.
    Plugin,
    /// By manifest, for 8.4 and later.
    Component,
}

impl Way {
    /// The way that MySQL advises for that version: it calls keyring plugins deprecated.
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

/// A server and its keyring, as they are or are to be. Paths are those that mysqld sees.
#[derive(Clone, Debug)]
pub struct Host {
    /// How the keyring is loaded.
    pub way: Way,
    /// The keyring file.
    pub keyring: PathBuf,
    /// Further copies.
    pub mirrors: Vec<PathBuf>,
    /// On how many copies a new key must be.
    pub min_copies: u32,
    /// Seconds to wait for a volume at start.
    pub wait: u32,
    /// Whether the keyring may lie on the data directory's filesystem.
    pub allow_same_device: bool,
    /// Where mysqld gets the unlock secret from.
    pub unlock: UnlockSource,
    /// The file that systemd hands on, when that is a credential.
    pub credential: Option<PathBuf>,
    /// The program.
    pub mysqld: PathBuf,
    /// Where it looks for plugins and components.
    pub plugin_dir: PathBuf,
    /// Its data directory.
    pub datadir: PathBuf,
    /// Its systemd unit, such as `mysql.service`.
    pub unit: String,
    /// The directory for option files.
    pub option_dir: PathBuf,
    /// Whether the manifest beside the program leaves it to the one in the data directory.
    pub local_manifest: bool,
}

impl Host {
    /// All copies of the keyring.
    pub fn copies(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.keyring).chain(&self.mirrors).map(PathBuf::as_path)
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

/// The manifest beside a mysqld: its own name with `.my`.
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
        unlock: UnlockSource::File("/etc/mysql/keyring_external.secret".into()),
        credential: None,
        mysqld: "/usr/sbin/mysqld".into(),
        plugin_dir: "/usr/lib/mysql/plugin".into(),
        datadir: "/var/lib/mysql".into(),
        unit: "mysql.service".to_owned(),
        option_dir: "/etc/mysql/conf.d".into(),
        local_manifest: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_lies_beside_the_program_or_in_the_data_directory() {
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
