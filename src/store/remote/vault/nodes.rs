// SPDX-License-Identifier: GPL-2.0-or-later
//! What the nodes say about themselves, and whether it fits together, for `keyringctl doctor`.

use super::Vault;
use super::node::Health;
use crate::store::remote::examine::{Observation, Subject, Weight};
use crate::store::remote::http::{Request, Verdict};
use crate::store::remote::objects::{Cause, Trouble};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// Status and body of the answer of each endpoint that answers.
type Answers = BTreeMap<String, (u16, Vec<u8>)>;

/// What a node says of the active one at `sys/leader`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Leader {
    is_self: bool,
    /// Its own address, if it is the active one. Two endpoints may lead to one node.
    leader_address: String,
    /// Since when it has been active.
    active_time: String,
}

fn about(weight: Weight, what: impl Into<String>, why: &str) -> Observation {
    Observation::new(Subject::Cluster, weight, what, why)
}

impl Vault {
    /// Asks all endpoints something that needs no token, each once.
    fn ask_each(&self, path: &'static str, until: Instant) -> Answers {
        let mut seen = Answers::new();
        // The answer of one that was seen before ends it.
        let _ = self.access.client().send_with(
            until,
            |_| Ok(Request::reading("GET", path)),
            |response| {
                let said = (response.status, response.body.to_vec());
                match seen.insert(response.endpoint.clone(), said) {
                    Some(_) => Verdict::Answer,
                    None => Verdict::Next(Trouble::not_done(Cause::Unwell, "asked")),
                }
            },
        );
        seen
    }

    /// The nodes, each by what it says about itself.
    pub(super) fn nodes(&self, until: Instant, all: &mut Vec<Observation>) {
        let half = || Instant::now() + until.saturating_duration_since(Instant::now()) / 2;
        let seen: BTreeMap<String, (u16, Option<Health>)> = self
            .ask_each("/v1/sys/health", half())
            .into_iter()
            .map(|(endpoint, (status, body))| (endpoint, (status, serde_json::from_slice(&body).ok())))
            .collect();
        let endpoints = self.access.client().endpoints();
        for endpoint in endpoints {
            let name = endpoint.to_string();
            match seen.get(&name) {
                None => all.push(
                    about(
                        if seen.is_empty() { Weight::Error } else { Weight::Warning },
                        format!("{name} gives no answer"),
                        "the engine has one node less to rely on",
                    )
                    .fix(format!("bao status -address={name}")),
                ),
                Some((_, Some(health))) if health.is_sealed() => all.push(
                    about(
                        Weight::Warning,
                        format!("{name} is sealed"),
                        "a sealed node cannot take over when the active node fails",
                    )
                    .fix(format!("bao operator unseal -address={name}")),
                ),
                Some((501, _)) => all.push(about(
                    Weight::Error,
                    format!("{name} is not initialized"),
                    "it belongs to no cluster",
                )),
                Some((_, None)) => all.push(about(
                    Weight::Error,
                    format!("{name} does not answer like Vault or OpenBao"),
                    "a proxy or another program may be listening there",
                )),
                Some(_) => {}
            }
        }
        let unclear = |(status, health): &(u16, Option<Health>)| {
            health.as_ref().is_some_and(|health| health.is_standby() && !health.forwards()) && *status != 501
        };
        if endpoints.len() == 1 && seen.values().any(unclear) {
            all.push(
                about(
                    Weight::Error,
                    "the only endpoint leads to a standby node",
                    "a standby node may return old data, so a keyring is read from the active node only",
                )
                .fix("name all nodes in endpoints, or let the load balancer ask /v1/sys/health and choose status 200"),
            );
        }
        let well = || seen.iter().filter_map(|(name, (_, health))| Some((name.as_str(), health.as_ref()?)));
        if let Some(other) = different_clusters(well()) {
            all.push(other);
        } else if well().filter(|(_, health)| health.is_active()).count() > 1 {
            // A leader may have stepped down between two answers, so what they say now counts.
            all.extend(several_active(&self.ask_each("/v1/sys/leader", half())));
        }
        // What follows asks the active node first.
        let _ = self.access.active(until);
    }
}

/// Endpoints that lead to different clusters.
fn different_clusters<'a>(mut all: impl Iterator<Item = (&'a str, &'a Health)>) -> Option<Observation> {
    let known = |(_, health): &(&str, &Health)| !health.cluster_id.is_empty();
    let (first, health) = all.find(known)?;
    let (other, _) =
        all.find(|(name, other)| known(&(*name, *other)) && other.cluster_id != health.cluster_id)?;
    Some(
        about(
            Weight::Error,
            format!("{first} and {other} belong to different clusters"),
            "a key that is stored in one cluster is missing in the other",
        )
        .fix("name the nodes of one cluster only in endpoints"),
    )
}

/// Nodes that all say that they are the active one, by their answers at `sys/leader`.
fn several_active(answers: &Answers) -> Option<Observation> {
    let mut active: BTreeMap<String, (&str, Leader)> = BTreeMap::new();
    for (endpoint, (status, body)) in answers {
        let said = serde_json::from_slice::<Leader>(body).ok().filter(|_| *status == 200);
        if let Some(leader) = said.filter(|leader| leader.is_self && !leader.leader_address.is_empty()) {
            active.entry(leader.leader_address.clone()).or_insert((endpoint, leader));
        }
    }
    let mut active: Vec<(&str, Leader)> = active.into_values().collect();
    if active.len() < 2 {
        return None;
    }
    let since = |leader: &Leader| humantime::parse_rfc3339(&leader.active_time).ok();
    let is_known = active.iter().all(|(_, leader)| since(leader).is_some());
    active.sort_by_key(|(_, leader)| since(leader));
    let (newest, _) = active.pop()?;
    let others: Vec<&str> = active.iter().map(|(endpoint, _)| *endpoint).collect();
    let how_many = if others.len() == 1 { "both" } else { "all" };
    let others = others.join(" and ");
    let probably = if is_known { format!(", probably {others}") } else { String::new() };
    Some(
        about(
            Weight::Warning,
            format!("{others} and {newest} {how_many} say that they are the active node"),
            "one of them has not noticed that another one was elected. What is read from it may be old, and new keys may \
             fail with `changed by another program`",
        )
        .fix(format!("bao operator raft list-peers -address={newest}"))
        .fix(format!("on each of these nodes that it does not call the leader{probably}: systemctl restart openbao")),
    )
}

#[cfg(test)]
mod tests;
