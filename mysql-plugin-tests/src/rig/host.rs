// SPDX-License-Identifier: GPL-2.0-or-later
//! A host: a data directory and the options that a server on it is started with.

use super::programs::told;
use super::{Feature, Keyring, needs, place};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A data directory and the options of its server. Its files vanish with it.
#[derive(Clone, Debug)]
pub struct Host {
    dir: PathBuf,
    mysqld: PathBuf,
    options: Vec<String>,
}

impl Host {
    /// A fresh data directory.
    pub fn new() -> Host {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let dir = place().run.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&dir).unwrap();
        fs::create_dir(dir.join("tmp")).unwrap();
        place().new_datadir(&dir.join("data"));
        Host { dir, mysqld: place().mysqld.clone(), options: Vec::new() }
    }

    /// With a further option.
    pub fn option(mut self, option: impl Into<String>) -> Host {
        self.options.push(option.into());
        self
    }

    /// With the keyring plugin loaded early; without it the server doesn't start.
    pub fn keyring(self, keyring: &Keyring) -> Host {
        needs(Feature::Option("early-plugin-load"));
        self.option("--early-plugin-load=keyring_external.so")
            .option("--keyring-external=FORCE_PLUS_PERMANENT")
            .keyring_options("--keyring-external-", keyring)
    }

    /// With the plugin's settings, for an INSTALL PLUGIN to come.
    pub fn keyring_later(self, keyring: &Keyring) -> Host {
        self.keyring_options("--loose-keyring-external-", keyring)
    }

    fn keyring_options(self, prefix: &str, keyring: &Keyring) -> Host {
        let host = self
            .option(format!("{prefix}data={}", keyring.path.display()))
            .option(format!("{prefix}unlock=file:{}", keyring.secret.display()));
        let host = match &keyring.remotes {
            Some(file) => host.option(format!("{prefix}remotes={}", file.display())),
            None => host,
        };
        if keyring.mirrors.is_empty() {
            return host;
        }
        let mirrors: Vec<_> = keyring.mirrors.iter().map(|m| m.display().to_string()).collect();
        host.option(format!("{prefix}mirrors={}", mirrors.join(":")))
            .option(format!("{prefix}min-copies={}", keyring.min_copies))
    }

    /// The same data directory, with the first copy alone.
    pub fn without_mirrors(mut self) -> Host {
        self.options.retain(|o| !o.contains("keyring-external-mirrors=") && !o.contains("-min-copies="));
        self
    }

    /// With another mysqld.
    pub fn mysqld(mut self, mysqld: PathBuf) -> Host {
        self.mysqld = mysqld;
        self
    }

    /// The host's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The data directory.
    pub fn datadir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    pub fn log_path(&self) -> PathBuf {
        self.dir.join("log.err")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }

    /// The error log of all servers that ran here.
    pub fn log(&self) -> String {
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub fn command(&self) -> Command {
        let mut command = place().command(&self.mysqld, &self.datadir(), &self.log_path());
        command
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.pid_file().display()))
            .arg(format!("--tmpdir={}", self.dir.join("tmp").display()))
            .args(&self.options);
        command
    }

    /// Makes its data directory anew, with the options that a server here gets.
    pub fn initialize(&self) {
        fs::remove_dir_all(self.datadir()).unwrap();
        let output = self.command().arg("--initialize-insecure").output().expect("mysqld runs");
        assert!(output.status.success(), "mysqld --initialize: {}\n{}", told(&output), self.log());
    }
}
