// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies of a keyring read side by side, and which of them counts.

use super::Keyring;
use super::copies::{Copies, Member, Standing};
use super::load::{Begun, Loaded, Outcome, begin};
use super::report::{Report, Severity};
use super::status::Counters;
use super::writer::{Start, Writer};
use crate::error::{Error, Result, in_memory};
use crate::format::crypto::Keys;
use crate::format::header::{self, Parent};
use crate::format::image::{Note, Opener, open_front};
use crate::format::records::Sealer;
use crate::format::slots::{UnlockSecret, Unlocking};
use crate::store::change::Changing;
use crate::store::copy::{CHANGE_WAIT, Copy, GRACE, Reading, SLOW_WAIT, side_by_side};
use crate::store::deadline::Limits;
use crate::store::fs::Fs;
use crate::unlock::UnlockSource;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Reports nothing.
pub(super) fn silent(_: Severity, _: &str) {}

/// Opens the copies of a keyring: the newest whole one counts.
///
/// # Errors
/// The first copy's error when none can be opened; [`Error::Fork`] and [`Error::DamagedNewest`] when it
/// cannot be told which counts.
pub fn load_all(
    fs: &Arc<dyn Fs>,
    paths: &[PathBuf],
    min_copies: usize,
    source_name: &str,
    read: impl FnOnce() -> Result<UnlockSecret>,
    report: Report,
) -> Result<(Keyring, Vec<Note>)> {
    let limits = Limits::within(CHANGE_WAIT + GRACE);
    load_known(fs, Read::all(fs, paths, min_copies, limits, &[]), source_name, &[], read, report)
}

/// As [`load_all`], for a tool that changes the keyring while a server may: what that changes meanwhile is gone on
/// from. The copies are locked while they are read, so that all are in one state.
///
/// # Errors
/// As [`load_all`]; [`Error::Locked`].
pub fn load_beside_others(
    fs: &Arc<dyn Fs>,
    paths: &[PathBuf],
    min_copies: usize,
    source_name: &str,
    read: impl FnOnce() -> Result<UnlockSecret>,
    report: Report,
) -> Result<Keyring> {
    let members =
        paths.iter().map(|path| Member::new(Copy::new(Arc::clone(fs), path), Standing::Behind, None));
    let locked = Copies::new(members.collect(), 1, silent).lock()?;
    let limits = Limits::within(CHANGE_WAIT + GRACE);
    let readings = read_locked(fs, paths, &locked, limits);
    let copies = Read { paths, readings, min_copies, limits, unacknowledged: &[] };
    let (mut keyring, _) = load_known(fs, copies, source_name, &[], read, report)?;
    drop(locked);
    let (fs, paths) = (Arc::clone(fs), paths.to_vec());
    let in_vain = Mutex::new(None);
    keyring.reopen = Some(Reopen { fs, paths, min_copies, unlock: None, report: silent, in_vain });
    Ok(keyring)
}

/// What copies that are locked hold, read through the descriptors that hold the locks: where locks are mandatory, no
/// other can read. Copies that could not be locked are tried without.
pub(super) fn read_locked(
    fs: &Arc<dyn Fs>,
    paths: &[PathBuf],
    locked: &[Result<Changing>],
    limits: Limits,
) -> Vec<Result<Reading>> {
    let copies: Vec<_> = paths.iter().map(|path| Copy::new(Arc::clone(fs), path)).collect();
    let all = copies.iter().zip(locked).map(|(copy, locked)| match locked {
        Ok(file) => (copy, file.read_again()),
        Err(_) => (copy, copy.read_work()),
    });
    side_by_side(all, limits)
}

/// Copies that were read as far as their fronts.
pub(super) struct Read<'a> {
    pub(super) paths: &'a [PathBuf],
    pub(super) readings: Vec<Result<Reading>>,
    pub(super) min_copies: usize,
    /// How long the copies are waited for.
    pub(super) limits: Limits,
    /// States that failed writes of this program may have left: none of them counts.
    pub(super) unacknowledged: &'a [Parent],
}

impl<'a> Read<'a> {
    /// Reads the copies at `paths`, side by side.
    pub(super) fn all(
        fs: &Arc<dyn Fs>,
        paths: &'a [PathBuf],
        min_copies: usize,
        limits: Limits,
        unacknowledged: &'a [Parent],
    ) -> Self {
        let copies: Vec<_> = paths.iter().map(|path| Copy::new(Arc::clone(fs), path)).collect();
        let all = copies.iter().map(|copy| (copy, copy.read_work()));
        let readings = side_by_side(all, limits);
        Self { paths, readings, min_copies, limits, unacknowledged }
    }

    /// Refuses one file under two names; warns of copies that one disk takes with it.
    fn check_apart(&self, report: Report) -> Result<()> {
        let read = |i: usize| self.readings.get(i).and_then(|r| r.as_ref().ok());
        for (i, path) in self.paths.iter().enumerate() {
            let others = self.paths.iter().enumerate().skip(i + 1);
            let both = others.filter_map(|(j, other)| Some((other, read(i)?, read(j)?)));
            for (other, this, that) in both {
                if this.id == that.id {
                    return Err(Error::OneFile { path: path.clone(), other: other.clone() });
                }
                if this.id.0 == that.id.0 {
                    report(
                        Severity::Warning,
                        &format!(
                            "the copies {} and {} are on one filesystem: when it fails, both are lost. Put one of \
                             them on another volume",
                            path.display(),
                            other.display()
                        ),
                    );
                }
            }
        }
        Ok(())
    }
}

/// As [`load_all`], of copies that were read; the secret is not needed for those that `known` keys open.
pub(super) fn load_known(
    fs: &Arc<dyn Fs>,
    read_copies: Read<'_>,
    source_name: &str,
    known: &[&Keys],
    read: impl FnOnce() -> Result<UnlockSecret>,
    report: Report,
) -> Result<(Keyring, Vec<Note>)> {
    read_copies.check_apart(report)?;
    let Read { paths, readings, min_copies, limits, unacknowledged } = read_copies;
    let copies: Vec<_> = paths.iter().map(|path| Copy::new(Arc::clone(fs), path)).collect();
    // The secret is asked for only when there is something to open.
    let readable = |reading: &Result<Reading>| {
        reading.as_ref().is_ok_and(|reading| header::read(&reading.front.0).is_ok())
    };
    if !readings.iter().any(readable) {
        let first = copies.iter().zip(readings).find_map(|(copy, reading)| match reading {
            Ok(reading) => {
                header::read(&reading.front.0).err().map(|e| Error::format(copy.path(), source_name, e))
            }
            Err(e) => Some(e),
        });
        return Err(first.unwrap_or(Error::Unavailable));
    }
    let mut read = Some(read);
    let mut secret = None;
    let mut begun: Vec<std::result::Result<Begun, Box<Outcome>>> = Vec::new();
    for (index, (copy, reading)) in copies.iter().zip(&readings).enumerate() {
        let reading = match reading {
            Ok(reading) => reading,
            Err(_) => {
                // What was wrong is put in its place below.
                begun.push(Err(Box::new(Outcome::Out(Error::Unavailable))));
                continue;
            }
        };
        // A copy that lags behind may have other slots, but the same data key.
        let opened = match keys_for(reading, &begun, known) {
            Some(keys) => begin(copy.path(), reading.clone(), Opener::Keys(keys), source_name),
            None => {
                if let Some(read) = read.take() {
                    secret = Some(Unlocking::new(read()?));
                }
                let secret = secret.as_ref().ok_or(Error::Unavailable)?;
                secret.share_with(copies.len() - index - 1);
                begin(copy.path(), reading.clone(), Opener::Secret(secret), source_name)
            }
        };
        begun.push(opened);
    }
    for (index, (copy, reading)) in copies.iter().zip(readings).enumerate() {
        let again = match (reading, begun.get(index)) {
            (Err(e), _) => Err(Box::new(Outcome::Out(e))),
            // A copy may have been given up before the keys were known, because its share of Argon2id was spent.
            (Ok(reading), Some(Err(_))) => match keys_for(&reading, &begun, known) {
                Some(keys) => begin(copy.path(), reading, Opener::Keys(keys), source_name),
                None => continue,
            },
            (Ok(_), _) => continue,
        };
        if let Some(place) = begun.get_mut(index) {
            *place = again;
        }
    }
    let outcomes = finish_all(&copies, begun, source_name, limits);
    match choose(&copies, &outcomes, unacknowledged)? {
        Some(best) => assemble(copies, outcomes, best, min_copies, report),
        None => Err(outcomes.into_iter().find_map(Outcome::into_error).unwrap_or(Error::Unavailable)),
    }
}

/// The keys, of those that opened another copy or are known, that open this one.
fn keys_for<'a>(
    reading: &Reading,
    begun: &'a [std::result::Result<Begun, Box<Outcome>>],
    known: &[&'a Keys],
) -> Option<&'a Keys> {
    let opened = begun.iter().filter_map(|b| b.as_ref().ok()).map(Begun::keys);
    let fits = |keys: &&Keys| open_front(&reading.front.0, Opener::Keys(keys)).is_ok();
    opened.chain(known.iter().copied()).find(fits)
}

/// Reads the records of all copies whose fronts were opened, side by side.
fn finish_all(
    copies: &[Copy],
    begun: Vec<std::result::Result<Begun, Box<Outcome>>>,
    source_name: &str,
    limits: Limits,
) -> Vec<Outcome> {
    let work = copies.iter().zip(&begun).filter_map(|(copy, b)| Some((copy, b.as_ref().ok()?.rest())));
    let mut rests = side_by_side(work, limits).into_iter();
    let finish = |(copy, begun): (&Copy, std::result::Result<Begun, Box<Outcome>>)| match begun {
        Ok(begun) => begun.finish(copy.path(), source_name, rests.next().unwrap_or(Err(Error::Unavailable))),
        Err(outcome) => *outcome,
    };
    copies.iter().zip(begun).map(finish).collect()
}

/// The index of the copy that counts; `None` when none is whole.
fn choose(copies: &[Copy], outcomes: &[Outcome], unacknowledged: &[Parent]) -> Result<Option<usize>> {
    let counts = |loaded: &&Loaded| !unacknowledged.contains(&loaded.lineage().state());
    let whole = || outcomes.iter().enumerate().filter_map(|(i, o)| Some((i, o.whole().filter(counts)?)));
    // The first path says which keyring is meant, while it can be read.
    let id = whole().next().map(|(_, l)| l.header.id);
    let ours = || whole().filter(|(_, l)| Some(l.header.id) == id);
    let path = |i: usize| copies.get(i).map_or(Path::new(""), Copy::path).to_owned();
    let Some(newest) = ours().map(|(_, l)| l.commit.generation).max() else {
        return Ok(None);
    };
    let mut best: Option<(usize, &Loaded)> = None;
    for (i, loaded) in ours().filter(|(_, l)| l.commit.generation == newest) {
        match best {
            Some((b, of)) if of.commit != loaded.commit => {
                return Err(Error::Fork { path: path(b), other: path(i), generation: newest });
            }
            Some(_) => {}
            None => best = Some((i, loaded)),
        }
    }
    for (i, outcome) in outcomes.iter().enumerate() {
        if let Outcome::Damaged { generation: Some(found), offset, what, id: of, .. } = outcome
            && Some(*of) == id
            && *found > newest
        {
            return Err(Error::DamagedNewest {
                path: path(i),
                offset: *offset,
                what,
                found: *found,
                best: newest,
            });
        }
    }
    Ok(best.map(|(i, _)| i))
}

/// Makes the keyring from the copy that counts, and judges the others by it.
fn assemble(
    copies: Vec<Copy>,
    mut outcomes: Vec<Outcome>,
    best: usize,
    min_copies: usize,
    report: Report,
) -> Result<(Keyring, Vec<Note>)> {
    if best >= outcomes.len() {
        return Err(Error::Unavailable);
    }
    let Outcome::Whole(best_loaded) = outcomes.remove(best) else { return Err(Error::Unavailable) };
    let best_loaded = *best_loaded;
    let keyring = copies.get(best).map_or(Path::new(""), Copy::path).to_owned();
    let mut members = Vec::new();
    let other_keys = outcomes
        .iter()
        .filter_map(Outcome::whole)
        .filter(|loaded| loaded.header.id == best_loaded.header.id && loaded.keys != best_loaded.keys)
        .map(Loaded::keys_again)
        .collect::<Result<_>>()?;
    let judged: Vec<_> = copies
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != best)
        .zip(outcomes)
        .map(|((_, copy), outcome)| outcome.stands_to(&best_loaded, &keyring, copy.path()))
        .collect();
    // A copy that is away was most likely up to date when the keyring was closed, unless its state is remembered.
    let away = judged.iter().filter(|(standing, _)| matches!(standing, Standing::Out(_))).count();
    let mut best_loaded = best_loaded;
    if away > best_loaded.header.left_behind.len() {
        let state = best_loaded.lineage().state();
        let header = &mut best_loaded.header;
        let left_behind = header.left_behind.iter().copied().chain([state]).collect();
        header.set_parents(header.parents.clone(), left_behind);
    }
    let mut judged = judged.into_iter();
    for (i, copy) in copies.into_iter().enumerate() {
        if i == best {
            members.push(Member::new(copy, Standing::Read, None));
            continue;
        }
        let (standing, state) = judged.next().ok_or(Error::Unavailable)?;
        let path = copy.path().display();
        if let Some(why) = standing.refusal() {
            report(Severity::Warning, &format!("the copy {path} is out of use: {why}"));
        } else if standing == Standing::Behind {
            let message = "lags behind or is damaged; the next change brings it up to date";
            report(Severity::Warning, &format!("the copy {path} {message}"));
        }
        members.push(Member::new(copy, standing, state));
    }
    let Loaded { keys, header, commit, front, memory, notes, before } = best_loaded;
    let start = Start { keys, other_keys, commit, front, before, header, tidy: notes.is_empty() };
    let id = start.header.id;
    let sealer = Sealer::new().map_err(in_memory)?;
    let writer = Writer::new(Copies::new(members, min_copies, report), start, sealer);
    let counters = Counters::default();
    counters.note_copies(commit.generation, writer.count(), None, writer.needs_care());
    let keyring = Keyring {
        memory: RwLock::new(memory),
        writer: Mutex::new(writer),
        read_only: AtomicBool::new(false),
        retired: AtomicBool::new(false),
        reopen: None,
        id,
        counters,
        losses: AtomicU64::new(0),
    };
    Ok((keyring, notes))
}

/// How a keyring in use is read again, when another program has changed it.
#[derive(Debug)]
pub struct Reopen {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) paths: Vec<PathBuf>,
    pub(super) min_copies: usize,
    /// `None`: only with the keys in use.
    pub(super) unlock: Option<UnlockSource>,
    pub(super) report: Report,
    /// When the unlock secret opened none of the copies that it was tried on.
    pub(super) in_vain: Mutex<Option<Instant>>,
}

/// How soon the unlock secret is tried again on copies that it did not open: a forged header could else have Argon2id
/// computed without end.
const LEARN_AGAIN: Duration = Duration::from_secs(30);

impl Reopen {
    /// Reads it with these keys, without copies in `unacknowledged` states; through the descriptors that hold the locks
    /// of the copies, where they are `locked`.
    pub(super) fn read(
        &self,
        keys: &[&Keys],
        locked: Option<&[Result<Changing>]>,
        unacknowledged: &[Parent],
        limits: Limits,
    ) -> Result<Keyring> {
        let (paths, min_copies) = (&self.paths[..], self.min_copies);
        let read = match locked {
            Some(locked) => {
                let readings = read_locked(&self.fs, paths, locked, limits);
                Read { paths, readings, min_copies, limits, unacknowledged }
            }
            None => Read::all(&self.fs, paths, min_copies, limits, unacknowledged),
        };
        // The secret is not read here: others wait for the keyring.
        let no_secret = || Err(Error::Unavailable);
        // What is wrong with a copy is told of the keyring in use, not of this reading of it.
        let (mut keyring, _) = load_known(&self.fs, read, "", keys, no_secret, silent)?;
        keyring.report_to(self.report);
        Ok(keyring)
    }

    /// The keys of copies of the keyring `id` that the `known` ones do not open, and the unlock secret does.
    pub(super) fn learn(&self, id: &Uuid, known: &[Keys]) -> Vec<Keys> {
        let mut in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        if in_vain.is_some_and(|at| at.elapsed() < LEARN_AGAIN) {
            return Vec::new();
        }
        let opens = |reading: &Reading, keys: &Keys| open_front(&reading.front.0, Opener::Keys(keys)).is_ok();
        let limits = Limits { enough: self.min_copies, slow: SLOW_WAIT, ..Limits::within(CHANGE_WAIT) };
        let readings = Read::all(&self.fs, &self.paths, self.min_copies, limits, &[]).readings;
        let mut sealed: Vec<Reading> = readings.into_iter().flatten().collect();
        sealed.retain(|reading| !known.iter().any(|keys| opens(reading, keys)));
        let secret = match self.unlock.as_ref().filter(|_| !sealed.is_empty()).map(UnlockSource::read) {
            Some(Ok(secret)) => Unlocking::new(secret),
            _ => return Vec::new(),
        };
        let mut learnt: Vec<Keys> = Vec::new();
        let count = sealed.len();
        for (index, reading) in sealed.iter().enumerate() {
            if learnt.iter().any(|keys| opens(reading, keys)) {
                continue;
            }
            secret.share_with(count - index - 1);
            let opened = open_front(&reading.front.0, Opener::Secret(&secret));
            learnt.extend(opened.ok().filter(|front| front.header.id == *id).and_then(|front| front.keys));
        }
        *in_vain = learnt.is_empty().then(Instant::now);
        learnt
    }
}
