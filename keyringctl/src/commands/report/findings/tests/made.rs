// SPDX-License-Identifier: GPL-2.0-or-later
//! Facts about accounts, certificates and replication that the rules are tried on.

use super::{DAY, NOW};
use crate::commands::drill::history::DrillEntry;
use crate::commands::report::access::{Access, Account};
use crate::commands::report::audit::AuditFacts;
use crate::commands::report::certificates::{Certificate, CertificateFile, Use};
use crate::commands::report::facts::Facts;
use crate::commands::report::known::Known;
use crate::commands::report::transit::ReplicationLink;
use keyring_external::audit::verify::{Finding, Trouble};

pub(super) fn administrator(facts: &mut Facts) -> &mut Account {
    &mut of_access(facts).accounts[0]
}

pub(super) fn secure_file_priv(facts: &mut Facts, directory: &str) {
    of_access(facts).secure_file_priv = Some(directory.to_owned());
}

pub(super) fn of_access(facts: &mut Facts) -> &mut Access {
    match &mut facts.access {
        Known::Measured(access) => access,
        Known::NotMeasured(_) => unreachable!("the sample's accounts were measured"),
    }
}

pub(super) fn link(tls: bool) -> ReplicationLink {
    ReplicationLink {
        source: "a:3306".to_owned(),
        channel: String::new(),
        tls,
        verified: false,
        ca: String::new(),
        certificate: String::new(),
        remedy: "run in this server: CHANGE REPLICATION SOURCE TO SOURCE_SSL = 1 FOR CHANNEL '';".to_owned(),
    }
}

/// Adds a file with one certificate that ends in so many days.
pub(super) fn certificate<'a>(
    facts: &'a mut Facts,
    of: &str,
    purpose: Use,
    days: u64,
) -> &'a mut CertificateFile {
    let certificate = Certificate {
        subject: "CN=db".to_owned(),
        issuer: "CN=ca".to_owned(),
        serial: "01".to_owned(),
        not_before: 0,
        not_after: NOW + days * DAY,
        sha256: String::new(),
    };
    let file = CertificateFile {
        of: of.to_owned(),
        purpose,
        path: "/d/cert.pem".into(),
        certificates: Known::Measured(vec![certificate]),
        loaded_not_after: None,
    };
    facts.transit.certificates.push(file);
    facts.transit.certificates.last_mut().expect("a file")
}

pub(super) fn drills(facts: &mut Facts) -> &mut Vec<DrillEntry> {
    match &mut facts.drills {
        Known::Measured(drills) => drills,
        Known::NotMeasured(_) => unreachable!("the sample's drills were measured"),
    }
}

pub(super) fn audit(facts: &mut Facts) -> &mut AuditFacts {
    match &mut facts.audit {
        Known::Measured(audit) => audit,
        Known::NotMeasured(_) => unreachable!("the sample's log was verified"),
    }
}

/// The keyring notes a line of a log that was not given.
pub(super) fn of_another_log(audit: &mut AuditFacts) {
    found(audit, Trouble::NotedLogNotGiven, "the keyring notes a line (number 1) of another log");
}

/// The data key was renewed without the log.
pub(super) fn not_checkable(audit: &mut AuditFacts) {
    found(audit, Trouble::NotCheckable, "/v/audit.log line 3: this line (number 3) cannot be checked");
}

/// So it was, and a later line covers those that nobody could check.
pub(super) fn never_checked(audit: &mut AuditFacts) {
    found(
        audit,
        Trouble::NeverChecked,
        "/v/audit.log line 3: nobody could check line 3 when line 4 was written",
    );
    let log = &mut audit.logs[0];
    log.remarks.append(&mut log.findings);
    log.checked.remarks.append(&mut log.checked.findings);
}

fn found(audit: &mut AuditFacts, trouble: Trouble, text: &str) {
    let (seqs, times) = (Some((1, 1)), (None, None));
    audit.logs[0].findings.push(text.to_owned());
    audit.logs[0].checked.findings.push(Finding {
        trouble,
        place: None,
        seqs,
        count: None,
        times,
        detail: None,
    });
}
