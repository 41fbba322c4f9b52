// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies that sync does not write to, and what helps: they have diverged, or are no longer a keyring.

use crate::commands::secret;
use crate::commands::store_places::remotes_option;
use crate::show::Shown;
use keyring_external::config::is_remote;
use keyring_external::error::Refusal;
use keyring_external::keyring::{Keyring, Standing, inspect, load_with};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::places::Places;
use std::path::{Path, PathBuf};

/// Opens single copies with the secret of the keyring.
pub(super) struct Opener<'a> {
    pub places: &'a Places,
    pub secret: &'a UnlockSecret,
    pub source: &'a secret::Args,
}

impl Opener<'_> {
    fn open(&self, path: &Path) -> Option<Keyring> {
        let opened =
            load_with(self.places, path, &self.source.name(), || self.source.read_again(self.secret));
        opened.ok().map(|(keyring, _)| keyring)
    }

    /// Explains that two copies have diverged; `why` says it and what to do.
    pub(super) fn diverged(&self, path: &Path, other: &Path, why: String) -> String {
        let why = self.source.named_in(why);
        match self.difference(path, other) {
            "" => why,
            // The message ends with a command.
            difference => format!(
                "{difference} {}{}",
                why.get(..1).unwrap_or_default().to_uppercase(),
                why.get(1..).unwrap_or_default()
            ),
        }
    }

    /// What two copies differ in.
    fn difference(&self, path: &Path, other: &Path) -> &'static str {
        let Some((one, other)) = self.open(path).zip(self.open(other)) else { return "" };
        let compared = one.compare(&other);
        if compared.only_here.is_empty() && compared.only_there.is_empty() && compared.conflicts.is_empty() {
            "two copies have diverged. Their keys are the same: only unlock slots, the data key or the label were changed."
        } else {
            "two copies have diverged. Their keys differ."
        }
    }

    /// What to do about the copy at `path`, of which `why` says what is wrong, if the one at `source` can be used.
    pub(super) fn remedy(&self, path: &Path, source: &Path, why: String) -> String {
        let why = self.source.named_in(why);
        let is_destroyed =
            |refusal: &Refusal| matches!(refusal, Refusal::NotAKeyring { .. } | Refusal::Damaged { .. });
        let is_destroyed = inspect(self.places, path).is_err_and(|e| e.refusal().is_some_and(is_destroyed));
        if !is_destroyed {
            return why;
        }
        if is_remote(path) {
            let make_room = format!("keyringctl set-aside {}{}", path.shown(), remotes_option());
            return format!(
                "{why}. If it was a copy of this keyring, make room, which keeps what is there, and create the copy again: \
                 {make_room} && keyringctl sync {} --mirror {}{} --create",
                source.shown(),
                path.shown(),
                self.source.option()
            );
        }
        let mut kept = path.as_os_str().to_owned();
        kept.push(".destroyed");
        format!(
            "{why}. If it was a copy of this keyring, keep it and create the copy again: mv {} {} && keyringctl sync {} \
             --mirror {}{} --create",
            path.shown(),
            Path::new(&kept).shown(),
            source.shown(),
            path.shown(),
            self.source.option()
        )
    }
}

/// Says of each copy that holds another keyring than the others that nothing is written because of it.
pub(super) fn of_other_keyrings(keyring: &Keyring, source: &Path, places: &Places) -> Vec<String> {
    let foreign = |(path, standing): (PathBuf, Standing)| {
        let found = inspect(places, &path).ok().filter(|_| standing.refusal().is_some())?.header.id;
        (found != keyring.id()).then(|| {
            format!(
                "{} and {} are two keyrings, not copies of one: the first is keyring {}, the second is keyring {found}. \
                 Nothing was changed. Name copies of one keyring",
                source.shown(),
                path.shown(),
                keyring.id()
            )
        })
    };
    keyring.standings().into_iter().filter_map(foreign).collect()
}
