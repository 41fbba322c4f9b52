// SPDX-License-Identifier: GPL-2.0-or-later
//! A keyring file and its unlock secret, made and looked at with the built `keyringctl`, or opened in
//! the test's own process by the library.

use super::{Volume, place};
use keyring_external::key::NameRef;
use keyring_external::keyring::{self, Keyring as Open};
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::unlock::UnlockSource;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

/// A keyring file and the file with its secret.
#[derive(Clone, Debug)]
pub struct Keyring {
    pub path: PathBuf,
    pub secret: PathBuf,
}

impl Keyring {
    /// Makes a keyring on a volume; its secret is on the server's side.
    pub fn init(volume: &Volume) -> Keyring {
        let name = volume.mount_point().parent().unwrap().file_name().unwrap().display().to_string();
        let made = Keyring {
            path: volume.keys().join("keyring"),
            secret: place().run.join(format!("{name}.secret")),
        };
        let unlock = format!("file:{}", made.secret.display());
        let init = Command::new(&place().keyringctl)
            .arg("init")
            .arg(&made.path)
            .args(["--unlock", &unlock, "--generate-secret", "--label", "server tests"])
            .output()
            .unwrap();
        assert!(init.status.success(), "keyringctl init: {}", super::told(&init));
        made
    }

    /// Runs a command of `keyringctl` on it.
    pub fn ctl(&self, command: &str) -> Output {
        Command::new(&place().keyringctl)
            .args(["--json", command])
            .arg(&self.path)
            .args(["--unlock", &format!("file:{}", self.secret.display())])
            .output()
            .unwrap()
    }

    /// What a command of `keyringctl` that must succeed reports on it.
    pub fn report(&self, command: &str) -> serde_json::Value {
        let output = self.ctl(command);
        assert!(output.status.success(), "keyringctl {command}: {}", super::told(&output));
        let mut report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        match report.as_array_mut() {
            // One file was asked about.
            Some(files) if command != "list" => files.remove(0),
            _ => report,
        }
    }

    /// Opens it in this process: a second reader beside the server.
    pub fn open(&self) -> Open {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let source = UnlockSource::File(self.secret.clone());
        keyring::load(&fs, &self.path, &source).unwrap_or_else(|e| panic!("{e}")).0
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
