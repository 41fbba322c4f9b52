// SPDX-License-Identifier: GPL-2.0-or-later
//! Opens a keyring from its paths, or returns the one message that says why not (invariants 4 and 5).

use super::choose::load_known;
use super::log::{Log, silent};
use super::new::NewKeyring;
use super::readings::{Readings, read_locked};
use super::reopen::Reopen;
use super::replicas::{Member, Replicas, Standing};
use super::shared::Keyring;
use super::trust::Trust;
use super::witness::WitnessFile;
use crate::config::{Config, MAX_COPIES, MAX_WAIT, check_path};
use crate::error::{BadRequest, Error, Result};
use crate::format::cost::Cost;
use crate::format::image::Note;
use crate::secret::UnlockSecret;
use crate::store::deadline::{GRACE, Limits, Place};
use crate::store::places::Places;
use crate::store::replica::Replica;
use crate::store::tasks::{CHANGE_WAIT, PROBE_WAIT, side_by_side};
use crate::unlock::UnlockSource;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Interval between looks for a late volume.
const WAIT_STEP: Duration = Duration::from_millis(200);

impl Keyring {
    /// Opens the keyring that a server is configured for, with all rules for its volumes. Writes nothing:
    /// [`Keyring::bring_up_to_date`] does that.
    ///
    /// # Errors
    /// Each broken rule and each fault of the files has an error of its own. Nothing was changed on disk.
    pub fn open(places: &Places, config: &Config, trust: Trust, log: Log) -> Result<(Keyring, Vec<Note>)> {
        let paths = check_copies(&config.path, &config.mirrors, config.min_copies)?;
        let copies = places.replicas(&paths)?;
        wait_for(&copies, config.wait);
        let there: Vec<_> = copies.iter().filter(|c| c.may_be_there()).collect();
        // No keyring is created where an interrupted write left a file, because that may be the keyring, nor
        // if the data directory has a witness, because it had a keyring.
        let has_witness =
            || config.datadir.as_ref().is_some_and(|d| WitnessFile::new(places.fs(), d, log).is_there());
        let is_new = config.auto_create
            && there.is_empty()
            && !copies.iter().any(|copy| copy.may_have_leftover())
            && !has_witness();
        if let ([only], [], false) = (&copies[..], &there[..], is_new) {
            return Err(only.why_missing());
        }
        let datadir = config.datadir.as_deref().filter(|_| !config.allow_same_device);
        if is_new {
            let vacant = copies.iter().map(|copy| copy.find_vacant()).collect::<Result<Vec<_>>>()?;
            copies.iter().try_for_each(|copy| copy.check_its_place(true, datadir))?;
            let (secret, name) = (config.unlock.read()?, config.unlock.to_string());
            NewKeyring::new("", &secret, &name, Cost::RECOMMENDED)?.write_to(&vacant)?;
        } else {
            check_places(&there, datadir)?;
        }
        let (mut keyring, notes) = load_all(
            places,
            &paths,
            config.min_copies as usize,
            &config.unlock.to_string(),
            || config.unlock.read(),
            log,
        )?;
        keyring.set_read_only(config.read_only);
        let (again, unlock) = (places.clone(), config.unlock.clone());
        let min_copies = config.min_copies as usize;
        let (unlock, in_vain) = (Some(unlock), Mutex::new(None));
        keyring.reopen = Some(Reopen { places: again, paths, min_copies, unlock, log, in_vain });
        if let Some(datadir) = &config.datadir {
            keyring.ask_witness(WitnessFile::new(places.fs(), datadir, log), trust)?;
        }
        Ok((keyring, notes))
    }
}

/// Returns the configured paths, that of the first copy first.
///
/// # Errors
/// A path is relative or named twice, or the numbers do not fit.
pub fn check_copies(path: &Path, mirrors: &[PathBuf], min_copies: u32) -> Result<Vec<PathBuf>> {
    let mut paths = vec![path.to_owned()];
    for mirror in mirrors {
        check_path(mirror, &format!("the mirror {}", mirror.display()))?;
        if paths.contains(mirror) {
            return Err(BadRequest::Config(format!(
                "{} is named twice: each copy needs its own path",
                mirror.display()
            ))
            .into());
        }
        paths.push(mirror.clone());
    }
    let (n, most) = (paths.len() as u32, MAX_COPIES);
    if n > most {
        return Err(BadRequest::Config(format!(
            "{n} copies are configured, but at most {most} are supported"
        ))
        .into());
    }
    if min_copies == 0 || min_copies > n {
        return Err(BadRequest::Config(format!(
            "min_copies is {min_copies}, but {n} copies are configured: it must be between 1 and {n}"
        ))
        .into());
    }
    Ok(paths)
}

/// Checks the paths of copies. If one cannot be looked at, the others can still be used, and that copy is
/// out.
fn check_places(copies: &[&Arc<dyn Replica>], datadir: Option<&Path>) -> Result<()> {
    let (mut seen, mut unseen) = (0, None);
    for copy in copies {
        match copy.check_its_place(false, datadir) {
            Ok(()) => seen += 1,
            Err(e) if e.is_away() => {
                unseen.get_or_insert(e);
            }
            Err(e) => return Err(e),
        }
    }
    unseen.filter(|_| seen == 0).map_or(Ok(()), Err)
}

/// Waits until all copies are there, for at most this many seconds.
fn wait_for(copies: &[Arc<dyn Replica>], seconds: u32) {
    let until = Instant::now() + Duration::from_secs(u64::from(seconds.min(MAX_WAIT)));
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let looks = copies.iter().map(|copy| copy.presence_task());
        let there = side_by_side(looks, Limits::within(left.min(PROBE_WAIT)));
        // Errors of a file show up when it is read. A remote that cannot be reached may be late: the network, or its
        // cluster, may still be starting.
        let is_late = |copy: &Arc<dyn Replica>, e: &Error| copy.place() == Place::Remote && e.is_away();
        let mut all = copies.iter().zip(there);
        if all.all(|(copy, there)| there.unwrap_or_else(|e| !is_late(copy, &e))) {
            return;
        }
        std::thread::sleep(WAIT_STEP.min(left));
    }
}

/// Opens the keyring at `path` with the secret from `unlock`.
///
/// # Errors
/// As [`Keyring::open`], without the rules about the data directory.
pub fn load(places: &Places, path: &Path, unlock: &UnlockSource) -> Result<(Keyring, Vec<Note>)> {
    load_with(places, path, &unlock.to_string(), || unlock.read())
}

/// Opens the keyring at `path` with the secret that `read` returns. Messages call its source `source_name`.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    places: &Places,
    path: &Path,
    source_name: &str,
    read: impl FnOnce() -> Result<UnlockSecret>,
) -> Result<(Keyring, Vec<Note>)> {
    load_all(places, &[path.to_owned()], 1, source_name, read, silent)
}

/// Opens the copies of a keyring. The newest intact copy counts.
///
/// # Errors
/// The error of the first copy if none can be opened; [`Refusal::Fork`](crate::error::Refusal::Fork) and [`Refusal::DamagedNewest`](crate::error::Refusal::DamagedNewest) if it
/// is not clear which one counts.
pub fn load_all(
    places: &Places,
    paths: &[PathBuf],
    min_copies: usize,
    source_name: &str,
    read: impl FnOnce() -> Result<UnlockSecret>,
    log: Log,
) -> Result<(Keyring, Vec<Note>)> {
    let limits = Limits::within(CHANGE_WAIT + GRACE);
    let read_copies = Readings::all(places, paths, min_copies, limits, &[])?;
    Ok(Keyring::new(load_known(places, read_copies, source_name, &[], read, log)?, None))
}

/// As [`load_all`], for a tool that changes a keyring while a server may change it too. Later changes of the
/// server are adopted. The copies are locked while they are read, so that all are in the same state.
///
/// # Errors
/// As [`load_all`]; [`Failure::Locked`](crate::error::Failure::Locked).
pub fn load_beside_others(
    places: &Places,
    paths: &[PathBuf],
    min_copies: usize,
    source_name: &str,
    read: impl FnOnce() -> Result<UnlockSecret>,
    log: Log,
) -> Result<Keyring> {
    let copies = places.replicas(paths)?;
    let members = copies.into_iter().map(|copy| Member::new(copy, Standing::Behind, None));
    let locked = Replicas::new(members.collect(), 1, silent).lock()?;
    let limits = Limits::within(CHANGE_WAIT + GRACE);
    let readings = read_locked(places, paths, &locked, limits)?;
    let copies = Readings { paths, readings, min_copies, limits, unacknowledged: &[] };
    let parts = load_known(places, copies, source_name, &[], read, log)?;
    drop(locked);
    let (places, paths) = (places.clone(), paths.to_vec());
    let in_vain = Mutex::new(None);
    let reopen = Reopen { places, paths, min_copies, unlock: None, log: silent, in_vain };
    Ok(Keyring::new(parts, Some(reopen)).0)
}
