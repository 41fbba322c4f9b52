// SPDX-License-Identifier: GPL-2.0-or-later
//! A profile, and what it grants.

use super::glob;
use crate::host::needs::Need;
use std::collections::HashMap;
use std::path::Path;

/// A profile.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Its name, under which the kernel lists it.
    pub name: String,
    /// The pattern of the programs that it confines; empty when it is attached otherwise.
    pub attachment: String,
    /// Its flags: `complain`, `unconfined` and others.
    pub flags: Vec<String>,
    /// Its path rules, those of its includes among them.
    pub rules: Vec<Rule>,
    /// Includes that were not there to be read.
    pub not_found: Vec<String>,
    pub(super) variables: HashMap<String, Vec<String>>,
    pub(super) aliases: Vec<(String, String)>,
}

/// A path rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The pattern of the paths, variables and all.
    pub pattern: String,
    /// The letters of what it grants or denies.
    pub access: String,
    /// Whether it denies, whatever other rules grant.
    pub deny: bool,
    /// Whether it counts only for what belongs to the process's user.
    pub owner: bool,
}

/// What a profile does not grant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// The file.
    pub need: Need,
    /// The letters that are missing.
    pub access: String,
    /// Whether a rule denies it, so that granting it is not enough.
    pub denied: bool,
}

impl Profile {
    /// Whether it confines that program.
    pub fn confines(&self, program: &Path) -> bool {
        let program = program.to_string_lossy();
        self.patterns(&self.attachment).iter().any(|p| glob::matches(p, &program))
    }

    /// Whether the kernel holds programs to it, once it is loaded.
    pub fn is_enforced(&self) -> bool {
        !self.flags.iter().any(|f| f == "complain" || f == "unconfined")
    }

    /// What of all that is needed it does not grant.
    pub fn missing(&self, needs: &[Need]) -> Vec<Missing> {
        needs.iter().filter_map(|need| self.missing_of(need)).collect()
    }

    fn missing_of(&self, need: &Need) -> Option<Missing> {
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
                            // The rule for owners is no help with what belongs to root.
                            && (need.owned || !rule.owner)
                            && self.patterns(&rule.pattern).iter().any(|p| glob::matches(p, &path))
                    })
                };
                let is_denied = by(true);
                denied |= is_denied;
                is_denied || !by(false)
            })
            .collect();
        (!access.is_empty()).then(|| Missing { need: need.clone(), access, denied })
    }

    /// A pattern with all values of its variables, and with aliases in the place of what they stand for.
    fn patterns(&self, pattern: &str) -> Vec<String> {
        let mut all = self.expanded(pattern, 0);
        for (from, to) in &self.aliases {
            let more: Vec<_> = all
                .iter()
                .filter_map(|p| p.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}")))
                .collect();
            all.extend(more);
        }
        all
    }

    fn expanded(&self, pattern: &str, depth: usize) -> Vec<String> {
        let variable = pattern.find("@{").and_then(|at| {
            let end = pattern.get(at..)?.find('}')? + at + 1;
            Some((pattern.get(..at)?, pattern.get(at..end)?, pattern.get(end..)?))
        });
        let Some((before, name, after)) = variable else { return vec![pattern.to_owned()] };
        // One that nobody set matches nothing.
        let values = self.variables.get(name).map(Vec::as_slice).unwrap_or_default();
        if depth == 8 {
            return Vec::new();
        }
        values
            .iter()
            .take(64)
            .flat_map(|value| self.expanded(&format!("{before}{value}{after}"), depth + 1))
            .take(512)
            .collect()
    }
}
