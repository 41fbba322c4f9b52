// SPDX-License-Identifier: GPL-2.0-or-later
//! What a check finds.

use crate::commands::output::{Output, counted};
use keyring_external::store::real::effective_user;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::commands) enum Level {
    /// The server does not get its keys, or the keys are not safe.
    Wrong,
    /// That may come.
    Risk,
    /// Not checked, or worth knowing.
    Note,
}

/// A finding.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands) struct Finding {
    /// The check's name, for --ignore.
    pub check: &'static str,
    pub level: Level,
    /// The file or directory that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// What is so.
    pub what: String,
    /// Why that matters.
    pub why: String,
    /// What mends it: commands, or lines for a file.
    pub fix: Vec<String>,
}

impl Finding {
    pub fn print(&self, out: &mut Output) {
        let level = match self.level {
            Level::Wrong => "WRONG",
            Level::Risk => "RISK",
            Level::Note => "NOTE",
        };
        out.line(format_args!("{level:<6}{}: {}", self.check, self.what));
        if !self.why.is_empty() {
            out.line(format_args!("      why  {}", self.why));
        }
        for (i, line) in self.fix.iter().enumerate() {
            out.line(format_args!("      {}  {line}", if i == 0 { "fix" } else { "   " }));
        }
    }
}

/// Who may look at a file that this user may not.
fn not_seen(file: &Path, is_root: bool) -> String {
    let file = file.display();
    if is_root {
        // A network volume whose server trusts no root of another host.
        format!(
            "{file} cannot be looked at by root: run keyringctl doctor as the user that mysqld runs as (sudo -u mysql)"
        )
    } else {
        format!("{file} cannot be looked at by this user: run keyringctl doctor as root")
    }
}

/// All findings, and which checks were made.
#[derive(Default)]
pub(in crate::commands) struct Findings {
    all: Vec<Finding>,
    checks: Vec<&'static str>,
}

impl Findings {
    /// A check is made, whatever it finds.
    pub fn checks(&mut self, names: &[&'static str]) {
        self.checks.extend(names);
    }

    /// Adds a finding.
    pub fn add(
        &mut self,
        level: Level,
        check: &'static str,
        what: impl Into<String>,
        why: &str,
        fix: &[String],
    ) -> &mut Finding {
        self.all.push(Finding {
            check,
            level,
            path: None,
            what: what.into(),
            why: why.to_owned(),
            fix: fix.to_vec(),
        });
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    pub fn wrong(
        &mut self,
        check: &'static str,
        path: &Path,
        what: impl Into<String>,
        why: &str,
        fix: &[String],
    ) {
        self.add(Level::Wrong, check, what, why, fix).path = Some(path.to_owned());
    }

    pub fn risk(
        &mut self,
        check: &'static str,
        path: &Path,
        what: impl Into<String>,
        why: &str,
        fix: &[String],
    ) {
        self.add(Level::Risk, check, what, why, fix).path = Some(path.to_owned());
    }

    pub fn note(&mut self, check: &'static str, what: impl Into<String>, why: &str) {
        self.add(Level::Note, check, what, why, &[]);
    }

    /// A file that this user may not look at: not known whether it is fine.
    pub fn unseen(&mut self, check: &'static str, file: &Path) {
        self.note(check, not_seen(file, effective_user() == 0), "");
    }

    /// Leaves these checks out.
    pub fn ignore(&mut self, names: &[String]) {
        self.all.retain(|f| !names.iter().any(|n| n == f.check));
        self.checks.retain(|c| !names.iter().any(|n| n == c));
    }

    pub fn count(&self, level: Level) -> usize {
        self.all.iter().filter(|f| f.level == level).count()
    }

    /// All, the worst first.
    pub fn all(&self) -> Vec<&Finding> {
        let mut all: Vec<_> = self.all.iter().collect();
        all.sort_by_key(|f| f.level);
        all
    }

    pub fn into_all(self) -> Vec<Finding> {
        self.all
    }

    /// The checks that found nothing.
    pub fn passed(&self) -> Vec<&'static str> {
        let mut passed = self.checks.clone();
        passed.retain(|c| !self.all.iter().any(|f| f.check == *c));
        passed.sort_unstable();
        passed.dedup();
        passed
    }

    pub fn print(&self, out: &mut Output) {
        for finding in self.all() {
            finding.print(out);
            out.line("");
        }
        let passed = self.passed();
        if !passed.is_empty() {
            out.line(format_args!("FINE  {}", passed.join(", ")));
        }
        out.line(format_args!(
            "{} wrong, {} at risk, {}, {} fine",
            self.count(Level::Wrong),
            self.count(Level::Risk),
            counted(self.count(Level::Note), "note"),
            counted(passed.len(), "check")
        ));
    }

    #[cfg(test)]
    pub fn of(&self, check: &str) -> Vec<&Finding> {
        self.all.iter().filter(|f| f.check == check).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_not_sent_to_root() {
        let file = Path::new("/mnt/a/k");
        assert!(not_seen(file, false).ends_with("as root"));
        assert!(not_seen(file, true).contains("as the user that mysqld runs as"));
    }
}
