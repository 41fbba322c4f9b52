// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares the keyrings of a fleet with each other and with the clock, as far as heads tell without a secret.

use super::entry::{Entry, Kind};
use crate::commands::output::time;
use crate::commands::store_places::remotes_option;
use crate::show::{Shown, counted};
use keyring_external::keyring::Relation;
use std::collections::BTreeMap;
use std::path::PathBuf;

const DAY: u64 = 24 * 60 * 60;

/// Finds the copies of each keyring, and adds the problems that only a comparison shows. `stale`: the age in days from
/// which a keyring that nobody changed is one.
pub(super) fn all(entries: &mut [Entry], stale: Option<u64>, now: u64) {
    copies(entries);
    replicas(entries);
    if let Some(days) = stale {
        for entry in entries.iter_mut() {
            let Some(changed) = entry.about.as_ref().map(|about| about.changed) else { continue };
            if changed.saturating_add(days.saturating_mul(DAY)) < now {
                let age = counted(((now - changed) / DAY) as usize, "day");
                let what = format!(
                    "not changed for {age}, since {}. If its server is in use, rotate its master key (ALTER INSTANCE \
                     ROTATE INNODB MASTER KEY); if it is not, keep the keyring as long as its backups are kept",
                    time(changed)
                );
                entry.add(Kind::Stale, what);
            }
        }
    }
}

/// The entries in groups that have the same key.
fn grouped<K: Ord>(entries: &[Entry], key: impl Fn(&Entry) -> Option<K>) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for (i, entry) in entries.iter().enumerate() {
        if let Some(key) = key(entry) {
            groups.entry(key).or_default().push(i);
        }
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

/// The first others of a group, and how many more there are. A group of thousands must not take time for each pair.
fn others(entries: &[Entry], group: &[usize], this: usize) -> (Vec<PathBuf>, usize) {
    let others = group.iter().filter(|other| **other != this).take(Entry::MOST_COPIES);
    let named: Vec<_> = others.map(|other| entries[*other].path.clone()).collect();
    let more = group.len() - 1 - named.len();
    (named, more)
}

/// Compares the copies of each keyring with the newest of them.
fn copies(entries: &mut [Entry]) {
    for group in grouped(entries, |entry| entry.about.as_ref().map(|about| about.id)) {
        let generation =
            |i: &usize| entries[*i].about.as_ref().and_then(|about| about.generation).unwrap_or_default();
        // Of several, the first in the order of names.
        let newest_at = *group.iter().rev().max_by_key(|i| generation(i)).unwrap_or(&group[0]);
        let newest_path = entries[newest_at].path.clone();
        for &i in &group {
            let (others, more) = others(entries, &group, i);
            entries[i].copies = others;
            entries[i].copies_in_all = entries[i].copies.len() + more;
            if i == newest_at {
                continue;
            }
            let relation = match (&entries[i].claims, &entries[newest_at].claims) {
                (Some(this), Some(newest)) => this.relation_to(newest),
                _ => continue,
            };
            let (this, newest) = (entries[i].path.shown(), newest_path.shown());
            match relation {
                Relation::Ancestor => entries[i].add(
                    Kind::Behind,
                    format!(
                        "behind {newest}. Its server brings it up to date if both are configured, or run keyringctl sync \
                         {newest} --mirror {this}{}",
                        remotes_option()
                    ),
                ),
                Relation::Diverged => {
                    let what = |other: &str| {
                        format!(
                            "diverged from {other}: each may hold keys that the other does not have. Compare them, then \
                             merge them with keyringctl sync {newest} --mirror {this} --merge{}",
                            remotes_option()
                        )
                    };
                    entries[i].add(Kind::Diverged, what(&newest));
                    let of_newest = what(&this);
                    entries[newest_at].add(Kind::Diverged, of_newest);
                }
                Relation::Unknown => entries[i].add(
                    Kind::PerhapsDiverged,
                    format!(
                        "older than {newest}, or diverged from it. Find out with their secret: keyringctl status {newest} \
                         {this}{} --unlock SOURCE",
                        remotes_option()
                    ),
                ),
                Relation::Same | Relation::Descendant | Relation::OtherKeyring => {}
            }
        }
    }
}

/// Finds copies whose objects were copied: each copy is created with a random id of its own.
fn replicas(entries: &mut [Entry]) {
    for group in grouped(entries, |entry| entry.about.as_ref().map(|about| about.replica.clone())) {
        for &i in &group {
            let this = entries[i].about.as_ref().map(|about| about.id).unwrap_or_default();
            let (others, more) = others(entries, &group, i);
            let mut others: Vec<_> = others.iter().map(|other| other.shown()).collect();
            if more > 0 {
                others.push(format!("{more} more"));
            }
            let what = format!(
                "its objects were copied to or from {}: two servers may use keyring {this}, or one of the two is left over. \
                 Delete the objects of the one that no server uses. Create a copy with keyringctl sync FROM --mirror TO \
                 --create instead",
                others.join(", ")
            );
            entries[i].add(Kind::SameReplica, what);
        }
    }
}
