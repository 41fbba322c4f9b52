// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring file and its unlock secret, made and looked at with the built `keyringctl`, or opened in
//! the test's own process by the library.

use super::programs::told;
use super::{Volume, place};
use crate::common::json_form;
use keyring_external::error::Result;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{self, Keyring as Open};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// A keyring file and the file with its secret.
#[derive(Clone, Debug)]
pub struct Keyring {
    pub path: PathBuf,
    pub secret: PathBuf,
    /// Further copies.
    pub mirrors: Vec<PathBuf>,
    pub min_copies: usize,
    /// The remotes file, for copies at remotes.
    pub remotes: Option<PathBuf>,
}

impl Keyring {
    /// Makes a keyring on a volume; its secret is on the server's side.
    pub fn init(volume: &Volume) -> Keyring {
        Keyring::init_on(&[volume])
    }

    /// Makes a keyring with a copy on each volume.
    pub fn init_on(volumes: &[&Volume]) -> Keyring {
        let name = volumes[0].mount_point().parent().unwrap().file_name().unwrap().display().to_string();
        Keyring::make(volumes, place().run.join(format!("{name}.secret")), &["--generate-secret"])
    }

    /// Makes a keyring on a volume that a secret opens which there is already.
    pub fn init_with(volume: &Volume, secret: &Path) -> Keyring {
        Keyring::make(&[volume], secret.to_owned(), &[])
    }

    fn make(volumes: &[&Volume], secret: PathBuf, options: &[&str]) -> Keyring {
        let made = Keyring {
            path: volumes[0].keys().join("keyring"),
            secret,
            mirrors: volumes[1..].iter().map(|v| v.keys().join("keyring")).collect(),
            min_copies: 1,
            remotes: None,
        };
        let unlock = format!("file:{}", made.secret.display());
        let init = Command::new(&place().keyringctl)
            .arg("init")
            .arg(&made.path)
            .args(["--unlock", &unlock, "--label", "server tests"])
            .args(options)
            .args(made.mirrors.iter().flat_map(|m| ["--mirror".as_ref(), m.as_os_str()]))
            .output()
            .unwrap();
        assert!(init.status.success(), "keyringctl init: {}", told(&init));
        made
    }

    /// All copies.
    pub fn paths(&self) -> Vec<PathBuf> {
        [&self.path].into_iter().chain(&self.mirrors).cloned().collect()
    }

    /// One of its copies, as a keyring of its own.
    pub fn copy(&self, path: &Path) -> Keyring {
        Keyring { path: path.to_owned(), mirrors: Vec::new(), min_copies: 1, ..self.clone() }
    }

    /// Runs a command of `keyringctl` on all its copies.
    pub fn ctl(&self, command: &str) -> Output {
        let paths = self.paths();
        self.ctl_with(&[command], paths.iter().map(|p| p.as_os_str()))
    }

    /// As [`Keyring::ctl`], for a command that asks.
    pub fn ctl_yes(&self, command: &str) -> Output {
        let paths = self.paths();
        self.ctl_with(&[command, "--yes"], paths.iter().map(|p| p.as_os_str()))
    }

    /// Runs `keyringctl` with that command and those arguments, and the secret.
    pub fn ctl_with<'a>(&self, command: &[&str], args: impl IntoIterator<Item = &'a OsStr>) -> Output {
        Command::new(&place().keyringctl)
            .arg("--json")
            .args(self.remotes_option())
            .args(command)
            .args(args)
            .args(["--unlock", &format!("file:{}", self.secret.display())])
            .output()
            .unwrap()
    }

    /// The option of `keyringctl` for its remotes file.
    pub fn remotes_option(&self) -> impl Iterator<Item = &OsStr> {
        self.remotes.iter().flat_map(|file| [OsStr::new("--remotes"), file.as_os_str()])
    }

    /// What a command of `keyringctl` that must succeed reports on it.
    pub fn report(&self, command: &str) -> serde_json::Value {
        let output = self.ctl(command);
        assert!(output.status.success(), "keyringctl {command}: {}", told(&output));
        let mut report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        json_form::check(&report);
        // One file was asked about.
        match command {
            "status" => report["copies"][0].take(),
            "verify" => report["keyrings"][0].take(),
            _ => report,
        }
    }

    /// Opens it in this process: a second reader beside the server.
    pub fn open(&self) -> Open {
        self.try_open().unwrap_or_else(|e| panic!("{e}"))
    }

    /// Opens all its copies in this process, as a server would.
    pub fn try_open(&self) -> Result<Open> {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let source = UnlockSource::File(self.secret.clone());
        let read = || source.read();
        let name = source.to_string();
        let places = match &self.remotes {
            Some(file) => Places::new(fs, file),
            None => Places::from(fs),
        };
        keyring::load_all(&places, &self.paths(), self.min_copies, &name, read, |_, _| {})
            .map(|(open, _)| open)
    }

    /// Stores a key for nobody, with the library.
    pub fn store(&self, id: &str) {
        let name = NameRef::new(id.as_bytes(), b"").unwrap();
        self.open().store(name, &KeyType::new(b"AES").unwrap(), &[7; 32]).unwrap();
    }

    /// The bytes of a key that root@localhost stored.
    pub fn key_of_root(&self, id: &str) -> Option<Vec<u8>> {
        let name = NameRef::new(id.as_bytes(), b"root@localhost").unwrap();
        self.open().fetch(&name, |key| key.data.to_vec())
    }

    /// The ids of all its keys that begin with `prefix`.
    pub fn ids(&self, prefix: &str) -> Vec<String> {
        let ids = self.open().names();
        ids.iter()
            .map(|name| String::from_utf8_lossy(name.as_ref().id()).into_owned())
            .filter(|id| id.starts_with(prefix))
            .collect()
    }
}
