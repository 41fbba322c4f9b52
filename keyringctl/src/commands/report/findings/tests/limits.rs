// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the rules for ages and certificates begin and end.

use super::*;
use crate::commands::report::certificates::Certificate;
use crate::commands::report::keys::Purpose;

#[test]
fn ages_are_judged_by_the_policy_that_was_given() {
    let old = |f: &mut Facts| {
        f.measured += 400 * DAY;
        let Known::Measured(keys) = &mut f.keys else { unreachable!("the sample's keys were measured") };
        let of_logs = MasterKey { purpose: Purpose::BinaryLogs, ..keys[0].clone() };
        keys.push(of_logs);
    };
    let (_, found, _) = with(old);
    assert!(found.of_check("rotation").is_empty() && !found.passed().contains(&"rotation"));
    let judged = |policy: &str, logs: PlaceState| {
        let (_, found, _) = with(|f| {
            old(f);
            f.max_age = Some(policy.parse().unwrap());
            f.places.push(item(PlaceKind::BinaryLog, "binlog.1", logs));
        });
        found.of_check("rotation").first().map(|f| f.what.clone()).unwrap_or_default()
    };
    let both = judged("1y", PlaceState::Encrypted);
    assert!(
        both.contains("the InnoDB master key was last") && both.contains("; the binary log master key was"),
        "{both}"
    );
    assert!(
        !judged("365", PlaceState::Unused).contains("binary log"),
        "a key that encrypts nothing is not old"
    );
    assert_eq!(judged("500", PlaceState::Encrypted), "");
}

#[test]
fn a_replica_that_checks_no_certificate_is_noted() {
    let (_, found, outcome) = with(|f| f.transit.replication = Known::Measured(vec![link(true)]));
    let notes = found.of_check("replication-tls");
    assert!(notes.len() == 1 && notes[0].level == FindingLevel::Note, "{notes:?}");
    assert_eq!(outcome, ReportVerdict::Fine);
}

#[test]
fn of_many_authorities_the_last_to_end_counts() {
    let (_, found, _) = with(|f| {
        let file = certificate(f, "the remote a", Use::Authority, 400);
        let Known::Measured(all) = &mut file.certificates else { unreachable!("it was measured") };
        all.push(Certificate { not_after: NOW - DAY, ..all[0].clone() });
    });
    assert!(found.of_check("certificate-file").is_empty(), "{:?}", found.all());
}
