// SPDX-License-Identifier: GPL-2.0-or-later
//! A cluster of three OpenBao nodes with integrated storage: unsealed, with a KV version 2 mount and a role for servers.

use super::certificates::{Authority, Certificate};
use super::daemon::{Daemon, free_ports};
use super::{Engine, Mistake, program};
use crate::rig::{Hang, told, wait_until};
use keyring_external::store::remote::objects::Cause;
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const NODES: usize = 3;
/// Longest time until a cluster works. A node alone may need a minute on a loaded machine.
const LIMIT: Duration = Duration::from_secs(300);
/// The mount of the keyrings.
pub const MOUNT: &str = "keyrings";
/// The role that servers log in as.
const ROLE: &str = "mysql";

/// How a cluster is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The role may use this folder only (which begins with no `/` and ends with one), by the least policy that a
    /// server needs. Otherwise it may use the whole mount.
    pub allowed: Option<&'static str>,
    /// The policy allows a server to limit how many versions of a head are kept.
    pub may_limit_versions: bool,
    /// Seconds until a token ends, unless it is renewed.
    pub token_lifetime: u32,
    /// Seconds until a token ends in any case.
    pub token_longest: u32,
    /// How many logins a secret id is good for; 0: any number.
    pub secret_id_uses: u32,
    /// The addresses of the nodes.
    pub addresses: [Ipv4Addr; NODES],
    /// A program by which each node is started: `ip netns exec NAME`.
    pub within: [Vec<String>; NODES],
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            allowed: None,
            may_limit_versions: true,
            token_lifetime: 3600,
            token_longest: 36_000,
            secret_id_uses: 0,
            addresses: [Ipv4Addr::LOCALHOST; NODES],
            within: Default::default(),
        }
    }
}

/// A running cluster. Its nodes end with it.
#[derive(Debug)]
pub struct OpenBao {
    dir: PathBuf,
    settings: Settings,
    authority: Authority,
    server: Certificate,
    /// Of each node: the port for clients and the one for the other nodes.
    ports: [(u16, u16); NODES],
    nodes: [Option<Daemon>; NODES],
    unseal_key: String,
    root_token: String,
    role_id: String,
}

impl OpenBao {
    /// Why there is none here, when there is none.
    pub fn why_not() -> Option<String> {
        super::why_not("BAO")
    }

    /// Starts a cluster with its files below a directory, and waits until it works.
    pub fn start(dir: &Path, settings: Settings) -> OpenBao {
        let authority = Authority::new(dir);
        let server = authority.server("server", &settings.addresses);
        let mut bao = OpenBao {
            dir: dir.to_owned(),
            settings,
            authority,
            server,
            ports: [(0, 0); NODES],
            nodes: Default::default(),
            unseal_key: String::new(),
            root_token: String::new(),
            role_id: String::new(),
        };
        // Another program may take a port first: then that node ends.
        for attempt in 0.. {
            bao.ports = bao.settings.addresses.map(|address| {
                let [client, peer] = free_ports(address);
                (client, peer)
            });
            (0..NODES).for_each(|node| bao.run_node(node));
            let answer = |bao: &OpenBao| (0..NODES).all(|node| bao.status(node).is_some());
            let ended = wait_until(LIMIT, || bao.any_ended() || answer(&bao)) && bao.any_ended();
            if !ended && answer(&bao) {
                break;
            }
            assert!(attempt < 5, "OpenBao does not start: {}", bao.logs());
            bao.nodes = Default::default();
        }
        let made = bao.json(0, &["operator", "init", "-key-shares=1", "-key-threshold=1"]);
        bao.unseal_key = text(&made["unseal_keys_b64"][0]);
        bao.root_token = text(&made["root_token"]);
        let leads = || {
            bao.unseal();
            bao.leader().is_some()
        };
        assert!(wait_until(LIMIT, leads), "OpenBao has no leader: {}", bao.logs());
        // Otherwise a new node votes ten seconds later.
        bao.must(&["operator", "raft", "autopilot", "set-config", "-server-stabilization-time=1s"]);
        bao.wait_until_whole();
        bao.prepare();
        bao
    }

    /// The mount, the policy and the role.
    fn prepare(&mut self) {
        self.must(&["secrets", "enable", &format!("-path={MOUNT}"), "-version=2", "kv"]);
        self.must(&["auth", "enable", "approle"]);
        let policy = self.dir.join("policy.hcl");
        fs::write(
            &policy,
            server_policy(self.settings.allowed.unwrap_or(""), self.settings.may_limit_versions),
        )
        .unwrap();
        self.must(&["policy", "write", ROLE, policy.to_str().unwrap()]);
        self.set_role(&[]);
        self.role_id =
            text(&self.json(0, &["read", &format!("auth/approle/role/{ROLE}/role-id")])["data"]["role_id"]);
        self.new_secret_id();
        // A new mount is converted for some moments, and each standby node waits until it has seen that.
        let whole = || {
            (0..NODES).all(|node| {
                let output = self
                    .at(node)
                    .args(["kv", "get", "-format=json", &format!("-mount={MOUNT}"), "none"])
                    .output()
                    .unwrap();
                told(&output).contains("No value found")
            })
        };
        assert!(wait_until(LIMIT, whole), "the mount does not get ready: {}", self.logs());
    }

    /// Sets the role, with other settings than those of the cluster.
    pub fn set_role(&self, with: &[&str]) {
        let role = format!("auth/approle/role/{ROLE}");
        let all = [
            format!("token_policies={ROLE}"),
            format!("token_ttl={}", self.settings.token_lifetime),
            format!("token_max_ttl={}", self.settings.token_longest),
            format!("secret_id_num_uses={}", self.settings.secret_id_uses),
        ];
        let all: Vec<&str> = ["write", &role]
            .into_iter()
            .chain(all.iter().map(String::as_str))
            .chain(with.iter().copied())
            .collect();
        self.must(&all);
    }

    /// Writes a new secret id to its file.
    pub fn new_secret_id(&self) {
        let made = self.json_of(self.any().args([
            "write",
            "-force",
            "-format=json",
            &format!("auth/approle/role/{ROLE}/secret-id"),
        ]));
        self.secret("secret-id", &text(&made["data"]["secret_id"]));
    }

    /// A token with the role's policy, in a file of that name.
    pub fn new_token(&self, file: &str, with: &[&str]) -> PathBuf {
        let policy = format!("-policy={ROLE}");
        let made = self.json_of(self.any().args(["token", "create", "-format=json", &policy]).args(with));
        self.secret(file, &text(&made["auth"]["client_token"]))
    }

    fn secret(&self, name: &str, secret: &str) -> PathBuf {
        let file = self.dir.join(name);
        fs::write(&file, secret).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// Ends all tokens that the role's logins brought.
    pub fn revoke_tokens(&self) {
        self.must(&["lease", "revoke", "-prefix", "-sync", "auth/approle/login"]);
    }

    fn data(&self, node: usize) -> PathBuf {
        self.dir.join(format!("data.{node}"))
    }

    /// Where a node answers clients.
    pub fn url(&self, node: usize) -> String {
        format!("https://{}:{}", self.settings.addresses[node], self.ports[node].0)
    }

    fn any_ended(&mut self) -> bool {
        self.nodes.iter_mut().flatten().any(Daemon::has_ended)
    }

    /// What the nodes have written.
    pub fn logs(&self) -> String {
        self.nodes.iter().flatten().map(Daemon::log).collect()
    }

    /// The program as administrator, asking one node.
    fn at(&self, node: usize) -> Command {
        let bao = program("BAO").expect("bao");
        let mut command = match self.settings.within[node].split_first() {
            None => Command::new(bao),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(bao);
                command
            }
        };
        clean(&mut command);
        command.env("BAO_ADDR", self.url(node)).env("BAO_CACERT", self.authority.ca());
        // It keeps what it knows of tokens there.
        command.env("BAO_TOKEN", &self.root_token).env("HOME", &self.dir).env("BAO_MAX_RETRIES", "0");
        command.env("BAO_CLIENT_TIMEOUT", "20s");
        command
    }

    /// The program as administrator, asking the active node, or any that runs.
    fn any(&self) -> Command {
        let runs = |node: &usize| self.nodes[*node].is_some();
        self.at(self.leader().or_else(|| (0..NODES).find(runs)).expect("a running node"))
    }

    /// Runs the program as administrator.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        self.any().args(arguments).output().unwrap()
    }

    /// Runs the program as administrator. It must succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        assert!(output.status.success(), "bao {arguments:?}: {}", told(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn json(&self, node: usize, arguments: &[&str]) -> Value {
        self.json_of(self.at(node).args(arguments).arg("-format=json"))
    }

    fn json_of(&self, command: &mut Command) -> Value {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{command:?}: {e}"))
    }

    /// What a node says of itself, if it answers.
    fn status(&self, node: usize) -> Option<Value> {
        self.nodes[node].as_ref()?;
        let output =
            self.at(node).env("BAO_CLIENT_TIMEOUT", "2s").args(["status", "-format=json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Unseals the nodes that are sealed, as far as they answer.
    pub fn unseal(&self) {
        for node in 0..NODES {
            if self
                .status(node)
                .is_some_and(|status| status["initialized"] == true && status["sealed"] == true)
            {
                // A node that has not joined the cluster yet takes it later.
                let _ = self.at(node).args(["operator", "unseal", &self.unseal_key]).output().unwrap();
            }
        }
    }

    /// Seals all nodes, and waits until they are.
    pub fn seal(&self) {
        let sealed = |node: usize| self.status(node).is_none_or(|status| status["sealed"] == true);
        let all = || {
            for node in (0..NODES).filter(|node| !sealed(*node)) {
                // Only the active node seals itself; the others are killed and started, which seals them too.
                let _ = self.at(node).args(["operator", "seal"]).output().unwrap();
            }
            (0..NODES).all(sealed)
        };
        assert!(wait_until(LIMIT, all), "OpenBao does not seal: {}", self.logs());
    }

    /// Whether all nodes are unsealed, follow one active node and have received what it has.
    fn is_whole(&self) -> bool {
        let all: Vec<Value> = (0..NODES).filter_map(|node| self.status(node)).collect();
        let active = all.iter().filter(|status| status["is_self"] == true).count();
        let leader = &all.first().map_or(&Value::Null, |status| &status["leader_address"]);
        all.len() == NODES
            && active == 1
            && all.iter().all(|status| status["sealed"] == false && status["leader_address"] == **leader)
            && self.voters() == NODES
    }

    /// How many nodes elect the active one.
    fn voters(&self) -> usize {
        let output = self.ctl(&["operator", "raft", "list-peers", "-format=json"]);
        let peers: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let servers = peers["data"]["config"]["servers"].as_array();
        servers.map_or(0, |servers| servers.iter().filter(|server| server["voter"] == true).count())
    }

    /// Saves all that the cluster holds into a file.
    pub fn snapshot(&self, file: &Path) {
        self.must(&["operator", "raft", "snapshot", "save", file.to_str().unwrap()]);
    }

    /// Puts back what a snapshot holds.
    pub fn restore(&self, file: &Path) {
        self.must(&["operator", "raft", "snapshot", "restore", "-force", file.to_str().unwrap()]);
        self.wait_until_whole();
    }

    /// The remote as the remotes file describes it, with other fields; `null` takes a field out.
    pub fn described(&self, with: &[(&str, Value)]) -> Value {
        let mut remote = self.remote();
        for (key, value) in with {
            remote[*key] = value.clone();
        }
        remote.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        remote
    }

    fn approle(&self, role_id: &str, secret_id: &Path) -> Value {
        json!({ "role_id": role_id, "secret_id": format!("file:{}", secret_id.display()) })
    }

    fn run_node(&mut self, node: usize) {
        let (api, cluster) =
            (self.url(node), format!("{}:{}", self.settings.addresses[node], self.ports[node].1));
        let others = (0..NODES).filter(|other| *other != node).map(|other| {
            format!(
                "retry_join {{\n leader_api_addr = \"{}\"\n leader_ca_cert_file = \"{}\"\n }}\n",
                self.url(other),
                self.authority.ca().display()
            )
        });
        fs::create_dir_all(self.data(node)).unwrap();
        let config = self.dir.join(format!("n{node}.hcl"));
        fs::write(
            &config,
            format!(
                "ui = false\napi_addr = \"{api}\"\ncluster_addr = \"https://{cluster}\"\n\
                 listener \"tcp\" {{\n address = \"{}\"\n cluster_address = \"{cluster}\"\n tls_cert_file = \"{}\"\n \
                 tls_key_file = \"{}\"\n}}\n\
                 storage \"raft\" {{\n path = \"{}\"\n node_id = \"n{node}\"\n performance_multiplier = 1\n {}}}\n",
                api.trim_start_matches("https://"),
                self.server.cert.display(),
                self.server.key.display(),
                self.data(node).display(),
                others.collect::<String>(),
            ),
        )
        .unwrap();
        let log = self.dir.join(format!("n{node}.log"));
        let bao = program("BAO").expect("bao");
        self.nodes[node] = Some(Daemon::start(&self.settings.within[node], &bao, &log, |command| {
            clean(command);
            command
                .env("HOME", &self.dir)
                .arg("server")
                .arg("-log-level=warn")
                .arg(format!("-config={}", config.display()))
        }));
    }
}

/// Without settings of the program from outside.
fn clean(command: &mut Command) {
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("BAO_") || name.starts_with("VAULT_") {
            command.env_remove(variable);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// The least policy that a server needs for the keyrings in a folder, as docs/REMOTES.md gives it.
fn server_policy(folder: &str, may_limit_versions: bool) -> String {
    let metadata = if may_limit_versions {
        r#""create", "read", "update", "delete", "list""#
    } else {
        r#""read", "delete", "list""#
    };
    format!(
        "path \"{MOUNT}/data/{folder}*\" {{ capabilities = [\"create\", \"read\", \"update\"] }}\n\
         path \"{MOUNT}/metadata/{folder}*\" {{ capabilities = [{metadata}] }}\n"
    )
}

impl Engine for OpenBao {
    fn remote(&self) -> Value {
        let endpoints: Vec<String> = (0..NODES).map(|node| self.url(node)).collect();
        json!({
            "kind": "vault", "endpoints": endpoints, "ca": self.authority.ca(), "mount": MOUNT,
            "approle": self.approle(&self.role_id, &self.dir.join("secret-id")),
        })
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let other = self.dir.join("other");
        fs::create_dir_all(&other).unwrap();
        let other = Authority::new(&other);
        let guessed = self.secret("guessed", "9b6e2b54-7a3e-4a0b-8e3d-000000000000");
        let source = |file: &Path| json!(format!("file:{}", file.display()));
        self.must(&["secrets", "enable", "-path=old", "-version=1", "kv"]);
        let root = self.secret("root", &self.root_token);
        let as_root = |mount: &str| {
            self.described(&[("approle", Value::Null), ("token", source(&root)), ("mount", json!(mount))])
        };
        vec![
            Mistake::new(
                "another CA",
                self.described(&[("ca", json!(other.ca()))]),
                Cause::Certificate,
                &["ca"],
            ),
            Mistake::new(
                "a wrong secret id",
                self.described(&[("approle", self.approle(&self.role_id, &guessed))]),
                Cause::Credentials,
                &["secret id"],
            ),
            Mistake::new(
                "a wrong token",
                self.described(&[("approle", Value::Null), ("token", source(&guessed))]),
                Cause::Credentials,
                &["token", "guessed"],
            ),
            Mistake::new("KV version 1", as_root("old"), Cause::NotTheEngine, &["version 1"]),
            Mistake::new("a mount that does not exist", as_root("nowhere"), Cause::NotTheEngine, &["mount"]),
            Mistake::new("a mount of another kind", as_root("identity"), Cause::NotTheEngine, &["mount"]),
            Mistake::new(
                "a mount that the policy does not name",
                self.described(&[("mount", json!("old"))]),
                Cause::NotAllowed,
                &["old"],
            ),
        ]
    }

    fn nodes(&self) -> usize {
        NODES
    }

    fn leader(&self) -> Option<usize> {
        (0..NODES).find(|node| {
            self.status(*node).is_some_and(|status| status["is_self"] == true && status["sealed"] == false)
        })
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].as_mut().expect("a running node").kill();
        self.nodes[node] = None;
    }

    fn pause(&self, node: usize) -> Hang {
        self.nodes[node].as_ref().expect("a running node").pause()
    }

    fn start(&mut self, node: usize) {
        self.run_node(node);
        // A node that starts is sealed until somebody unseals it.
        let up = || self.status(node).is_some();
        assert!(wait_until(LIMIT, up), "OpenBao does not start: {}", self.logs());
        self.unseal();
    }

    fn wait_until_whole(&self) {
        let whole = || {
            self.unseal();
            self.is_whole()
        };
        assert!(wait_until(LIMIT, whole), "OpenBao does not come together: {}", self.logs());
    }
}
