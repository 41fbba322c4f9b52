// SPDX-License-Identifier: GPL-2.0-or-later
//! How the server is stopped and started: by systemd, by a command of the administrator, or by a person.

use super::launch::Launch;
use super::means::Means;
use crate::commands::site::Site;
use crate::show::Shown;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How the server is stopped and started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// As this unit of systemd.
    Systemd(String),
    /// With this command, which restarts the server, or starts it if it does not run.
    Command(String),
    /// By somebody who reads what is printed.
    Person,
    /// Not at all: nobody reads it.
    Nobody,
}

impl Way {
    /// Finds out. A unit counts only if its main process is the server with this data directory.
    pub(super) fn find(means: &Means<'_>, site: Option<&Site>, datadir: &Path) -> Way {
        if let Some(command) = means.restart_command {
            return Way::Command(command.to_owned());
        }
        let unit = site.filter(|site| site.unit.is_some() && !site.is_below()).map(|site| &site.unit_name);
        match unit {
            Some(unit) if is_unit_of(unit, datadir) => Way::Systemd(unit.clone()),
            _ if means.watches => Way::Person,
            _ => Way::Nobody,
        }
    }

    /// How a stopped server is started, which cannot be asked for its data directory. `None`: nobody knows how, or the unit
    /// runs, so that it is not this server that is stopped.
    pub(super) fn to_start(restart_command: Option<&str>, site: Option<&Site>) -> Option<Way> {
        if let Some(command) = restart_command {
            return Some(Way::Command(command.to_owned()));
        }
        let unit = &site.filter(|site| site.unit.is_some() && !site.is_below())?.unit_name;
        let is_stopped = matches!(property(unit, "MainPID")?.as_str(), "0" | "");
        is_stopped.then(|| Way::Systemd(unit.clone()))
    }

    /// Whether this program stops the server with a statement.
    pub(super) fn shuts_down(&self) -> bool {
        matches!(self, Way::Command(_))
    }

    /// Says how the server is restarted.
    pub(super) fn restarting(&self) -> String {
        match self {
            Way::Systemd(unit) => format!("systemctl restart {}", unit.shown()),
            Way::Command(command) => command.clone(),
            Way::Person | Way::Nobody => "a restart by you".to_owned(),
        }
    }

    /// Says how the server is stopped.
    pub(super) fn stopping(&self) -> String {
        match self {
            Way::Systemd(unit) => format!("systemctl stop {}", unit.shown()),
            Way::Command(_) => "the statement SHUTDOWN".to_owned(),
            Way::Person | Way::Nobody => "a stop by you".to_owned(),
        }
    }

    /// Says how the server is started.
    pub(super) fn starting(&self) -> String {
        match self {
            Way::Systemd(unit) => format!("systemctl start {}", unit.shown()),
            Way::Command(command) => command.clone(),
            Way::Person | Way::Nobody => "a start by you".to_owned(),
        }
    }

    /// Says how an administrator starts the stopped server after a start has failed.
    pub(super) fn how_to_start(&self, site: Option<&Site>) -> String {
        let of_site = site.filter(|site| site.unit.is_some() && !site.is_below());
        match (self, of_site) {
            (Way::Systemd(unit), _) => format!("start it with systemctl start {}", unit.shown()),
            (_, Some(site)) => format!("start it with systemctl start {}", site.unit_name.shown()),
            (_, None) => "start it as it is always started on this host".to_owned(),
        }
    }

    /// Begins to restart the server, if this program does.
    pub(super) fn restart(&self) -> Result<Launch, String> {
        self.carry_out("restart")
    }

    /// Begins to start the stopped server, if this program does.
    pub(super) fn start(&self) -> Result<Launch, String> {
        self.carry_out("start")
    }

    /// Begins to stop the server as a unit, if it is one.
    pub(super) fn stop_unit(&self) -> Result<Launch, String> {
        match self {
            Way::Systemd(_) => self.carry_out("stop"),
            _ => Ok(Launch::none()),
        }
    }

    fn carry_out(&self, verb: &str) -> Result<Launch, String> {
        match self {
            Way::Systemd(unit) => Launch::new(
                Command::new("systemctl").args([verb, unit]),
                format!("systemctl {verb} {}", unit.shown()),
            ),
            Way::Command(command) => Launch::new(Command::new("sh").args(["-c", command]), command.clone()),
            Way::Person | Way::Nobody => Ok(Launch::none()),
        }
    }
}

/// Whether the main process of a unit is the server with this data directory, in which mysqld works.
fn is_unit_of(unit: &str, datadir: &Path) -> bool {
    let pid = property(unit, "MainPID").and_then(|pid| pid.parse().ok()).unwrap_or(0);
    pid > 0 && works_in(pid, datadir)
}

/// Whether a process works in this data directory, as mysqld does in its own.
pub(super) fn works_in(pid: u32, datadir: &Path) -> bool {
    let works_in = fs::read_link(PathBuf::from(format!("/proc/{pid}/cwd")));
    works_in.is_ok_and(|cwd| fs::canonicalize(datadir).is_ok_and(|datadir| cwd == datadir))
}

/// What systemd says about a unit.
fn property(unit: &str, name: &str) -> Option<String> {
    let mut command = Command::new("systemctl");
    command.args(["show", &format!("--property={name}"), "--value", unit]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then_some(())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
