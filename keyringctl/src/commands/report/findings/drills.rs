// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for restore drills.

use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::drill::history::last_of_kinds;
use crate::commands::output::time;
use crate::commands::report::facts::Facts;
use crate::show::Shown;

pub(super) fn drills(facts: &Facts, found: &mut Findings) {
    let Some(drills) = facts.drills.measured() else { return };
    found.run_checks(&["drill"]);
    let fix = "restore a backup on trial: keyringctl drill --backup PATH (see keyringctl drill --help)";
    if drills.is_empty() {
        let what = "no restore drill is recorded";
        let why = "Whether the backups and their keyrings can be restored is not known.";
        let elsewhere =
            "or, if another host does that, copy its history here: keyringctl report --drill-history FILE";
        found.add(FindingLevel::Warning, "drill", what, why, &[fix.to_owned(), elsewhere.to_owned()]);
    }
    for drill in last_of_kinds(drills).into_iter().filter(|drill| !drill.passed) {
        let what = format!(
            "the last restore drill of {} failed on {}: {}",
            drill.backup.shown(),
            time(drill.time),
            drill.result()
        );
        let why = "This backup does not restore everything.";
        let fix = ["look into what failed: keyringctl drill history --json".to_owned(), fix.to_owned()];
        found.add(FindingLevel::Warning, "drill", what, why, &fix);
    }
}
