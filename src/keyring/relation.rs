// SPDX-License-Identifier: GPL-2.0-or-later
//! How two copies of a keyring relate. This compares their states, never only their generations.

use super::claims::Claims;
use super::shared::Keyring;
use crate::format::state::StateId;
use std::cmp::Ordering;

/// How a copy relates to another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relation {
    /// Both are in the same state.
    Same,
    /// Its state is an ancestor of the other's. Nothing is lost if the other replaces it.
    Ancestor,
    /// The other's state is an ancestor of its own.
    Descendant,
    /// The copies were changed independently. Each may hold keys that the other does not have.
    Diverged,
    /// It is older or newer. Without the secret, it is not clear whether one state is an ancestor of the
    /// other.
    Unknown,
    /// It belongs to another keyring.
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
    /// How this copy relates to another one, as both claim.
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
            // The same epoch: records were appended.
            || self.header.epoch == other.header.epoch
        {
            Relation::Ancestor
        } else {
            Relation::Unknown
        }
    }
}

impl Keyring {
    /// How this copy relates to another one. If no header lists the older state, it counts as an ancestor if
    /// both copies have the same data key and the newer one has all its keys.
    pub fn relation_to(&self, other: &Keyring) -> Relation {
        if self.id != other.id {
            return Relation::OtherKeyring;
        }
        // Lock one after the other, because both may be the same keyring.
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
                // Otherwise a renewal of the data key that the newer copy does not have would be undone.
                let same_key = key.is_ok_and(|key| key == *newer.keys());
                let missing = || self.read_memory().missing_in(&other.read_memory());
                let earlier = newer.lineage().supersedes(&ours, || if same_key { missing() } else { 1 });
                if earlier { Relation::Ancestor } else { Relation::Diverged }
            }
        }
    }
}
