// SPDX-License-Identifier: GPL-2.0-or-later
//! The rule for the age of master keys: what the author of the report says, and none without that.

use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::output::time;
use crate::commands::report::age::days;
use crate::commands::report::facts::Facts;

pub(super) fn rotation(facts: &Facts, found: &mut Findings) {
    let (Some(policy), Some(_)) = (&facts.max_age, facts.keys.measured()) else { return };
    found.run_checks(&["rotation"]);
    let old = facts.in_use().into_iter().filter(|key| facts.is_too_old(key) == Some(true));
    let old: Vec<_> = old
        .map(|key| {
            let age = days(facts.measured.saturating_sub(key.stored));
            format!("{} was last rotated on {}, {age} ago", key.purpose.short(), time(key.stored))
        })
        .collect();
    if !old.is_empty() {
        let why = format!("The policy of this report is at most {policy}.");
        let fix = ["keyringctl encrypt rotate".to_owned()];
        found.add(FindingLevel::Warning, "rotation", old.join("; "), &why, &fix);
    }
}
