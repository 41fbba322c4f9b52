// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules that judge the facts. The same facts always give the same findings.

mod data;
mod keyring;
mod outcome;
mod transit;

pub(super) use outcome::{ReportVerdict, not_measured};

use super::facts::Facts;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use outcome::NotMeasured;

/// Applies all rules.
pub(super) fn findings(facts: &Facts) -> Findings {
    let mut found = Findings::default();
    data::unencrypted(facts, &mut found);
    data::files(facts, &mut found);
    keyring::keyring(facts, &mut found);
    keyring::copies(facts, &mut found);
    keyring::witness(facts, &mut found);
    keyring::rotation(facts, &mut found);
    transit::transit(facts, &mut found);
    found.run_checks(&["not-measured"]);
    for NotMeasured { what, why, fix } in not_measured(facts) {
        let fix: Vec<_> = fix.into_iter().collect();
        let what = format!("{what}: {why}");
        found.add(FindingLevel::Note, "not-measured", what, "Whether it is in order is not known.", &fix);
    }
    found
}

#[cfg(test)]
mod tests;
