// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for what the server stores, as it reports it and as its files show it.

use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::report::facts::Facts;
use crate::server::{DataPlace, PlaceKind, PlaceState, Remedy};
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

/// What the server reports as unencrypted: a finding for each kind and remedy.
pub(super) fn unencrypted(facts: &Facts, found: &mut Findings) {
    found.run_checks(&["in-clear", "new-data"]);
    let mut groups: BTreeMap<(PlaceKind, &str), Vec<&DataPlace>> = BTreeMap::new();
    for item in facts.places.iter().filter(|i| i.state == PlaceState::Clear) {
        let fix = match &item.remedy {
            Remedy::Apply => "keyringctl encrypt apply",
            Remedy::ByHand(how) => how,
            Remedy::None => "",
        };
        groups.entry((item.kind, fix)).or_default().push(item);
    }
    for ((kind, fix), items) in groups {
        let (check, why) = if kind.is_setting() {
            ("new-data", "The server may write new data unencrypted.")
        } else {
            ("in-clear", "Anyone who has the disk, or a copy of the file, can read it.")
        };
        let list = names(items.iter().map(|i| i.name.as_str()));
        let what = match &items[..] {
            [only] if only.about.is_empty() => format!("unencrypted ({kind}): {list}"),
            [only] => format!("unencrypted ({kind}): {list}: {}", only.about),
            all => format!("{} unencrypted ({kind}): {list}", all.len()),
        };
        let what =
            if kind.is_setting() { what.replacen("unencrypted", "not set for encryption", 1) } else { what };
        add(facts.accepts(kind), found, check, what, why, fix);
    }
}

/// Adds an error, or a warning if the kind is accepted.
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
