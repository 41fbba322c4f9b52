// SPDX-License-Identifier: GPL-2.0-or-later
//! A profile, and the access that it grants.

use super::glob;
use crate::host::needs::Need;
use std::collections::HashMap;
use std::path::Path;

/// How many patterns one pattern may expand to, in how many steps.
const MOST_PATTERNS: usize = 512;
const MOST_STEPS: usize = 4096;
/// How many values of a variable count, and how deep variables may be nested.
const MOST_VALUES: usize = 64;
const DEPTH: usize = 8;

/// A profile of AppArmor.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Its name, under which the kernel lists it.
    pub name: String,
    /// The pattern of the programs that it confines; empty if the profile is attached in another way.
    pub attachment: String,
    /// Its flags: `complain`, `unconfined` and others.
    pub flags: Vec<String>,
    /// Its path rules, including those from included files.
    pub rules: Vec<PathRule>,
    /// The files and directories that it includes itself, as it names them.
    pub includes: Vec<String>,
    /// The included files that do not exist.
    pub not_found: Vec<String>,
    /// Where its closing brace is; `None` if that is not in the file that was parsed.
    pub end: Option<End>,
    pub(super) variables: HashMap<String, Vec<String>>,
    pub(super) aliases: Vec<(String, String)>,
}

/// The place of a closing brace in a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The number of the line, from 0.
    pub line: usize,
    /// How many bytes of the line are before the brace.
    pub column: usize,
}

/// A path rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathRule {
    /// The pattern of the paths; may contain variables.
    pub pattern: String,
    /// The letters for the access that it grants or denies.
    pub access: String,
    /// Whether it denies access. Such a rule overrides those that grant it.
    pub deny: bool,
    /// Whether it applies only to files that belong to the user of the process.
    pub owner: bool,
}

/// Access that a profile does not grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingAccess {
    /// The file that mysqld needs.
    pub need: Need,
    /// The letters for the missing access.
    pub access: String,
    /// Whether a rule denies the access. Then another rule that grants it has no effect.
    pub denied: bool,
}

impl Profile {
    /// Whether it confines this program.
    pub fn confines(&self, program: &Path) -> bool {
        let program = program.to_string_lossy();
        self.patterns(&self.attachment).iter().any(|p| glob::matches(p, &program))
    }

    /// Whether the kernel enforces it once it is loaded.
    pub fn is_enforced(&self) -> bool {
        !self.flags.iter().any(|f| f == "complain" || f == "unconfined")
    }

    /// The needed access that the profile does not grant.
    pub fn missing(&self, needs: &[Need]) -> Vec<MissingAccess> {
        needs.iter().filter_map(|need| self.missing_of(need)).collect()
    }

    fn missing_of(&self, need: &Need) -> Option<MissingAccess> {
        let path = need.path.to_string_lossy();
        let mut denied = false;
        let access: String = need
            .access
            .chars()
            .filter(|&letter| {
                let by = |deny| {
                    self.rules.iter().any(|rule| {
                        rule.deny == deny
                            && rule.access.contains(letter)
                            // An owner rule does not apply to files of root.
                            && (need.owned || !rule.owner)
                            && self.patterns(&rule.pattern).iter().any(|p| glob::matches(p, &path))
                    })
                };
                let is_denied = by(true);
                denied |= is_denied;
                is_denied || !by(false)
            })
            .collect();
        (!access.is_empty()).then(|| MissingAccess { need: need.clone(), access, denied })
    }

    /// Expands a pattern: all values of its variables, and all aliases, up to `MOST_PATTERNS`.
    fn patterns(&self, pattern: &str) -> Vec<String> {
        let mut all = self.expanded(pattern);
        for (from, to) in &self.aliases {
            let more: Vec<_> = all
                .iter()
                .filter_map(|p| p.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}")))
                .take(MOST_PATTERNS.saturating_sub(all.len()))
                .collect();
            all.extend(more);
        }
        all
    }

    fn expanded(&self, pattern: &str) -> Vec<String> {
        let mut all = Vec::new();
        let mut open = vec![(pattern.to_owned(), 0)];
        let mut steps = 0;
        // Variables may refer to each other, so that expanding them all need not end.
        while let Some((one, depth)) = open.pop().filter(|_| steps < MOST_STEPS && all.len() < MOST_PATTERNS)
        {
            steps += 1;
            let variable = one.find("@{").and_then(|at| {
                let end = one.get(at..)?.find('}')? + at + 1;
                Some((one.get(..at)?, one.get(at..end)?, one.get(end..)?))
            });
            let Some((before, name, after)) = variable else {
                all.push(one);
                continue;
            };
            // A variable without a value matches nothing.
            let values = self.variables.get(name).map(Vec::as_slice).unwrap_or_default();
            if depth < DEPTH {
                let first = values.get(..values.len().min(MOST_VALUES)).unwrap_or_default();
                // The last one first: it is taken from the end.
                open.extend(first.iter().rev().map(|value| (format!("{before}{value}{after}"), depth + 1)));
            }
        }
        all
    }
}
