// SPDX-License-Identifier: GPL-2.0-or-later
//! Tests of each rule with one fact that breaks it.

mod limits;
mod made;
mod remedies;

use super::*;
use crate::commands::doctor::finding::FindingLevel;
use crate::commands::encrypt::verify::finding::VerifyFinding;
use crate::commands::remote_facts::RemoteFacts;
use crate::commands::report::audit::NOT_NAMED;
use crate::commands::report::certificates::Use;
use crate::commands::report::copies::{CopyFile, NO_MOUNTS, NO_SECRET};
use crate::commands::report::facts::WitnessFacts;
use crate::commands::report::keys::MasterKey;
use crate::commands::report::known::{ELSEWHERE, Known};
use crate::commands::report::measure::NO_FILES;
use crate::commands::report::sample::{NOW, copy, fine, item};
use crate::commands::report::transit::HIDDEN;
use crate::server::{DataPlace, LoadedAs, PlaceKind, PlaceState, Remedy};
use made::{
    administrator, audit, certificate, drills, link, never_checked, not_checkable, of_access, of_another_log,
    secure_file_priv,
};
use uuid::Uuid;

const DAY: u64 = 86_400;

/// Judges the sample after a change of its facts.
fn with(change: impl FnOnce(&mut Facts)) -> (Facts, Findings, ReportVerdict) {
    let mut facts = fine();
    change(&mut facts);
    let found = findings(&facts);
    let outcome = ReportVerdict::from_findings(&facts, &found);
    (facts, found, outcome)
}

fn of_copy(facts: &mut Facts) -> &mut CopyFile {
    match &mut facts.copies[1].file {
        Known::Measured(file) => file,
        Known::NotMeasured(_) => unreachable!("the sample's copies were measured"),
    }
}

/// Both copies are at one engine.
fn at_one_remote(facts: &mut Facts) {
    for copy in &mut facts.copies {
        copy.volume = Known::NotMeasured("a copy at a remote is on no volume".to_owned());
        copy.remote = Some(Known::Measured(RemoteFacts {
            name: "b".to_owned(),
            engine: "etcd".to_owned(),
            endpoints: vec!["https://a:2379".to_owned()],
            tls: true,
            login: "without a user".to_owned(),
        }));
    }
}

fn of_volume(facts: &mut Facts) -> &mut super::super::copies::Volume {
    match &mut facts.copies[1].volume {
        Known::Measured(volume) => volume,
        Known::NotMeasured(_) => unreachable!("the sample's volumes were measured"),
    }
}

/// The check that a rule reports, and a change that makes it do so.
type Rule = (&'static str, fn(&mut Facts));

#[test]
fn a_server_in_order_has_no_findings() {
    let (facts, found, outcome) = with(|_| {});
    assert!(found.all().is_empty(), "{:?}", found.all());
    assert_eq!(outcome, ReportVerdict::Fine);
    assert_eq!(outcome.headline(&facts, &found), "Everything that MySQL can encrypt is encrypted");
}

/// Every error, some in several ways.
const ERRORS: [Rule; 19] = [
    ("audit-log", |f| {
        let fault = "/v/audit.log line 2: before it, lines are missing: numbers 2 to 4".to_owned();
        audit(f).logs[0].findings.push(fault);
    }),
    ("audit-log", |f| audit(f).unreadable.push("/v/audit.log.1".into())),
    ("audit-log", |f| audit(f).logs.clear()),
    ("unencrypted", |f| f.places.push(item(PlaceKind::OtherEngine, "clinic.old", PlaceState::Clear))),
    ("new-data", |f| {
        f.places.push(item(PlaceKind::LateSetting, "innodb_redo_log_encrypt", PlaceState::Clear))
    }),
    ("unencrypted", |f| f.places.push(item(PlaceKind::Table, "clinic.names", PlaceState::Clear))),
    ("unencrypted", |f| f.places.push(item(PlaceKind::Redo, "redo log", PlaceState::Clear))),
    ("new-data", |f| f.places.push(item(PlaceKind::Setting, "default_table_encryption", PlaceState::Clear))),
    ("new-data", |f| f.places.push(item(PlaceKind::Schema, "clinic", PlaceState::Clear))),
    ("files", |f| {
        if let Known::Measured(files) = &mut f.files {
            files.findings.push(VerifyFinding::new(PlaceKind::Table, "/v/x.ibd", "damaged", None));
        }
    }),
    ("server-keyring", |f| f.keyring.way = LoadedAs::None),
    ("server-keyring", |f| f.keyring.way = LoadedAs::Other("component_keyring_file".to_owned())),
    ("server-state", |f| f.keyring.state = "DETACHED".to_owned()),
    ("server-state", |f| f.keyring.state = "UNAVAILABLE".to_owned()),
    ("copies-alike", |f| of_copy(f).id = Uuid::max()),
    ("same-file", |f| of_copy(f).same_file_as = Some("/mnt/a/k".into())),
    ("copies-alike", |f| of_copy(f).diverged_from.push("/mnt/a/k".into())),
    ("witness", |f| f.witness = Known::Measured(Some(WitnessFacts { id: Uuid::nil(), generation: 8 }))),
    ("witness", |f| f.witness = Known::Measured(Some(WitnessFacts { id: Uuid::max(), generation: 1 }))),
];

#[test]
fn each_error_is_found_and_fails_the_verdict() {
    for (i, (check, change)) in ERRORS.into_iter().enumerate() {
        let (_, found, outcome) = with(change);
        assert!(
            found.of_check(check).iter().any(|f| f.level == FindingLevel::Error),
            "{i} {check}: {:?}",
            found.all()
        );
        assert_eq!(outcome, ReportVerdict::NotFine, "{i} {check}");
    }
}

/// Every warning, some in several ways.
const WARNINGS: [Rule; 38] = [
    ("audit-log", |f| {
        audit(f).logs.clear();
        audit(f).note = None;
    }),
    ("audit-log", |f| of_another_log(audit(f))),
    ("audit-log", |f| not_checkable(audit(f))),
    ("audit-log", |f| never_checked(audit(f))),
    ("audit-log", |f| audit(f).failures = Some(2)),
    ("audit-log", |f| audit(f).file = None),
    ("audit-log", |f| {
        audit(f).file = None;
        audit(f).note = None;
        f.keyring.way = LoadedAs::Plugin;
    }),
    ("retired-keys", |f| f.retired_fetches = Some(3)),
    ("server-state", |f| f.keyring.state = "DEGRADED".to_owned()),
    ("one-copy", |f| f.keyring.copies = (1, 1)),
    ("same-device", |f| of_volume(f).apart_from_data = false),
    ("volatile", |f| of_volume(f).volatile = true),
    ("mirrors-apart", at_one_remote),
    ("mirrors-apart", |f| f.copies[1] = copy("/mnt/a/k2", "8:17")),
    ("copies-alike", |f| of_copy(f).generation = Some(6)),
    ("verify", |f| of_copy(f).damaged = true),
    ("verify", |f| {
        of_copy(f).verified =
            Known::Measured(vec!["one of the two copies of the header is damaged".to_owned()])
    }),
    ("recovery-slot", |f| {
        f.copies.remove(0);
        of_copy_at(f, 0).has_recovery_slot = false;
    }),
    ("witness", |f| f.witness = Known::Measured(None)),
    ("rotation", |f| {
        f.max_age = Some("1y".parse().unwrap());
        f.measured += 400 * DAY;
    }),
    ("account", |f| administrator(f).no_password = true),
    ("file-privilege", |f| secure_file_priv(f, "")),
    ("file-privilege", |f| secure_file_priv(f, "/mnt/a/")),
    ("replication-tls", |f| f.transit.replication = Known::Measured(vec![link(false)])),
    ("replication-tls", |f| f.transit.replicas = Known::Measured(vec![("b".to_owned(), false)])),
    ("certificate-file", |f| {
        certificate(f, "clients", Use::Server, 400).loaded_not_after = Some(NOW + 300 * DAY);
    }),
    ("certificate-file", |f| {
        certificate(f, "clients", Use::Authority, 10);
    }),
    ("certificate-file", |f| {
        certificate(f, "the administrative port", Use::Server, 0);
    }),
    ("certificate-file", |f| {
        certificate(f, "the remote a", Use::Client, 10);
    }),
    ("certificate-file", |f| {
        certificate(f, "replication from a:3306", Use::Client, 10);
    }),
    ("drill", |f| drills(f).clear()),
    ("drill", |f| {
        let last = &mut drills(f)[0];
        (last.passed, last.tables_failed) = (false, 2);
    }),
    ("secure-transport", |f| f.transit.require_secure_transport = Some(false)),
    ("secure-transport", |f| f.transit.connections = Known::Measured(vec![("TCP/IP".to_owned(), 2)])),
    ("tls-version", |f| f.transit.tls_version = "TLSv1.1,TLSv1.2".to_owned()),
    ("certificate", |f| f.transit.not_after.clear()),
    ("certificate", |f| f.transit.not_after = "May 31 12:00:00 2026 GMT".to_owned()),
    ("certificate", |f| f.transit.not_after = "Jun 11 12:00:00 2026 GMT".to_owned()),
];

#[test]
fn each_warning_is_found_and_does_not_fail_the_verdict() {
    for (i, (check, change)) in WARNINGS.into_iter().enumerate() {
        let (_, found, outcome) = with(change);
        assert!(
            found.of_check(check).iter().any(|f| f.level == FindingLevel::Warning),
            "{i} {check}: {:?}",
            found.all()
        );
        assert_eq!(outcome, ReportVerdict::Fine, "{i} {check}");
    }
    assert_eq!(NOW % DAY, 0);
}

fn of_copy_at(facts: &mut Facts, i: usize) -> &mut CopyFile {
    match &mut facts.copies[i].file {
        Known::Measured(file) => file,
        Known::NotMeasured(_) => unreachable!("the sample's copies were measured"),
    }
}

/// What may not be measured, and reasons, as the measurement gives them.
type Missing = (&'static str, fn(&mut Facts, String));

const NOT_MEASURED: [Missing; 18] = [
    ("cannot read /v/audit.log: Permission denied", |f, why| f.audit = Known::NotMeasured(why)),
    (NOT_NAMED, |f, why| f.audit = Known::NotMeasured(why)),
    ("cannot read /d/drills.jsonl: Permission denied", |f, why| f.drills = Known::NotMeasured(why)),
    ("SELECT command denied: as an administrator, run: GRANT SELECT ON mysql.user TO `a`@`b`;", |f, why| {
        f.access = Known::NotMeasured(why)
    }),
    (
        "denied: as an administrator, grant the account SELECT on performance_schema.replication_connection_configuration",
        |f, why| f.transit.replication = Known::NotMeasured(why),
    ),
    ("cannot read /d/cert.pem: Permission denied", |f, why| {
        certificate(f, "clients", Use::Authority, 400).certificates = Known::NotMeasured(why)
    }),
    ("SELECT command denied", |f, why| f.keyring.way = LoadedAs::Unknown(why)),
    (HIDDEN, |f, why| f.transit.connections = Known::NotMeasured(why)),
    ("denied: as an administrator, grant the account SELECT on performance_schema.threads", |f, why| {
        f.transit.connections = Known::NotMeasured(why)
    }),
    ("the server lists to it only what it has a privilege on", |f, why| {
        f.places.push(DataPlace {
            about: why,
            remedy: Remedy::ByHand("as an administrator, run: GRANT SELECT ON *.* TO x;".to_owned()),
            ..item(PlaceKind::Table, "a.b", PlaceState::Unknown)
        })
    }),
    ("no permission to read /d: run keyringctl report as root", |f, why| f.files = Known::NotMeasured(why)),
    (NO_FILES, |f, why| f.files = Known::NotMeasured(why)),
    (NO_SECRET, |f, why| f.keys = Known::NotMeasured(why)),
    (ELSEWHERE, |f, why| f.witness = Known::NotMeasured(why)),
    (ELSEWHERE, |f, why| f.copies[0].file = Known::NotMeasured(why)),
    (ELSEWHERE, |f, why| f.copies[0].volume = Known::NotMeasured(why)),
    (NO_SECRET, |f, why| of_copy(f).verified = Known::NotMeasured(why)),
    (NO_MOUNTS, |f, why| f.copies[0].volume = Known::NotMeasured(why)),
];

#[test]
fn what_was_not_measured_is_never_fine() {
    for (i, (why, change)) in NOT_MEASURED.into_iter().enumerate() {
        let (facts, found, outcome) = with(|f| change(f, why.to_owned()));
        assert_eq!(outcome, ReportVerdict::Incomplete, "{i}");
        assert_eq!(found.of_check("not-measured").len(), 1, "{i}");
        assert!(found.of_check("not-measured")[0].what.ends_with(&format!(": {why}")), "{i}");
        assert!(outcome.headline(&facts, &found).contains("not everything"), "{i}");
    }
}

/// A change of the facts by one cause, and the checks that report it.
type Cause = (fn(&mut Facts), &'static [&'static str]);

#[test]
fn one_cause_is_one_finding() {
    let causes: [Cause; 9] = [
        // apply was not run: one finding for the data, one for the settings.
        (
            |f| {
                for kind in [PlaceKind::Table, PlaceKind::Redo, PlaceKind::Undo, PlaceKind::MysqlTablespace] {
                    f.places.push(item(kind, "x", PlaceState::Clear));
                }
                for kind in [PlaceKind::Setting, PlaceKind::Schema, PlaceKind::ChangeBuffer] {
                    f.places.push(item(kind, "x", PlaceState::Clear));
                }
            },
            &["unencrypted", "new-data"],
        ),
        // Both copies are beside the data.
        (
            |f| {
                f.copies[1] = copy("/mnt/a/k2", "8:17");
                for copy in &mut f.copies {
                    if let Known::Measured(volume) = &mut copy.volume {
                        volume.apart_from_data = false;
                    }
                }
            },
            &["same-device"],
        ),
        (|f| f.copies[1] = copy("/mnt/a/k2", "8:17"), &["mirrors-apart"]),
        // Both copies are at one engine: nothing is said of volumes.
        (at_one_remote, &["mirrors-apart"]),
        (
            |f| {
                f.copies[1] = copy("/mnt/a/k2", "8:17");
                of_copy(f).same_file_as = Some("/mnt/a/k".into());
            },
            &["same-file"],
        ),
        // A copy that is behind is why the server is DEGRADED.
        (
            |f| {
                f.keyring.state = "DEGRADED".to_owned();
                of_copy(f).generation = Some(6);
            },
            &["copies-alike"],
        ),
        // So is one that is missing.
        (
            |f| {
                f.keyring.state = "DEGRADED".to_owned();
                f.copies[1].file = Known::NotMeasured("the copy is missing: mount its volume".to_owned());
            },
            &["server-state"],
        ),
        // A damaged header is among the damage of the copy.
        (
            |f| {
                of_copy(f).damaged = true;
                of_copy(f).verified = Known::Measured(vec!["a header is damaged".to_owned()]);
            },
            &["verify"],
        ),
        // The report was made on another machine.
        (
            |f| {
                let missing = || ELSEWHERE.to_owned();
                f.files = Known::NotMeasured(missing());
                f.keys = Known::NotMeasured(missing());
                f.needs = Known::NotMeasured(missing());
                f.audit = Known::NotMeasured(missing());
                f.witness = Known::NotMeasured(missing());
                certificate(f, "clients", Use::Server, 400).certificates = Known::NotMeasured(missing());
                for copy in &mut f.copies {
                    copy.file = Known::NotMeasured(missing());
                    copy.volume = Known::NotMeasured(missing());
                }
            },
            &["not-measured"],
        ),
    ];
    for (change, checks) in causes {
        let (_, found, _) = with(change);
        let reported: Vec<_> = found.all().into_iter().map(|f| f.check).collect();
        assert_eq!(reported, checks, "{:#?}", found.all());
    }
}

#[test]
fn a_check_of_what_was_not_measured_has_not_passed() {
    let (_, found, _) = with(|f| {
        for copy in &mut f.copies {
            copy.file = Known::NotMeasured(ELSEWHERE.to_owned());
            copy.volume = Known::NotMeasured(ELSEWHERE.to_owned());
        }
    });
    for check in ["verify", "copies-alike", "recovery-slot", "same-file", "same-device", "volatile"] {
        assert!(!found.passed().contains(&check), "{check}");
    }
    let (_, found, _) = with(|f| {
        for i in 0..2 {
            of_copy_at(f, i).verified = Known::NotMeasured(NO_SECRET.to_owned());
        }
    });
    assert!(!found.passed().contains(&"verify") && found.passed().contains(&"copies-alike"));
}

#[test]
fn what_is_accepted_is_listed_and_does_not_fail_the_verdict() {
    let (_, found, outcome) = with(|f| {
        f.places.push(item(PlaceKind::SlowLog, "slow log", PlaceState::Clear));
        f.accepted.push(PlaceKind::SlowLog);
    });
    assert_eq!(outcome, ReportVerdict::Fine);
    let said = found.of_check("unencrypted");
    assert!(
        said.len() == 1 && said[0].level == FindingLevel::Warning && said[0].what.starts_with("accepted"),
        "{said:?}"
    );
}

#[test]
fn many_tables_are_one_finding_with_some_of_their_names() {
    let (facts, found, outcome) = with(|f| {
        f.places.extend((0..15).map(|i| item(PlaceKind::Table, &format!("clinic.t{i}"), PlaceState::Clear)));
    });
    let said = found.of_check("unencrypted");
    assert_eq!(said.len(), 1);
    assert!(
        said[0].what.starts_with("15 places are unencrypted: ")
            && said[0].what.ends_with("clinic.t11 and 3 more (table)"),
        "{said:?}"
    );
    assert_eq!(said[0].fix, ["keyringctl encrypt apply"]);
    assert!(
        outcome.headline(&facts, &found).ends_with(": 15 places are unencrypted"),
        "{}",
        outcome.headline(&facts, &found)
    );
}
