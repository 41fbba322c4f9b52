// SPDX-License-Identifier: GPL-2.0-or-later
//! Nodes that give recorded answers (OpenBao 2.7.2).

use super::*;
use crate::store::remote::http::{Client, Settings, TlsSettings};
use crate::store::remote::remotes::{Source, VaultLogin, VaultSettings};
use crate::unlock::UnlockSource;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const HEALTH: &str = r#"{"initialized":true,"sealed":false,"standby":STANDBY,"replication_performance_mode":"primary","replication_dr_mode":"disabled","server_time_utc":1795776079,"version":"2.7.2","cluster_name":"vault-cluster-36159208","cluster_id":"CLUSTER"}"#;
const LEADER: &str = r#"{"ha_enabled":true,"is_self":true,"active_time":"TIME","leader_address":"ADDRESS","leader_cluster_address":"https://127.0.0.1:18411","raft_committed_index":36,"raft_applied_index":36}"#;
const FOLLOWER: &str = r#"{"ha_enabled":true,"is_self":false,"leader_address":"http://10.0.0.1:8200","leader_cluster_address":"https://10.0.0.1:8201","raft_committed_index":36,"raft_applied_index":36}"#;

/// A node: what it answers at `sys/health` and at `sys/leader`.
struct Node {
    url: String,
    port: u16,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    fn saying(health: (u16, String), leader: String) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                answer(stream.unwrap(), &health, &leader);
            }
        });
        Node { url: format!("http://127.0.0.1:{port}"), port, end, thread: Some(thread) }
    }

    fn active(cluster: &str, address: &str, since: &str) -> Node {
        let leader = LEADER.replace("ADDRESS", address).replace("TIME", since);
        Node::saying((200, HEALTH.replace("STANDBY", "false").replace("CLUSTER", cluster)), leader)
    }

    fn standby() -> Node {
        let health = HEALTH.replace("STANDBY", "true").replace("CLUSTER", "one");
        Node::saying((429, health), FOLLOWER.to_owned())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let ended = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || ended.is_ok());
    }
}

/// Answers one request, and closes the connection.
fn answer(stream: TcpStream, (status, health): &(u16, String), leader: &str) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let _ = lines.find(String::is_empty);
    let (status, body) =
        if first.contains("/v1/sys/health ") { (*status, health.as_str()) } else { (200, leader) };
    assert!(first.contains("/v1/sys/health ") || first.contains("/v1/sys/leader "), "{first}");
    let length = body.len();
    let told = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    (&stream).write_all(told.as_bytes()).unwrap();
}

/// What is seen of these nodes, when their endpoints are named in this order.
fn seen(nodes: &[&Node]) -> Vec<Observation> {
    let endpoints = nodes.iter().map(|node| node.url.parse().unwrap()).collect();
    let client = Client::new(Settings { endpoints, tls: TlsSettings::default(), proxy: None });
    let token = Source::new("token", UnlockSource::parse("file:/nothing/asks/for/it").unwrap());
    let settings =
        VaultSettings { mount: "secret".to_owned(), namespace: None, login: VaultLogin::Token(token) };
    let mut all = Vec::new();
    Vault::new(client, settings).nodes(Instant::now() + Duration::from_secs(60), &mut all);
    all
}

#[test]
fn two_nodes_that_both_say_they_are_active_are_told_with_the_one_to_restart() {
    // The one that did not notice was elected first.
    let old = Node::active("one", "http://10.0.0.1:8200", "2026-11-27T10:41:11.028570391Z");
    let new = Node::active("one", "http://10.0.0.2:8200", "2026-11-27T10:41:20.5Z");
    let third = Node::standby();
    for nodes in [[&old, &new, &third], [&third, &new, &old]] {
        let all = seen(&nodes);
        let [told] = &all[..] else { panic!("{all:?}") };
        assert_eq!((told.subject, told.weight), (Subject::Cluster, Weight::Warning));
        assert_eq!(told.what, format!("{} and {} both say that they are the active node", old.url, new.url));
        let restart = format!(
            "on each of these nodes that it does not call the leader, probably {}: systemctl restart openbao",
            old.url
        );
        assert_eq!(told.fix, [format!("bao operator raft list-peers -address={}", new.url), restart]);
    }
    // Times that cannot be compared name no node.
    let elsewhere = Node::active("one", "http://10.0.0.3:8200", "yesterday");
    let all = seen(&[&elsewhere, &new]);
    assert!(all.len() == 1 && all[0].fix.iter().all(|line| !line.contains("probably")), "{all:?}");
}

#[test]
fn one_active_node_is_nothing_to_tell() {
    let active = Node::active("one", "http://10.0.0.1:8200", "2026-11-27T10:41:11.028570391Z");
    assert_eq!(seen(&[&active, &Node::standby(), &Node::standby()]), []);
    // A load balancer before the active node: the same node by two names.
    let balanced = Node::active("one", "http://10.0.0.1:8200", "2026-11-27T10:41:11.028570391Z");
    assert_eq!(seen(&[&balanced, &active]), []);
}

#[test]
fn nodes_of_two_clusters_are_told() {
    let one = Node::active("one", "http://10.0.0.1:8200", "2026-11-27T10:41:11.028570391Z");
    let two = Node::active("two", "http://10.0.0.2:8200", "2026-11-27T10:41:20.5Z");
    let all = seen(&[&one, &two]);
    assert!(all.len() == 1 && all[0].what.ends_with("belong to different clusters"), "{all:?}");
    assert_eq!(all[0].weight, Weight::Error);
}
