// SPDX-License-Identifier: GPL-2.0-or-later
//! Merges copies of one keyring that have diverged: combines the keys of both, unless a name stands for two
//! different keys. An interruption at any time loses nothing, because both files are saved first, and each of
//! them is an ancestor of the merged state.

use super::log::Log;
use super::relation::Relation;
use super::shared::Keyring;
use crate::error::{BadRequest, Error, Result};
use crate::format::records::KeyRecord;
use crate::key::{KeyName, KeyType, NameRef};
use crate::store::file::fs::{Access, Fs};
use crate::store::file::vacancy::create_file;
use crate::store::file::volume::{directory_of, temporary_of};
use crate::store::places::{Places, is_remote};
use crate::store::reading::FRONT_LEN;
use crate::store::replica::Replica;
use crate::store::tasks::CHANGE_WAIT;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use subtle::ConstantTimeEq;

/// What is shown of a key. Its bytes are not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFacts {
    /// The type.
    pub key_type: KeyType,
    /// Length in bytes.
    pub len: usize,
    /// When it was stored, in seconds since 1970.
    pub created: u64,
}

/// A key that only one of two copies has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsharedKey {
    /// The name.
    pub name: KeyName,
    /// What it is.
    pub about: KeyFacts,
    /// Whether it was probably removed from the other copy: it is older than a key that both copies have.
    pub was_removed: bool,
}

/// A name that stands for different keys in two copies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The name.
    pub name: KeyName,
    /// The key of the first copy.
    pub here: KeyFacts,
    /// The key of the second copy.
    pub there: KeyFacts,
}

/// The differences between the keys of two copies. All lists are ordered by user and id.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KeyComparison {
    /// Keys that only the first copy has.
    pub only_here: Vec<UnsharedKey>,
    /// Keys that only the second copy has.
    pub only_there: Vec<UnsharedKey>,
    /// Names that stand for different keys.
    pub conflicts: Vec<Conflict>,
    /// Number of keys that both have.
    pub alike: usize,
}

/// Which of two keys with the same name to keep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// The key of the first copy.
    Here,
    /// The key of the second copy.
    There,
}

impl Keyring {
    /// Compares the keys of this copy with those of another one.
    pub fn compare(&self, other: &Keyring) -> KeyComparison {
        let mut merge = KeyComparison::default();
        let mut newest_in_both = 0;
        for name in self.names() {
            let Some((ours, theirs, same)) = self.both(other, &name.as_ref()) else { continue };
            match theirs {
                None => merge.only_here.push(UnsharedKey { name, about: ours, was_removed: false }),
                Some(theirs) if same => {
                    merge.alike += 1;
                    newest_in_both = newest_in_both.max(ours.created.min(theirs.created));
                }
                Some(there) => merge.conflicts.push(Conflict { name, here: ours, there }),
            }
        }
        for name in other.names() {
            if let Some((about, None, _)) = other.both(self, &name.as_ref()) {
                merge.only_there.push(UnsharedKey { name, about, was_removed: false });
            }
        }
        for only in merge.only_here.iter_mut().chain(&mut merge.only_there) {
            only.was_removed = only.about.created < newest_in_both;
        }
        merge
    }

    /// Describes a key of this copy and the one of the same name in the other, and tells whether they are the
    /// same. `None` if this copy does not have it.
    fn both(&self, other: &Keyring, name: &NameRef<'_>) -> Option<(KeyFacts, Option<KeyFacts>, bool)> {
        let (ours, theirs) = (self.read_memory(), other.read_memory());
        let about = |key: &KeyRecord<'_>| KeyFacts {
            key_type: key.key_type.clone(),
            len: key.data.len(),
            created: key.created,
        };
        let ours = ours.get(name)?;
        let theirs = theirs.get(name);
        let same = theirs
            .as_ref()
            .is_some_and(|t| t.key_type == ours.key_type && bool::from(t.data.ct_eq(ours.data)));
        Some((about(&ours), theirs.as_ref().map(about), same))
    }
}

/// Copies that have diverged and can be merged.
#[derive(Debug)]
pub struct Merging {
    places: Places,
    here: Keyring,
    there: Keyring,
    /// Copies in the state of one of the two, or in an ancestor of it.
    others: Vec<Keyring>,
    merge: KeyComparison,
}

/// The result of a merge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MergeResult {
    /// Generation of the merged keyring.
    pub generation: u64,
    /// Number of its keys.
    pub keys: usize,
    /// Where the two copies were saved.
    pub kept: Vec<PathBuf>,
}

impl Merging {
    /// Reads the copies at `paths`, each by itself with `open`. The slots and the data key of the first one
    /// are kept. Returns `None` if no two have diverged.
    ///
    /// # Errors
    /// Errors of `open`; copies of several keyrings; a first copy that is an ancestor of another one; more
    /// than two that have diverged.
    pub fn read(
        places: &Places,
        paths: &[PathBuf],
        mut open: impl FnMut(&Path) -> Result<Keyring>,
    ) -> Result<Option<Merging>> {
        let mut copies = paths.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        let mut ends: Vec<usize> = Vec::new();
        for (i, copy) in copies.iter().enumerate() {
            let mut is_end = true;
            for (j, other) in copies.iter().enumerate().filter(|(j, _)| *j != i) {
                match copy.relation_to(other) {
                    Relation::OtherKeyring => return Err(two_keyrings(copy, other)),
                    Relation::Ancestor => is_end = false,
                    Relation::Same if j < i => is_end = false,
                    Relation::Same | Relation::Descendant | Relation::Diverged | Relation::Unknown => {}
                }
            }
            ends.extend(is_end.then_some(i));
        }
        let shown = |i: &usize| copies.get(*i).map(|k| k.path().display().to_string()).unwrap_or_default();
        match ends[..] {
            [] | [_] => return Ok(None),
            [0, _] => {}
            [first, _] => {
                return Err(BadRequest::Config(format!(
                    "{} is behind a copy that was named after it: name {} first, because its slots are kept",
                    shown(&0),
                    shown(&first)
                ))
                .into());
            }
            _ => {
                let all: Vec<_> = ends.iter().map(shown).collect();
                return Err(BadRequest::Config(format!(
                    "more than two copies have diverged ({}): merge two of them first, then the result with the next one",
                    all.join(", ")
                )).into());
            }
        }
        let there = copies.remove(ends.get(1).copied().unwrap_or(1));
        let here = copies.remove(0);
        let merge = here.compare(&there);
        Ok(Some(Merging { places: places.clone(), here, there, others: copies, merge }))
    }

    /// The copy whose slots and data key are kept.
    pub fn here(&self) -> &Keyring {
        &self.here
    }

    /// The copy that diverged from it.
    pub fn there(&self) -> &Keyring {
        &self.there
    }

    /// The differences between their keys.
    pub fn merge(&self) -> &KeyComparison {
        &self.merge
    }

    /// Writes the keys of both to all copies. If two keys have the same name, `take` decides which one to
    /// keep. Before that, saves both files beside the copies, as `PATH.before-merge-GENERATION`.
    ///
    /// # Errors
    /// [`BadRequest::Config`] if `take` returns `None`; [`BadRequest::AlreadyThere`] if another file has one
    /// of those names; as [`Keyring::store`]. Each copy is then in the state before or after the merge.
    pub fn write(self, log: Log, take: impl Fn(&KeyName) -> Option<Take>) -> Result<MergeResult> {
        let Merging { places, here, there, others, merge } = self;
        let mut from_there: Vec<KeyName> = merge.only_there.iter().map(|only| only.name.clone()).collect();
        for conflict in &merge.conflicts {
            let undecided = || {
                Error::BadRequest(BadRequest::Config(format!(
                    "it was not decided which of the two keys {} is kept",
                    conflict.name
                )))
            };
            if take(&conflict.name).ok_or_else(undecided)? == Take::There {
                from_there.push(conflict.name.clone());
            }
        }
        from_there.sort_unstable();
        let is_from_there =
            |name: &NameRef<'_>| from_there.binary_search_by(|taken| taken.as_ref().cmp(name)).is_ok();
        let generations = [&here, &there].map(|k| (k.path(), k.lock_writer().commit().generation));
        let [mut writer, other] =
            [here.writer, there.writer].map(|w| w.into_inner().unwrap_or_else(PoisonError::into_inner));
        let [ours, theirs] =
            [here.memory, there.memory].map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner));
        let others =
            others.into_iter().map(|k| k.writer.into_inner().unwrap_or_else(PoisonError::into_inner));
        let others = [other].into_iter().chain(others).collect();
        let records = || {
            // A mark that one of them has stays. Of two dates, the later one counts, so that nobody waits too short.
            let theirs = &theirs;
            let ours = ours.records().filter(|key| !is_from_there(&key.name));
            let ours = ours.map(move |key| match theirs.get(&key.name).filter(|_| theirs.has(&key)) {
                Some(other) => KeyRecord { retired: key.retired.max(other.retired), ..key },
                None => key,
            });
            ours.chain(theirs.records().filter(|key| is_from_there(&key.name)))
        };
        let mut kept = Vec::new();
        let keep = |path: &Path, bytes: &[u8]| {
            let generation = generations.iter().find(|(of, _)| of == path).map_or(0, |(_, g)| *g);
            kept.push(keep_beside(&places, path, generation, bytes)?);
            Ok(())
        };
        let keys = records().count();
        writer.merge(&ours, others, log, keep, records())?;
        Ok(MergeResult { generation: writer.commit().generation, keys, kept })
    }
}

fn two_keyrings(one: &Keyring, other: &Keyring) -> Error {
    Error::BadRequest(BadRequest::Config(format!(
        "{} and {} are two keyrings, not copies of one: nothing was changed",
        one.path().display(),
        other.path().display()
    )))
}

/// All bytes of a copy.
fn bytes_of(copy: &Arc<dyn Replica>) -> Result<Vec<u8>> {
    let reading = copy.open_to_read()?;
    let rest = reading.rest(reading.len.saturating_sub(FRONT_LEN as u64), CHANGE_WAIT)?;
    Ok([&reading.front.0[..], &rest].concat())
}

/// Saves the bytes of a copy beside it, durably: in a private file, or at the same remote. If an earlier attempt saved the same
/// bytes, that file is used.
fn keep_beside(places: &Places, path: &Path, generation: u64, bytes: &[u8]) -> Result<PathBuf> {
    let mut place = path.as_os_str().to_owned();
    place.push(format!(".before-merge-{generation}"));
    let place = PathBuf::from(place);
    if is_remote(&place) {
        let copy = places.replica(&place)?;
        return match copy.find_vacant().and_then(|vacancy| vacancy.create(bytes)) {
            Err(Error::BadRequest(BadRequest::AlreadyThere { path }))
                if path == place && bytes_of(&copy)? == bytes =>
            {
                Ok(place)
            }
            made => made.map(|_| place),
        };
    }
    let fs = places.fs();
    // A leftover of an interrupted attempt. Only a program that holds the lock of the copy creates this file,
    // and this program holds it.
    match fs.unlink(&temporary_of(&place)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &temporary_of(&place), e));
        }
        _ => {}
    }
    match create_file(fs, &place, None, bytes) {
        Err(Error::BadRequest(BadRequest::AlreadyThere { path }))
            if path == place && is_kept(fs.as_ref(), &place, bytes)? =>
        {
            Ok(place)
        }
        made => made.map(|_| place),
    }
}

/// Whether a file holds exactly these bytes. If it does, makes it durable.
fn is_kept(fs: &dyn Fs, place: &Path, bytes: &[u8]) -> Result<bool> {
    let look = || {
        let file = fs.open(place, Access::Read)?;
        // Read one more byte, to notice a longer file.
        let mut found = vec![0; bytes.len() + 1];
        let len = file.read_at(&mut found, 0)?;
        if found.get(..len) != Some(bytes) {
            return Ok(false);
        }
        file.sync()?;
        fs.sync_dir(directory_of(place))?;
        Ok(true)
    };
    look().map_err(|e| Error::io("keep", place, e))
}
