// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for what the server stores, as it reports it and as its files show it.

use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::encrypt::verify::remedy_of;
use crate::commands::output::counted;
use crate::commands::report::facts::Facts;
use crate::server::{DataPlace, PlaceKind, PlaceState};
use std::collections::BTreeMap;

/// The number of names in a finding; the page's tables and the JSON have all.
const NAMES: usize = 12;

/// Lists names, only the first of many.
pub(super) fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = all.len().saturating_sub(NAMES);
    let some: Vec<_> = all.take(NAMES).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", some.join(", "))
}

/// What is unencrypted or not set: one finding for each remedy, whatever kinds of places it is for.
pub(super) fn unencrypted(facts: &Facts, found: &mut Findings) {
    found.run_checks(&["unencrypted", "half-done", "new-data"]);
    let mut causes: BTreeMap<(bool, bool, bool, String), Vec<&DataPlace>> = BTreeMap::new();
    for place in
        facts.places.iter().filter(|place| matches!(place.state, PlaceState::Clear | PlaceState::HalfDone))
    {
        let is_half_done = place.state == PlaceState::HalfDone;
        let fix = remedy_of(place).unwrap_or_default();
        let cause = (facts.accepts(place.kind), place.kind.is_setting(), is_half_done, fix);
        causes.entry(cause).or_default().push(place);
    }
    for ((accepted, is_setting, is_half_done, fix), places) in causes {
        let (check, thing, state, why) = if is_half_done {
            let why =
                "Its data is encrypted, but a run of encrypt apply was interrupted and is not finished.";
            ("half-done", "place", "half-done", why)
        } else if is_setting {
            ("new-data", "setting", "NOT SET", "The server may write new data unencrypted.")
        } else {
            let why = "Anyone who has the disk, or a copy of the file, can read it.";
            ("unencrypted", "place", "unencrypted", why)
        };
        let verb = if places.len() == 1 { "is" } else { "are" };
        let details = match &places[..] {
            [only] if !only.about.is_empty() => format!(": {}", only.about),
            _ => String::new(),
        };
        let what = format!("{} {verb} {state}: {}{details}", counted(places.len(), thing), by_kind(&places));
        add(accepted, found, check, what, why, &fix);
    }
}

/// Lists the names of places, kind by kind.
fn by_kind(places: &[&DataPlace]) -> String {
    let mut kinds: BTreeMap<PlaceKind, Vec<&str>> = BTreeMap::new();
    for place in places {
        kinds.entry(place.kind).or_default().push(&place.name);
    }
    let kinds = kinds.into_iter().map(|(kind, all)| format!("{} ({kind})", names(all.into_iter())));
    kinds.collect::<Vec<_>>().join("; ")
}

/// Adds an error, or a warning if the kind is accepted.
#[track_caller]
fn add(accepted: bool, found: &mut Findings, check: &'static str, what: String, why: &str, fix: &str) {
    let fix: Vec<_> = Some(fix.to_owned()).filter(|f| !f.is_empty()).into_iter().collect();
    if accepted {
        found.add(
            FindingLevel::Warning,
            check,
            format!("accepted by the author of this report: {what}"),
            why,
            &fix,
        );
    } else {
        found.add(FindingLevel::Error, check, what, why, &fix);
    }
}

/// What the files show: a finding for each kind, reason and remedy.
pub(super) fn files(facts: &Facts, found: &mut Findings) {
    let Some(files) = facts.files.measured() else { return };
    found.run_checks(&["files"]);
    let mut groups: BTreeMap<(PlaceKind, bool, &str, &str), Vec<&str>> = BTreeMap::new();
    for finding in &files.findings {
        let fix = finding.remedy.as_deref().unwrap_or_default();
        groups.entry((finding.kind, finding.checked, &finding.why, fix)).or_default().push(&finding.what);
    }
    for ((kind, checked, reason, fix), paths) in groups {
        let what = format!("{}: {reason}", names(paths.into_iter()));
        add(
            checked && facts.accepts(kind),
            found,
            "files",
            what,
            if checked {
                "This is what the disk contains, whatever the server reports."
            } else {
                "Whether it is encrypted is not known."
            },
            fix,
        );
    }
}
