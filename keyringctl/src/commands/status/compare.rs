// SPDX-License-Identifier: GPL-2.0-or-later
//! How the copies that were looked at stand to each other.

use super::copy_status::{CopyStatus, Stands};
use crate::commands::apart;
use crate::commands::content::Content;
use crate::commands::output::shell_word;
use crate::commands::secret;
use keyring_external::keyring::Kinship;
use std::path::Path;
use uuid::Uuid;

/// Several files are taken for copies of one keyring: the first that can be read says which. The newest says how far
/// the others should be; but of copies that have diverged, the one that the data directory was last used with counts.
pub(super) fn all(all: &mut [CopyStatus], datadir: Option<&Path>, secret: &secret::Args) {
    of_one_keyring(all, datadir, secret);
    let paths: Vec<_> = all.iter().map(|found| found.path.clone()).collect();
    for (i, found) in all.iter_mut().enumerate().filter(|(_, found)| found.about.is_some()) {
        if let Some(e) = apart::same_before(&paths, i) {
            (found.fine, found.error) = (false, Some(e.to_string()));
        }
    }
}

fn of_one_keyring(all: &mut [CopyStatus], datadir: Option<&Path>, secret: &secret::Args) {
    let Some(id) = all.iter().find_map(|f| f.about.as_ref()).map(|a| a.id) else { return };
    let Some((counts, is_last_used)) = which_counts(all, &id) else { return };
    let mut diverged = None;
    let unlock = &secret.option();
    let judged: Vec<_> = all
        .iter()
        .map(|found| {
            let (about, content) = (found.about.as_ref()?, found.content.as_ref()?);
            if about.id != id {
                return Some(format!("this is another keyring than {id}"));
            }
            let best = all.get(counts)?;
            let newest = best.about.as_ref().and_then(|a| a.generation).unwrap_or_default();
            match content.kinship(best.content.as_ref()?) {
                Kinship::Alike | Kinship::Foreign => None,
                Kinship::Earlier => Some(format!(
                    "it lags behind {} (generation {newest}). A running server brings it up to date within seconds of \
                     a status query; without one: keyringctl sync {} --mirror {}{unlock}",
                    best.path.display(),
                    shell_word(&best.path),
                    shell_word(&found.path)
                )),
                Kinship::Later => Some(format!("it is newer than {}", best.path.display())),
                Kinship::Unclear => Some(format!(
                    "{} has generation {newest}: whether this copy lags behind or has diverged from that, --unlock tells",
                    best.path.display()
                )),
                Kinship::Diverged => {
                    diverged.get_or_insert(found.path.clone());
                    let merge = (best.path.as_path(), found.path.as_path());
                    Some(apart(&best.path, &found.path, merge, is_last_used, datadir, unlock))
                }
            }
        })
        .collect();
    for (found, wrong) in all.iter_mut().zip(judged) {
        if let Some(wrong) = wrong {
            found.fine = false;
            // The copy that is meant by what the witness says is known here.
            let stands = found.about.as_ref().and_then(|a| a.witness);
            if stands == Some(Stands::Older) || stands == Some(Stands::Fork) && is_last_used {
                found.error = Some(wrong);
            } else {
                found.error.get_or_insert(wrong);
            }
        }
    }
    // Nothing tells which of the two is right.
    if let (Some(other), false, Some(best)) = (diverged, is_last_used, all.get_mut(counts)) {
        best.fine = false;
        best.error
            .get_or_insert_with(|| apart(&other, &best.path, (&best.path, &other), false, datadir, unlock));
    }
}

/// The copy that the others are compared with, and whether that is so because the data directory was last used with
/// it.
fn which_counts(all: &[CopyStatus], id: &Uuid) -> Option<(usize, bool)> {
    let ours = || {
        let of = |(i, found): (usize, &'_ CopyStatus)| {
            found.content.as_ref().filter(|c| c.claims.header.id == *id).map(|_| i)
        };
        all.iter().enumerate().filter_map(of)
    };
    let content = |i: usize| all.get(i).and_then(|f| f.content.as_ref());
    let generation = |i: &usize| content(*i).map_or(0, Content::generation);
    // The first of several.
    let newest = ours().rev().max_by_key(generation)?;
    let is_last_used = |i: &usize| {
        all.get(*i).and_then(|f| f.about.as_ref()).is_some_and(|a| a.witness == Some(Stands::Same))
    };
    let Some(last_used) = ours().find(is_last_used) else { return Some((newest, false)) };
    match content(last_used)?.kinship(content(newest)?) {
        Kinship::Earlier => Some((newest, false)),
        _ => Some((last_used, true)),
    }
}

/// Says that the copy `this` has diverged from `other`, and what to do; `merge` names both, in order.
fn apart(
    other: &Path,
    this: &Path,
    merge: (&Path, &Path),
    is_last_used: bool,
    datadir: Option<&Path>,
    unlock: &str,
) -> String {
    let last_used = if is_last_used { ", which the data directory was last used with" } else { "" };
    format!(
        "it has diverged from {}{last_used}: each may hold keys that the other does not have. Keep both files. See \
         which one opens the data: keyringctl verify {} --datadir {}{unlock}; then bring the keys of both together: keyringctl \
         sync {} --mirror {} --merge{unlock}",
        other.display(),
        this.display(),
        datadir.unwrap_or(Path::new("DIR")).display(),
        merge.0.display(),
        merge.1.display()
    )
}
