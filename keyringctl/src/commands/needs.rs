// SPDX-License-Identifier: GPL-2.0-or-later
//! Which master keys the files of a data directory need, and which of them a keyring lacks.

use super::consent::{Effect, Plan};
use super::output::counted;
use crate::commands::status::copy_status::WitnessSays;
use crate::error::{Error, Result};
use crate::show::{Shown, exact_paths};
use crate::tablespace::{
    self, DataFileKind, Depth, FileReport, FileState, LogNeeds, MasterKeys, Shutdown, log_needs,
};
use keyring_external::keyring::Keyring;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Most files of which it is not known what they need that the table names.
const MOST_UNKNOWN: usize = 10;

/// Which master keys the files of a data directory need, as far as the keyring does not have them.
#[derive(Clone)]
pub(super) struct Needs {
    datadir: PathBuf,
    /// The keys that the files name, each with the files that need it.
    pub keys: BTreeMap<String, Vec<PathBuf>>,
    /// The keys that the keyring lacks, or has with other bytes, each with the files that need it.
    pub missing: BTreeMap<(String, FileState), Vec<PathBuf>>,
    /// Files and directories of which it is not known what they need.
    pub unknown: Vec<FileReport>,
    /// How the server left the files.
    pub shutdown: Shutdown,
    /// The keys that the redo log needs.
    of_log: BTreeSet<String>,
    /// Why it is not known what the redo log needs.
    log: Option<Unnamed>,
}

/// What it means that a keyring lacks a key which the redo log needs.
pub(super) const LOG_LACKS_KEY: &str = "Without a key that the redo log needs, a server does not start, or it reads the log again \
    and again without end and fills its error log";

/// What to do if the redo log is elsewhere.
pub(super) const NAME_LOG: &str = "If the redo log is in another directory, name that with --also. If it is lost, a server \
    that was not shut down cleanly does not start";

/// Why files may need keys that none of them names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unnamed {
    /// A server runs on them.
    InUse,
    /// The server was not shut down cleanly.
    NotShutDown,
    /// The redo log was not found.
    NoLog,
    /// The redo log could not all be read.
    LogNotRead,
}

impl Unnamed {
    /// A sentence about the files in this data directory.
    pub(super) fn text(self, datadir: &Path) -> String {
        let datadir = datadir.shown();
        match self {
            Unnamed::InUse => {
                format!("a server is running on {datadir}: it may need keys that no file names yet")
            }
            Unnamed::NotShutDown => format!(
                "the server of {datadir} was not shut down cleanly: its redo log may need keys that no file names yet, and \
                 without them the server does not start"
            ),
            Unnamed::NoLog => format!(
                "the data directory {datadir} lacks the redo log (#innodb_redo, or ib_logfile0, in \
                 innodb_log_group_home_dir): it may need keys that no other file names"
            ),
            Unnamed::LogNotRead => format!(
                "the redo log of {datadir} could not all be read: it may need keys that no other file names"
            ),
        }
    }
}

impl Needs {
    pub(super) fn new(datadir: &Path, also: &[PathBuf], keyring: &Keyring) -> Result<Needs> {
        let found = tablespace::find(&[&[datadir.to_owned()], also].concat());
        let mut needs = Needs {
            datadir: datadir.to_owned(),
            keys: BTreeMap::new(),
            missing: BTreeMap::new(),
            unknown: Vec::new(),
            shutdown: tablespace::shutdown(datadir, &found),
            of_log: BTreeSet::new(),
            log: None,
        };
        for file in tablespace::check(&found, keyring, Depth::OnePage, &mut |_, _| {}) {
            // Doublewrite files hold old copies of pages.
            let key = file.key.clone().filter(|_| file.kind != DataFileKind::Doublewrite);
            if let Some(key) = &key {
                needs.keys.entry(key.clone()).or_default().push(file.path.clone());
            }
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
        needs.add_log(log_needs(datadir, &found, keyring), keyring);
        Ok(needs)
    }

    fn add_log(&mut self, log: LogNeeds, keyring: &Keyring) {
        let add = |all: &mut Vec<PathBuf>, files: &[PathBuf]| {
            for file in files {
                if !all.contains(file) {
                    all.push(file.clone());
                }
            }
        };
        let missing = log.missing(keyring);
        for (key, files) in &missing {
            add(self.missing.entry((key.clone(), FileState::KeyMissing)).or_default(), files);
        }
        for (key, files) in &log.keys {
            add(self.keys.entry(key.clone()).or_default(), files);
        }
        // A running server writes it at the moment.
        if missing.is_empty() && !matches!(self.shutdown, Shutdown::Running { .. }) {
            self.log = log.unread.first().map(|_| Unnamed::LogNotRead);
            self.unknown.extend(log.unread);
        }
        self.log = log.missing_log.map(|_| Unnamed::NoLog).or(self.log);
        self.of_log = log.keys.into_keys().collect();
    }

    /// Whether a running server may have stored a key that is missing since the keyring was read.
    pub(super) fn is_behind_server(&self) -> bool {
        matches!(self.shutdown, Shutdown::Running { .. })
            && self.missing.keys().any(|(_, state)| *state == FileState::KeyMissing)
    }

    /// Forgets the missing keys that the keyring has now.
    pub(super) fn compare_again(&mut self, keyring: &Keyring) {
        self.missing
            .retain(|(key, state), _| *state != FileState::KeyMissing || !keyring.with_key(key, &mut |_| {}));
    }

    /// Whether the keyring lacks a key that the redo log needs, so that no server starts with it.
    pub(super) fn lacks_for_log(&self) -> bool {
        self.missing.keys().any(|(key, _)| self.of_log.contains(key))
    }

    /// Whether the files may need keys that were not read from them.
    pub(super) fn may_need_more(&self) -> bool {
        self.shut_down_cleanly() == Some(false) || self.log.is_some()
    }

    /// Why it is not known what the redo log needs.
    pub(super) fn log_not_known(&self) -> Option<Unnamed> {
        self.log
    }

    /// How many different keys the files need.
    pub(super) fn needed(&self) -> usize {
        self.keys.len()
    }

    /// Adds the keys that files named when they were read for another copy, because a server may have written meanwhile.
    pub(super) fn also_needs(&mut self, keys: &BTreeMap<String, Vec<PathBuf>>, keyring: &Keyring) {
        for (key, files) in keys {
            if self.keys.contains_key(key) {
                continue;
            }
            self.keys.insert(key.clone(), files.clone());
            if !keyring.with_key(key, &mut |_| {}) {
                self.missing.insert((key.clone(), FileState::KeyMissing), files.clone());
            }
        }
    }

    /// Whether the server was shut down cleanly; `None` if that is not known.
    pub(super) fn shut_down_cleanly(&self) -> Option<bool> {
        match self.shutdown {
            Shutdown::Clean => Some(true),
            Shutdown::Unclean | Shutdown::Running { .. } => Some(false),
            Shutdown::Unknown => None,
        }
    }

    /// Why the files may need keys that this keyring lacks although no file names them. A keyring that is at least as new as
    /// the one that the server last used lacks none, if the redo log is there and can be read.
    pub(super) fn unnamed(&self, says: Option<WitnessSays>) -> Option<Unnamed> {
        let left = match (says, &self.shutdown) {
            (Some(WitnessSays::Same | WitnessSays::Newer), _) => None,
            // A running server writes a witness when it uses a keyring.
            (None, Shutdown::Running { .. }) => None,
            (_, Shutdown::Running { .. }) => Some(Unnamed::InUse),
            (_, Shutdown::Unclean) => Some(Unnamed::NotShutDown),
            (_, Shutdown::Clean | Shutdown::Unknown) => None,
        };
        left.filter(|why| *why == Unnamed::InUse).or(self.log).or(left)
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

    /// `unnamed`: why they may need keys that are not among these.
    pub(super) fn show(&self, plan: &mut Plan, unnamed: Option<Unnamed>) {
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
        if self.lacks_for_log() {
            plan.note(format!("{LOG_LACKS_KEY}."));
        }
        if let Some(unnamed) = unnamed {
            plan.note(sentence(&unnamed.text(&self.datadir)));
        } else if self.missing.is_empty() {
            let files = format!("checked files in {}", self.datadir.shown());
            plan.note(match self.needed() {
                0 => format!("The {files} need no master key."),
                needed => format!("This keyring has every master key that the {files} need ({needed})."),
            });
        }
        let paths: Vec<_> = self.unknown.iter().map(|file| file.path.clone()).collect();
        let missing = self
            .missing
            .iter()
            .map(|((key, state), files)| json!({ "key": key, "state": state, "files": exact_paths(files) }));
        plan.detail("shut_down_cleanly", json!(self.shut_down_cleanly()));
        plan.detail("needed", json!(self.needed()));
        plan.detail("not_checked", json!(exact_paths(&paths)));
        plan.detail("missing", missing.collect());
    }
}

/// Makes a sentence of its own.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).chain(['.']).collect()
}
