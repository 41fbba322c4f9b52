// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring whose slots or data key a command changes, in all its copies.

use super::audit_trail;
use super::consent::{Effect, Plan};
use super::copies::{self, Copies, Purpose};
use super::older::Older;
use super::outdated::Outdated;
use super::output::stderr_report;
use super::secret::{self, Once};
use crate::commands::store_places::store_places;
use crate::error::{Error, Result};
use crate::show::Shown;
use keyring_external::format::header::ClaimedHeader;
use keyring_external::keyring::{Keyring, Standing, inspect, load_beside_others};
use keyring_external::secret::UnlockSecret;
use keyring_external::store::places::Places;
use std::path::PathBuf;

/// The copies of a keyring to change, and the secret that unlocks them.
#[derive(clap::Args)]
pub(super) struct TargetKeyring {
    #[command(flatten)]
    pub copies: copies::Args,
    #[command(flatten)]
    pub secret: secret::Args,
    #[command(flatten)]
    pub older: Older,
}

/// A keyring that was opened to be changed. Nothing has been written to it yet.
pub(super) struct OpenedTarget {
    pub keyring: Keyring,
    /// The secret that unlocked it.
    pub secret: UnlockSecret,
    pub copies: Copies,
    places: Places,
}

impl TargetKeyring {
    /// Finds the copies.
    pub(super) fn find(&self, purpose: Purpose) -> Result<Copies> {
        self.copies.find(&self.secret, purpose)
    }

    /// Opens all copies that exist.
    pub(super) fn open(&self) -> Result<OpenedTarget> {
        let copies = self.find(Purpose::Change)?;
        let places = store_places();
        let is_there = |path: &&PathBuf| places.replica(path).is_ok_and(|copy| copy.may_be_there());
        let existing = copies.paths.iter().filter(is_there).count().max(1);
        let name = copies.secret.name();
        let mut once = Once::new(&copies.secret);
        let keyring = once.open(copies.first(), |read| {
            load_beside_others(&places, &copies.paths, existing, &name, read, stderr_report)
        })?;
        self.older.check(&places, &keyring, &copies)?;
        audit_trail::attach(&keyring);
        let secret = once.read(copies.first())?;
        Ok(OpenedTarget { keyring, secret, copies, places })
    }
}

impl OpenedTarget {
    /// Brings the copies up to date, because a change of slots must reach all that exist. A copy that cannot be reached is
    /// behind when it comes back, and is brought up to date then. Called when the change has been agreed to.
    pub(super) fn bring_up_to_date(&self) -> Result<()> {
        Ok(self.keyring.bring_up_to_date()?)
    }

    /// What the keyring says of itself.
    pub(super) fn claims(&self) -> Result<ClaimedHeader> {
        let readable = self.copies.paths.iter().map(|path| inspect(&self.places, path));
        let first = readable.reduce(|first, next| first.or(next));
        match first {
            Some(claims) => Ok(claims?.header),
            None => Err(Error::Usage("no keyring file was named".to_owned())),
        }
    }

    /// Adds to a plan what happens to each copy: it is rewritten `with` something.
    pub(super) fn plan_copies(&self, plan: &mut Plan, with: &str) {
        for (path, standing) in self.keyring.standings() {
            let rewritten = format!("rewritten {with}");
            let mut outdated = None;
            let (now, afterwards) = match standing {
                Standing::Current | Standing::Read => ("up to date".to_owned(), rewritten),
                Standing::Behind => {
                    let source = &self.copies.secret;
                    let old = Outdated::look(&self.places, &path, &self.keyring, source, &self.secret);
                    let behind = if old.is_damaged { "" } else { "behind: " };
                    (format!("{behind}{}", outdated.insert(old).now), rewritten)
                }
                // Opening the keyring has said why.
                Standing::Out(_) | Standing::Changed(_) => (
                    "cannot be used".to_owned(),
                    "unchanged; brought up to date when it comes back".to_owned(),
                ),
            };
            plan.effect(Effect::new(format!("copy {}", path.shown()), now, afterwards));
            if let Some(old) = outdated {
                old.plan_slots(&path, plan);
            }
        }
    }
}
