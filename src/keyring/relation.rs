// SPDX-License-Identifier: GPL-2.0-or-later
//! How two copies of a keyring stand to each other: by their states, never by their generations alone.

use super::claims::Claims;
use super::shared::Keyring;
use crate::format::state::StateId;
use std::cmp::Ordering;

/// How a copy stands to another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// Both are in one state.
    Same,
    /// It is in an earlier state: nothing is lost when the other takes its place.
    Ancestor,
    /// It is in a later state.
    Descendant,
    /// Both were changed apart: each may hold keys that the other does not have.
    Diverged,
    /// It is older or newer. Whether it is an earlier or later state cannot be told without the secret.
    Unknown,
    /// It is another keyring.
    OtherKeyring,
}

impl Relation {
    fn reversed(self) -> Self {
        match self {
            Relation::Ancestor => Relation::Descendant,
            Relation::Descendant => Relation::Ancestor,
            same => same,
        }
    }
}

impl Claims {
    /// How this copy stands to another one, as both claim.
    pub fn relation_to(&self, other: &Claims) -> Relation {
        if self.header.id != other.header.id {
            return Relation::OtherKeyring;
        }
        let (Some(ours), Some(theirs)) = (&self.commit, &other.commit) else { return Relation::Unknown };
        if ours == theirs {
            Relation::Same
        } else if ours.generation > theirs.generation {
            other.relation_to(self).reversed()
        } else if ours.generation == theirs.generation {
            Relation::Diverged
        } else if other.header.ancestors.contains(&StateId::new(&self.header.epoch, ours))
            // Of one writing: records were appended.
            || self.header.epoch == other.header.epoch
        {
            Relation::Ancestor
        } else {
            Relation::Unknown
        }
    }
}

impl Keyring {
    /// How this copy stands to another one. Where no header vouches for an earlier state, one that holds no key
    /// that the later one lacks is taken for earlier, if both have the same data key.
    pub fn relation_to(&self, other: &Keyring) -> Relation {
        if self.id != other.id {
            return Relation::OtherKeyring;
        }
        // One lock after the other: both may be one keyring.
        let ours = self.lock_writer().lineage().state();
        let theirs = other.lock_writer().lineage().state();
        if ours == theirs {
            return Relation::Same;
        }
        match ours.generation().cmp(&theirs.generation()) {
            Ordering::Greater => other.relation_to(self).reversed(),
            Ordering::Equal => Relation::Diverged,
            Ordering::Less => {
                let key = self.lock_writer().keys().try_clone();
                let newer = other.lock_writer();
                // A renewal of the data key that the newer one does not know of would be undone.
                let same_key = key.is_ok_and(|key| key == *newer.keys());
                let missing = || self.read_memory().missing_in(&other.read_memory());
                let earlier = newer.lineage().supersedes(&ours, || if same_key { missing() } else { 1 });
                if earlier { Relation::Ancestor } else { Relation::Diverged }
            }
        }
    }
}
