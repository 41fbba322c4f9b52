// SPDX-License-Identifier: GPL-2.0-or-later
//! What a node says about itself, and whether reads from it show the last change.

use super::refusal::{Refusal, refusal};
use crate::store::remote::objects::Cause;
use serde::Deserialize;

/// What a node says about itself at `sys/health`. OpenBao leaves some out.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct Health {
    sealed: Option<bool>,
    standby: Option<bool>,
    /// Vault always says it; OpenBao from 2.5 on has no such field, although its standby nodes answer reads.
    pub(super) performance_standby: Option<bool>,
    replication_performance_mode: String,
    /// Vault says it; OpenBao has no such field.
    enterprise: Option<bool>,
    pub(super) version: String,
    /// Sealed nodes do not know it.
    pub(super) cluster_id: String,
}

impl Health {
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed == Some(true)
    }

    pub(super) fn is_standby(&self) -> bool {
        self.standby == Some(true) && !self.is_sealed()
    }

    pub(super) fn is_active(&self) -> bool {
        self.sealed == Some(false) && self.standby == Some(false)
    }

    /// Whether a standby node forwards each request to the active node, reads too: Vault's do, except performance
    /// standby nodes; OpenBao's did before version 2.5.
    pub(super) fn forwards(&self) -> bool {
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().unwrap_or(u32::MAX));
        let version = (numbers.next().unwrap_or(u32::MAX), numbers.next().unwrap_or(u32::MAX));
        self.performance_standby == Some(false) && (self.enterprise.is_some() || version < (2, 5))
    }
}

/// Returns why reads from a node may be older than the last change, by its answer at `sys/health`.
pub(super) fn may_be_stale(status: u16, body: &[u8]) -> Option<Refusal> {
    let standby = || {
        Refusal::new(
            Cause::NoMajority,
            "is a standby node, which may return old data, and no endpoint is the active node. Name all nodes in endpoints",
        )
        .elsewhere()
    };
    let health: Option<Health> = serde_json::from_slice(body).ok();
    match (status, health) {
        (200, Some(health)) if health.replication_performance_mode == "secondary" => Some(
            Refusal::new(
                Cause::NotTheEngine,
                "belongs to a performance secondary, which may return old data. Name the nodes of the primary cluster \
                 in endpoints",
            )
            .elsewhere(),
        ),
        (200, Some(health)) if health.is_active() => None,
        (429 | 200, Some(health)) if health.is_standby() => {
            if health.forwards() { None } else { Some(standby()) }
        }
        (472 | 473, _) => Some(standby()),
        (501, _) => refusal(status, body),
        (_, Some(health)) if health.is_sealed() => refusal(503, br#"{"errors":["sealed"]}"#),
        (200, _) => Some(Refusal::new(Cause::NotTheEngine, "does not answer like Vault or OpenBao")),
        _ => refusal(status, body).or_else(|| {
            Some(Refusal::new(Cause::NotTheEngine, saying_nothing(status)))
        }),
    }
}

fn saying_nothing(status: u16) -> String {
    format!("does not tell whether it is the active node (status {status} at /v1/sys/health)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(status: u16, body: &str) -> Option<Cause> {
        may_be_stale(status, body.as_bytes()).map(|refused| refused.cause)
    }

    #[test]
    fn only_the_active_node_or_one_that_forwards_is_read_from() {
        // OpenBao 2.7.2: active, standby, sealed.
        let active = r#"{"initialized":true,"sealed":false,"standby":false,"replication_performance_mode":"primary","replication_dr_mode":"disabled","server_time_utc":1795745190,"version":"2.7.2","cluster_name":"vault-cluster-935ef40c","cluster_id":"3af80421-4bd7-a0a8-7a91-59035d92dbf6"}"#;
        assert_eq!(cause(200, active), None);
        let standby = active.replace(r#""standby":false"#, r#""standby":true"#);
        assert_eq!(cause(429, &standby), Some(Cause::NoMajority));
        // A health check with standbyok=true in a proxy's configuration.
        assert_eq!(cause(200, &standby), Some(Cause::NoMajority));
        let sealed = r#"{"initialized":true,"sealed":true,"standby":true,"replication_performance_mode":"unknown","replication_dr_mode":"unknown","server_time_utc":1795745367,"version":"2.7.2"}"#;
        assert_eq!(cause(503, sealed), Some(Cause::Sealed));
        // OpenBao 2.2, whose standby nodes forward everything.
        let old = standby
            .replace("2.7.2", "2.2.0")
            .replace(r#""standby""#, r#""performance_standby":false,"standby""#);
        assert_eq!(cause(429, &old), None);
        // Vault: an ordinary standby node forwards, a performance standby node does not; a secondary is behind.
        let vault =
            old.replace("2.2.0", "2.1.0+ent").replace(r#""version""#, r#""enterprise":true,"version""#);
        assert_eq!(cause(429, &vault), None);
        let performance = vault.replace(r#""performance_standby":false"#, r#""performance_standby":true"#);
        assert_eq!(cause(473, &performance), Some(Cause::NoMajority));
        assert_eq!(cause(200, &active.replace("primary", "secondary")), Some(Cause::NotTheEngine));
        assert_eq!(cause(472, "{}"), Some(Cause::NoMajority));
        assert_eq!(cause(501, r#"{"initialized":false,"sealed":true}"#), Some(Cause::Sealed));
    }

    #[test]
    fn an_answer_that_says_nothing_is_not_from_the_active_node() {
        for status in [200, 204, 301, 400, 403, 404, 429, 500, 503, 999] {
            for body in ["", "{", "null", "[]", "{}", "<html></html>", r#"{"sealed":"no"}"#, "\u{fffd}"] {
                assert!(may_be_stale(status, body.as_bytes()).is_some(), "{status} {body}");
            }
        }
    }
}
