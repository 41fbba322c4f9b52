// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the heads of all keyrings at a remote, several at once. It lists and reads; nothing else is asked of the engine.

use super::entry::{Entry, Kind};
use keyring_external::store::remote::head::{HEAD, Piece, PieceName, is_mark};
use keyring_external::store::remote::objects::{Answer, Object, Objects, Trouble};
use keyring_external::store::remote::set_aside::is_kept;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// How many heads are read at a time.
const AT_ONCE: usize = 16;
/// After this many reads that failed, the engine is not asked for the others.
const ENOUGH: usize = 8;

/// The pieces that a list has of one prefix.
type Listed = HashSet<PieceName>;

/// Reads all keyrings below `folder` of the remote `remote`. Tells `progress` how many of how many are read.
///
/// # Errors
/// The engine does not list its objects. What is wrong with one keyring is a problem of its [`Entry`].
pub(super) fn survey(
    remote: &str,
    objects: &dyn Objects,
    folder: &str,
    until: Instant,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Answer<Vec<Entry>> {
    let listed: Vec<_> = sorted(objects.list(folder, until)?).into_iter().collect();
    let (next, done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let found = Mutex::new(Vec::with_capacity(listed.len()));
    let read_some = || {
        while let Some((prefix, listed_there)) = listed.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = PathBuf::from(format!("@{remote}/{prefix}"));
            let entry = if failed.load(Ordering::Relaxed) >= ENOUGH {
                unread(&path, "not read, because the engine has failed for others")
            } else {
                read(&path, prefix, listed_there, objects, until).unwrap_or_else(|trouble| {
                    failed.fetch_add(1, Ordering::Relaxed);
                    unread(&path, &format!("cannot be read: {trouble}"))
                })
            };
            if let (Some(entry), Ok(mut found)) = (entry, found.lock()) {
                found.push(entry);
            }
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, listed.len());
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(listed.len()) {
            scope.spawn(read_some);
        }
        read_some();
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A keyring that the engine did not give.
fn unread(path: &Path, why: &str) -> Option<Entry> {
    let mut entry = Entry::at(path);
    entry.add(Kind::Unread, why);
    Some(entry)
}

/// The names of a list by prefix, as far as they are those of keyrings.
fn sorted(names: Vec<String>) -> BTreeMap<String, Listed> {
    let mut all: BTreeMap<String, Listed> = BTreeMap::new();
    for name in names {
        // The prefix may have parts of any name.
        let piece = name
            .rmatch_indices('/')
            .nth(1)
            .and_then(|(at, _)| Some((&name[..at], PieceName::parse(&name[at + 1..])?)));
        if let Some((prefix, piece)) = piece {
            if is_kept(prefix) {
                continue;
            }
            all.entry(prefix.to_owned()).or_default().insert(piece);
        } else if let Some((prefix, HEAD)) = name.rsplit_once('/')
            && !is_kept(prefix)
        {
            all.entry(prefix.to_owned()).or_default();
        }
    }
    all
}

/// Reads one keyring. `None` if nothing is there any more.
fn read(
    path: &Path,
    prefix: &str,
    listed: &Listed,
    objects: &dyn Objects,
    until: Instant,
) -> Result<Option<Entry>, Trouble> {
    let name = format!("{prefix}/{HEAD}");
    let get = || objects.get(&name, until);
    let mut head = get()?;
    // A server may change it meanwhile: then the list is older than the head.
    for _ in 0..3 {
        let Some(Object { bytes, version }) = &head else { break };
        // A mark in the place of a head says that no copy is there.
        if is_mark(bytes) {
            return Ok(None);
        }
        let (mut entry, pieces) = Entry::read(path, bytes);
        let missing = missing(prefix, &pieces, listed, objects, until)?;
        if missing.is_empty() {
            return Ok(Some(entry));
        }
        let again = get()?;
        if again.as_ref().is_some_and(|again| again.version == *version) {
            let what = format!(
                "{} of its {} pieces are missing ({}). {}",
                missing.len(),
                pieces.len(),
                missing.join(", "),
                Entry::remedy(path)
            );
            entry.add(Kind::Damaged, what);
            return Ok(Some(entry));
        }
        head = again;
    }
    if head.is_some() {
        let mut entry = Entry::at(path);
        entry.add(Kind::Unread, "it changed each time it was read. Run this command again");
        return Ok(Some(entry));
    }
    // The pieces may have been deleted with the head. A mount of Vault still lists a head that was deleted with its
    // history kept, so the list does not matter.
    let first = listed.iter().next();
    let left = first.map(|piece| objects.get(&format!("{prefix}/{piece}"), until)).transpose()?;
    if left.flatten().is_none() {
        return Ok(None);
    }
    let mut entry = Entry::at(path);
    entry.add(Kind::NoHead, Entry::without_head(path));
    Ok(Some(entry))
}

/// The pieces that do not exist, at most three.
fn missing(
    prefix: &str,
    pieces: &[Piece],
    listed: &Listed,
    objects: &dyn Objects,
    until: Instant,
) -> Result<Vec<String>, Trouble> {
    let mut missing = Vec::new();
    for piece in pieces {
        let name = piece.name;
        // A list may leave out what was put a moment ago.
        if !listed.contains(&name) && objects.get(&format!("{prefix}/{name}"), until)?.is_none() {
            missing.push(name.to_string());
        }
        if missing.len() == 3 {
            break;
        }
    }
    Ok(missing)
}
