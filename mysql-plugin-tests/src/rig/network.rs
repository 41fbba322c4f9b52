// SPDX-License-Identifier: GPL-2.0-or-later
//! A network of the tests' own: hosts that reach each other through a router which can be told to drop packets, each a
//! network namespace with a private address. Needs root and `ip`, and none of the kernel's packet filters:
//! the router has rules that send packets into a black hole.

use super::place;
use super::programs::{ended_well, path_with_sbin};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// A router and the hosts around it. Whoever runs in it keeps it: it ends with its last process.
#[derive(Debug)]
pub struct Network {
    dir: tempfile::TempDir,
    hosts: usize,
}

/// Packets that are dropped until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Dropping<'a> {
    network: &'a Network,
    /// Of each rule, from where and to where.
    ends: Vec<Vec<String>>,
}

/// The router's name.
const ROUTER: &str = "router";

impl Network {
    /// Why there can be no such network here, when there can't.
    pub fn why_not() -> Option<String> {
        static WHY: OnceLock<Option<String>> = OnceLock::new();
        let try_it = || {
            if !rustix::process::geteuid().is_root() {
                return Err("network namespaces need root".to_owned());
            }
            let network = Network::try_new(2).map_err(|e| format!("no network namespaces here: {e}"))?;
            let rule = ["to", &network.address(1), "blackhole"];
            network.ip(ROUTER, &[&["rule", "add"][..], &rule].concat())
        };
        WHY.get_or_init(|| try_it().err()).clone()
    }

    /// Makes one with so many hosts.
    pub fn new(hosts: usize) -> Network {
        Network::try_new(hosts).unwrap_or_else(|e| panic!("{e}"))
    }

    fn try_new(hosts: usize) -> Result<Network, String> {
        let dir = tempfile::tempdir_in(&place().run).map_err(|e| e.to_string())?;
        let network = Network { dir, hosts };
        network.make_namespace(ROUTER)?;
        let forward = ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"];
        network.enter(ROUTER, &forward)?;
        for host in 0..hosts {
            let (name, link, net) = (host.to_string(), format!("h{host}"), format!("10.77.{host}"));
            network.make_namespace(&name)?;
            network.ip(ROUTER, &["link", "add", &link, "type", "veth", "peer", "name", "eth0"])?;
            let namespace = network.file(&name).display().to_string();
            network.ip(ROUTER, &["link", "set", "eth0", "netns", &namespace])?;
            network.ip(ROUTER, &["addr", "add", &format!("{net}.1/24"), "dev", &link])?;
            network.ip(ROUTER, &["link", "set", &link, "up"])?;
            network.ip(&name, &["addr", "add", &format!("{net}.2/24"), "dev", "eth0"])?;
            network.ip(&name, &["link", "set", "eth0", "up"])?;
            network.ip(&name, &["route", "add", "default", "via", &format!("{net}.1")])?;
        }
        Ok(network)
    }

    fn make_namespace(&self, name: &str) -> Result<(), String> {
        let file = self.file(name);
        File::create(&file).map_err(|e| e.to_string())?;
        let mut unshare = Command::new("unshare");
        unshare.arg(format!("--net={}", file.display())).arg("true");
        ended_well("unshare", unshare.output())?;
        self.ip(name, &["link", "set", "lo", "up"])
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn enter(&self, name: &str, command: &[&str]) -> Result<(), String> {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--net={}", self.file(name).display())).args(command);
        ended_well(&command.join(" "), nsenter.env("PATH", path_with_sbin()).output())
    }

    fn ip(&self, name: &str, args: &[&str]) -> Result<(), String> {
        self.enter(name, &[&["ip"], args].concat())
    }

    /// The address of a host.
    pub fn address(&self, host: usize) -> String {
        format!("10.77.{host}.2")
    }

    /// Does something as if on that host: what it starts and connects is there.
    pub fn on<R>(&self, host: usize, act: impl FnOnce() -> R) -> R {
        struct Back(File);
        impl Drop for Back {
            fn drop(&mut self) {
                move_to(&self.0);
            }
        }
        let there = File::open(self.file(&host.to_string())).unwrap();
        let _back = Back(File::open("/proc/thread-self/ns/net").unwrap());
        move_to(&there);
        act()
    }

    /// What a command line begins with that runs on that host.
    pub fn within(&self, host: usize) -> Vec<String> {
        let namespace = self.file(&host.to_string());
        ["nsenter".to_owned(), format!("--net={}", namespace.display()), "--".to_owned()].to_vec()
    }

    /// Drops what goes from a host to another, and nothing of the opposite direction. `None` is all others.
    pub fn drop_one_way(&self, from: Option<usize>, to: Option<usize>) -> Dropping<'_> {
        let of = |word: &str, host: Option<usize>| host.map(|host| [word.to_owned(), self.address(host)]);
        let ends = [of("from", from), of("to", to)].into_iter().flatten().flatten();
        self.dropping(vec![ends.collect()])
    }

    /// Drops everything between a host and all others.
    pub fn isolate(&self, host: usize) -> Dropping<'_> {
        self.dropping(["from", "to"].map(|word| vec![word.to_owned(), self.address(host)]).to_vec())
    }

    fn dropping(&self, ends: Vec<Vec<String>>) -> Dropping<'_> {
        let dropping = Dropping { network: self, ends };
        dropping.rule("add");
        dropping
    }
}

impl Dropping<'_> {
    fn rule(&self, how: &str) {
        for ends in &self.ends {
            let words = ["rule", how].into_iter().chain(ends.iter().map(String::as_str));
            let words: Vec<&str> = words.chain(["blackhole"]).collect();
            self.network.ip(ROUTER, &words).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

impl Drop for Dropping<'_> {
    fn drop(&mut self) {
        self.rule("del");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let names = (0..self.hosts).map(|host| host.to_string()).chain([ROUTER.to_owned()]);
        for name in names {
            let _ = Command::new("umount").arg(self.file(&name)).output();
        }
    }
}

fn move_to(namespace: &File) {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .expect("this thread moves");
}
