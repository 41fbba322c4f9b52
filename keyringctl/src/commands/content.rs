// SPDX-License-Identifier: GPL-2.0-or-later
//! The content of a copy, and how it relates to another copy: by its keys if the secret unlocked both, otherwise by what
//! the two files claim.

use super::secret;
use crate::show::Shown;
use keyring_external::keyring::{Claims, Keyring, Relation};
use std::path::Path;

/// What is known of a copy's content.
pub(super) struct Content {
    pub claims: Claims,
    /// The open keyring, if there is a secret for it.
    pub keyring: Option<Keyring>,
}

impl Content {
    /// How it relates to another copy.
    pub(super) fn relation_to(&self, other: &Content) -> Relation {
        match (&self.keyring, &other.keyring) {
            (Some(ours), Some(theirs)) => ours.relation_to(theirs),
            _ => self.claims.relation_to(&other.claims),
        }
    }

    /// The generation, or 0 if it is not known.
    pub(super) fn generation(&self) -> u64 {
        let claimed = self.claims.commit.map_or(0, |commit| commit.generation);
        self.keyring.as_ref().map_or(claimed, |keyring| keyring.status().generation)
    }
}

/// Instructions for copies that have diverged, line by line. The slots and the data key of `first` are kept.
pub(super) fn remedy(
    first: &Path,
    second: &Path,
    datadir: Option<&Path>,
    secret: &secret::Args,
) -> Vec<String> {
    let (first, second) = (first.shown(), second.shown());
    let (datadir, unlock) = (datadir.unwrap_or(Path::new("DIR")).shown(), secret.option());
    vec![
        "keep both files, and check which one decrypts the data:".to_owned(),
        format!("keyringctl verify {first} --datadir {datadir}{unlock}"),
        format!("keyringctl verify {second} --datadir {datadir}{unlock}"),
        "then merge them; name the copy whose unlock slots you want to keep first:".to_owned(),
        format!("keyringctl sync {first} --mirror {second} --merge{unlock}"),
    ]
}
