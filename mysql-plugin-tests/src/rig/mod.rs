// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests stand on: servers, volumes and keyrings in temporary directories.

mod agree;
mod chance;
pub mod component;
mod faults;
pub mod fuse;
mod host;
mod keyring;
mod kind;
mod place;
mod power;
mod process;
mod remote;
mod search;
mod server;
mod volume;
pub mod worker;

pub use agree::{Asked, agree, agree_with};
pub use chance::{as_test, moment, rng};
pub use host::Host;
pub use keyring::Keyring;
pub use kind::Kind;
pub use place::{place, set_up};
pub use remote::{Hang, Remote};
pub use search::{Snapshot, files_with, found_in, hex_forms};
pub use server::Server;
pub use volume::Volume;

use rustix::process::{Pid, Signal, kill_process};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The statement that makes a new master key and seals every tablespace key with it.
pub const ROTATE: &str = "ALTER INSTANCE ROTATE INNODB MASTER KEY";

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

/// Whether this is the long run (make test-faults), and how many times a fault is injected in it or else.
pub fn times(normal: usize, long: usize) -> usize {
    if std::env::var_os("KX_LONG").is_some_and(|v| v == "1") { long } else { normal }
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
