// SPDX-License-Identifier: GPL-2.0-or-later
//! The parts of a server's installation, and how to reach them from this process.

use super::defaults::Defaults;
use crate::error::{Error, Result};
use crate::host::accounts::{self, Account};
use crate::host::mounts::{self, Mount};
use crate::host::unit::Unit;
use crate::host::{Host, Way};
use crate::server::{OptionFiles, OptionLine, below_root};
use keyring_external::config::file::file_in;
use keyring_external::config::{AuditConfig, DEFAULT_REMOTES};
use keyring_external::store::places::is_remote;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of the option file that setup writes.
pub(in crate::commands) const OPTION_FILE: &str = "keyring_external.cnf";
/// Directories for option files of the packages, in the order in which they are preferred.
pub(in crate::commands) const OPTION_DIRS: [&str; 3] =
    ["/etc/mysql/mysql.conf.d", "/etc/mysql/conf.d", "/etc/my.cnf.d"];

/// Where the server's parts are. Paths are those that mysqld sees; [`Site::at`] converts them for this process.
#[derive(Debug, Default)]
pub(in crate::commands) struct Site {
    pub root: PathBuf,
    pub mysqld: PathBuf,
    pub version: Option<(u32, u32)>,
    pub plugin_dir: PathBuf,
    pub datadir: PathBuf,
    pub user: String,
    pub account: Option<Account>,
    pub unit_name: String,
    /// `None` if there is no such unit.
    pub unit: Option<Unit>,
    /// The file of the unit.
    pub unit_file: PathBuf,
    /// The variables that the unit sets.
    pub environment: Vec<(String, String)>,
    /// The command line that the unit starts.
    pub command: Vec<String>,
    /// How mysqld finds its options.
    pub defaults: Defaults,
    /// The settings in the server's groups of its option files, and on its command line.
    pub options: OptionFiles,
    /// Why one of the option files was not read.
    pub option_error: Option<String>,
    /// Whether that is only because this user may not read it.
    pub option_denied: bool,
}

impl Site {
    /// A path of the server, as this process sees it. The name of a copy at a remote is the same everywhere.
    pub(in crate::commands) fn at(&self, path: &Path) -> PathBuf {
        if is_remote(path) {
            return path.to_owned();
        }
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path of the server with its links followed, as this process sees it.
    pub(in crate::commands) fn real(&self, path: &Path) -> PathBuf {
        let place = self.at(path);
        if is_remote(path) {
            return place;
        }
        if self.is_below() {
            return below_root(&self.root, &place);
        }
        fs::canonicalize(&place).unwrap_or(place)
    }

    /// A path of this process, as the server sees it.
    pub(in crate::commands) fn seen(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_| path.to_owned(), |below| Path::new("/").join(below))
    }

    /// Whether this is an image below a directory, not the running system.
    pub(in crate::commands) fn is_below(&self) -> bool {
        self.root != Path::new("/")
    }

    /// The directory that mysqld is installed below: the one above that of the program.
    pub(super) fn prefix(&self) -> Option<PathBuf> {
        self.mysqld.parent()?.parent().map(Path::to_owned)
    }

    /// The option file that gets an include: the first one that mysqld reads and that exists, or else the first one.
    pub(in crate::commands) fn main_option_file(&self) -> PathBuf {
        let all = &self.defaults.files;
        let existing = all.iter().find(|file| self.real(file).is_file());
        existing.or(all.first()).cloned().unwrap_or_else(|| "/etc/my.cnf".into())
    }

    /// Whether mysqld is in a snap, whose files cannot be changed.
    pub(in crate::commands) fn is_snap(&self) -> bool {
        self.mysqld.starts_with("/snap")
    }

    /// The last setting of an option, which is the effective one.
    pub(in crate::commands) fn option(&self, name: &str) -> Option<&OptionLine> {
        self.options.entries.iter().rev().find(|e| e.name == name)
    }

    /// All settings of an option.
    pub(in crate::commands) fn all_options<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = &'a OptionLine> {
        self.options.entries.iter().filter(move |e| e.name == name)
    }

    /// This server with a keyring of default settings.
    pub(in crate::commands) fn host(&self, way: Way, keyring: PathBuf, unlock: UnlockSource) -> Host {
        Host {
            way,
            keyring,
            mirrors: Vec::new(),
            min_copies: 1,
            wait: 0,
            allow_same_device: false,
            read_only: false,
            auto_create: false,
            audit: AuditConfig::default(),
            unlock,
            credential: None,
            mysqld: self.mysqld.clone(),
            plugin_dir: self.plugin_dir.clone(),
            datadir: self.datadir.clone(),
            unit: self.unit_name.clone(),
            option_file: first(self, &OPTION_DIRS).join(OPTION_FILE),
            local_manifest: false,
            remotes: DEFAULT_REMOTES.into(),
            remote_files: Vec::new(),
        }
    }

    /// The file with the settings of the keyring, as this process sees it.
    pub(in crate::commands) fn settings_file(&self, host: &Host) -> PathBuf {
        if host.way == Way::Plugin {
            return self.at(&host.option_file);
        }
        let global = self.at(&file_in(&host.plugin_dir));
        let text = fs::read_to_string(&global).unwrap_or_default();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        match value.get("read_local_config").and_then(serde_json::Value::as_bool) {
            Some(true) => self.at(&file_in(&host.datadir)),
            _ => global,
        }
    }

    /// The text of a file; `None` if it does not exist.
    pub(in crate::commands) fn text(&self, path: &Path) -> Result<Option<String>> {
        let path = self.real(path);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(Error::io("read", &path, e)),
        }
    }

    pub(super) fn account_of(&self, name: &str) -> Option<Account> {
        let passwd = fs::read_to_string(self.at(Path::new("/etc/passwd"))).unwrap_or_default();
        accounts::find(&passwd, name).or_else(|| {
            // Accounts may come from a directory service.
            let answer =
                (!self.is_below()).then(|| Command::new("getent").args(["passwd", name]).output())?.ok()?;
            accounts::find(&String::from_utf8_lossy(&answer.stdout), name)
        })
    }
}

/// The mounts below a directory, with paths relative to it.
pub(in crate::commands) fn mounts_below(root: &Path) -> Vec<Mount> {
    mounts::mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default(), root)
}

/// The first path that exists, or the first path.
pub(super) fn first(site: &Site, paths: &[&str]) -> PathBuf {
    let existing = paths.iter().find(|p| site.at(Path::new(p)).exists());
    PathBuf::from(existing.or(paths.first()).copied().unwrap_or_default())
}
