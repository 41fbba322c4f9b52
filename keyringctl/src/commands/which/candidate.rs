// SPDX-License-Identifier: GPL-2.0-or-later
//! One of the copies that `keyringctl which` is asked about.

use crate::commands::hints;
use crate::commands::needs::{Needs, Unnamed};
use crate::commands::secret::{self, Once};
use crate::commands::status;
use crate::commands::status::copy_status::WitnessSays;
use crate::error::Result;
use keyring_external::error::{Error, Failure, Refusal};
use keyring_external::keyring::{Claims, Keyring, Relation, check_claims_by_witness, inspect};
use keyring_external::store::places::Places;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use uuid::Uuid;

/// A copy, and what was found out about it.
pub(super) struct Candidate {
    pub path: PathBuf,
    pub opened: Option<Opened>,
    /// Why it was not opened.
    pub wrong: Option<String>,
    /// How it could not be opened.
    pub obstacle: Option<Obstacle>,
    /// What it claims to be, if it looks like a keyring.
    claims: Option<Claims>,
    /// How it compares with the witness.
    pub says: Option<WitnessSays>,
}

/// A copy that was opened.
pub(super) struct Opened {
    pub keyring: Keyring,
    /// The secret that unlocked it.
    pub secret: secret::Args,
    pub needs: Rc<Needs>,
}

/// Why a copy could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Obstacle {
    /// It does not exist.
    Missing,
    /// No secret unlocks it.
    Secret,
    /// It is damaged, or not a keyring of this program.
    Unusable,
    /// It cannot be read now.
    Unreadable,
}

impl Candidate {
    /// Opens a copy with the first of the secrets that unlocks it, and compares it with the files in the data directory
    /// and in the other directories. `earlier`: the copies that were examined already.
    pub(super) fn examine(
        places: &Places,
        path: &Path,
        (datadir, also): (&Path, &[PathBuf]),
        secrets: &mut [Once<'_>],
        earlier: &[Candidate],
    ) -> Result<Candidate> {
        let (claims, unreadable) = match inspect(places, path) {
            Ok(claims) => (Some(claims), None),
            Err(e) => (None, Some(e)),
        };
        let mut found = Candidate {
            path: path.to_owned(),
            opened: None,
            wrong: None,
            obstacle: None,
            claims,
            says: None,
        };
        if let Some(e) = unreadable {
            found.fail(&e);
            return Ok(found);
        }
        for secret in secrets {
            let args = secret.args().clone();
            match secret.load(places, path) {
                Ok((mut keyring, _)) => {
                    (found.wrong, found.obstacle) = (None, None);
                    found.says = status::heard(keyring.check_witness(places.fs(), datadir))?.0;
                    let known = earlier.iter().filter_map(|other| other.opened.as_ref());
                    let same = |other: &&Opened| keyring.relation_to(&other.keyring) == Relation::Same;
                    let mut needs = match known.into_iter().find(same) {
                        Some(other) => Rc::clone(&other.needs),
                        None => Rc::new(Needs::new(datadir, also, &keyring)?),
                    };
                    // A server stores a key before its files name it.
                    if needs.is_behind_server()
                        && let Ok((now, _)) = secret.load(places, path)
                    {
                        keyring = now;
                        Rc::make_mut(&mut needs).compare_again(&keyring);
                        found.says = status::heard(keyring.check_witness(places.fs(), datadir))?.0;
                    }
                    found.opened = Some(Opened { keyring, secret: args, needs });
                    return Ok(found);
                }
                // The secret is wrong for all copies.
                Err(e @ Error::Failure(Failure::Unlock { .. })) => return Err(e.into()),
                Err(e) if found.wrong.is_none() => found.fail(&e),
                Err(_) => {}
            }
        }
        if let Some(Claims { header, commit: Some(commit), .. }) = &found.claims {
            found.says =
                status::heard(check_claims_by_witness(places.fs(), datadir, path, &header.id, commit))?.0;
        }
        Ok(found)
    }

    fn fail(&mut self, e: &Error) {
        self.wrong = Some(hints::text(e));
        self.obstacle = Some(match e {
            Error::Refusal(Refusal::Missing { .. }) => Obstacle::Missing,
            Error::Refusal(Refusal::WrongSecret { .. }) => Obstacle::Secret,
            Error::Refusal(_) => Obstacle::Unusable,
            Error::BadRequest(_) | Error::Failure(_) => Obstacle::Unreadable,
        });
    }

    /// Compares its keys also with those that the files named when they were read for other copies.
    pub(super) fn also_needs(&mut self, keys: &BTreeMap<String, Vec<PathBuf>>) {
        if let Some(Opened { keyring, needs, .. }) = &mut self.opened {
            Rc::make_mut(needs).also_needs(keys, keyring);
        }
    }

    /// Why the files may need keys that this copy lacks although no file names them.
    pub(super) fn unnamed(&self) -> Option<Unnamed> {
        self.opened.as_ref()?.needs.unnamed(self.says)
    }

    /// Whether it was opened and has every key that the files name.
    pub(super) fn is_complete(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.needs.missing.is_empty())
    }

    /// The id and the label that it has or claims.
    pub(super) fn identity(&self) -> Option<(Uuid, &str)> {
        self.claims.as_ref().map(|claims| (claims.header.id, claims.header.label.as_str()))
    }

    pub(super) fn generation(&self) -> Option<u64> {
        let claimed = || self.claims.as_ref()?.commit.map(|commit| commit.generation);
        self.opened.as_ref().map(|opened| opened.keyring.status().generation).or_else(claimed)
    }

    /// How it relates to another copy.
    pub(super) fn relation_to(&self, other: &Candidate) -> Relation {
        match (&self.opened, &other.opened, &self.claims, &other.claims) {
            (Some(ours), Some(theirs), ..) => ours.keyring.relation_to(&theirs.keyring),
            (_, _, Some(ours), Some(theirs)) => ours.relation_to(theirs),
            _ => Relation::Unknown,
        }
    }

    /// How it compares with the other copies of the same keyring; `None` if there is none.
    pub(super) fn standing(&self, all: &[Candidate]) -> Option<&'static str> {
        let others = all.iter().filter(|other| other.path != self.path && other.claims.is_some());
        let related: Vec<_> = others
            .map(|other| self.relation_to(other))
            .filter(|relation| *relation != Relation::OtherKeyring)
            .collect();
        let is = |relation| related.contains(&relation);
        if related.is_empty() {
            None
        } else if is(Relation::Diverged) {
            Some("diverged")
        } else if is(Relation::Ancestor) {
            Some("behind")
        } else if is(Relation::Unknown) {
            Some("behind or diverged")
        } else {
            Some("newest")
        }
    }
}
