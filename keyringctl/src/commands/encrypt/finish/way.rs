// SPDX-License-Identifier: GPL-2.0-or-later
//! How the server is stopped and started: by systemd, by a command of the administrator, or by a person.

use super::means::Means;
use crate::commands::site::Site;
use crate::show::Shown;
use std::fs;
use std::os::unix::process::CommandExt;
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

    /// Restarts the server, if this program does. `Err`: why that did not succeed.
    pub(super) fn restart(&self) -> Result<(), String> {
        self.carry_out("restart")
    }

    /// Starts the stopped server, if this program does.
    pub(super) fn start(&self) -> Result<(), String> {
        self.carry_out("start")
    }

    fn carry_out(&self, verb: &str) -> Result<(), String> {
        match self {
            Way::Systemd(unit) => run(
                Command::new("systemctl").args([verb, unit]),
                &format!("systemctl {verb} {}", unit.shown()),
            ),
            Way::Command(command) => run(Command::new("sh").args(["-c", command]), command),
            Way::Person | Way::Nobody => Ok(()),
        }
    }

    /// Stops the server as a unit.
    pub(super) fn stop_unit(unit: &str) -> Result<(), String> {
        run(Command::new("systemctl").args(["stop", unit]), &format!("systemctl stop {}", unit.shown()))
    }
}

/// Whether the main process of a unit is the server with this data directory, in which mysqld works.
fn is_unit_of(unit: &str, datadir: &Path) -> bool {
    let mut command = Command::new("systemctl");
    command.args(["show", "--property=MainPID", "--value", unit]);
    let Ok(output) = command.stdin(Stdio::null()).stderr(Stdio::null()).output() else { return false };
    let pid = String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().unwrap_or(0);
    let works_in = fs::read_link(PathBuf::from(format!("/proc/{pid}/cwd")));
    pid > 0 && works_in.is_ok_and(|cwd| fs::canonicalize(datadir).is_ok_and(|datadir| cwd == datadir))
}

/// Runs a program in a process group of its own: Ctrl-C is for this program, which must not leave the server stopped.
fn run(command: &mut Command, name: &str) -> Result<(), String> {
    // A server that the command leaves running keeps these open, so nothing waits for their end.
    let status = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name} failed ({status})")),
        Err(e) => Err(format!("{name} cannot be run: {e}")),
    }
}
