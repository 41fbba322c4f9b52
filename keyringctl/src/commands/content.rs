// SPDX-License-Identifier: GPL-2.0-or-later
//! What a copy holds, and how it stands to another: by its keys when the secret opened both, else by what it claims.

use super::secret;
use keyring_external::keyring::{Claims, Keyring, Kinship};
use std::path::Path;

/// What is known of a copy's content.
pub(super) struct Content {
    pub claims: Claims,
    /// When the secret opened it.
    pub keyring: Option<Keyring>,
}

impl Content {
    /// How it stands to another copy.
    pub fn kinship(&self, other: &Content) -> Kinship {
        match (&self.keyring, &other.keyring) {
            (Some(ours), Some(theirs)) => ours.kinship(theirs),
            _ => self.claims.kinship(&other.claims),
        }
    }

    /// The generation, as far as it is known; 0 when it is not.
    pub fn generation(&self) -> u64 {
        let claimed = self.claims.commit.map_or(0, |commit| commit.generation);
        self.keyring.as_ref().map_or(claimed, |keyring| keyring.status().generation)
    }
}

/// How the right keys are found and kept when two copies have diverged: one command or two a line. `first` is the copy
/// whose slots and data key are to stay.
pub(super) fn remedy(
    first: &Path,
    second: &Path,
    datadir: Option<&Path>,
    secret: &secret::Args,
) -> Vec<String> {
    let (first, second) = (first.display(), second.display());
    let (datadir, unlock) = (datadir.unwrap_or(Path::new("DIR")).display(), secret.option());
    vec![
        "keep both files, and see which one opens the data:".to_owned(),
        format!("keyringctl verify {first} --datadir {datadir}{unlock}"),
        format!("keyringctl verify {second} --datadir {datadir}{unlock}"),
        "bring the keys of both together, the copy whose slots are to stay first:".to_owned(),
        format!("keyringctl sync {first} --mirror {second} --merge{unlock}"),
    ]
}
