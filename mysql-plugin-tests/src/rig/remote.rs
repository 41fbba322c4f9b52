// SPDX-License-Identifier: GPL-2.0-or-later
//! A file server on this host: an sshd with a key and a configuration of its own, and sshfs mounts of it.

use super::programs::{ended_well, signal, wait_until};
use rustix::process::Signal;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running sshd.
#[derive(Debug)]
pub struct Remote {
    sshd: Child,
    dir: PathBuf,
    port: u16,
}

impl Remote {
    /// Starts one; its files are in a directory below `base`.
    pub fn start(base: &Path) -> Result<Remote, String> {
        let dir = base.join("sshd");
        let io = |e: std::io::Error| e.to_string();
        if !dir.exists() {
            fs::create_dir(&dir).map_err(io)?;
            for key in ["host", "user"] {
                let made = Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(dir.join(key))
                    .output();
                ended_well("ssh-keygen", made)?;
            }
            fs::copy(dir.join("user.pub"), dir.join("authorized_keys")).map_err(io)?;
        }
        // The port stays when it is started again: a mount finds it there.
        let free = || TcpListener::bind("127.0.0.1:0")?.local_addr().map(|address| address.port());
        let config = dir.join("config");
        let port = match fs::read_to_string(dir.join("port")) {
            Ok(port) => port.parse().map_err(|_| "no port".to_owned())?,
            Err(_) => free().map_err(io)?,
        };
        fs::write(dir.join("port"), port.to_string()).map_err(io)?;
        let d = dir.display();
        fs::write(
            &config,
            format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {d}/host\nAuthorizedKeysFile {d}/authorized_keys\n\
                 PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n\
                 Subsystem sftp internal-sftp\n"
            ),
        )
        .map_err(io)?;
        // Debian's sshd leaves it to its service to make this empty directory.
        fs::create_dir_all("/run/sshd").map_err(io)?;
        let sshd = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("sshd: {e}"))?;
        let remote = Remote { sshd, dir, port };
        if !wait_until(Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).is_ok()) {
            return Err("sshd does not answer".to_owned());
        }
        Ok(remote)
    }

    /// Mounts a directory of it.
    pub fn mount(&self, content: &Path, mount_point: &Path) -> Result<(), String> {
        let mut command = Command::new("sshfs");
        command.arg(format!("root@127.0.0.1:{}", content.display())).arg(mount_point);
        command.args(["-p", &self.port.to_string()]);
        for option in [
            "uid=0,gid=0,umask=077",
            "default_permissions,reconnect",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            &format!("IdentityFile={}/user", self.dir.display()),
        ] {
            command.args(["-o", option]);
        }
        ended_well("sshfs", command.output())
    }

    /// The sshd and all that serve its connections.
    fn all(&self) -> Vec<u32> {
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| {
                let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                Some((pid, stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?))
            })
            .collect();
        let mut all = vec![self.sshd.id()];
        let mut from = 0;
        while from < all.len() {
            let of = all[from];
            all.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
            from += 1;
        }
        all
    }

    /// It stops answering, and its connections stay, until the answer is dropped.
    pub fn hang(&self) -> Hang {
        Hang::of(self.all())
    }

    /// It ends, and its connections with it.
    pub fn kill(&mut self) {
        self.all().into_iter().for_each(|pid| signal(pid, Signal::KILL));
        let _ = self.sshd.wait();
    }

    /// Starts it again after [`Remote::kill`].
    pub fn restart(&mut self) {
        let base = self.dir.parent().unwrap().to_owned();
        *self = Remote::start(&base).unwrap();
    }
}

/// Stopped processes. They go on when this is dropped, also by a test that fails: nobody who waits for
/// them can be ended before that.
#[derive(Debug)]
#[must_use]
pub struct Hang {
    pids: Vec<u32>,
}

impl Hang {
    /// Stops processes, and waits until all of their threads have stopped, which takes a while on a loaded machine.
    pub fn of(pids: Vec<u32>) -> Hang {
        pids.iter().for_each(|pid| signal(*pid, Signal::STOP));
        let hang = Hang { pids };
        let all =
            || hang.pids.iter().all(|pid| threads(*pid).all(|state| matches!(state, 'T' | 't' | 'Z' | 'X')));
        assert!(wait_until(Duration::from_secs(60), all), "a process does not stop");
        hang
    }
}

/// The states of the threads of a process, as in /proc.
fn threads(pid: u32) -> impl Iterator<Item = char> {
    let all = fs::read_dir(format!("/proc/{pid}/task"));
    all.into_iter().flatten().filter_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        stat.rsplit_once(')')?.1.trim_start().chars().next()
    })
}

impl Drop for Hang {
    fn drop(&mut self) {
        self.pids.iter().rev().for_each(|pid| signal(*pid, Signal::CONT));
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // After restart() the old value is dropped, whose process has ended and was waited for.
        if self.sshd.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
    }
}
