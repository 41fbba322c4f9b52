// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules that judge the facts. The same facts always give the same findings.

mod access;
mod audit;
mod certificates;
mod data;
mod drills;
mod keyring;
mod outcome;
mod rotation;
mod transit;

pub(super) use outcome::ReportVerdict;

use super::facts::Facts;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::doctor::server::judge_fetches;
use outcome::{NotMeasured, not_measured};

/// The check that lists what was not checked.
pub(super) const NOT_MEASURED: &str = "not-measured";

/// Applies all rules.
pub(super) fn findings(facts: &Facts) -> Findings {
    let mut found = Findings::default();
    data::unencrypted(facts, &mut found);
    data::files(facts, &mut found);
    keyring::keyring(facts, &mut found);
    keyring::copies(facts, &mut found);
    keyring::witness(facts, &mut found);
    rotation::rotation(facts, &mut found);
    access::access(facts, &mut found);
    transit::transit(facts, &mut found);
    transit::replication(facts, &mut found);
    certificates::certificates(facts, &mut found);
    drills::drills(facts, &mut found);
    audit::audit(facts, &mut found);
    judge_fetches(facts.retired_fetches, &mut found);
    found.run_checks(&[NOT_MEASURED]);
    for NotMeasured { what, why, fix } in not_measured(facts).into_iter().filter(|n| !keyring::says(facts, n))
    {
        let fix: Vec<_> = fix.into_iter().collect();
        let what = format!("{}: {why}", what.join(", "));
        found.add(FindingLevel::Note, NOT_MEASURED, what, "Whether it is in order is not known.", &fix);
    }
    found
}

#[cfg(test)]
mod tests;
