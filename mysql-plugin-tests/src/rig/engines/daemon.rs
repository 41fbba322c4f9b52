// SPDX-License-Identifier: GPL-2.0-or-later
//! A process of an engine. It is stopped with this value, also by a test that fails.

use super::super::place::dying_with_us;
use super::super::{Hang, signal};
use crate::common::Rng;
use rustix::process::Signal;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

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

    /// Whether it has ended or waits to be collected.
    pub fn is_gone(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
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

/// Ports that are free at an address. On a host of a network of the tests' own all are free.
///
/// On loopback they are below those that the system gives to connections. A node that is killed or sealed leaves its ports
/// for a while: a connection, of this test or of any other program, that got one of them meanwhile would keep the node
/// from starting. No test gets a port of another one, of this process or another, as long as that process runs.
pub fn free_ports<const N: usize>(address: Ipv4Addr) -> [u16; N] {
    if !address.is_loopback() {
        return std::array::from_fn(|i| 7000 + i as u16);
    }
    std::array::from_fn(|_| free_port(address))
}

/// Holds the ports that this process has taken, by names that end with the process.
static TAKEN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());

fn free_port(address: Ipv4Addr) -> u16 {
    let first = first_of_connections();
    let mut taken = TAKEN.lock().unwrap();
    // Not a choice of the test: what is free is not repeated either.
    let mut rng = Rng(RandomState::new().build_hasher().finish());
    for _ in 0..10_000 {
        let port = LOWEST_PORT + rng.below(usize::from(first - LOWEST_PORT)) as u16;
        let name = SocketAddr::from_abstract_name(format!("keyring_external-tests-port-{port}")).unwrap();
        let Ok(held) = UnixListener::bind_addr(&name) else { continue };
        if TcpListener::bind((address, port)).is_ok() {
            taken.push(held);
            return port;
        }
    }
    panic!("no port from {LOWEST_PORT} to {first} is free at {address}")
}

/// Services of this machine are below.
const LOWEST_PORT: u16 = 10_000;

/// The first port that the system gives to connections.
fn first_of_connections() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|port| port.parse().ok()).unwrap_or(32_768);
    // Where connections get every port, nothing helps.
    if first > LOWEST_PORT + 1000 { first } else { 32_768 }
}
