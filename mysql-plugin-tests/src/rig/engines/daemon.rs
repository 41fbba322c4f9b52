// SPDX-License-Identifier: GPL-2.0-or-later
//! A process of an engine. It is stopped with this value, also by a test that fails.

use super::super::place::dying_with_us;
use super::super::{Hang, signal};
use rustix::process::Signal;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process of an engine, and what it writes.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts one, by way of another program if `within` names one (`ip netns exec NAME`). It ends at the latest with
    /// the thread that starts it.
    pub fn start(
        within: &[String],
        program: &Path,
        log: &Path,
        options: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Daemon {
        let mut command = match within.split_first() {
            None => dying_with_us(program),
            Some((first, rest)) => {
                let mut command = dying_with_us(first.as_ref());
                command.args(rest).arg(program);
                command
            }
        };
        let out = fs::File::options().create(true).append(true).open(log).unwrap();
        let child = options(&mut command)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", program.display()));
        Daemon { child, log: log.to_owned() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it at once, and waits until it is gone.
    pub fn kill(&mut self) {
        // An error says that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) {
        if !self.has_ended() {
            signal(self.id(), Signal::TERM);
            let _ = self.child.wait();
        }
    }

    /// It stops answering, and its connections stay, until the answer is dropped.
    pub fn pause(&self) -> Hang {
        Hang::of(vec![self.id()])
    }

    /// What it has written since the first start.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ports that are free at an address. Another program may take one before it is used. On a host of a network of the
/// tests' own all are free.
pub fn free_ports<const N: usize>(address: Ipv4Addr) -> [u16; N] {
    if !address.is_loopback() {
        return std::array::from_fn(|i| 7000 + i as u16);
    }
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((address, 0)).unwrap_or_else(|e| panic!("{address}: {e}")));
    std::array::from_fn(|i| held[i].local_addr().unwrap().port())
}
