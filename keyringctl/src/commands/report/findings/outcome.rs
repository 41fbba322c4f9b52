// SPDX-License-Identifier: GPL-2.0-or-later
//! The verdict of a report.

use super::data::names;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::output::counted;
use crate::commands::report::facts::Facts;
use crate::server::{LoadedAs, PlaceKind, PlaceState, Remedy, Tally};
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

/// Something that matters for the verdict and was not measured.
#[derive(PartialEq, Eq)]
pub(in crate::commands::report) struct NotMeasured {
    pub what: String,
    pub why: String,
    /// What to do.
    pub fix: Option<String>,
}

/// Returns what matters for the verdict and was not measured, with the reason.
pub(in crate::commands::report) fn not_measured(facts: &Facts) -> Vec<NotMeasured> {
    let mut all = not_checked(facts);
    let mut add = |what: &str, why: Option<&str>| {
        let entry = |why: &str| NotMeasured { what: what.to_owned(), why: why.to_owned(), fix: None };
        all.extend(why.map(entry));
    };
    if let LoadedAs::Unknown(why) = &facts.keyring.way {
        add("which keyring the server uses", Some(why));
    }
    add("whether the server's files are encrypted, page by page", facts.files.why_not());
    add("the master keys and their dates", facts.keys.why_not());
    add("the witness in the data directory", facts.witness.why_not());
    add("whether the connections at that time were encrypted", facts.transit.connections.why_not());
    for copy in &facts.copies {
        add("a copy of the keyring", copy.file.why_not());
        add("the volume of a copy", copy.volume.why_not());
        add("every byte of a copy", copy.file.measured().and_then(|f| f.verified.why_not()));
    }
    all.dedup();
    all
}

/// Places that could not be looked at: one entry for each kind, reason and remedy, whatever is accepted.
fn not_checked(facts: &Facts) -> Vec<NotMeasured> {
    let mut groups: BTreeMap<(PlaceKind, &str, &str), Vec<&str>> = BTreeMap::new();
    for item in facts.places.iter().filter(|i| i.state == PlaceState::Unknown) {
        let fix = if let Remedy::ByHand(how) = &item.remedy { how } else { "" };
        groups.entry((item.kind, &item.about, fix)).or_default().push(&item.name);
    }
    let entries = groups.into_iter().map(|((kind, why, fix), all)| NotMeasured {
        what: format!("whether it is encrypted ({kind}): {}", names(all.into_iter())),
        why: why.to_owned(),
        fix: Some(fix.to_owned()).filter(|fix| !fix.is_empty()),
    });
    entries.collect()
}
