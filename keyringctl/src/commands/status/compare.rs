// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares the copies with each other.

use super::copy_status::{CopyStatus, WitnessSays, Wrong};
use crate::commands::apart;
use crate::commands::content::Content;
use crate::commands::secret;
use crate::show::Shown;
use keyring_external::keyring::Relation;
use std::path::Path;
use uuid::Uuid;

/// Marks the copies that are behind, have diverged, belong to another keyring, or are the same file as another copy.
///
/// All files should be copies of the keyring that the first readable file belongs to, and as new as the newest of them.
/// If copies have diverged, they are compared with the one that the data directory was last used with.
pub(super) fn all(all: &mut [CopyStatus], datadir: Option<&Path>, secret: &secret::Args) {
    compare_states(all, datadir, secret);
    let paths: Vec<_> = all.iter().map(|found| found.path.clone()).collect();
    for (i, found) in all.iter_mut().enumerate().filter(|(_, found)| found.about.is_some()) {
        if let Some(e) = apart::same_as_earlier(&paths, i) {
            found.fail(Wrong::SameFile, e.to_string());
        }
    }
}

fn compare_states(all: &mut [CopyStatus], datadir: Option<&Path>, secret: &secret::Args) {
    let Some(id) = all.iter().find_map(|f| f.about.as_ref()).map(|a| a.id) else { return };
    let Some((reference, is_last_used)) = reference(all, &id) else { return };
    let mut diverged = None;
    let unlock = &secret.option();
    let judged: Vec<_> = all
        .iter()
        .map(|found| {
            let (about, content) = (found.about.as_ref()?, found.content.as_ref()?);
            if about.id != id {
                let text = format!("this is keyring {}, not a copy of keyring {id}", about.id);
                return Some((Wrong::AnotherKeyring, text));
            }
            let best = all.get(reference)?;
            let newest = best.about.as_ref().and_then(|a| a.generation).unwrap_or_default();
            Some(match content.relation_to(best.content.as_ref()?) {
                Relation::Same | Relation::OtherKeyring => return None,
                Relation::Ancestor => (
                    Wrong::Behind,
                    format!(
                        "it is behind {} (generation {newest}). A running server brings it up to date within seconds \
                         of a status query. Without a server, run keyringctl sync {} --mirror {}{unlock}",
                        best.path.shown(),
                        best.path.shown(),
                        found.path.shown()
                    ),
                ),
                // Then a third copy has diverged from the one that the data directory was last used with.
                Relation::Descendant => {
                    (Wrong::Diverged, format!("it is newer than {}", best.path.shown()))
                }
                Relation::Unknown => (
                    Wrong::Behind,
                    format!(
                        "{} has generation {newest}: this copy is behind or has diverged. Add --unlock to find out",
                        best.path.shown()
                    ),
                ),
                Relation::Diverged => {
                    diverged.get_or_insert(found.path.clone());
                    let merge = (best.path.as_path(), found.path.as_path());
                    let text = diverged_text(&best.path, &found.path, merge, is_last_used, datadir, unlock);
                    (Wrong::Diverged, text)
                }
            })
        })
        .collect();
    for (found, wrong) in all.iter_mut().zip(judged) {
        if let Some((wrong, text)) = wrong {
            found.fine = false;
            // This message names the copy that the witness records; the error of the witness cannot.
            let says = found.about.as_ref().and_then(|a| a.witness);
            let says_more =
                says == Some(WitnessSays::Older) || says == Some(WitnessSays::Fork) && is_last_used;
            if says_more || found.error.is_none() {
                found.fail(wrong, text);
            }
        }
    }
    // It is not known which of the two the data was used with, so both fail.
    if let (Some(other), false, Some(best)) = (diverged, is_last_used, all.get_mut(reference)) {
        best.fine = false;
        if best.error.is_none() {
            let text = diverged_text(&other, &best.path, (&best.path, &other), false, datadir, unlock);
            best.fail(Wrong::Diverged, text);
        }
    }
}

/// The copy that the others are compared with, and whether the data directory was last used with it.
fn reference(all: &[CopyStatus], id: &Uuid) -> Option<(usize, bool)> {
    let ours = || {
        let number = |(i, found): (usize, &'_ CopyStatus)| {
            found.content.as_ref().filter(|c| c.claims.header.id == *id).map(|_| i)
        };
        all.iter().enumerate().filter_map(number)
    };
    let content = |i: usize| all.get(i).and_then(|f| f.content.as_ref());
    let generation = |i: &usize| content(*i).map_or(0, Content::generation);
    // The first, if several have the newest generation.
    let newest = ours().rev().max_by_key(generation)?;
    let is_last_used = |i: &usize| {
        all.get(*i).and_then(|f| f.about.as_ref()).is_some_and(|a| a.witness == Some(WitnessSays::Same))
    };
    let Some(last_used) = ours().find(is_last_used) else { return Some((newest, false)) };
    match content(last_used)?.relation_to(content(newest)?) {
        Relation::Ancestor => Some((newest, false)),
        _ => Some((last_used, true)),
    }
}

/// Says that the copy `this` has diverged from `other`, and what to do. `merge` names both in the order for `sync`.
fn diverged_text(
    other: &Path,
    this: &Path,
    merge: (&Path, &Path),
    is_last_used: bool,
    datadir: Option<&Path>,
    unlock: &str,
) -> String {
    let last_used = if is_last_used { ", which the data directory was last used with" } else { "" };
    format!(
        "it has diverged from {}{last_used}: each may hold keys that the other does not have. Keep both files. Check \
         which one decrypts the data: keyringctl verify {} --datadir {}{unlock}; then merge them: keyringctl sync {} \
         --mirror {} --merge{unlock}",
        other.shown(),
        this.shown(),
        datadir.unwrap_or(Path::new("DIR")).shown(),
        merge.0.shown(),
        merge.1.shown()
    )
}
