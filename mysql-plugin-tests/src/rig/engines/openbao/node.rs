// SPDX-License-Identifier: GPL-2.0-or-later
//! One node of an OpenBao cluster: its process, and what it says of itself.

use super::super::asking::{Answer, Asking};
use super::super::daemon::Daemon;
use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a node may take to say how it is. One that works needs some milliseconds, on a loaded machine a second.
const SAYS: Duration = Duration::from_secs(10);
/// How long a node may take to do something.
const DOES: Duration = Duration::from_secs(60);

/// Without settings of the program from outside.
pub fn clean(command: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("BAO_") || name.starts_with("VAULT_") {
            command.env_remove(variable);
        }
    }
}

/// What a node is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// The test killed it.
    Killed,
    /// Its process ended by itself.
    Ended,
    /// Its process is there and does not answer, for this reason.
    Silent(String),
    /// It belongs to no cluster yet.
    Uninitialized,
    Sealed,
    /// It is unsealed, and takes the node with this address for the active one; none if that is empty.
    Standby(String),
    /// It says that it is the active one.
    Active,
}

/// A node, running or not.
#[derive(Debug)]
pub struct Node {
    /// For clients.
    pub port: u16,
    /// For the other nodes.
    pub peer_port: u16,
    dir: PathBuf,
    name: String,
    pub process: Option<Daemon>,
}

impl Node {
    pub fn new(dir: &Path, number: usize, [port, peer_port]: [u16; 2]) -> Node {
        Node { port, peer_port, dir: dir.to_owned(), name: format!("n{number}"), process: None }
    }

    /// Where it answers clients.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it. It is sealed then.
    pub fn start(&mut self, bao: &Path, config: &str) {
        fs::create_dir_all(self.data()).unwrap();
        let file = self.dir.join(format!("{}.hcl", self.name));
        fs::write(&file, config).unwrap();
        self.process = Some(Daemon::start(&[], bao, &self.log(), |command| {
            clean(command);
            command.env("HOME", &self.dir).arg("server").arg("-log-level=warn");
            command.arg(format!("-config={}", file.display()))
        }));
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join(format!("data.{}", self.name))
    }

    fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(Daemon::has_ended)
    }

    /// Asks it something that it answers at once.
    pub fn look(&self, asking: &Asking, path: &str, token: &str) -> Result<Answer, String> {
        self.ask(asking, "GET", path, token, b"", SAYS)
    }

    /// Has it do something.
    pub fn order(
        &self,
        asking: &Asking,
        method: &str,
        path: &str,
        token: &str,
        body: &[u8],
    ) -> Result<Answer, String> {
        self.ask(asking, method, path, token, body, DOES)
    }

    fn ask(
        &self,
        asking: &Asking,
        method: &str,
        path: &str,
        token: &str,
        body: &[u8],
        limit: Duration,
    ) -> Result<Answer, String> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let headers: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("X-Vault-Token", token)] };
        asking.ask(at, method, &format!("/v1/{path}"), headers, body, limit)
    }

    /// How it is.
    pub fn state(&self, asking: &Asking) -> State {
        let Some(process) = &self.process else { return State::Killed };
        if process.is_gone() {
            return State::Ended;
        }
        let says = |path: &str| {
            let answer = self.look(asking, path, "")?;
            if answer.is_good() { Ok(answer.json()) } else { Err(format!("/v1/{path}: {}", answer.told())) }
        };
        let seal = match says("sys/seal-status") {
            Ok(seal) => seal,
            Err(why) => return State::Silent(why),
        };
        if seal["initialized"] != true {
            return State::Uninitialized;
        }
        if seal["sealed"] != false {
            return State::Sealed;
        }
        match says("sys/leader") {
            Ok(leader) if leader["is_self"] == true => State::Active,
            Ok(leader) => State::Standby(leader["leader_address"].as_str().unwrap_or_default().to_owned()),
            // It was sealed or lost its cluster in between.
            Err(why) => State::Silent(why),
        }
    }

    /// What it wrote last.
    pub fn last_lines(&self, lines: usize) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].iter().map(|line| format!("    {line}\n")).collect()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Killed => write!(f, "killed"),
            State::Ended => write!(f, "its process has ended"),
            State::Silent(why) => write!(f, "{why}"),
            State::Uninitialized => write!(f, "in no cluster yet"),
            State::Sealed => write!(f, "sealed"),
            State::Standby(leader) if leader.is_empty() => write!(f, "standby, knows no active node"),
            State::Standby(leader) => write!(f, "standby of {leader}"),
            State::Active => write!(f, "active"),
        }
    }
}
