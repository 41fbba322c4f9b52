// SPDX-License-Identifier: GPL-2.0-or-later
//! The witness of an open keyring: what it allows at a start, and how it follows the keyring.

use super::lineage::Lineage;
use super::log::{Log, Severity};
use crate::error::{Error, Refusal, Result};
use crate::format::commit::Commit;
use crate::format::crypto::DataKeys;
use crate::format::witness::{WITNESS_LEN, Witness};
use crate::store::file::fs::Fs;
use crate::store::witness::WitnessPlace;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// The witness in a data directory.
#[derive(Debug)]
pub(crate) struct WitnessFile {
    place: WitnessPlace,
    log: Log,
    /// Whether a failure to write it was already reported.
    failing: bool,
}

/// What a witness says about a keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Witnessed {
    /// There is no witness.
    None,
    /// The file is not a witness, or this keyring did not write it.
    Unreliable,
    /// It belongs to another keyring, but the administrator named this one on purpose.
    Foreign,
    /// The keyring is newer than the state that the witness records.
    KeyringAhead,
    /// The witness records the present state.
    Same,
}

/// Returns what the witness in a data directory claims, unauthenticated, or `None` if there is none or it
/// cannot be read as one.
///
/// # Errors
/// I/O errors.
pub fn witness_claims(fs: &Arc<dyn Fs>, datadir: &Path) -> Result<Option<Witness>> {
    let witness = WitnessFile::new(fs, datadir, |_, _| {});
    Ok(witness.bytes()?.as_deref().and_then(Witness::claims))
}

/// Compares a file that claims to be in a certain state of a keyring with the witness in a data directory.
/// Nothing of either is authenticated.
///
/// # Errors
/// [`Refusal::WitnessForeign`], [`Refusal::WitnessOlder`], [`Refusal::WitnessFork`]; I/O errors.
pub fn check_claims_by_witness(
    fs: &Arc<dyn Fs>,
    datadir: &Path,
    path: &Path,
    id: &Uuid,
    commit: &Commit,
) -> Result<Witnessed> {
    WitnessFile::new(fs, datadir, |_, _| {}).check_claims(path, id, commit)
}

impl WitnessFile {
    /// The witness in this data directory.
    pub(crate) fn new(fs: &Arc<dyn Fs>, datadir: &Path, log: Log) -> Self {
        Self { place: WitnessPlace::new(Arc::clone(fs), datadir), log, failing: false }
    }

    /// Whether a witness exists, or may exist.
    pub(crate) fn is_there(&self) -> bool {
        !matches!(self.bytes(), Ok(None))
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>> {
        self.place.read(WITNESS_LEN).map_err(|e| Error::io("read", self.place.path(), e))
    }

    /// Compares a keyring that was opened from `path` with the witness.
    ///
    /// # Errors
    /// [`Refusal::WitnessForeign`], [`Refusal::WitnessOlder`], [`Refusal::WitnessFork`].
    pub(crate) fn check(&self, path: &Path, keys: &DataKeys, lineage: &Lineage<'_>) -> Result<Witnessed> {
        let Some(bytes) = self.bytes()? else { return Ok(Witnessed::None) };
        let Some(seen) = Witness::claims(&bytes) else { return Ok(Witnessed::Unreliable) };
        // An older keyring may have the data key from before a renewal and cannot authenticate this witness.
        // To refuse it, the claim is enough.
        self.compare(path, &seen, &lineage.header.id, lineage.commit)?;
        let fits = || match seen.generation == lineage.commit.generation {
            true => Witnessed::Same,
            false => Witnessed::KeyringAhead,
        };
        match lineage.had_chain(seen.generation, &seen.chain) {
            // The keyring was in that state, no matter which program wrote the witness.
            Some(true) => Ok(fits()),
            // A keyring that diverged and had its data key renewed cannot authenticate the witness either.
            Some(false) => Err(self.fork(path, &seen)),
            None => {
                let authentic = Witness::is_authentic(&bytes, keys);
                Ok(if authentic { fits() } else { Witnessed::Unreliable })
            }
        }
    }

    /// Compares the claims of the witness with those of a file.
    fn check_claims(&self, path: &Path, id: &Uuid, commit: &Commit) -> Result<Witnessed> {
        let Some(bytes) = self.bytes()? else { return Ok(Witnessed::None) };
        let Some(seen) = Witness::claims(&bytes) else { return Ok(Witnessed::Unreliable) };
        self.compare(path, &seen, id, commit)?;
        match (seen.generation == commit.generation, seen.chain == commit.chain) {
            (true, true) => Ok(Witnessed::Same),
            (true, false) => Err(self.fork(path, &seen)),
            (false, _) => Ok(Witnessed::KeyringAhead),
        }
    }

    /// Refuses another keyring and an older state.
    fn compare(&self, path: &Path, seen: &Witness, id: &Uuid, commit: &Commit) -> Result<()> {
        let (path, witness) = (path.to_owned(), self.place.path().to_owned());
        if seen.id != *id {
            return Err(Refusal::WitnessForeign { path, found: *id, expected: seen.id, witness }.into());
        }
        if seen.generation > commit.generation {
            let (found, expected) = (commit.generation, seen.generation);
            return Err(Refusal::WitnessOlder { path, id: *id, found, expected, witness }.into());
        }
        Ok(())
    }

    fn fork(&self, path: &Path, seen: &Witness) -> Error {
        let witness = self.place.path().to_owned();
        Error::Refusal(Refusal::WitnessFork { path: path.to_owned(), generation: seen.generation, witness })
    }

    /// Writes a state to the witness durably. Reports if there was no witness, or an unreliable one.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn renew(
        &mut self,
        testimony: Witnessed,
        keys: &DataKeys,
        id: &Uuid,
        commit: &Commit,
    ) -> Result<()> {
        let path = self.place.path().display();
        match testimony {
            Witnessed::Same | Witnessed::KeyringAhead | Witnessed::Foreign => {}
            Witnessed::None => (self.log)(
                Severity::Note,
                &format!(
                    "there was no witness, so {path} was created. From now on, an older or different keyring is refused"
                ),
            ),
            Witnessed::Unreliable => (self.log)(
                Severity::Warning,
                &format!(
                    "the witness {path} was not written by this keyring (damaged, forged, or from before its data \
                     key was renewed) and was replaced: whether the keyring is the newest cannot be told"
                ),
            ),
        }
        self.write(keys, id, commit, true)
    }

    fn write(&self, keys: &DataKeys, id: &Uuid, commit: &Commit, durable: bool) -> Result<()> {
        let bytes = Witness::new(*id, commit).encode(keys);
        self.place.write(&bytes, durable).map_err(|e| Error::io("write", self.place.path(), e))
    }

    /// Starts to follow a keyring that is used now. A failure is reported once; the keyring does not depend
    /// on it.
    pub(crate) fn follow(&mut self, testimony: Witnessed, keys: &DataKeys, id: &Uuid, commit: &Commit) {
        if testimony != Witnessed::Same {
            let done = self.renew(testimony, keys, id, commit);
            self.note(done);
        }
    }

    /// Records a new state. A failure is reported once; the keyring does not depend on it.
    pub(crate) fn advance(&mut self, keys: &DataKeys, id: &Uuid, commit: &Commit) {
        let done = self.write(keys, id, commit, false);
        self.note(done);
    }

    fn note(&mut self, done: Result<()>) {
        match done {
            Ok(()) => self.failing = false,
            Err(e) if !self.failing => {
                self.failing = true;
                (self.log)(Severity::Warning, &format!("cannot update the witness: {e}"));
            }
            Err(_) => {}
        }
    }
}
