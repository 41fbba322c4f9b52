// SPDX-License-Identifier: GPL-2.0-or-later
//! The findings of checks.

use crate::commands::output::{Output, counted};
use crate::show::Shown;
use keyring_external::store::file::real::effective_user;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How serious a finding is. The JSON names are older than the ones that people see.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(in crate::commands) enum FindingLevel {
    /// The server cannot use its keys, or the keys are not safe.
    #[serde(rename = "wrong")]
    Error,
    /// That may happen.
    #[serde(rename = "risk")]
    Warning,
    /// Something was not checked, or is worth knowing.
    #[serde(rename = "note")]
    Note,
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands) struct Finding {
    /// The check's name, for --ignore.
    pub check: &'static str,
    pub level: FindingLevel,
    /// The file or directory concerned.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::show::optional_path")]
    pub path: Option<PathBuf>,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// How to fix it: commands, or lines for a file.
    pub fix: Vec<String>,
    /// Which code reported it: the tests follow the fix of each.
    #[cfg(test)]
    #[serde(skip)]
    pub at: &'static std::panic::Location<'static>,
}

impl Finding {
    pub(crate) fn print(&self, out: &mut Output) {
        let level = match self.level {
            FindingLevel::Error => "ERROR",
            FindingLevel::Warning => "WARNING",
            FindingLevel::Note => "NOTE",
        };
        out.line(format_args!("{level:<8}{}: {}", self.check, self.what));
        if !self.why.is_empty() {
            out.line(format_args!("        why  {}", self.why));
        }
        for (i, line) in self.fix.iter().enumerate() {
            out.line(format_args!("        {}  {line}", if i == 0 { "fix" } else { "   " }));
        }
    }
}

/// Says which user can read a file that this user cannot read.
fn no_permission(file: &Path, is_root: bool) -> String {
    let file = file.shown();
    if is_root {
        // A network volume whose server does not trust this host's root.
        format!(
            "root has no permission to read {file}: run keyringctl doctor as the user that mysqld runs as (sudo -u mysql)"
        )
    } else {
        format!("no permission to read {file}: run keyringctl doctor as root")
    }
}

/// All findings, and the checks that were run.
#[derive(Default)]
pub(in crate::commands) struct Findings {
    all: Vec<Finding>,
    checks: Vec<&'static str>,
}

impl Findings {
    /// Records which checks are run, whatever they find.
    pub(crate) fn run_checks(&mut self, names: &[&'static str]) {
        self.checks.extend(names);
    }

    /// Adds a finding.
    #[track_caller]
    pub(crate) fn add(
        &mut self,
        level: FindingLevel,
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
            #[cfg(test)]
            at: std::panic::Location::caller(),
        });
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    /// Adds an error about a path.
    #[track_caller]
    pub(crate) fn error(
        &mut self,
        check: &'static str,
        path: &Path,
        what: impl Into<String>,
        why: &str,
        fix: &[String],
    ) {
        self.add(FindingLevel::Error, check, what, why, fix).path = Some(path.to_owned());
    }

    /// Adds a warning about a path.
    #[track_caller]
    pub(crate) fn warning(
        &mut self,
        check: &'static str,
        path: &Path,
        what: impl Into<String>,
        why: &str,
        fix: &[String],
    ) {
        self.add(FindingLevel::Warning, check, what, why, fix).path = Some(path.to_owned());
    }

    /// Adds a note.
    pub(crate) fn note(&mut self, check: &'static str, what: impl Into<String>, why: &str) {
        self.add(FindingLevel::Note, check, what, why, &[]);
    }

    /// Adds a note about a file that this user may not read.
    pub(crate) fn no_permission(&mut self, check: &'static str, file: &Path) {
        self.note(check, no_permission(file, effective_user() == 0), "");
    }

    /// Adds to the findings of a check why it matters and another way to fix it.
    pub(crate) fn amend(&mut self, check: &str, why: &str, fix: &str) {
        for finding in self.all.iter_mut().filter(|finding| finding.check == check) {
            finding.why = format!("{} {why}", finding.why).trim_start().to_owned();
            finding.fix.push(fix.to_owned());
        }
    }

    /// Adds these options to the commands in fixes that connect to the server.
    pub(crate) fn connect_with(&mut self, words: &str) {
        for line in self.all.iter_mut().flat_map(|finding| &mut finding.fix) {
            if let Some(rest) = line.strip_prefix("mysql ") {
                *line = format!("mysql{words} {rest}");
            } else if ["keyringctl encrypt ", "keyringctl report "]
                .iter()
                .any(|start| line.starts_with(start))
                || *line == "find out which copy is not up to date: keyringctl doctor"
                || *line == "find out why: keyringctl doctor"
            {
                line.push_str(words);
            }
        }
    }

    /// Drops the findings of these checks.
    pub(crate) fn ignore(&mut self, names: &[String]) {
        self.all.retain(|f| !names.iter().any(|n| n == f.check));
        self.checks.retain(|c| !names.iter().any(|n| n == c));
    }

    pub(crate) fn count(&self, level: FindingLevel) -> usize {
        self.all.iter().filter(|f| f.level == level).count()
    }

    /// Returns all findings, the most serious first.
    pub(crate) fn all(&self) -> Vec<&Finding> {
        let mut all: Vec<_> = self.all.iter().collect();
        all.sort_by_key(|f| f.level);
        all
    }

    pub(crate) fn into_all(self) -> Vec<Finding> {
        self.all
    }

    /// Returns the checks that found nothing.
    pub(crate) fn passed(&self) -> Vec<&'static str> {
        let mut passed = self.checks.clone();
        passed.retain(|c| !self.all.iter().any(|f| f.check == *c));
        passed.sort_unstable();
        passed.dedup();
        passed
    }

    /// Prints all findings, and a last line with the verdict.
    pub(crate) fn print(&self, verdict: &str, out: &mut Output) {
        for finding in self.all() {
            finding.print(out);
            out.line("");
        }
        let passed = self.passed();
        if !passed.is_empty() {
            out.line(format_args!("OK      {}", passed.join(", ")));
        }
        out.line(format_args!(
            "{verdict}; {}, {}, {}; {} passed",
            counted(self.count(FindingLevel::Error), "error"),
            counted(self.count(FindingLevel::Warning), "warning"),
            counted(self.count(FindingLevel::Note), "note"),
            counted(passed.len(), "check")
        ));
    }

    #[cfg(test)]
    pub fn of_check(&self, check: &str) -> Vec<&Finding> {
        self.all.iter().filter(|f| f.check == check).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_connects_gets_the_options_that_were_given() {
        let mut found = Findings::default();
        let fix = ["mysql -e 'SELECT 1'", "keyringctl encrypt rotate", "keyringctl sync /a --mirror /b"];
        found.add(FindingLevel::Error, "a", "b", "c", &fix.map(str::to_owned));
        found.connect_with(" --user=root --socket=/s");
        let fix = &found.all()[0].fix;
        assert_eq!(fix[0], "mysql --user=root --socket=/s -e 'SELECT 1'");
        assert_eq!(fix[1], "keyringctl encrypt rotate --user=root --socket=/s");
        assert_eq!(fix[2], "keyringctl sync /a --mirror /b");
    }

    #[test]
    fn root_is_not_sent_to_root() {
        let file = Path::new("/mnt/a/k");
        assert!(no_permission(file, false).ends_with("as root"));
        assert!(no_permission(file, true).contains("as the user that mysqld runs as"));
    }
}
