// SPDX-License-Identifier: GPL-2.0-or-later
//! The program of the temporary server. A manifest of components beside mysqld would make it open the live server's keyring,
//! and a profile of AppArmor or SELinux keeps it from the files of the drill. Both belong to the program's path or file, so
//! that a copy of it in the work directory is free of them.

use super::account::Account;
use super::work::Work;
use crate::commands::site::Site;
use crate::error::{Error, Result};
use crate::host::Way;
use crate::show::Shown;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What is needed to start a server.
pub(super) struct Program {
    pub mysqld: PathBuf,
    pub plugin_dir: PathBuf,
    basedir: PathBuf,
    /// Where the libraries of a copied program are.
    libraries: Vec<PathBuf>,
    /// As the program reports it.
    pub version: String,
}

impl Program {
    /// Finds mysqld and its parts, and copies the program if that is needed.
    pub(super) fn find(site: &Site, work: &Work, account: &Account) -> Result<Program> {
        let original = fs::canonicalize(site.at(&site.mysqld)).map_err(|e| {
            Error::Usage(format!(
                "there is no mysqld at {} ({e}): name it with --mysqld",
                site.mysqld.shown()
            ))
        })?;
        let plugin_dir = site.at(&site.plugin_dir);
        let library = plugin_dir.join(Way::Plugin.library());
        if !library.exists() {
            return Err(Error::Usage(format!(
                "the temporary server needs {}, which does not exist: install keyring_external, or name the directory of plugins with --plugin-dir",
                library.shown()
            )));
        }
        let prefix = original.parent().and_then(Path::parent).unwrap_or(Path::new("/usr")).to_owned();
        let mut program = Program {
            mysqld: original.clone(),
            plugin_dir,
            basedir: prefix.clone(),
            libraries: Vec::new(),
            version: String::new(),
        };
        if original.with_file_name("mysqld.my").exists() || is_confined() {
            let copy = work.program();
            fs::copy(&original, &copy).map_err(|e| Error::io("create", &copy, e))?;
            account.own(&copy)?;
            program.mysqld = copy;
            let below = ["lib/private", "lib/mysql/private", "lib64/mysql/private", "lib"];
            program.libraries = below.iter().map(|dir| prefix.join(dir)).filter(|dir| dir.is_dir()).collect();
        }
        program.version = program.version(account, &original)?;
        Ok(program)
    }

    /// Starts to describe a server: everything that does not depend on its data.
    pub(super) fn command(&self, account: &Account) -> std::process::Command {
        let mut command = account.command(&self.mysqld);
        if !self.libraries.is_empty() {
            let joined = std::env::join_paths(&self.libraries).unwrap_or_default();
            command.env("LD_LIBRARY_PATH", joined);
        }
        command.arg("--no-defaults").arg(option("basedir", &self.basedir));
        let messages = self.basedir.join("share/mysql");
        if messages.is_dir() {
            command.arg(option("lc-messages-dir", &messages));
        }
        command
    }

    /// The version, which shows that the account can run the program.
    fn version(&self, account: &Account, original: &Path) -> Result<String> {
        let mut command = self.command(account);
        let output = command
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|e| Error::io("run", original, e))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let place = if self.mysqld == original {
                ""
            } else {
                ", or --work with a directory that is not mounted noexec"
            };
            return Err(Error::Usage(format!(
                "cannot run {} as the user of the drill ({}): {why}. Name another with --mysqld{place}",
                self.mysqld.shown(),
                output.status
            )));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text
            .split_once("Ver ")
            .map_or(text.trim(), |(_, rest)| rest.split(' ').next().unwrap_or_default())
            .to_owned())
    }
}

/// An option whose value is a path.
pub(super) fn option(name: &str, path: &Path) -> OsString {
    let mut option = OsString::from(format!("--{name}="));
    option.push(path);
    option
}

/// Whether a security module may confine mysqld.
fn is_confined() -> bool {
    let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap_or_default();
    let enforces = fs::read_to_string("/sys/fs/selinux/enforce").unwrap_or_default();
    profiles.contains("mysqld") || enforces.trim() == "1"
}
