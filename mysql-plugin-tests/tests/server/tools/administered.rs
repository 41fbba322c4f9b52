// SPDX-License-Identifier: GPL-2.0-or-later
//! A server with an administrator who follows what messages say: SQL goes through the mysql client, commands through a
//! shell whose PATH has keyringctl, and the server's option file can be changed.

use mysql_plugin_tests::rig::{Host, Keyring, Server, place, program, told};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A server whose option file can be changed.
pub struct Administered {
    pub host: Host,
    pub server: Option<Server>,
    pub keyring: Keyring,
    /// The remedies that were followed.
    pub followed: BTreeSet<String>,
}

impl Administered {
    /// A server with these settings in the group `[mysqld]` of its option file, and with these options.
    pub fn new(keyring: &Keyring, settings: &str, options: &[&str]) -> Administered {
        let host = Host::new();
        let (script, file) = (host.dir().join("mysqld"), host.dir().join("my.cnf"));
        fs::write(&file, format!("[mysqld]\n{settings}")).unwrap();
        let (mysqld, shown) = (place().mysqld.display(), file.display());
        // The first argument is --no-defaults.
        fs::write(&script, format!("#!/bin/sh\nshift\nexec '{mysqld}' --defaults-file='{shown}' \"$@\"\n"))
            .unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let client = format!("[client]\nuser=root\nsocket={}\n", host.socket().display());
        fs::write(host.dir().join(".my.cnf"), client).unwrap();
        let host = host.mysqld(script).keyring(keyring);
        let host = options.iter().fold(host, |host, option| host.option(*option));
        let server = Some(host.start());
        Administered { host, server, keyring: keyring.clone(), followed: BTreeSet::new() }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// A path below the data directory.
    pub fn path(&self, below: &str) -> PathBuf {
        self.host.datadir().join(below)
    }

    /// Restarts the server, and does something while it is stopped.
    pub fn restart(&mut self, between: impl FnOnce()) {
        self.server.take().unwrap().stop();
        between();
        self.server = Some(self.host.start());
    }

    /// Removes from the option file the lines that begin with this.
    pub fn remove_setting(&self, name: &str) {
        let file = self.host.dir().join("my.cnf");
        let text = fs::read_to_string(&file).unwrap();
        let kept = text.lines().filter(|line| !line.starts_with(name));
        fs::write(&file, kept.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }

    /// Adds a line to the option file.
    pub fn add_setting(&self, line: &str) {
        let file = self.host.dir().join("my.cnf");
        fs::write(&file, format!("{}{line}\n", fs::read_to_string(&file).unwrap())).unwrap();
    }

    /// Runs a line in a shell, where the mysql client and keyringctl know the server from their option file.
    pub fn try_shell(&self, line: &str) -> Output {
        let programs = [program("mysql"), place().keyringctl.clone()];
        let mut path = std::env::join_paths(programs.iter().map(|p| p.parent().unwrap())).unwrap();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        // The administrator answers the questions with yes.
        let asking = ["keyringctl sync", "keyringctl encrypt rotate", "--purge-binary-logs"];
        let yes = |line: String, asks: &&str| line.replace(*asks, &format!("{asks} --yes"));
        let line = &asking.iter().fold(line.to_owned(), yes);
        let mut command = Command::new("sh");
        command.args(["-ec", line]).env("PATH", path).env("HOME", self.host.dir()).env_remove("MYSQL_PWD");
        command.output().unwrap()
    }

    /// Runs a line in such a shell, which must succeed; that `encrypt apply` leaves something to do is no failure.
    pub fn shell(&self, line: &str) {
        let output = self.try_shell(line);
        let leaves = line.contains("keyringctl encrypt apply") && output.status.code() == Some(1);
        assert!(output.status.success() || leaves, "{line}: {}", told(&output));
    }

    /// Runs statements in the mysql client.
    pub fn client(&self, statements: &str) {
        let output = Command::new(program("mysql"))
            .arg(format!("--defaults-file={}", self.host.dir().join(".my.cnf").display()))
            .args(["-e", statements])
            .output()
            .unwrap();
        assert!(output.status.success(), "{statements}: {}", told(&output));
    }
}
