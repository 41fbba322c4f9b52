// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for connections to the server.

use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::output::{counted, time};
use crate::commands::report::facts::Facts;
use crate::show::Shown;
use std::collections::BTreeSet;

/// Seconds; a certificate that expires earlier than this is a warning.
pub(super) const SHORTEST_VALIDITY: u64 = 30 * 86_400;

pub(super) fn transit(facts: &Facts, found: &mut Findings) {
    let transit = &facts.transit;
    found.run_checks(&["secure-transport", "tls-version", "certificate"]);
    if transit.require_secure_transport == Some(false) {
        warning(
            found,
            "secure-transport",
            "require_secure_transport is OFF".to_owned(),
            "Clients may connect over the network without TLS and send data unencrypted.",
            "check that all clients can connect with TLS, then run in the server: SET PERSIST require_secure_transport = ON;",
        );
    }
    let unencrypted = transit
        .connections
        .measured()
        .into_iter()
        .flatten()
        .filter(|(kind, _)| kind == "TCP/IP")
        .map(|(_, n)| *n as usize)
        .sum::<usize>();
    if unencrypted > 0 {
        let what = format!(
            "{} over TCP without TLS at the time of the measurement",
            counted(unencrypted, "connection")
        );
        warning(
            found,
            "secure-transport",
            what,
            "Their queries and results cross the network unencrypted.",
            "switch on TLS in the configuration of these clients",
        );
    }
    let old = |v: &&str| matches!(v.trim(), "TLSv1" | "TLSv1.1");
    if let Some(version) = transit.tls_version.split(',').find(old) {
        let what = format!("{} is allowed", version.trim());
        warning(
            found,
            "tls-version",
            what,
            "This version of TLS is outdated (RFC 8996).",
            "run in the server: SET PERSIST tls_version = 'TLSv1.2,TLSv1.3'; ALTER INSTANCE RELOAD TLS; (before MySQL 8.0.16: set tls_version = TLSv1.2 in its option file, and restart it)",
        );
    }
    let renew = "create a new certificate in the place of this one, then run in the server: ALTER INSTANCE RELOAD TLS; (before MySQL 8.0.16: restart it)";
    match transit.expires() {
        None if transit.not_after.is_empty() => {
            warning(
                found,
                "certificate",
                "the server has no certificate".to_owned(),
                "It cannot use TLS.",
                "remove auto_generate_certs, ssl_cert, ssl_key, ssl_ca and tls_version from the server's option file, and restart it: it creates its own certificate in the data directory. Or get a certificate from your authority, and set ssl_cert and ssl_key",
            );
        }
        Some(end) if end <= facts.measured => {
            warning(
                found,
                "certificate",
                format!("the server's certificate expired on {}", time(end)),
                "Clients that check it cannot connect.",
                renew,
            );
        }
        Some(end) if end - facts.measured < SHORTEST_VALIDITY => {
            warning(
                found,
                "certificate",
                format!("the server's certificate expires on {}", time(end)),
                "After that, clients that check it cannot connect.",
                renew,
            );
        }
        None | Some(_) => {}
    }
}

/// Connections between servers: what the binary log holds crosses the network as it was before it was encrypted.
pub(super) fn replication(facts: &Facts, found: &mut Findings) {
    let transit = &facts.transit;
    if let Some(links) = transit.replication.measured() {
        found.run_checks(&["replication-tls"]);
        for link in links.iter().filter(|link| !link.tls) {
            warning(
                found,
                "replication-tls",
                format!("the replication from {} does not use TLS", link.source.shown()),
                "The changes of all tables cross the network unencrypted, also if the binary logs are encrypted.",
                &link.remedy,
            );
        }
        for link in links.iter().filter(|link| link.tls && !link.verified) {
            let what = format!(
                "the replication from {} does not check the certificate of its source",
                link.source.shown()
            );
            let why = "It is encrypted, but anyone who can redirect it can read it. SOURCE_SSL_CA and SOURCE_SSL_VERIFY_SERVER_CERT make the replica check.";
            found.note("replication-tls", what, why);
        }
    }
    let hosts: BTreeSet<_> =
        transit.replicas.measured().into_iter().flatten().filter(|(_, tls)| !tls).collect();
    let hosts: Vec<_> = hosts.into_iter().map(|(host, _)| host.shown()).collect();
    if !hosts.is_empty() {
        warning(
            found,
            "replication-tls",
            format!(
                "{} connected without TLS: {}",
                if hosts.len() == 1 { "a replica is" } else { "replicas are" },
                hosts.join(", ")
            ),
            "The changes of all tables cross the network unencrypted, also if the binary logs are encrypted.",
            "on each of these replicas, run in the server: STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_SSL = 1; START REPLICA;",
        );
    }
}

#[track_caller]
fn warning(found: &mut Findings, check: &'static str, what: String, why: &str, fix: &str) {
    found.add(FindingLevel::Warning, check, what, why, &[fix.to_owned()]);
}
