// SPDX-License-Identifier: GPL-2.0-or-later
//! A cluster of three etcd nodes, with certificates asked of both sides.

use super::certificates::{Authority, Certificate};
use super::daemon::{Daemon, free_ports};
use super::{Engine, Mistake, program};
use crate::rig::{Hang, run, told, wait_until};
use keyring_external::store::remote::objects::Cause;
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const NODES: usize = 3;
/// Longest time until a cluster works.
const LIMIT: Duration = Duration::from_secs(120);
/// The name and password of the user that authentication asks for, and of the administrator.
const USER: (&str, &str) = ("keyrings", "a password of a test");
const ROOT: (&str, &str) = ("root", "the administrator of a test");

/// How a cluster is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Users must authenticate, and the one of the remotes file may use the keys below this prefix only (which begins
    /// and ends with `/`).
    pub allowed: Option<&'static str>,
    /// The most bytes that a node keeps.
    pub quota: Option<u64>,
    /// Seconds until an authentication is forgotten.
    pub token_lifetime: u32,
    /// The addresses of the nodes.
    pub addresses: [Ipv4Addr; NODES],
    /// A program by which each node is started: `ip netns exec NAME`.
    pub within: [Vec<String>; NODES],
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            allowed: None,
            quota: None,
            token_lifetime: 300,
            addresses: [Ipv4Addr::LOCALHOST; NODES],
            within: Default::default(),
        }
    }
}

/// A running cluster. Its nodes end with it.
#[derive(Debug)]
pub struct Etcd {
    dir: PathBuf,
    settings: Settings,
    authority: Authority,
    server: Certificate,
    client: Certificate,
    /// Of each node: the port for clients and the one for the other nodes.
    ports: [(u16, u16); NODES],
    nodes: [Option<Daemon>; NODES],
    /// Counts restores: each has data directories of its own.
    restored: u32,
}

impl Etcd {
    /// Why there is none here, when there is none.
    pub fn why_not() -> Option<String> {
        super::why_not("ETCD").or_else(|| super::why_not("ETCDCTL"))
    }

    /// Starts a cluster with its files below a directory, and waits until it works.
    pub fn start(dir: &Path, settings: Settings) -> Etcd {
        let authority = Authority::new(dir);
        let server = authority.server("server", &settings.addresses);
        let client = authority.client("client", None);
        let mut etcd = Etcd {
            dir: dir.to_owned(),
            settings,
            authority,
            server,
            client,
            ports: [(0, 0); NODES],
            nodes: Default::default(),
            restored: 0,
        };
        // Another program may take a port first: then that node ends.
        for attempt in 0.. {
            etcd.ports = etcd.settings.addresses.map(|address| {
                let [client, peer] = free_ports(address);
                (client, peer)
            });
            (0..NODES).for_each(|node| Engine::start(&mut etcd, node));
            let ended = wait_until(LIMIT, || etcd.any_ended() || etcd.is_whole()) && etcd.any_ended();
            if !ended && etcd.is_whole() {
                break;
            }
            assert!(attempt < 5, "etcd does not start: {}", etcd.logs());
            etcd.nodes = Default::default();
            (0..NODES).for_each(|node| drop(fs::remove_dir_all(etcd.data(node))));
        }
        if let Some(prefix) = etcd.settings.allowed {
            etcd.ask_for_users(prefix);
        }
        etcd
    }

    /// The least rights that a keyring needs, as docs/REMOTES.md gives them.
    fn ask_for_users(&self, prefix: &str) {
        fs::write(self.dir.join("password"), USER.1).unwrap();
        fs::set_permissions(self.dir.join("password"), fs::Permissions::from_mode(0o600)).unwrap();
        let as_nobody = |arguments: &[&str]| drop(run(self.bare_ctl(0..NODES).args(arguments)));
        as_nobody(&["user", "add", ROOT.0, "--new-user-password", ROOT.1]);
        as_nobody(&["user", "grant-role", ROOT.0, "root"]);
        as_nobody(&["role", "add", USER.0]);
        as_nobody(&["role", "grant-permission", USER.0, "readwrite", "--prefix", prefix]);
        as_nobody(&["user", "add", USER.0, "--new-user-password", USER.1]);
        as_nobody(&["user", "grant-role", USER.0, USER.0]);
        self.enable_users();
    }

    /// From now on users must authenticate.
    pub fn enable_users(&self) {
        run(self.bare_ctl(0..NODES).args(["auth", "enable"]));
    }

    fn data(&self, node: usize) -> PathBuf {
        self.dir.join(format!("data{}.{node}", self.restored))
    }

    fn url(&self, node: usize, port: u16) -> String {
        format!("https://{}:{port}", self.settings.addresses[node])
    }

    fn any_ended(&mut self) -> bool {
        self.nodes.iter_mut().flatten().any(Daemon::has_ended)
    }

    /// What the nodes have written.
    pub fn logs(&self) -> String {
        self.nodes.iter().flatten().map(Daemon::log).collect()
    }

    /// The nodes of the first start and of each start after a restore.
    fn initial_cluster(&self) -> String {
        let nodes = (0..NODES).map(|node| format!("n{node}={}", self.url(node, self.ports[node].1)));
        nodes.collect::<Vec<_>>().join(",")
    }

    /// etcdctl as nobody, at some nodes. It runs where this thread does.
    fn bare_ctl(&self, nodes: Range<usize>) -> Command {
        let endpoints: Vec<String> = nodes.map(|node| self.url(node, self.ports[node].0)).collect();
        let mut command = Command::new(program("ETCDCTL").expect("etcdctl"));
        command.env("ETCDCTL_API", "3");
        command.arg("--endpoints").arg(endpoints.join(","));
        command.arg("--cacert").arg(self.authority.ca());
        command.arg("--cert").arg(&self.client.cert).arg("--key").arg(&self.client.key);
        command
    }

    /// etcdctl as the administrator, at some nodes.
    fn root_ctl(&self, nodes: Range<usize>) -> Command {
        let mut command = self.bare_ctl(nodes);
        if self.settings.allowed.is_some() {
            command.arg("--user").arg(format!("{}:{}", ROOT.0, ROOT.1));
        }
        command
    }

    /// Runs etcdctl as the administrator.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        self.root_ctl(0..NODES).args(arguments).output().unwrap()
    }

    /// Runs etcdctl as the administrator. It must succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        assert!(output.status.success(), "etcdctl {arguments:?}: {}", told(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What the nodes that answer say of themselves, and the index of each.
    fn status(&self) -> Vec<(usize, Value)> {
        let output =
            self.ctl(&["--command-timeout=2s", "--dial-timeout=2s", "endpoint", "status", "-w", "json"]);
        let Ok(Value::Array(all)) = serde_json::from_slice(&output.stdout) else { return Vec::new() };
        all.into_iter()
            .filter_map(|one| {
                let endpoint = one["Endpoint"].as_str()?;
                let node = (0..NODES).find(|node| endpoint == self.url(*node, self.ports[*node].0))?;
                Some((node, one["Status"].clone()))
            })
            .collect()
    }

    /// Whether all nodes follow one leader and carry out what they are asked.
    fn is_whole(&self) -> bool {
        let all = self.status();
        let leaders: Vec<u64> = all.iter().filter_map(|(_, status)| status["leader"].as_u64()).collect();
        leaders.len() == NODES
            && leaders[0] != 0
            && leaders.iter().all(|leader| *leader == leaders[0])
            && self.ctl(&["--command-timeout=5s", "endpoint", "health"]).status.success()
    }

    /// Saves all that the cluster holds into a file.
    pub fn snapshot(&self, file: &Path) {
        run(self.root_ctl(0..1).args(["snapshot", "save"]).arg(file));
    }

    /// Stops the cluster, puts back what a snapshot holds, and starts it.
    pub fn restore(&mut self, file: &Path) {
        self.nodes = Default::default();
        self.restored += 1;
        for node in 0..NODES {
            let mut command = Command::new(program("ETCDCTL").expect("etcdctl"));
            command.env("ETCDCTL_API", "3").args(["snapshot", "restore"]).arg(file);
            command.arg("--data-dir").arg(self.data(node)).args(["--name", &format!("n{node}")]);
            command.args(["--initial-cluster", &self.initial_cluster()]);
            command.args(["--initial-advertise-peer-urls", &self.url(node, self.ports[node].1)]);
            run(&mut command);
        }
        (0..NODES).for_each(|node| Engine::start(self, node));
        self.wait_until_whole();
    }

    /// Fills the cluster until its quota refuses more.
    pub fn fill(&self) {
        let value = self.dir.join("filler");
        fs::write(&value, vec![b'x'; 1 << 20]).unwrap();
        for _ in 0..100 {
            let mut command = self.root_ctl(0..NODES);
            command.args(["put", "/filler"]).stdin(fs::File::open(&value).unwrap());
            let output = command.output().unwrap();
            if !output.status.success() && told(&output).contains("space exceeded") {
                return;
            }
        }
        panic!("the quota of etcd refuses nothing");
    }

    /// Makes room again, as an administrator does.
    pub fn make_room(&self) {
        self.must(&["del", "/filler"]);
        let status = self.status();
        let revision = status[0].1["header"]["revision"].as_u64().expect("a revision");
        self.must(&["compact", &revision.to_string()]);
        self.must(&["defrag"]);
        self.must(&["alarm", "disarm"]);
    }

    fn described(&self, with: &[(&str, Value)]) -> Value {
        let mut remote = self.remote();
        for (key, value) in with {
            remote[*key] = value.clone();
        }
        remote
    }
}

impl Engine for Etcd {
    fn remote(&self) -> Value {
        let endpoints: Vec<String> = (0..NODES).map(|node| self.url(node, self.ports[node].0)).collect();
        let mut remote = json!({
            "kind": "etcd", "endpoints": endpoints, "ca": self.authority.ca(),
            "cert": self.client.cert, "key": self.client.key,
        });
        if self.settings.allowed.is_some() {
            remote["user"] = json!(USER.0);
            remote["password"] = json!(format!("file:{}", self.dir.join("password").display()));
        }
        remote
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let fresh = |name: &str| {
            let dir = self.dir.join(name);
            fs::create_dir_all(&dir).unwrap();
            dir
        };
        let other = Authority::new(&fresh("other"));
        let foreign = other.client("foreign", None);
        let expired = self.authority.expired_client("expired");
        let named = self.authority.client("named", Some(USER.0));
        let pair = |of: &Certificate| [("cert", json!(of.cert)), ("key", json!(of.key))];
        let mut without = self.remote();
        ["cert", "key"].iter().for_each(|key| drop(without.as_object_mut().unwrap().remove(*key)));
        let mut all = vec![
            Mistake::new(
                "another CA",
                self.described(&[("ca", json!(other.ca()))]),
                Cause::Certificate,
                &["ca"],
            ),
            Mistake::new("no certificate", without, Cause::Certificate, &["cert"]),
            Mistake::new(
                "a foreign certificate",
                self.described(&pair(&foreign)),
                Cause::Certificate,
                &["cert"],
            ),
            Mistake::new(
                "an expired certificate",
                self.described(&pair(&expired)),
                Cause::Certificate,
                &["cert"],
            ),
        ];
        if self.settings.allowed.is_some() {
            let wrong = self.dir.join("wrong");
            fs::write(&wrong, "guessed").unwrap();
            fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
            let mut nobody = self.remote();
            ["user", "password"].iter().for_each(|key| drop(nobody.as_object_mut().unwrap().remove(*key)));
            all.extend([
                Mistake::new(
                    "a wrong password",
                    self.described(&[("password", json!(format!("file:{}", wrong.display())))]),
                    Cause::Credentials,
                    &["password", USER.0],
                ),
                Mistake::new(
                    "an unknown user",
                    self.described(&[("user", json!("stranger"))]),
                    Cause::Credentials,
                    &["stranger"],
                ),
                Mistake::new("no user", nobody, Cause::Credentials, &["\"user\"", "\"password\""]),
                Mistake::new(
                    "a certificate with a common name",
                    self.described(&pair(&named)),
                    Cause::Credentials,
                    &["common name"],
                ),
            ]);
        }
        all
    }

    fn nodes(&self) -> usize {
        NODES
    }

    fn leader(&self) -> Option<usize> {
        let all = self.status();
        let leads = |status: &Value| {
            let leader = status["leader"].as_u64();
            leader.is_some_and(|id| id != 0) && leader == status["header"]["member_id"].as_u64()
        };
        all.iter().find(|(_, status)| leads(status)).map(|(node, _)| *node)
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].as_mut().expect("a running node").kill();
        self.nodes[node] = None;
    }

    fn pause(&self, node: usize) -> Hang {
        self.nodes[node].as_ref().expect("a running node").pause()
    }

    fn start(&mut self, node: usize) {
        let (client_url, peer_url) = (self.url(node, self.ports[node].0), self.url(node, self.ports[node].1));
        let etcd = program("ETCD").expect("etcd");
        let log = self.dir.join(format!("n{node}.log"));
        self.nodes[node] = Some(Daemon::start(&self.settings.within[node], &etcd, &log, |command| {
            for (variable, _) in std::env::vars_os() {
                if variable.to_string_lossy().starts_with("ETCD") {
                    command.env_remove(variable);
                }
            }
            command.arg("--name").arg(format!("n{node}")).arg("--data-dir").arg(self.data(node));
            command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
            command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
            command.args(["--initial-cluster", &self.initial_cluster(), "--initial-cluster-state", "new"]);
            for of in ["", "peer-"] {
                command.arg(format!("--{of}cert-file")).arg(&self.server.cert);
                command.arg(format!("--{of}key-file")).arg(&self.server.key);
                command.arg(format!("--{of}trusted-ca-file")).arg(self.authority.ca());
                command.arg(format!("--{of}client-cert-auth"));
            }
            if let Some(quota) = self.settings.quota {
                command.arg("--quota-backend-bytes").arg(quota.to_string());
            }
            command.arg("--auth-token-ttl").arg(self.settings.token_lifetime.to_string());
            command.args(["--bcrypt-cost", "4", "--logger", "zap", "--log-outputs", "stderr"])
        }));
    }

    fn wait_until_whole(&mut self) {
        assert!(wait_until(LIMIT, || self.is_whole()), "etcd does not come together: {}", self.logs());
    }
}
