// SPDX-License-Identifier: GPL-2.0-or-later
//! The verdict of a report.

use super::data::names;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::missing;
use crate::commands::output::counted;
use crate::commands::report::facts::Facts;
use crate::server::{DataPlace, LoadedAs, PlaceKind, PlaceState, Remedy, Tally};
use crate::show::Shown;
use serde::Serialize;
use std::collections::BTreeMap;

/// The verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands::report) enum ReportVerdict {
    /// Everything that MySQL can encrypt is encrypted, and everything was checked.
    Fine,
    /// No error was found, but something that matters was not checked.
    Incomplete,
    /// Something is unencrypted, or there is another error.
    NotFine,
}

impl ReportVerdict {
    pub(crate) fn from_findings(facts: &Facts, found: &Findings) -> ReportVerdict {
        if found.count(FindingLevel::Error) > 0 {
            ReportVerdict::NotFine
        } else if not_measured(facts).is_empty() {
            ReportVerdict::Fine
        } else {
            ReportVerdict::Incomplete
        }
    }

    /// The word for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            ReportVerdict::Fine => "OK",
            ReportVerdict::Incomplete => "INCOMPLETE",
            ReportVerdict::NotFine => "FAILED",
        }
    }

    /// The verdict as a sentence.
    pub(crate) fn headline(self, facts: &Facts, found: &Findings) -> String {
        let left = Tally::of(facts.places.iter().filter(|place| !facts.accepts(place.kind)));
        match self {
            ReportVerdict::Fine => "Everything that MySQL can encrypt is encrypted".to_owned(),
            ReportVerdict::Incomplete => "The server reports everything that MySQL can encrypt as encrypted, but not everything could be checked".to_owned(),
            ReportVerdict::NotFine if left.unencrypted.places > 0 || left.settings.not_set > 0 => {
                format!("Not everything is encrypted: {}", unencrypted(&left))
            }
            ReportVerdict::NotFine => format!(
                "The server reports everything as encrypted, but there {}",
                match found.count(FindingLevel::Error) {
                    1 => "is 1 error".to_owned(),
                    n => format!("are {}", counted(n, "error")),
                }
            ),
        }
    }
}

/// What is unencrypted or not set: places, settings, or both.
fn unencrypted(left: &Tally) -> String {
    let are = |n: usize, thing: &str, state: &str| {
        let verb = if n == 1 { "is" } else { "are" };
        (n > 0).then(|| format!("{} {verb} {state}", counted(n, thing)))
    };
    let places = are(left.unencrypted.places, "place", "unencrypted");
    let settings = are(left.settings.not_set, "setting", "not set");
    places.into_iter().chain(settings).collect::<Vec<_>>().join(", ")
}

/// Things that matter for the verdict and were not measured, for one reason.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::commands::report) struct NotMeasured {
    pub what: Vec<String>,
    pub why: String,
    /// What to do, if `why` does not say it.
    pub fix: Option<String>,
}

/// Returns what matters for the verdict and was not measured: one entry for each reason.
pub(in crate::commands::report) fn not_measured(facts: &Facts) -> Vec<NotMeasured> {
    let mut all: Vec<_> = not_checked(facts);
    let mut add = |what: &str, why: Option<&str>| {
        let Some(why) = why else { return };
        let of_cause = |entry: &&mut NotMeasured| entry.why == why && entry.fix.is_none();
        match all.iter_mut().find(of_cause) {
            Some(entry) if entry.what.iter().any(|known| known == what) => {}
            Some(entry) => entry.what.push(what.to_owned()),
            None => all.push(NotMeasured { what: vec![what.to_owned()], why: why.to_owned(), fix: None }),
        }
    };
    add("whether the server's files are encrypted, page by page", facts.files.why_not());
    add("the master keys and their dates", facts.keys.why_not());
    add("what needs each key", facts.needs.why_not());
    add("the audit log", facts.audit.why_not());
    add("the witness in the data directory", facts.witness.why_not());
    add("whether the connections at that time were encrypted", facts.transit.connections.why_not());
    add("the connections through which this server gets changes", facts.transit.replication.why_not());
    add("whether the connections of replicas are encrypted", facts.transit.replicas.why_not());
    add("who may rotate or change the keyring", facts.access.why_not());
    add("the restore drills", facts.drills.why_not());
    for file in &facts.transit.certificates {
        add(&format!("the certificates in {}", file.path.shown()), file.certificates.why_not());
    }
    for copy in &facts.copies {
        let path = copy.path.shown();
        add(&format!("the copy {path}"), copy.file.why_not());
        match &copy.remote {
            Some(remote) => add(&format!("the remote of {path}"), remote.why_not()),
            None => add(&format!("the volume of {path}"), copy.volume.why_not()),
        }
        add(&format!("every byte of {path}"), copy.file.measured().and_then(|f| f.verified.why_not()));
    }
    if let LoadedAs::Unknown(why) = &facts.keyring.way {
        let fix = missing::of_server(&facts.keyring).join("; ");
        let what = vec!["which keyring the server uses, and its keys".to_owned()];
        all.push(NotMeasured { what, why: why.clone(), fix: Some(fix) });
    }
    all
}

/// Places that could not be looked at: one entry for each kind, reason and remedy, whatever is accepted.
fn not_checked(facts: &Facts) -> Vec<NotMeasured> {
    let mut groups: BTreeMap<(PlaceKind, &str, &str), Vec<&str>> = BTreeMap::new();
    // If the server's files were not read, the doublewrite files are among them.
    let is_file = |place: &DataPlace| place.kind == PlaceKind::Doublewrite && facts.files.why_not().is_some();
    let unknown = facts.places.iter().filter(|place| place.state == PlaceState::Unknown);
    for item in unknown.filter(|place| !is_file(place)) {
        let fix = if let Remedy::ByHand(how) = &item.remedy { how } else { "" };
        groups.entry((item.kind, &item.about, fix)).or_default().push(&item.name);
    }
    let entries = groups.into_iter().map(|((kind, why, fix), all)| NotMeasured {
        what: vec![format!(
            "whether it is {} ({kind}): {}",
            if kind.is_setting() { "set" } else { "encrypted" },
            names(all.into_iter())
        )],
        why: why.to_owned(),
        fix: Some(fix.to_owned()).filter(|fix| !fix.is_empty()),
    });
    entries.collect()
}
