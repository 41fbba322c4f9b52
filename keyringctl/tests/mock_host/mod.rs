// SPDX-License-Identifier: GPL-2.0-or-later
//! A host for `keyringctl setup --root`: a directory with the files of MySQL's packages.
#![allow(dead_code, reason = "no test program uses all of it")]

pub mod configured;

use super::common::ended::Ended;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A directory that looks like the root of a host with MySQL.
pub struct Host(pub TempDir);

impl Host {
    /// With AppArmor, systemd and two mount points. The account of mysqld is that of this process.
    pub fn new() -> Host {
        let host = Host(tempfile::tempdir().unwrap());
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        host.write("etc/passwd", &format!("mysql:x:{uid}:{gid}::/:/bin/false\n"));
        for dir in [
            "etc/mysql/mysql.conf.d",
            "etc/apparmor.d",
            "etc/systemd/system",
            "usr/sbin",
            "usr/lib/mysql/plugin",
            "var/lib/mysql",
            "mnt/a",
            "mnt/b",
        ] {
            fs::create_dir_all(host.at(dir)).unwrap();
        }
        host.write("usr/sbin/mysqld", "a program");
        for library in ["keyring_external.so", "component_keyring_external.so"] {
            host.write(&format!("usr/lib/mysql/plugin/{library}"), "a library");
        }
        host
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    pub fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.at(path)).unwrap().mode() & 0o7777
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyringctl"));
        command.args(args).arg("--root").arg(self.0.path()).env("COLUMNS", "100");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    pub fn setup(&self, args: &[&str]) -> Ended {
        self.run(&[&["setup"], args].concat())
    }

    /// All files and directories with their contents.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        let mut open = vec![self.0.path().to_owned()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                let contents = fs::read(&path).unwrap_or_default();
                all.insert(path, contents);
            }
        }
        all
    }

    /// Runs the command with `script` as its terminal, and types this. `None` if that program is not installed.
    pub fn on_terminal(&self, args: &str, typed: &str) -> Option<Ended> {
        let line = format!("{} {args} --root {}", env!("CARGO_BIN_EXE_keyringctl"), self.0.path().display());
        let script = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut script) = script else {
            eprintln!("SKIPPED: the program script is not installed");
            return None;
        };
        script.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        Some(Ended::of(&script.wait_with_output().unwrap()))
    }
}
