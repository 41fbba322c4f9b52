// SPDX-License-Identifier: GPL-2.0-or-later
//! What the writer of a keyring knows: its state, its keys, its copies and its witness.

use super::audit_state::Audit;
use crate::error::{Error, Refusal, Result};
use crate::format::FormatError;
use crate::format::commit::Commit;
use crate::format::crypto::DataKeys;
use crate::format::header::Header;
use crate::format::records::Sealer;
use crate::format::state::StateId;
use crate::keyring::lineage::Lineage;
use crate::keyring::log::Log;
use crate::keyring::replicas::{Reach, Replicas, Standing};
use crate::keyring::trust::Trust;
use crate::keyring::witness::{WitnessFile, Witnessed};
use crate::store::deadline::Limits;
use crate::store::locked::LockedReplica;
use crate::store::reading::FrontBytes;
use crate::store::tasks::side_by_side;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Makes the changes of one keyring.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(super) copies: Replicas,
    pub(super) keys: DataKeys,
    /// Other keys that a copy of this keyring may be sealed with, from before a renewal or from a failed one.
    /// They are used only to find out what such a copy is.
    pub(super) other_keys: Vec<DataKeys>,
    pub(super) header: Header,
    pub(super) commit: Commit,
    /// Ancestors that the header does not list, the newest first.
    pub(super) before: Vec<StateId>,
    pub(super) front: FrontBytes,
    /// Whether the newest commit slot in the front names the last record. An interrupted write may have left
    /// a record that no slot names; then nothing is made from the bytes of the file.
    pub(super) tidy: bool,
    pub(super) sealer: Sealer,
    /// The states that failed writes may have left since the last successful one.
    pub(super) attempted: Vec<StateId>,
    witness: Option<FollowedWitness>,
    pub(super) audit: Audit,
}

/// The witness of an open keyring.
#[derive(Debug)]
struct FollowedWitness {
    file: WitnessFile,
    testimony: Witnessed,
    /// Whether the witness follows the keyring. It does not before the keyring is used, so that a server that
    /// fails to start leaves the witness as it was.
    follows: bool,
}

/// What a [`Writer`] starts with: the state of an up-to-date copy.
#[derive(Debug)]
pub(crate) struct Start {
    /// The keys.
    pub keys: DataKeys,
    /// The keys of copies that have others.
    pub(crate) other_keys: Vec<DataKeys>,
    /// The header.
    pub header: Header,
    /// The acknowledged state.
    pub commit: Commit,
    /// Ancestors that the header does not list, the newest first.
    pub before: Vec<StateId>,
    /// The front, byte for byte.
    pub front: FrontBytes,
    /// Whether the file has no oddities: it is as an uninterrupted write leaves it.
    pub tidy: bool,
}

impl Writer {
    /// The writer of these copies, at least one of which was read.
    pub(crate) fn new(copies: Replicas, start: Start, sealer: Sealer) -> Self {
        let Start { keys, other_keys, header, commit, before, front, tidy } = start;
        let mut writer = Self {
            copies,
            keys,
            other_keys: Vec::new(),
            header,
            commit,
            before,
            front,
            tidy,
            sealer,
            attempted: Vec::new(),
            witness: None,
            audit: Audit::default(),
        };
        writer.remember_keys(other_keys);
        writer
    }

    /// Starts an operation that must end, including all waiting, within `limit`.
    pub(crate) fn set_deadline(&mut self, limit: Duration) {
        self.copies.set_deadline(limit);
    }

    /// The operation that goes on must end, including all waiting, by then.
    pub(crate) fn end_by(&mut self, until: Instant) {
        self.copies.end_by(until);
    }

    /// Time left for the operation in progress.
    pub(crate) fn time_left(&self) -> Duration {
        self.copies.time_left()
    }

    /// The path that messages use for the keyring.
    pub(crate) fn path(&self) -> &Path {
        self.copies.path()
    }

    /// The acknowledged state.
    pub(crate) fn commit(&self) -> Commit {
        self.commit
    }

    /// The present state and its known ancestors.
    pub(crate) fn lineage(&self) -> Lineage<'_> {
        Lineage { header: &self.header, before: &self.before, commit: &self.commit }
    }

    /// Number of copies that are up to date, and number of all copies.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.copies.count()
    }

    /// The standing of each copy.
    pub(crate) fn standings(&self) -> Vec<(PathBuf, Standing)> {
        self.copies.members().iter().map(|m| (m.copy().path().to_owned(), m.standing().clone())).collect()
    }

    /// Compares this keyring with a witness, which follows it from its first use on.
    ///
    /// # Errors
    /// If the witness contradicts the keyring, unless the administrator named another keyring on purpose.
    pub(crate) fn ask_witness(&mut self, file: WitnessFile, trust: Trust) -> Result<()> {
        let testimony = match file.check(self.copies.path_in_use(), &self.keys, &self.lineage()) {
            // The first change replaces the state of the other keyring in the witness.
            Err(Error::Refusal(Refusal::WitnessForeign { .. })) if trust == Trust::Administrator => {
                Witnessed::Foreign
            }
            testimony => testimony?,
        };
        self.witness = Some(FollowedWitness { file, testimony, follows: false });
        Ok(())
    }

    /// Compares the present state with a witness, which does not follow the keyring.
    ///
    /// # Errors
    /// As [`WitnessFile::check`].
    pub(crate) fn check_against(&self, witness: &WitnessFile) -> Result<Witnessed> {
        witness.check(self.path(), &self.keys, &self.lineage())
    }

    /// Writes the present state to a witness.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn accept_witness(&mut self, mut witness: WitnessFile, id: &Uuid) -> Result<()> {
        witness.renew(Witnessed::Same, &self.keys, id, &self.commit)
    }

    /// Makes the witness follow the keyring, which is now in use. A witness of another keyring does so only
    /// when this one is changed: a keyring that was only looked at must not replace the one that the data
    /// needs.
    pub(crate) fn follow_with_witness(&mut self, to_change: bool) {
        let Some(seen) = self.witness.as_mut().filter(|seen| !seen.follows) else { return };
        if seen.testimony == Witnessed::Foreign {
            seen.follows = to_change;
        } else {
            seen.follows = true;
            seen.file.follow(seen.testimony, &self.keys, &self.header.id, &self.commit);
            seen.testimony = Witnessed::Same;
        }
    }

    /// Records a change in the witness, if it follows the keyring.
    pub(super) fn update_witness(&mut self) {
        if let Some(seen) = self.witness.as_mut().filter(|seen| seen.follows) {
            seen.file.advance(&self.keys, &self.header.id, &self.commit);
        }
    }

    /// Whether the keyring may be newer than the witness, so that what was read may not be durable.
    pub(crate) fn is_ahead_of_witness(&self) -> bool {
        let behind = |seen: &FollowedWitness| seen.testimony != Witnessed::Same;
        self.copies.none_is_current() && self.witness.as_ref().is_some_and(behind)
    }

    /// The keys, and the others that copies may be sealed with.
    pub(crate) fn all_keys(&self) -> impl Iterator<Item = &DataKeys> {
        std::iter::once(&self.keys).chain(&self.other_keys)
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &DataKeys {
        &self.keys
    }

    /// Whether the present state is an ancestor of that of `newer`, according to somebody who has the present
    /// data key. A header under another data key, which may be an old one, is not believed.
    pub(crate) fn is_ancestor_of(&self, newer: &Writer) -> bool {
        newer.keys == self.keys
            && newer.commit.generation > self.commit.generation
            && newer.lineage().includes(&self.lineage().state())
    }

    /// Continues from the state of another writer of the same keyring. The witness follows.
    pub(crate) fn adopt(&mut self, newer: Writer) {
        let witness = self.witness.take();
        let audit = std::mem::take(&mut self.audit);
        let old = std::mem::replace(self, newer);
        // A copy that is away now may return in its old state, sealed with its old data key.
        self.copies.inherit(old.copies);
        self.remember_keys(old.other_keys.into_iter().chain([old.keys]));
        self.witness = witness;
        self.audit = audit;
        self.update_witness();
    }

    /// Copies the state of a writer of the same keyring that is in a later state. Touches no file. Copies
    /// that only this writer has are then behind.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn copy_from_predecessor(&mut self, old: &Writer) -> Result<()> {
        let told = |e: FormatError| e.at(self.copies.path(), "");
        let keys = old.keys.try_clone().map_err(told)?;
        let others =
            old.other_keys.iter().map(DataKeys::try_clone).collect::<std::result::Result<Vec<_>, _>>();
        let others = others.map_err(told)?;
        let was = self.lineage().state();
        self.copies.copy_from_predecessor(&old.copies, was);
        let mine = std::mem::replace(&mut self.keys, keys);
        self.remember_keys(others.into_iter().chain([mine]));
        self.header = old.header.clone();
        self.commit = old.commit;
        self.before.clone_from(&old.before);
        self.front = old.front.clone();
        self.tidy = old.tidy;
        self.attempted.clone_from(&old.attempted);
        Ok(())
    }

    /// The states that failed writes of this program may have left. Nobody relies on them.
    pub(crate) fn attempted(&self) -> &[StateId] {
        &self.attempted
    }

    /// How long to wait for the copies in the operation in progress.
    pub(crate) fn limits(&self) -> Limits {
        self.copies.limits(Reach::Enough)
    }

    /// Reports copies that another program changed, after the change could not be adopted.
    pub(crate) fn report_changed(&mut self) {
        self.copies.report_changed();
    }

    /// As [`Replicas::report_settings`].
    pub(crate) fn report_settings(&mut self) -> Option<String> {
        self.copies.report_settings()
    }

    /// Sets where reports about the copies go.
    pub(crate) fn log_to(&mut self, log: Log) {
        self.copies.log_to(log);
    }

    /// Learns other keys that copies may be sealed with. Returns whether any of them are new.
    pub(crate) fn learn_keys(&mut self, others: Vec<DataKeys>) -> bool {
        let known = self.other_keys.len();
        self.remember_keys(others);
        self.other_keys.len() > known
    }

    /// The other keys that its copies are sealed with.
    pub(crate) fn into_other_keys(self) -> Vec<DataKeys> {
        self.other_keys
    }

    pub(super) fn remember_keys(&mut self, others: impl IntoIterator<Item = DataKeys>) {
        for keys in others {
            if keys != self.keys && !self.other_keys.contains(&keys) {
                self.other_keys.push(keys);
            }
        }
    }

    /// Records that a copy matches memory. A copy that is current stays so.
    pub(super) fn mark_matching(&mut self, index: usize) {
        let current = self.copies.members().get(index).is_some_and(|m| *m.standing() == Standing::Current);
        if !current {
            self.copies.set_standing(index, Standing::Read);
        }
    }

    /// The header.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Opens and locks the copies, so that no other program changes them while they are read again.
    ///
    /// # Errors
    /// As [`Replicas::lock`].
    pub(crate) fn lock_copies(&mut self) -> Result<Vec<Result<LockedReplica>>> {
        self.copies.lock()
    }

    /// Makes the changes fail that other programs have begun on copies without locks, as far as that is possible.
    pub(crate) fn claim(&mut self, locked: &[Result<LockedReplica>]) {
        let claims = locked.iter().flatten().map(LockedReplica::claim);
        drop(side_by_side(claims, self.copies.limits(Reach::Enough)));
    }
}
