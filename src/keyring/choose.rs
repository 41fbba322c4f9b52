// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides which copy of a keyring counts, and makes the parts of a keyring from it.

use super::loading::{Candidate, Loaded, OpenedFront, open_candidate};
use super::log::{Log, Severity};
use super::memory::Memory;
use super::readings::Readings;
use super::replicas::{Member, Replicas, Standing};
use super::writer::{Start, Writer};
use crate::error::{BadRequest, Error, Refusal, Result};
use crate::format::FormatError;
use crate::format::crypto::DataKeys;
use crate::format::header;
use crate::format::image::{Note, Opener, open_front};
use crate::format::records::Sealer;
use crate::format::state::StateId;
use crate::format::unlocking::Unlocking;
use crate::secret::UnlockSecret;
use crate::store::deadline::Limits;
use crate::store::places::Places;
use crate::store::reading::Reading;
use crate::store::replica::Replica;
use crate::store::tasks::side_by_side;
use std::path::Path;
use std::sync::Arc;

/// The parts of an open keyring.
#[derive(Debug)]
pub(crate) struct KeyringParts {
    /// The keys of the copy that counts.
    pub memory: Memory,
    /// The writer of all copies.
    pub writer: Writer,
    /// Oddities of the copy that counts.
    pub notes: Vec<Note>,
}

/// Opens copies whose fronts were read. The newest intact copy counts. The secret is read only if the `known`
/// keys do not open all of them.
///
/// # Errors
/// The error of the first copy if none can be opened; [`Refusal::Fork`] and [`Refusal::DamagedNewest`] if it
/// is not clear which one counts.
pub(crate) fn load_known(
    places: &Places,
    read_copies: Readings<'_>,
    source_name: &str,
    known: &[&DataKeys],
    read: impl FnOnce() -> Result<UnlockSecret>,
    log: Log,
) -> Result<KeyringParts> {
    read_copies.check_apart(log)?;
    let Readings { paths, readings, min_copies, limits, unacknowledged } = read_copies;
    let copies = places.replicas(paths)?;
    // Do not ask for the secret unless there is something to unlock.
    let readings = refuse_unreadable(&copies, readings, source_name)?;
    let fronts = open_fronts(&copies, readings, source_name, known, read)?;
    let candidates = finish_all(&copies, fronts, source_name, limits);
    match choose(&copies, &candidates, unacknowledged)? {
        Some(best) => assemble(copies, candidates, best, min_copies, log),
        None => Err(candidates
            .into_iter()
            .find_map(Candidate::into_error)
            .unwrap_or(Error::BadRequest(BadRequest::Unavailable))),
    }
}

/// A copy whose front is open, or what it is instead.
type FrontResult = std::result::Result<OpenedFront, Box<Candidate>>;

/// Returns the readings, unless none of them has a readable header.
///
/// # Errors
/// The error of the first copy.
fn refuse_unreadable(
    copies: &[Arc<dyn Replica>],
    readings: Vec<Result<Reading>>,
    source_name: &str,
) -> Result<Vec<Result<Reading>>> {
    let readable = |reading: &Result<Reading>| {
        reading.as_ref().is_ok_and(|reading| header::read(&reading.front.0).is_ok())
    };
    if readings.iter().any(readable) {
        return Ok(readings);
    }
    let first = copies.iter().zip(readings).find_map(|(copy, reading)| match reading {
        Ok(reading) => {
            header::read(&reading.front.0).err().map(|e: FormatError| e.at(copy.path(), source_name))
        }
        Err(e) => Some(e),
    });
    Err(first.unwrap_or(Error::BadRequest(BadRequest::Unavailable)))
}

/// Opens the fronts of all copies: with keys that are known or were found in another copy, or else with the secret.
///
/// # Errors
/// The secret cannot be read.
fn open_fronts(
    copies: &[Arc<dyn Replica>],
    readings: Vec<Result<Reading>>,
    source_name: &str,
    known: &[&DataKeys],
    read: impl FnOnce() -> Result<UnlockSecret>,
) -> Result<Vec<FrontResult>> {
    let mut read = Some(read);
    let mut secret = None;
    let mut fronts: Vec<FrontResult> = Vec::new();
    for (index, (copy, reading)) in copies.iter().zip(&readings).enumerate() {
        let reading = match reading {
            Ok(reading) => reading,
            Err(_) => {
                // The error is filled in below.
                fronts.push(Err(Box::new(Candidate::Out(Error::BadRequest(BadRequest::Unavailable)))));
                continue;
            }
        };
        // A copy that is behind may have other slots, but the same data key.
        let opened = match keys_for(reading, &fronts, known) {
            Some(keys) => open_candidate(copy.path(), reading.clone(), Opener::Keys(keys), source_name),
            None => {
                if let Some(read) = read.take() {
                    secret = Some(Unlocking::new(read()?));
                }
                let secret = secret.as_ref().ok_or(Error::BadRequest(BadRequest::Unavailable))?;
                secret.leave_budget_for(copies.len() - index - 1);
                open_candidate(copy.path(), reading.clone(), Opener::Secret(secret), source_name)
            }
        };
        fronts.push(opened);
    }
    for (index, (copy, reading)) in copies.iter().zip(readings).enumerate() {
        let again = match (reading, fronts.get(index)) {
            (Err(e), _) => Err(Box::new(Candidate::Out(e))),
            // This copy may have been given up before the keys were known, because its share of Argon2id was
            // spent.
            (Ok(reading), Some(Err(_))) => match keys_for(&reading, &fronts, known) {
                Some(keys) => open_candidate(copy.path(), reading, Opener::Keys(keys), source_name),
                None => continue,
            },
            (Ok(_), _) => continue,
        };
        if let Some(place) = fronts.get_mut(index) {
            *place = again;
        }
    }
    Ok(fronts)
}

/// Finds keys that open this copy, among the known ones and those that opened other copies.
fn keys_for<'a>(
    reading: &Reading,
    fronts: &'a [FrontResult],
    known: &[&'a DataKeys],
) -> Option<&'a DataKeys> {
    let opened = fronts.iter().filter_map(|b| b.as_ref().ok()).map(OpenedFront::keys);
    let fits = |keys: &&DataKeys| open_front(&reading.front.0, Opener::Keys(keys)).is_ok();
    opened.chain(known.iter().copied()).find(fits)
}

/// Reads the records of all copies whose fronts are open, side by side.
fn finish_all(
    copies: &[Arc<dyn Replica>],
    fronts: Vec<FrontResult>,
    source_name: &str,
    limits: Limits,
) -> Vec<Candidate> {
    let tasks = fronts.iter().filter_map(|front| Some(front.as_ref().ok()?.rest()));
    let mut rests = side_by_side(tasks, limits).into_iter();
    let mut next_rest = || rests.next().unwrap_or(Err(Error::BadRequest(BadRequest::Unavailable)));
    let finish = |(copy, front): (&Arc<dyn Replica>, FrontResult)| match front {
        Ok(front) => front.finish(copy.path(), source_name, next_rest()),
        Err(candidate) => *candidate,
    };
    copies.iter().zip(fronts).map(finish).collect()
}

/// Returns the index of the copy that counts, or `None` if none is intact.
fn choose(
    copies: &[Arc<dyn Replica>],
    candidates: &[Candidate],
    unacknowledged: &[StateId],
) -> Result<Option<usize>> {
    let counts = |loaded: &&Loaded| !unacknowledged.contains(&loaded.lineage().state());
    let intact = || candidates.iter().enumerate().filter_map(|(i, o)| Some((i, o.intact().filter(counts)?)));
    // The first intact copy decides which keyring this is.
    let id = intact().next().map(|(_, l)| l.header.id);
    let ours = || intact().filter(|(_, l)| Some(l.header.id) == id);
    let path = |i: usize| copies.get(i).map_or(Path::new(""), |copy| copy.path()).to_owned();
    let is_damaged = |loaded: &Loaded| loaded.notes.iter().any(Note::is_damage);
    let Some(newest) = ours().map(|(_, l)| l.commit.generation).max() else {
        return Ok(None);
    };
    let mut best: Option<(usize, &Loaded)> = None;
    for (i, loaded) in ours().filter(|(_, l)| l.commit.generation == newest) {
        match best {
            Some((b, of)) if of.commit != loaded.commit => {
                return Err(Refusal::Fork { path: path(b), other: path(i), generation: newest }.into());
            }
            // Of two in the same state, one without damage counts.
            Some((_, of)) if is_damaged(of) && !is_damaged(loaded) => best = Some((i, loaded)),
            Some(_) => {}
            None => best = Some((i, loaded)),
        }
    }
    for (i, candidate) in candidates.iter().enumerate() {
        if let Candidate::Damaged { generation: Some(found), offset, what, id: of, .. } = candidate
            && Some(*of) == id
            && *found > newest
        {
            return Err(Refusal::DamagedNewest {
                path: path(i),
                offset: *offset,
                what,
                found: *found,
                best: newest,
            }
            .into());
        }
    }
    Ok(best.map(|(i, _)| i))
}

/// Makes the parts of the keyring from the copy that counts, and judges the others by it.
fn assemble(
    copies: Vec<Arc<dyn Replica>>,
    mut candidates: Vec<Candidate>,
    best: usize,
    min_copies: usize,
    log: Log,
) -> Result<KeyringParts> {
    if best >= candidates.len() {
        return Err(BadRequest::Unavailable.into());
    }
    let Candidate::Intact(best_loaded) = candidates.remove(best) else {
        return Err(BadRequest::Unavailable.into());
    };
    let best_loaded = *best_loaded;
    let keyring = copies.get(best).map_or(Path::new(""), |copy| copy.path()).to_owned();
    let mut members = Vec::new();
    let other_keys = candidates
        .iter()
        .filter_map(Candidate::intact)
        .filter(|loaded| loaded.header.id == best_loaded.header.id && loaded.keys != best_loaded.keys)
        .map(Loaded::clone_keys)
        .collect::<Result<_>>()?;
    let judged: Vec<_> = copies
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != best)
        .zip(candidates)
        .map(|((_, copy), candidate)| candidate.standing_against(&best_loaded, &keyring, copy.path()))
        .collect();
    // A copy that is out now was most likely up to date when the keyring was last used, unless the header
    // lists its state.
    let away = judged.iter().filter(|(standing, _)| matches!(standing, Standing::Out(_))).count();
    let mut best_loaded = best_loaded;
    if away > best_loaded.header.left_behind.len() {
        let state = best_loaded.lineage().state();
        let header = &mut best_loaded.header;
        let left_behind = header.left_behind.iter().copied().chain([state]).collect();
        header.set_ancestors(header.ancestors.clone(), left_behind);
    }
    let mut judged = judged.into_iter();
    for (i, copy) in copies.into_iter().enumerate() {
        if i == best {
            members.push(Member::new(copy, Standing::Read, None));
            continue;
        }
        let (standing, state) = judged.next().ok_or(Error::BadRequest(BadRequest::Unavailable))?;
        let path = copy.path().display();
        if let Some(why) = standing.refusal() {
            log(Severity::Warning, &format!("the copy {path} is out of use: {why}"));
        } else if standing == Standing::Behind {
            let message = "is behind or damaged; the next change brings it up to date";
            log(Severity::Warning, &format!("the copy {path} {message}"));
        }
        members.push(Member::new(copy, standing, state));
    }
    let Loaded { keys, header, commit, front, memory, notes, before } = best_loaded;
    let start = Start { keys, other_keys, commit, front, before, header, tidy: notes.is_empty() };
    let sealer = Sealer::new().map_err(FormatError::in_memory)?;
    let writer = Writer::new(Replicas::new(members, min_copies, log), start, sealer);
    Ok(KeyringParts { memory, writer, notes })
}
