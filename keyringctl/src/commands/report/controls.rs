// SPDX-License-Identifier: GPL-2.0-or-later
//! What this report shows on each subject that auditors ask about. It quotes no standard and claims conformity with none.

use super::access::Ability;
use super::facts::Facts;
use super::known::Known;
use crate::commands::output::{counted, time};
use crate::commands::slot_row::SlotRow;
use serde::Serialize;

/// Whether a report holds evidence on a subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Evidence {
    /// In this report.
    Here,
    /// Some of it is.
    Partly,
    /// None is.
    Missing,
}

/// A subject, and what the report shows on it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Control {
    pub subject: &'static str,
    pub evidence: Evidence,
    pub shown: String,
    /// Sections of the page, and documents.
    pub see: &'static str,
}

pub(super) fn controls(facts: &Facts) -> Vec<Control> {
    vec![
        inventory(facts),
        control("Cryptographic methods", Evidence::Here, methods(facts), "Algorithms; Cryptographic modules"),
        storage(facts),
        split_knowledge(facts),
        access(facts),
        rotation(facts),
        retention(facts),
        logging(facts),
        integrity(facts),
        copies(facts),
        transit(facts),
        control(
            "Loss or compromise of a secret",
            Evidence::Partly,
            "The procedures are documented; this report does not show whether one was carried out."
                .to_owned(),
            "OPERATIONS.md; SECURITY.md",
        ),
    ]
}

fn control(subject: &'static str, evidence: Evidence, shown: String, see: &'static str) -> Control {
    Control { subject, evidence, shown, see }
}

fn here_if(is_here: bool) -> Evidence {
    if is_here { Evidence::Here } else { Evidence::Partly }
}

fn inventory(facts: &Facts) -> Control {
    let shown = facts.tally.lines().join(" ");
    let checked = here_if(facts.files.measured().is_some());
    control("Inventory of data and its protection", checked, shown, "What is encrypted; All tables")
}

fn methods(facts: &Facts) -> String {
    let library = facts.modules.server_library.as_deref().unwrap_or("a library that it does not name");
    format!(
        "Standard algorithms with keys of 256 bits. The keyring uses modules that are not FIPS-validated; MySQL uses {library}."
    )
}

fn storage(facts: &Facts) -> Control {
    let ours = facts.keyring.is_ours();
    let apart = facts.copies.iter().filter(|copy| {
        copy.remote.is_some() || copy.volume.measured().is_some_and(|volume| volume.apart_from_data)
    });
    let (apart, all) = (apart.count(), facts.copies.len());
    let shown = if ours {
        format!(
            "Keys come from the random generator of the operating system, and are stored encrypted in {}. {apart} of them {} separate from the data.",
            counted(all, "copy"),
            if apart == 1 { "is" } else { "are" }
        )
    } else {
        "The server's keyring cannot be examined.".to_owned()
    };
    let evidence = if ours { here_if(facts.keys.measured().is_some()) } else { Evidence::Missing };
    control("Generation and storage of keys", evidence, shown, "Keyring and master keys")
}

fn split_knowledge(facts: &Facts) -> Control {
    let slots = facts.copies.iter().find_map(|copy| copy.file.measured()).map(|file| &file.slots);
    let (evidence, shown) = match slots {
        None => (Evidence::Missing, "The slots of the keyring could not be read.".to_owned()),
        Some(slots) => (Evidence::Here, who_unlocks(slots)),
    };
    control("Split knowledge and dual control", evidence, shown, "Keyring and master keys, unlock slots")
}

/// Which secrets unlock the keyring alone, and which only together.
fn who_unlocks(slots: &[SlotRow]) -> String {
    let alone: Vec<_> = slots.iter().filter(|slot| slot.custodians().is_none()).map(SlotRow::short).collect();
    let together: Vec<_> = slots.iter().filter_map(SlotRow::custodians).collect();
    let together = match &together[..] {
        [] => "No secret is divided among custodians: nothing here needs two people.".to_owned(),
        all => format!("Custodians unlock it only together: {}.", all.join("; ")),
    };
    match &alone[..] {
        [] => together,
        [one] => format!("One secret alone unlocks the keyring: {one}. {together}"),
        all => format!(
            "Each of {} alone unlocks the keyring: {}. {together}",
            counted(all.len(), "secret"),
            all.join(", ")
        ),
    }
}

fn access(facts: &Facts) -> Control {
    let (evidence, shown) = match &facts.access {
        Known::NotMeasured(_) => (Evidence::Missing, "Who may do what could not be read.".to_owned()),
        Known::Measured(access) => {
            let count = |ability| {
                let active = access.accounts.iter().filter(|account| !account.locked);
                counted(active.filter(|account| account.may(ability)).count(), "account")
            };
            let (rotate, change) = (count(Ability::Rotate), count(Ability::ChangeKeyring));
            let shown =
                format!("{rotate} that can log in may rotate master keys, {change} may change the keyring.");
            (Evidence::Here, shown)
        }
    };
    control("Access to keys, separation of duties", evidence, shown, "Who may rotate or change the keyring")
}

fn rotation(facts: &Facts) -> Control {
    let keys = facts.in_use();
    let dates: Vec<_> =
        keys.iter().map(|key| format!("{} since {}", key.purpose.short(), time(key.stored))).collect();
    let policy = match &facts.max_age {
        Some(policy) => {
            let old = keys.iter().filter(|key| facts.is_too_old(key) == Some(true)).count();
            let all = counted(keys.len(), "key");
            format!(
                "The policy is {policy}; {old} of {all} in use {} older.",
                if old == 1 { "is" } else { "are" }
            )
        }
        None => "No policy was given (--max-age), so their age is not judged.".to_owned(),
    };
    let shown = match dates.is_empty() {
        true => "No master key in use is known.".to_owned(),
        false => format!("In use: {}. {policy}", dates.join("; ")),
    };
    let evidence = match facts.keys.measured() {
        None => Evidence::Missing,
        Some(_) => here_if(facts.max_age.is_some()),
    };
    control("Rotation of keys", evidence, shown, "Keyring and master keys")
}

fn retention(facts: &Facts) -> Control {
    let (evidence, shown) = match facts.needs.measured() {
        None => (Evidence::Missing, "What needs the keys could not be read.".to_owned()),
        Some(needs) => {
            let (unneeded, retired) = needs.unneeded_and_retired();
            let all = counted(needs.keys.len(), "key");
            let are = |n: usize| if n == 1 { "is" } else { "are" };
            let destroyed = facts.audit.measured().filter(|audit| audit.file.is_some());
            let told = match destroyed.map(|audit| (audit.destroyed.len(), audit.since())) {
                Some((n, Some(since))) => {
                    format!(
                        "The audit log, which begins on {since}, tells of {} destroyed.",
                        counted(n, "key")
                    )
                }
                _ => "No audit log tells which keys were destroyed.".to_owned(),
            };
            let shown = format!(
                "Of {all}, {unneeded} {} needed by no file of this server, and {retired} {} retired. {told}",
                are(unneeded),
                are(retired)
            );
            let is_known =
                destroyed.is_some_and(|audit| audit.since().is_some() && audit.faults().is_empty());
            (here_if(needs.unread == 0 && is_known), shown)
        }
    };
    control(
        "Retention and destruction of keys",
        evidence,
        shown,
        "Keyring and master keys; Audit log; OPERATIONS.md",
    )
}

fn logging(facts: &Facts) -> Control {
    let (evidence, shown) = match &facts.audit {
        Known::NotMeasured(_) => (Evidence::Missing, "The audit log could not be verified.".to_owned()),
        Known::Measured(audit) if audit.file.is_none() => {
            (Evidence::Missing, "The server keeps no audit log.".to_owned())
        }
        Known::Measured(audit) if audit.lines() == 0 => {
            (Evidence::Missing, "The audit log of the server has no line.".to_owned())
        }
        Known::Measured(audit) => {
            let faults = audit.faults().len();
            let lines = counted(audit.lines(), "line");
            let lost = match audit.failures {
                Some(0) => "The server counts none that it could not write.".to_owned(),
                Some(n) => format!("The server counts {n} that it could not write."),
                None => "Whether the server could write all of them is not known.".to_owned(),
            };
            let shown = match (faults, audit.earlier()) {
                (0, None) => {
                    format!("{lines} of the audit log were verified; none was changed or is missing. {lost}")
                }
                (0, Some((first, last))) => format!(
                    "{lines} of the audit log were verified; none of them was changed or is missing. Lines {first} to {last} are \
                     in earlier files, which are not here. {lost}"
                ),
                (n, _) => format!("The audit log has {lines} and {}. {lost}", counted(n, "fault")),
            };
            (here_if(faults == 0 && audit.failures == Some(0)), shown)
        }
    };
    control("Logging of access and changes", evidence, shown, "Audit log; OPERATIONS.md")
}

fn integrity(facts: &Facts) -> Control {
    let verified = facts.copies.iter().filter(|copy| {
        copy.file.measured().is_some_and(|file| file.verified.measured().is_some_and(Vec::is_empty))
    });
    let (verified, all) = (verified.count(), facts.copies.len());
    let shown = format!("Every byte of {verified} of {} was authenticated.", counted(all, "copy"));
    let evidence = if all == 0 { Evidence::Missing } else { here_if(verified == all) };
    control("Integrity of keys, monitoring", evidence, shown, "Keyring and master keys; OPERATIONS.md")
}

fn copies(facts: &Facts) -> Control {
    let drill = facts.drills.measured().and_then(|drills| drills.last());
    let tested = match drill {
        None => "No restore drill is recorded.".to_owned(),
        Some(drill) => {
            let ended = if drill.passed { "read every table" } else { "failed" };
            format!("The last restore drill, of {}, {ended}.", time(drill.time))
        }
    };
    let shown = format!(
        "{} of {} up to date. {tested}",
        facts.keyring.copies.0,
        counted(facts.keyring.copies.1 as usize, "copy")
    );
    let is_tested = drill.is_some_and(|drill| drill.passed);
    let evidence = if facts.keyring.is_ours() { here_if(is_tested) } else { Evidence::Missing };
    control("Availability, backup and recovery tests", evidence, shown, "Restore drills; BACKUP.md")
}

fn transit(facts: &Facts) -> Control {
    let transit = &facts.transit;
    let required = match transit.require_secure_transport {
        Some(true) => "Every client must use TLS or a local socket.",
        Some(false) => "Clients may connect without TLS.",
        None => "Whether clients must use TLS is not known.",
    };
    let links = transit.replication.measured().map(Vec::as_slice).unwrap_or_default();
    let encrypted = links.iter().filter(|link| link.tls).count();
    let links = match links.len() {
        0 => String::new(),
        all => format!(" {encrypted} of {} from other servers use TLS.", counted(all, "connection")),
    };
    let evidence =
        here_if(transit.connections.measured().is_some() && transit.replication.measured().is_some());
    control("Protection in transit", evidence, format!("{required}{links}"), "In transit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::report::sample::fine;
    use keyring_external::custodians::Custodians;
    use keyring_external::format::slots::SlotKind;

    fn shown(facts: &Facts, subject: &str) -> (Evidence, String) {
        let control =
            controls(facts).into_iter().find(|c| c.subject.starts_with(subject)).expect("a subject");
        (control.evidence, control.shown)
    }

    #[test]
    fn each_subject_says_what_was_measured() {
        let mut facts = fine();
        assert_eq!(shown(&facts, "Rotation").0, Evidence::Partly);
        facts.max_age = Some("1y".parse().unwrap());
        let (evidence, text) = shown(&facts, "Rotation");
        assert!(evidence == Evidence::Here && text.contains("The policy is 1y; 0 of"), "{text}");
        assert!(shown(&facts, "Access").1.starts_with("1 account that can log in"));
        facts.access = Known::NotMeasured("denied".to_owned());
        assert_eq!(shown(&facts, "Access").0, Evidence::Missing);
        let Known::Measured(file) = &mut facts.copies[0].file else {
            unreachable!("the sample's copies were measured")
        };
        let custodians = SlotKind::Custodians(Custodians::new(2, 3).expect("possible numbers"));
        file.slots = [SlotKind::SecretFile, custodians].map(SlotRow::sample).into();
        assert_eq!(
            shown(&facts, "Split").1,
            "One secret alone unlocks the keyring: secret file (name). Custodians unlock it only together: any 2 of 3."
        );
        let Known::Measured(audit) = &mut facts.audit else { unreachable!("the sample's log was verified") };
        audit.failures = Some(2);
        let (evidence, text) = shown(&facts, "Logging");
        assert!(
            evidence == Evidence::Partly && text.ends_with("counts 2 that it could not write."),
            "{text}"
        );
        assert_eq!(shown(&facts, "Retention").0, Evidence::Here);
        let Known::Measured(audit) = &mut facts.audit else { unreachable!("the sample's log was verified") };
        let logs = std::mem::take(&mut audit.logs);
        assert_eq!(shown(&facts, "Logging").0, Evidence::Missing);
        let Known::Measured(audit) = &mut facts.audit else { unreachable!("the sample's log was verified") };
        (audit.logs, audit.file) = (logs, None);
        assert_eq!(shown(&facts, "Logging").0, Evidence::Missing);
        assert_eq!(shown(&facts, "Retention").0, Evidence::Partly);
        facts.copies.clear();
        assert_eq!(shown(&facts, "Split").0, Evidence::Missing);
        assert_eq!(shown(&facts, "Integrity").0, Evidence::Missing);
    }
}
