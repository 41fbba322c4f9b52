// SPDX-License-Identifier: GPL-2.0-or-later
//! SeaweedFS, which speaks the protocol of S3: one node, with TLS and keys of its own.

use super::certificates::{Authority, Certificate};
use super::daemon::{Daemon, free_ports};
use super::{Engine, Mistake, program};
use crate::rig::{Hang, told, wait_until};
use keyring_external::store::remote::objects::Cause;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longest time until a node works.
const LIMIT: Duration = Duration::from_secs(120);
/// The bucket of the remotes file.
pub const BUCKET: &str = "keys";
const REGION: &str = "eu-test-1";

/// How a node is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The keys of the remotes file may use the objects below this prefix only (which has no slash at its ends).
    pub allowed: Option<&'static str>,
    /// The bucket keeps versions.
    pub versions: bool,
    /// The address of the node.
    pub address: Ipv4Addr,
    /// A program by which the node is started: `ip netns exec NAME`.
    pub within: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { allowed: None, versions: false, address: Ipv4Addr::LOCALHOST, within: Vec::new() }
    }
}

/// The ports of a node. Each part has one for gRPC too, by default 10,000 higher, where two nodes would collide.
#[derive(Clone, Copy, Debug, Default)]
struct Ports {
    master: [u16; 2],
    volume: [u16; 2],
    filer: [u16; 2],
    s3: [u16; 2],
}

impl Ports {
    fn free(address: Ipv4Addr) -> Ports {
        let [m, mg, v, vg, f, fg, s, sg] = free_ports(address);
        Ports { master: [m, mg], volume: [v, vg], filer: [f, fg], s3: [s, sg] }
    }
}

/// A running node. It ends with this value.
#[derive(Debug)]
pub struct SeaweedFs {
    dir: PathBuf,
    settings: Settings,
    authority: Authority,
    server: Certificate,
    ports: Ports,
    node: Option<Daemon>,
}

impl SeaweedFs {
    /// Why there is none here, when there is none.
    pub fn why_not() -> Option<String> {
        super::why_not("WEED")
    }

    /// Starts a node with its files below a directory, and waits until it works.
    pub fn start(dir: &Path, settings: Settings) -> SeaweedFs {
        let authority = Authority::new(dir);
        let server = authority.server("server", &[settings.address]);
        let mut store = SeaweedFs {
            dir: dir.to_owned(),
            settings,
            authority,
            server,
            ports: Ports::default(),
            node: None,
        };
        store.write_identities();
        // Another program may take a port first: then the node ends.
        for attempt in 0.. {
            store.ports = Ports::free(store.settings.address);
            fs::create_dir_all(store.data()).unwrap();
            Engine::start(&mut store, 0);
            let began = wait_until(LIMIT, || store.has_ended() || store.works());
            if began && !store.has_ended() {
                break;
            }
            assert!(attempt < 5, "SeaweedFS does not start: {}", store.log());
            store.node = None;
            fs::remove_dir_all(store.data()).unwrap();
        }
        store.shell(&format!("s3.bucket.create -name={BUCKET}"));
        if store.settings.versions {
            store.shell(&format!("s3.bucket.versioning -name={BUCKET} -enable"));
        }
        store
    }

    /// Who may do what: the keys of the remotes file, and an administrator.
    fn write_identities(&self) {
        let all = match self.settings.allowed {
            Some(prefix) => format!("{BUCKET}/{prefix}/*"),
            None => BUCKET.to_owned(),
        };
        let may =
            |actions: &[&str]| actions.iter().map(|action| format!("{action}:{all}")).collect::<Vec<_>>();
        let identity = |name: &str, actions: Vec<String>| {
            json!({
                "name": name, "actions": actions,
                "credentials": [{ "accessKey": format!("{name}-key"), "secretKey": format!("{name}-secret") }],
            })
        };
        let administrator = ["Admin", "Read", "Write", "List", "Tagging"].map(str::to_owned).to_vec();
        let identities = json!({ "identities": [
            identity("keyrings", may(&["Read", "Write", "List"])),
            identity("reader", may(&["Read", "List"])),
            identity("administrator", administrator),
        ]});
        fs::write(self.dir.join("s3.json"), identities.to_string()).unwrap();
        for name in ["keyrings", "reader", "administrator"] {
            self.secret(&format!("{name}.id"), &format!("{name}-key"));
            self.secret(&format!("{name}.secret"), &format!("{name}-secret"));
        }
    }

    /// A file that only this user reads. Returns it as a source of the remotes file.
    fn secret(&self, name: &str, text: &str) -> String {
        let file = self.dir.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        format!("file:{}", file.display())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn has_ended(&mut self) -> bool {
        self.node.as_mut().is_none_or(Daemon::has_ended)
    }

    /// What the node has written.
    pub fn log(&self) -> String {
        self.node.as_ref().map(Daemon::log).unwrap_or_default()
    }

    fn at(&self, [port, grpc]: [u16; 2]) -> String {
        format!("{}:{port}.{grpc}", self.settings.address)
    }

    /// Runs a command of `weed shell`. It runs where this thread does.
    fn try_shell(&self, command: &str) -> Result<String, String> {
        let weed = program("WEED").expect("weed");
        let mut shell = Command::new(weed)
            .arg("shell")
            .arg(format!("-master={}", self.at(self.ports.master)))
            .arg(format!("-filer={}", self.at(self.ports.filer)))
            .current_dir(&self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(shell.stdin.take().expect("a pipe"), "{command}").unwrap();
        let output = shell.wait_with_output().unwrap();
        let all = told(&output);
        if output.status.success() && !all.contains("error:") { Ok(all) } else { Err(all) }
    }

    /// Runs a command of `weed shell`. It must succeed.
    pub fn shell(&self, command: &str) -> String {
        self.try_shell(command).unwrap_or_else(|e| panic!("weed shell: {command}: {e}"))
    }

    /// Whether the node does what it is asked: it knows a place for data, and speaks S3.
    fn works(&self) -> bool {
        let listens = std::net::TcpStream::connect((self.settings.address, self.ports.s3[0])).is_ok();
        listens && self.try_shell("volume.list").is_ok_and(|all| all.contains("DataNode"))
    }

    /// Copies all that the node holds into a directory that does not exist yet, while the node is paused: what is left
    /// of it when it is killed.
    pub fn snapshot(&self, to: &Path) {
        let paused = self.pause(0);
        copy(&self.data(), to);
        drop(paused);
    }

    /// Stops the node, puts back what a snapshot holds, and starts it.
    pub fn restore(&mut self, from: &Path) {
        self.node = None;
        fs::remove_dir_all(self.data()).unwrap();
        copy(from, &self.data());
        Engine::start(self, 0);
        self.wait_until_whole();
    }

    /// How many versions of an object the node keeps, whether it was deleted or not.
    pub fn versions(&self, name: &str) -> usize {
        // It keeps them in a folder beside the object.
        let folder = format!("/buckets/{BUCKET}/{name}.versions");
        match self.try_shell(&format!("fs.ls {folder}")) {
            Ok(all) => all.lines().filter(|line| line.contains("v_")).count(),
            Err(_) => 0,
        }
    }

    /// Makes the bucket one that takes nothing more, as a quota does.
    pub fn fill(&self) {
        self.shell(&format!("fs.configure -locationPrefix=/buckets/{BUCKET} -readOnly -apply"));
    }

    /// Makes room again.
    pub fn make_room(&self) {
        self.shell(&format!("fs.configure -locationPrefix=/buckets/{BUCKET} -readOnly=false -apply"));
    }

    fn described(&self, with: &[(&str, Value)]) -> Value {
        let mut remote = self.remote();
        for (key, value) in with {
            remote[*key] = value.clone();
        }
        remote
    }

    /// The remote with the keys of another identity: `reader` or `administrator`.
    pub fn remote_of(&self, identity: &str) -> Value {
        let file = |what: &str| format!("file:{}", self.dir.join(format!("{identity}.{what}")).display());
        self.described(&[("access_key", json!(file("id"))), ("secret_key", json!(file("secret")))])
    }
}

impl Engine for SeaweedFs {
    fn remote(&self) -> Value {
        let file = |name: &str| format!("file:{}", self.dir.join(name).display());
        json!({
            "kind": "s3", "endpoints": [format!("https://{}:{}", self.settings.address, self.ports.s3[0])],
            "ca": self.authority.ca(), "region": REGION, "bucket": BUCKET,
            "access_key": file("keyrings.id"), "secret_key": file("keyrings.secret"),
        })
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let other = self.dir.join("other");
        fs::create_dir_all(&other).unwrap();
        let other = Authority::new(&other);
        let mut missing = self.remote_of("administrator");
        missing["bucket"] = json!("missing");
        let stranger = self.secret("stranger.id", "stranger");
        let guessed = self.secret("guessed.secret", "guessed");
        let mistake = |what, key, value: Value, cause, told: &[&str]| {
            Mistake::new(what, self.described(&[(key, value)]), cause, told)
        };
        vec![
            mistake("another CA", "ca", json!(other.ca()), Cause::Certificate, &["ca"]),
            mistake(
                "an unknown access key",
                "access_key",
                json!(stranger),
                Cause::Credentials,
                &["does not know the access key", "`access_key`"],
            ),
            mistake(
                "a wrong secret key",
                "secret_key",
                json!(guessed),
                Cause::Credentials,
                &["does not belong to the access key", &guessed],
            ),
            // Whom it is not allowed to, the store says no more than that.
            Mistake {
                remote: missing,
                ..mistake(
                    "a missing bucket",
                    "bucket",
                    json!("missing"),
                    Cause::NotTheEngine,
                    &["missing", "does not exist"],
                )
            },
        ]
    }

    fn nodes(&self) -> usize {
        1
    }

    fn leader(&self) -> Option<usize> {
        self.node.is_some().then_some(0)
    }

    fn kill(&mut self, _: usize) {
        self.node.as_mut().expect("a running node").kill();
        self.node = None;
    }

    fn pause(&self, _: usize) -> Hang {
        self.node.as_ref().expect("a running node").pause()
    }

    fn start(&mut self, _: usize) {
        let weed = program("WEED").expect("weed");
        let Ports { master, volume, filer, s3 } = self.ports;
        let address = self.settings.address;
        let log = self.dir.join("weed.log");
        self.node = Some(Daemon::start(&self.settings.within, &weed, &log, |command| {
            command.current_dir(&self.dir).env("HOME", &self.dir).arg("-logtostderr=true").arg("server");
            command.arg("-dir").arg(self.data());
            command.arg(format!("-ip={address}")).arg(format!("-ip.bind={address}"));
            for (part, [port, grpc]) in [("master", master), ("volume", volume), ("filer", filer), ("s3", s3)]
            {
                command.arg(format!("-{part}.port={port}")).arg(format!("-{part}.port.grpc={grpc}"));
            }
            // It would tell its maker that it runs.
            command.arg("-master.telemetry=false");
            // Small files for data, and not so many that another bucket finds none.
            command.args(["-master.volumeSizeLimitMB=16", "-volume.max=100", "-volume.minFreeSpace=1"]);
            command.args([
                "-volume.preStopSeconds=0",
                "-filer",
                "-s3",
                "-s3.iam=false",
                "-s3.autoCreateBucket=false",
            ]);
            command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
            command.arg("-s3.config").arg(self.dir.join("s3.json"));
            command.arg("-s3.cert.file").arg(&self.server.cert).arg("-s3.key.file").arg(&self.server.key);
            command.arg("-filer.localSocket").arg(self.dir.join("filer.sock"));
            command.arg("-s3.localSocket").arg(self.dir.join("s3.sock"))
        }));
    }

    fn wait_until_whole(&mut self) {
        assert!(wait_until(LIMIT, || self.works()), "SeaweedFS does not start: {}", self.log());
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        self.node = None;
        let Ports { master, volume, filer, s3 } = self.ports;
        for (part, [_, grpc]) in [("master", master), ("volume", volume), ("filer", filer), ("s3", s3)] {
            // It makes these there, whatever it is told.
            let _ = fs::remove_file(format!("/tmp/seaweedfs-{part}-grpc-{grpc}.sock"));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output().unwrap();
    assert!(output.status.success(), "cp: {}", told(&output));
}
