// SPDX-License-Identifier: GPL-2.0-or-later
//! A cluster of three OpenBao nodes with integrated storage: unsealed, with a KV version 2 mount and a role for servers.

mod node;

use super::asking::Asking;
use super::certificates::{Authority, Certificate};
use super::daemon::free_ports;
use super::{Engine, Mistake, program};
use crate::rig::{Hang, told, wait_until};
use keyring_external::store::remote::objects::Cause;
use node::{Node, State, clean};
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const NODES: usize = 3;
/// Longest time until a cluster works. A node alone may need a minute on a loaded machine.
const LIMIT: Duration = Duration::from_secs(300);
/// How long a node may say that it is the active one when another one was elected, before it is started again. A node
/// that was stopped or starved while it led, or while it was becoming active, sometimes never notices that it lost the
/// leadership (OpenBao 2.7.2; github.com/hashicorp/vault/issues/18117): administrators start it again too.
const STUCK: Duration = Duration::from_secs(10);
/// Seconds without a heartbeat after which nodes elect another active one; half of that, and the active one gives up.
/// OpenBao has 5 unless told otherwise. With 1, a loaded machine makes a healthy cluster elect again and again.
const HEARTBEAT: u32 = 2;
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
}

impl Default for Settings {
    fn default() -> Self {
        Settings { allowed: None, may_limit_versions: true }
    }
}

/// How long a login is good for.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Seconds until a token ends, unless it is renewed.
    pub lifetime: u32,
    /// Seconds until a token ends in any case.
    pub longest: u32,
    /// How many logins a secret id is good for; 0: any number.
    pub logins: u32,
}

/// A running cluster. Its nodes end with it.
#[derive(Debug)]
pub struct OpenBao {
    dir: PathBuf,
    settings: Settings,
    authority: Authority,
    server: Certificate,
    asking: Asking,
    nodes: Vec<Node>,
    unseal_key: String,
    root_token: String,
    role_id: String,
    /// A node that says that it is the active one and was not elected, and since when that is known.
    stuck: Option<(usize, Instant)>,
}

impl OpenBao {
    /// Why there is none here, when there is none.
    pub fn why_not() -> Option<String> {
        super::why_not("BAO")
    }

    /// Starts a cluster with its files below a directory, and waits until it works.
    pub fn start(dir: &Path, settings: Settings) -> OpenBao {
        let authority = Authority::new(dir);
        let server = authority.server("server", &[Ipv4Addr::LOCALHOST]);
        let asking = Asking::new(&authority.ca(), None);
        let mut bao = OpenBao {
            dir: dir.to_owned(),
            settings,
            authority,
            server,
            asking,
            nodes: Vec::new(),
            unseal_key: String::new(),
            root_token: String::new(),
            role_id: String::new(),
            stuck: None,
        };
        // Another program may take a port first: then that node ends.
        for attempt in 0.. {
            bao.nodes =
                (0..NODES).map(|node| Node::new(dir, node, free_ports(Ipv4Addr::LOCALHOST))).collect();
            (0..NODES).for_each(|node| bao.run_node(node));
            let answer = |bao: &OpenBao| bao.states().iter().all(|state| *state == State::Uninitialized);
            let ended = wait_until(LIMIT, || bao.any_ended() || answer(&bao)) && bao.any_ended();
            if !ended && answer(&bao) {
                break;
            }
            assert!(attempt < 5, "OpenBao does not start: {}", bao.described_states());
            bao.nodes.clear();
        }
        let made = bao.order(0, "PUT", "sys/init", &json!({ "secret_shares": 1, "secret_threshold": 1 }));
        bao.unseal_key = text(&made["keys_base64"][0]);
        bao.root_token = text(&made["root_token"]);
        bao.wait_until_whole();
        bao.prepare();
        bao
    }

    /// The mount, the policy and the role.
    fn prepare(&mut self) {
        let active = self.active();
        let mount = json!({ "type": "kv", "options": { "version": "2" } });
        self.order(active, "POST", &format!("sys/mounts/{MOUNT}"), &mount);
        self.order(active, "POST", "sys/auth/approle", &json!({ "type": "approle" }));
        let policy = server_policy(self.settings.allowed.unwrap_or(""), self.settings.may_limit_versions);
        self.order(active, "PUT", &format!("sys/policies/acl/{ROLE}"), &json!({ "policy": policy }));
        self.set_role(&Tokens { lifetime: 3600, longest: 36_000, logins: 0 });
        let id = self.order(active, "GET", &format!("auth/approle/role/{ROLE}/role-id"), &Value::Null);
        self.role_id = text(&id["data"]["role_id"]);
        self.new_secret_id();
        // A new mount is converted for some moments, and each standby node waits until it has seen that.
        let whole = || {
            self.nodes.iter().all(|node| {
                let answer = node.look(&self.asking, &format!("{MOUNT}/data/none"), &self.root_token);
                answer.is_ok_and(|answer| answer.status == 404 && answer.json()["errors"] == json!([]))
            })
        };
        assert!(wait_until(LIMIT, whole), "the mount does not get ready: {}", self.described_states());
    }

    /// Sets how long later logins are good for.
    pub fn set_role(&self, tokens: &Tokens) {
        let role = json!({
            "token_policies": ROLE, "token_ttl": tokens.lifetime, "token_max_ttl": tokens.longest,
            "secret_id_num_uses": tokens.logins,
        });
        self.order(self.active(), "POST", &format!("auth/approle/role/{ROLE}"), &role);
    }

    /// Writes a new secret id to its file.
    pub fn new_secret_id(&self) {
        let path = format!("auth/approle/role/{ROLE}/secret-id");
        let made = self.order(self.active(), "POST", &path, &json!({}));
        self.secret("secret-id", &text(&made["data"]["secret_id"]));
    }

    /// A token with the role's policy, in a file of that name.
    pub fn new_token(&self, file: &str, with: &[&str]) -> PathBuf {
        let policy = format!("-policy={ROLE}");
        let arguments = [&["token", "create", "-format=json", &policy], with].concat();
        let made: Value = serde_json::from_str(&self.must(&arguments)).unwrap();
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
        self.order(
            self.active(),
            "PUT",
            "sys/leases/revoke-prefix/auth/approle/login",
            &json!({ "sync": true }),
        );
    }

    /// Where a node answers clients.
    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url()
    }

    fn any_ended(&mut self) -> bool {
        self.nodes.iter_mut().any(Node::has_ended)
    }

    /// How each node is.
    fn states(&self) -> Vec<State> {
        self.nodes.iter().map(|node| node.state(&self.asking)).collect()
    }

    /// How each node is and what it wrote last, for messages.
    fn described_states(&self) -> String {
        let described = self.nodes.iter().zip(self.states()).map(|(node, state)| {
            format!("{} at {}: {state}. It wrote last:\n{}", node.name(), node.url(), node.last_lines(25))
        });
        format!("\n{}", described.collect::<String>())
    }

    /// The active node. There must be one, at the latest after an election.
    fn active(&self) -> usize {
        let mut leader = None;
        let found = wait_until(LIMIT, || {
            leader = self.leader();
            leader.is_some()
        });
        assert!(found, "OpenBao has no active node: {}", self.described_states());
        leader.expect("an active node")
    }

    /// Has a node do something as administrator. It must succeed.
    fn order(&self, node: usize, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
        let answer = self.nodes[node].order(&self.asking, method, path, &self.root_token, &body);
        match answer {
            Ok(answer) if answer.is_good() => answer.json(),
            other => {
                let why = other.map_or_else(|why| why, |answer| answer.told());
                panic!("OpenBao: {method} {path}: {why}: {}", self.described_states())
            }
        }
    }

    /// Runs the program as administrator, asking the active node.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program("BAO").expect("bao"));
        clean(&mut command);
        command.env("BAO_ADDR", self.url(self.active())).env("BAO_CACERT", self.authority.ca());
        // It keeps what it knows of tokens there.
        command.env("BAO_TOKEN", &self.root_token).env("HOME", &self.dir).env("BAO_MAX_RETRIES", "0");
        command.args(arguments).output().unwrap()
    }

    /// Runs the program as administrator. It must succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        let output = self.ctl(arguments);
        assert!(output.status.success(), "bao {arguments:?}: {}: {}", told(&output), self.described_states());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Unseals the nodes that are sealed, as far as they answer.
    pub fn unseal(&self) {
        let key = serde_json::to_vec(&json!({ "key": self.unseal_key })).unwrap();
        for node in &self.nodes {
            // One that has not joined the cluster yet is told so too, and joins with the key then.
            if node.state(&self.asking) == State::Sealed {
                let _ = node.order(&self.asking, "PUT", "sys/unseal", "", &key);
            }
        }
    }

    /// Seals all nodes, and waits until they say that they are.
    pub fn seal(&self) {
        let all = || {
            for node in self.nodes.iter().filter(|node| node.state(&self.asking) != State::Sealed) {
                // A node may just be losing or getting the leadership: it is told again.
                let _ = node.order(&self.asking, "PUT", "sys/seal", &self.root_token, b"");
            }
            self.states().iter().all(|state| *state == State::Sealed)
        };
        assert!(wait_until(LIMIT, all), "OpenBao does not seal: {}", self.described_states());
    }

    /// What keeps the cluster from being whole: all nodes unsealed, followers of one active node, and its electors.
    fn lacks(&self) -> Option<String> {
        let states = self.states();
        let named = || self.nodes.iter().zip(&states);
        let mut active = named().filter(|(_, state)| **state == State::Active);
        let Some((leader, _)) = active.next() else { return Some("there is no active node".to_owned()) };
        for (node, state) in named().filter(|(node, _)| node.name() != leader.name()) {
            if *state != State::Standby(leader.url()) {
                return Some(format!("{} is no standby of {} ({state})", node.name(), leader.name()));
            }
        }
        let members = self.members(leader);
        let voters = members.iter().filter(|member| member["voter"] == true).count();
        let elected = members.iter().find(|member| member["leader"] == true).map(|member| &member["node_id"]);
        if elected.is_none_or(|elected| elected != leader.name()) {
            return Some(format!("{} is active, but the elected node is {elected:?}", leader.name()));
        }
        (voters != NODES).then(|| format!("only {voters} nodes elect"))
    }

    /// The members of the cluster, as a node knows them.
    fn members(&self, node: &Node) -> Vec<Value> {
        let answer = node.look(&self.asking, "sys/storage/raft/configuration", &self.root_token);
        let known = answer.map(|answer| answer.json()).unwrap_or_default();
        known["data"]["config"]["servers"].as_array().cloned().unwrap_or_default()
    }

    /// A node that says that it is the active one and was not elected.
    fn find_stuck(&self) -> Option<usize> {
        self.nodes.iter().position(|node| {
            let elected = |member: &Value| member["leader"] == true && member["node_id"] == node.name();
            node.state(&self.asking) == State::Active && !self.members(node).iter().any(elected)
        })
    }

    /// Saves all that the cluster holds into a file.
    pub fn snapshot(&self, file: &Path) {
        self.must(&["operator", "raft", "snapshot", "save", file.to_str().unwrap()]);
    }

    /// Puts back what a snapshot holds.
    pub fn restore(&mut self, file: &Path) {
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

    fn run_node(&mut self, number: usize) {
        let node = &self.nodes[number];
        let others = self.nodes.iter().filter(|other| other.name() != node.name()).map(|other| {
            format!(
                "retry_join {{\n leader_api_addr = \"{}\"\n leader_ca_cert_file = \"{}\"\n }}\n",
                other.url(),
                self.authority.ca().display()
            )
        });
        let (api, cluster) = (node.url(), format!("127.0.0.1:{}", node.peer_port));
        let config = format!(
            "ui = false\napi_addr = \"{api}\"\ncluster_addr = \"https://{cluster}\"\n\
             listener \"tcp\" {{\n address = \"{}\"\n cluster_address = \"{cluster}\"\n tls_cert_file = \"{}\"\n \
             tls_key_file = \"{}\"\n}}\n\
             storage \"raft\" {{\n path = \"{}\"\n node_id = \"{}\"\n performance_multiplier = {HEARTBEAT}\n {}}}\n",
            api.trim_start_matches("https://"),
            self.server.cert.display(),
            self.server.key.display(),
            node.data().display(),
            node.name(),
            others.collect::<String>(),
        );
        self.nodes[number].start(&program("BAO").expect("bao"), &config);
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
        let states = self.states();
        let active = (0..NODES).filter(|node| states[*node] == State::Active);
        // One that has just lost the leadership may say for a moment that it is active; the others know better.
        active.max_by_key(|node| states.iter().filter(|s| **s == State::Standby(self.url(*node))).count())
    }

    fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    fn pause(&self, node: usize) -> Hang {
        self.nodes[node].process.as_ref().expect("a running node").pause()
    }

    fn start(&mut self, node: usize) {
        self.run_node(node);
        // A node that starts is sealed until somebody unseals it.
        let up = || matches!(self.nodes[node].state(&self.asking), State::Sealed);
        assert!(wait_until(LIMIT, up), "OpenBao does not start: {}", self.described_states());
        self.unseal();
    }

    fn tend(&mut self) {
        self.stuck = match (self.find_stuck(), self.stuck) {
            (Some(node), Some((before, since))) if node == before => {
                if since.elapsed() < STUCK {
                    self.stuck
                } else {
                    println!("OpenBao: n{node} is active and not elected; starting it again");
                    self.kill(node);
                    Engine::start(self, node);
                    None
                }
            }
            (now, _) => now.map(|node| (node, Instant::now())),
        };
    }

    fn wait_until_whole(&mut self) {
        let began = Instant::now();
        loop {
            self.unseal();
            let Some(why) = self.lacks() else { return };
            assert!(
                began.elapsed() < LIMIT,
                "OpenBao does not come together: {why}: {}",
                self.described_states()
            );
            self.tend();
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
