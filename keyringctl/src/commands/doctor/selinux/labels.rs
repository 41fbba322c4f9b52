// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether SELinux lets mysqld use each file of its keyring, and pass the directories above it.

use super::examination::Examination;
use super::policy::Answer;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::selinux::{Labelling, Mode};
use crate::host::needs::{Need, credentials_of, needs};
use crate::host::selinux::{DATA, Labelled, PASS, access, labelled, module_commands, type_of};
use crate::show::Shown;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(super) const LABEL: &str = "selinux-label";

impl Examination<'_> {
    /// Checks the label of each file.
    pub(super) fn labels(&self, found: &mut Findings) {
        let view = self.view;
        let labelling = Labelling::of(view.site, &view.mounts);
        let all = labelled(&view.host);
        let (mut reported, mut unreadable) = (BTreeSet::new(), Vec::new());
        for need in needs(&view.host) {
            let place = view.local_path(&need.path);
            // What does not exist is reported by other checks; systemd creates credentials.
            if !place.exists() || need.path.starts_with(credentials_of(&view.host.unit)) {
                continue;
            }
            let Some(context) = (self.label)(&place) else {
                unreadable.push(place);
                continue;
            };
            let answer = self.policy.answer(&context, &access(&need));
            let (level, surely) = match answer {
                Answer::Granted | Answer::Unknown => continue,
                Answer::Refused(_) => (self.level(), ""),
                Answer::Unusual => (self.level().max(FindingLevel::Warning), "probably "),
            };
            let of = all.iter().find(|labelled| labelled.covers(&need.path));
            // One remedy is for all files of a directory.
            if !reported.insert(of.map_or(need.path.clone(), |of| of.path.clone())) {
                continue;
            }
            let lacks = match &answer {
                Answer::Refused(names) if !names.is_empty() => format!(" (no {})", names.join(", ")),
                _ => String::new(),
            };
            let finding = found.add(
                level,
                LABEL,
                format!(
                    "SELinux {surely}does not let mysqld use {}, {}: its label is {context}{lacks}{}",
                    place.shown(),
                    need.what,
                    self.only_logged()
                ),
                "mysqld then has no keyring or cannot store a key. Only the audit log says why (ausearch -m AVC).",
                &remedy(&labelling, of, &need, &context),
            );
            finding.path = Some(need.path);
        }
        self.unreadable(&unreadable, &all, &labelling, found);
    }

    /// Reports files whose labels cannot be read. An image that was made without SELinux has none.
    fn unreadable(
        &self,
        places: &[PathBuf],
        all: &[Labelled],
        labelling: &Labelling<'_>,
        found: &mut Findings,
    ) {
        if places.is_empty() {
            return;
        }
        let list: Vec<_> = places.iter().map(|place| place.shown()).collect();
        let fix: Vec<_> = if self.mode == Mode::Image {
            let commands = all.iter().filter_map(|of| labelling.commands(of));
            std::iter::once("when the system runs:".to_owned()).chain(commands.flatten()).collect()
        } else {
            Vec::new()
        };
        found.add(
            FindingLevel::Note,
            LABEL,
            format!("cannot read the SELinux label of {}", list.join(", ")),
            "Whether SELinux lets mysqld use them was not checked.",
            &fix,
        );
    }

    /// Checks that mysqld may pass the directories above its files. Only the loaded policy knows.
    pub(super) fn passages(&self, found: &mut Findings) {
        let mut above = BTreeSet::new();
        for need in needs(&self.view.host) {
            above.extend(need.path.ancestors().skip(1).map(Path::to_owned));
        }
        // One rule is for all directories of a label.
        let mut closed: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        // The check of the credential looks at its directory.
        let credentials = credentials_of(&self.view.host.unit);
        for dir in above.into_iter().filter(|dir| *dir != credentials) {
            let place = self.view.local_path(&dir);
            let Some(context) = (self.label)(&place).filter(|_| place.is_dir()) else { continue };
            if matches!(self.policy.answer(&context, &PASS), Answer::Refused(_)) {
                closed.entry(context).or_default().push(place);
            }
        }
        for (context, places) in closed {
            let list: Vec<_> = places.iter().map(|place| place.shown()).collect();
            let kind = type_of(&context).unwrap_or_default();
            let finding = found.add(
                self.level(),
                LABEL,
                format!(
                    "SELinux does not let mysqld pass {}: the label is {context}{}",
                    list.join(" and "),
                    self.only_logged()
                ),
                "mysqld cannot reach its files below.",
                &module_commands(kind, &[PASS]),
            );
            finding.path = places.into_iter().next();
        }
    }
}

/// How to give a file the type that mysqld may use.
fn remedy(labelling: &Labelling<'_>, of: Option<&Labelled>, need: &Need, context: &str) -> Vec<String> {
    // The witness has the type of everything in the data directory.
    let beside = Labelled { path: need.path.clone(), is_directory: false, kind: DATA };
    let of = of.unwrap_or(&beside);
    if type_of(context) == Some(of.kind) {
        // The type is right, but the policy does not grant the access.
        return module_commands(of.kind, &[access(need)]);
    }
    labelling.by_mount(of).or_else(|| labelling.commands(of)).unwrap_or_default()
}
