// SPDX-License-Identifier: GPL-2.0-or-later
//! The process of a server: a child of this one, or a daemon that was forked from a child.

use super::programs::{signal, wait_until};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

#[derive(Debug)]
pub enum Process {
    Child(Child),
    /// Its process id.
    Daemon(u32),
}

impl Process {
    pub fn id(&self) -> u32 {
        match self {
            Process::Child(child) => child.id(),
            Process::Daemon(pid) => *pid,
        }
    }

    /// How it ended, if it has. A daemon's status is told to its new parent only: it counts as a success.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        match self {
            Process::Child(child) => child.try_wait().unwrap(),
            Process::Daemon(pid) => (!is_running(*pid)).then(|| ExitStatus::from_raw(0)),
        }
    }

    /// It may have ended.
    pub fn signal(&self, which: Signal) {
        signal(self.id(), which);
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        match self {
            Process::Child(child) => {
                // An error says that it has ended already.
                let _ = child.kill();
                let _ = child.wait();
            }
            Process::Daemon(pid) => {
                if is_running(*pid) {
                    signal(*pid, Signal::KILL);
                    wait_until(Duration::from_secs(60), || !is_running(*pid));
                }
            }
        }
    }
}

/// Whether there is a mysqld of that number that has not ended. One whose new parent never asks stays as a zombie.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.split_once(" (mysqld) ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
