// SPDX-License-Identifier: GPL-2.0-or-later
//! What a cluster says about itself, for `keyringctl doctor`.

use super::answers::{Number, encoded};
use super::{Etcd, Settings};
use crate::store::remote::examine::{Examine, Observation, Subject, Weight};
use crate::store::remote::http::{Client, Request, Response, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longest time for one endpoint.
const EACH: Duration = Duration::from_secs(3);
/// From this revision on a cluster should have been compacted.
const MANY_REVISIONS: u64 = 10_000;

/// What a node says of itself.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    header: StatusHeader,
    version: String,
    leader: Number,
    errors: Vec<String>,
    #[serde(rename = "dbSize")]
    size: Number,
    /// From 3.6 on.
    #[serde(rename = "dbSizeQuota")]
    quota: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StatusHeader {
    cluster_id: Number,
    revision: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Members {
    members: Vec<Member>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Member {
    #[serde(rename = "isLearner")]
    learner: bool,
}

impl Examine for Etcd {
    fn examine(&self, prefix: &str, until: Instant) -> Vec<Observation> {
        let mut all = Vec::new();
        let nodes = self.nodes(until, &mut all);
        let revision = nodes.iter().map(|status| status.header.revision.0).max().unwrap_or_default();
        if let Some(members) = self.told::<Members>("/v3/cluster/member/list", json!({}), until) {
            all.extend(few_members(members.members.iter().filter(|member| !member.learner).count()));
        }
        if !nodes.is_empty() {
            all.extend(self.rights(prefix, until));
            all.extend(self.history(prefix, revision, until));
        }
        all
    }
}

impl Etcd {
    /// What each endpoint says of itself, if it answers.
    fn nodes(&self, until: Instant, all: &mut Vec<Observation>) -> Vec<Status> {
        let mut nodes: Vec<(String, Status)> = Vec::new();
        for endpoint in &self.settings.endpoints {
            let alone = Client::new(Settings { endpoints: vec![endpoint.clone()], ..self.settings.clone() });
            let until = until.min(Instant::now() + EACH);
            let response =
                alone.send_with(until, |_| Ok(asking("/v3/maintenance/status", &json!({}))), answers);
            let Ok(response) = response else { continue };
            // Whoever lacks the right to ask learns nothing, and needs nothing. That an endpoint does not answer is no
            // matter of etcd.
            if response.status == 200
                && let Ok(status) = serde_json::from_slice::<Status>(&response.body)
            {
                nodes.push((endpoint.to_string(), status));
            }
        }
        let Some((first, status)) = nodes.first() else { return Vec::new() };
        let other = nodes.iter().find(|(_, other)| other.header.cluster_id != status.header.cluster_id);
        if let Some((other, _)) = other {
            all.push(Observation::new(
                Subject::Cluster,
                Weight::Error,
                format!("{first} and {other} belong to different etcd clusters"),
                "a key that is stored in one cluster is missing in the other",
            ));
        }
        for (endpoint, status) in &nodes {
            all.extend(unwell(endpoint, status));
        }
        nodes.into_iter().map(|(_, status)| status).collect()
    }

    /// Asks for something with this remote's login. `None` if it is refused.
    fn told<T: for<'a> Deserialize<'a>>(&self, path: &'static str, body: Value, until: Instant) -> Option<T> {
        let (status, body) = self.whatever(path, &body, until)?;
        (status == 200).then(|| serde_json::from_slice(&body).ok()).flatten()
    }

    /// Status and body of the answer, whatever it is.
    fn whatever(&self, path: &'static str, body: &Value, until: Instant) -> Option<(u16, Vec<u8>)> {
        let token = self.login.token(&self.client, until).ok()?;
        let make = |_: &_| {
            let request = asking(path, body);
            Ok(match &token {
                Some(token) => request.header("Authorization", token.as_str()),
                None => request,
            })
        };
        let response = self.client.send_with(until, make, answers).ok()?;
        Some((response.status, response.body.to_vec()))
    }

    /// Whether others can get at the keyring, and this user at what is others'.
    fn rights(&self, prefix: &str, until: Instant) -> Option<Observation> {
        let any = json!({"key": encoded(b"/"), "range_end": encoded(b"0"), "limit": 1, "keys_only": true});
        let anybody = self.client.send_with(until, |_| Ok(asking("/v3/kv/range", &any)), answers).ok()?;
        if anybody.status == 200 {
            let certificate = self.settings.tls.cert.is_some();
            let who = if certificate { "has a certificate that it accepts" } else { "reaches its port" };
            return Some(
                Observation::new(
                    Subject::Rights,
                    if certificate { Weight::Warning } else { Weight::Error },
                    "etcd does not ask for users: authentication is off",
                    format!("whoever {who} can delete the keyrings, or put back older ones"),
                )
                .fix("etcdctl user add root && etcdctl user grant-role root root")
                .fix("etcdctl role add ROLE && etcdctl user add USER && etcdctl user grant-role USER ROLE")
                .fix(format!("etcdctl role grant-permission ROLE readwrite --prefix /{prefix}/"))
                .fix("etcdctl auth enable"),
            );
        }
        // The condition never holds, so nothing is put; but etcd asks for the right to put first.
        let at = encoded(format!("/{prefix}/head").as_bytes());
        let never = json!({
            "compare": [{"key": at, "target": "VERSION", "result": "LESS", "version": "0"}],
            "success": [{"request_put": {"key": encoded(b"/"), "value": ""}}],
        });
        let reads = self.whatever("/v3/kv/range", &any, until).is_some_and(|(status, _)| status == 200);
        let writes = self.whatever("/v3/kv/txn", &never, until).is_some_and(|(status, _)| status == 200);
        let what = match (reads, writes) {
            (false, false) => return None,
            (true, false) => "read",
            (false, true) => "change",
            (true, true) => "read and change",
        };
        let user = self.login.user().unwrap_or("the user");
        Some(
            Observation::new(
                Subject::Rights,
                Weight::Warning,
                format!("the etcd user {user:?} may {what} keys that do not begin with /{prefix}/"),
                "whoever gets this server's password gets at what other servers keep there",
            )
            .fix(format!("etcdctl role grant-permission ROLE readwrite --prefix /{prefix}/"))
            .fix(format!("etcdctl user revoke-role {user} THE-OTHER-ROLE")),
        )
    }

    /// Whether old revisions are ever removed.
    fn history(&self, prefix: &str, revision: u64, until: Instant) -> Option<Observation> {
        let head = encoded(format!("/{prefix}/head").as_bytes());
        let first = json!({"key": head, "revision": "1", "serializable": true});
        let never = revision > MANY_REVISIONS && self.whatever("/v3/kv/range", &first, until)?.0 == 200;
        never.then(|| {
            Observation::new(
                Subject::History,
                Weight::Warning,
                format!("etcd keeps all {revision} revisions since it was made"),
                "it grows until its quota refuses to store keys, and what was removed from a keyring stays there",
            )
            .fix("etcd --auto-compaction-retention=1h")
        })
    }
}

fn asking(path: &'static str, body: &Value) -> Request {
    Request::reading("POST", path).header("Content-Type", "application/json").body(body.to_string())
}

fn answers(_: &Response) -> Verdict {
    Verdict::Answer
}

fn few_members(members: usize) -> Option<Observation> {
    let why = match members {
        1 => "the keyring is lost with that one",
        2 => "if either is away, keys can be neither stored nor read",
        _ => return None,
    };
    let what = if members == 1 { "etcd has 1 member" } else { "etcd has 2 members" };
    Some(
        Observation::new(Subject::Cluster, Weight::Warning, what, why)
            .fix("etcdctl member add NAME --peer-urls URL"),
    )
}

/// What is wrong with one node.
fn unwell(endpoint: &str, status: &Status) -> Vec<Observation> {
    let mut all = Vec::new();
    let mut add = |weight, what: String, why: &str, fix: &[&str]| {
        let observation = Observation::new(Subject::Cluster, weight, format!("{endpoint} {what}"), why);
        all.push(fix.iter().fold(observation, |observation, line| observation.fix(*line)));
    };
    if status.leader.0 == 0 {
        add(
            Weight::Error,
            "has no leader".into(),
            "keys can be neither stored nor read",
            &["etcdctl endpoint status --cluster"],
        );
    }
    let errors = status.errors.join(", ");
    if errors.contains("NOSPACE") {
        add(
            Weight::Error,
            "has the alarm NOSPACE".into(),
            "no key can be stored until there is room and the alarm is disarmed",
            &["etcdctl compact REVISION && etcdctl defrag --cluster && etcdctl alarm disarm"],
        );
    } else if status.quota.0 > 0 && status.size.0 > status.quota.0 / 5 * 4 {
        let (size, quota) = (status.size.0 >> 20, status.quota.0 >> 20);
        add(
            Weight::Warning,
            format!("uses {size} of {quota} MiB"),
            "above its quota no key can be stored",
            &["etcdctl compact REVISION && etcdctl defrag --cluster"],
        );
    }
    if errors.contains("CORRUPT") {
        add(Weight::Error, "has the alarm CORRUPT".into(), "its members differ", &["etcdctl alarm list"]);
    }
    if has_known_fault(&status.version) {
        add(
            Weight::Warning,
            format!("runs etcd {}", shown(&status.version)),
            "this version can let members differ after a crash or a change of users, which loses keys",
            &["upgrade to 3.4.22, 3.5.6 or later"],
        );
    }
    all
}

/// Whether members of this version can come to differ without noticing.
fn has_known_fault(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map(str::parse::<u32>);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(3)), Some(Ok(4)), Some(Ok(patch))) => patch < 22,
        (Some(Ok(3)), Some(Ok(5)), Some(Ok(patch))) => patch < 6,
        _ => false,
    }
}

/// A version, as far as it looks like one.
fn shown(version: &str) -> String {
    version.chars().filter(|c| c.is_ascii_alphanumeric() || ".-+".contains(*c)).take(30).collect()
}
