// SPDX-License-Identifier: GPL-2.0-or-later
//! Nodes that give recorded answers (OpenBao 2.7.2).

use super::*;
use crate::store::remote::http::tests::server::{Server, client};
use crate::store::remote::remotes::{Source, VaultLogin, VaultSettings};
use crate::unlock::UnlockSource;
use std::time::Duration;

const HEALTH: &str = r#"{"initialized":true,"sealed":false,"standby":STANDBY,"replication_performance_mode":"primary","replication_dr_mode":"disabled","server_time_utc":1795776079,"version":"2.7.2","cluster_name":"vault-cluster-36159208","cluster_id":"CLUSTER"}"#;
const LEADER: &str = r#"{"ha_enabled":true,"is_self":true,"active_time":"TIME","leader_address":"ADDRESS","leader_cluster_address":"https://127.0.0.1:18411","raft_committed_index":36,"raft_applied_index":36}"#;
const FOLLOWER: &str = r#"{"ha_enabled":true,"is_self":false,"leader_address":"http://10.0.0.1:8200","leader_cluster_address":"https://10.0.0.1:8201","raft_committed_index":36,"raft_applied_index":36}"#;

/// A node by what it answers at `sys/health` and at `sys/leader`.
fn node(status: u16, health: String, leader: String) -> Server {
    Server::plain(move |talk| {
        while let Some(request) = talk.request() {
            match request.split(' ').nth(1) {
                Some("/v1/sys/health") => talk.answer(status, &health),
                Some("/v1/sys/leader") => talk.answer(200, &leader),
                other => panic!("{other:?}"),
            }
        }
    })
}

fn active(cluster: &str, address: &str, since: &str) -> Server {
    let health = HEALTH.replace("STANDBY", "false").replace("CLUSTER", cluster);
    node(200, health, LEADER.replace("ADDRESS", address).replace("TIME", since))
}

fn standby() -> Server {
    node(429, HEALTH.replace("STANDBY", "true").replace("CLUSTER", "one"), FOLLOWER.to_owned())
}

/// What is seen of these nodes, when their endpoints are named in this order.
fn seen(nodes: &[&Server]) -> Vec<Observation> {
    let token = Source::new("token", UnlockSource::parse("file:/nothing/asks/for/it").unwrap());
    let settings =
        VaultSettings { mount: "secret".to_owned(), namespace: None, login: VaultLogin::Token(token) };
    let mut all = Vec::new();
    Vault::new(client(nodes), settings).nodes(Instant::now() + Duration::from_secs(60), &mut all);
    all
}

#[test]
fn two_nodes_that_both_say_they_are_active_are_told_with_the_one_to_restart() {
    // The one that did not notice was elected first.
    let old = active("one", "http://10.0.0.1:8200", "2026-11-27T10:41:11.028570391Z");
    let new = active("one", "http://10.0.0.2:8200", "2026-11-27T10:41:20.5Z");
    let third = standby();
    for nodes in [[&old, &new, &third], [&third, &new, &old]] {
        let all = seen(&nodes);
        let [told] = &all[..] else { panic!("{all:?}") };
        assert_eq!((told.subject, told.weight), (Subject::Cluster, Weight::Warning));
        let (old, new) = (old.endpoint(), new.endpoint());
        assert_eq!(told.what, format!("{old} and {new} both say that they are the active node"));
        let restart = format!(
            "on each of these nodes that it does not call the leader, probably {old}: systemctl restart openbao"
        );
        assert_eq!(told.fix, [format!("bao operator raft list-peers -address={new}"), restart]);
    }
    // Times that cannot be compared name no node.
    let elsewhere = active("one", "http://10.0.0.3:8200", "yesterday");
    let all = seen(&[&elsewhere, &new]);
    assert!(all.len() == 1 && all[0].fix.iter().all(|line| !line.contains("probably")), "{all:?}");
}

#[test]
fn one_active_node_is_nothing_to_tell() {
    let one = active("one", "http://10.0.0.1:8200", "2026-11-27T10:41:11.028570391Z");
    assert_eq!(seen(&[&one, &standby(), &standby()]), []);
    // A load balancer before the active node: the same node by two names.
    let balanced = active("one", "http://10.0.0.1:8200", "2026-11-27T10:41:11.028570391Z");
    assert_eq!(seen(&[&balanced, &one]), []);
}

#[test]
fn nodes_of_two_clusters_are_told() {
    let one = active("one", "http://10.0.0.1:8200", "2026-11-27T10:41:11.028570391Z");
    let two = active("two", "http://10.0.0.2:8200", "2026-11-27T10:41:20.5Z");
    let all = seen(&[&one, &two]);
    assert!(all.len() == 1 && all[0].what.ends_with("belong to different clusters"), "{all:?}");
    assert_eq!(all[0].weight, Weight::Error);
}
