// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs programs, signals them and waits for what they do.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Runs a program that must succeed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sends a process a signal; it may have ended.
pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a process");
    let _ = kill_process(pid, signal);
}

/// How a program ended and what it said.
pub fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Asks again and again until `done`, at most `limit`.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An error that says how a program failed.
pub(super) fn ended_well(what: &str, output: io::Result<Output>) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{what} failed: {}", told(&output))),
        Err(e) => Err(format!("{what}: {e}")),
    }
}

/// PATH with the directories of programs for root.
pub(super) fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
