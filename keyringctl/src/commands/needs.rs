// SPDX-License-Identifier: GPL-2.0-or-later
//! Which master keys the files of a data directory need, and which of them a keyring lacks.

use super::consent::{Effect, Plan};
use super::output::counted;
use crate::error::{Error, Result};
use crate::show::{Shown, exact_paths};
use crate::tablespace::{self, DataFileKind, Depth, FileReport, FileState};
use keyring_external::keyring::Keyring;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most files of which it is not known what they need that the table names.
const MOST_UNKNOWN: usize = 10;

/// Which master keys the files of a data directory need, as far as the keyring does not have them.
pub(super) struct Needs {
    datadir: PathBuf,
    /// How many different keys the files need.
    pub needed: usize,
    /// The keys that the keyring lacks, or has with other bytes, each with the files that need it.
    pub missing: BTreeMap<(String, FileState), Vec<PathBuf>>,
    /// Files and directories of which it is not known what they need.
    pub unknown: Vec<FileReport>,
}

impl Needs {
    pub(super) fn new(datadir: &Path, also: &[PathBuf], keyring: &Keyring) -> Result<Needs> {
        let mut needs =
            Needs { datadir: datadir.to_owned(), needed: 0, missing: BTreeMap::new(), unknown: Vec::new() };
        let mut keys = BTreeSet::new();
        let found = tablespace::find(&[&[datadir.to_owned()], also].concat());
        for file in tablespace::check(&found, keyring, Depth::OnePage, &mut |_, _| {}) {
            // Doublewrite files hold old copies of pages.
            let key = file.key.clone().filter(|_| file.kind != DataFileKind::Doublewrite);
            keys.extend(key.clone());
            match (file.state, key) {
                (FileState::Unreadable, _) => {
                    return Err(Error::Usage(format!(
                        "cannot read {}: {}",
                        file.path.shown(),
                        file.notes.join("; ")
                    )));
                }
                (FileState::KeyMissing | FileState::WrongKey, Some(key)) => {
                    needs.missing.entry((key, file.state)).or_default().push(file.path);
                }
                (FileState::NotChecked | FileState::Damaged, _) => needs.unknown.push(file),
                _ => {}
            }
        }
        needs.needed = keys.len();
        Ok(needs)
    }

    pub(super) fn question(&self) -> String {
        let mut question = "Accept this keyring for the data directory?".to_owned();
        if !self.missing.is_empty() {
            question += &format!(
                " It does not decrypt the data that needs the {}.",
                counted(self.missing.len(), "missing key")
            );
        }
        if !self.unknown.is_empty() {
            question +=
                &format!(" Whether it decrypts {} is not known.", counted(self.unknown.len(), "other file"));
        }
        question
    }

    pub(super) fn show(&self, plan: &mut Plan) {
        for ((key, state), files) in &self.missing {
            let first = files.first().map_or_else(String::new, |file| file.shown());
            let now = format!("needed by {}, such as {first}", counted(files.len(), "file"));
            let afterwards = match state {
                FileState::WrongKey => "the keyring has other bytes under this name: not decrypted",
                _ => "missing in the keyring: not decrypted",
            };
            plan.effect(Effect::new(format!("key {key}"), now, afterwards));
        }
        for file in self.unknown.iter().take(MOST_UNKNOWN) {
            plan.effect(Effect::new(
                file.path.shown(),
                format!("{}: {}", file.state.name(), file.notes.join("; ")),
                "not known whether it can be decrypted",
            ));
        }
        let more = self.unknown.len().saturating_sub(MOST_UNKNOWN);
        if more > 0 {
            plan.effect(Effect::new(
                format!("{more} more"),
                "not checked or damaged: --json lists them",
                "not known whether they can be decrypted",
            ));
        }
        if self.missing.is_empty() {
            let files = format!("checked files in {}", self.datadir.shown());
            plan.note(match self.needed {
                0 => format!("The {files} need no master key."),
                needed => format!("This keyring has every master key that the {files} need ({needed})."),
            });
        }
        let paths: Vec<_> = self.unknown.iter().map(|file| file.path.clone()).collect();
        let missing = self
            .missing
            .iter()
            .map(|((key, state), files)| json!({ "key": key, "state": state, "files": exact_paths(files) }));
        plan.detail("needed", json!(self.needed));
        plan.detail("not_checked", json!(exact_paths(&paths)));
        plan.detail("missing", missing.collect());
    }
}
