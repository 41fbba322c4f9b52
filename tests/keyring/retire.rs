// SPDX-License-Identifier: GPL-2.0-or-later
//! Retired keys: they answer, their mark survives every path, and only they can be destroyed.

use crate::common::sim::Sim;
use crate::common::{PATH, SECRET, contents, filled, key_type, name, open, rekey, secret, unlock};
use keyring_external::config::{AuditConfig, Config, DEFAULT_REMOTES};
use keyring_external::error::{BadRequest, Error, Refusal};
use keyring_external::keyring::{Keyring, Merging, Relation, Trust, Verifier, load_all, load_beside_others};
use keyring_external::store::places::Places;
use std::num::NonZeroU64;
use std::path::PathBuf;

const MIRROR: &str = "/volume/mirror";
const AT: NonZeroU64 = NonZeroU64::new(1_000_000).unwrap();
const KEY: &str = "INNODBKey-1";

fn retired(keyring: &Keyring, id: &str) -> Option<u64> {
    keyring.fetch(&name(id, ""), |key| key.retired.map(NonZeroU64::get)).unwrap()
}

fn fetches(keyring: &Keyring) -> u64 {
    keyring.known_status().retired_fetches
}

fn retire(keyring: &Keyring) {
    keyring.retire(&[name(KEY, "")], AT).unwrap();
}

fn destroy(keyring: &Keyring, by: u64) -> Result<(), Error> {
    let verifiers = [Verifier { source_name: "test".into(), secret: secret(&SECRET) }];
    keyring.destroy(&[name(KEY, "")], by, 30, &verifiers).map(drop)
}

/// A keyring as a server has it, which adopts what another program changes.
fn served(sim: &Sim, copies: &[&str]) -> Keyring {
    let mut paths = copies.iter().map(PathBuf::from);
    let config = Config {
        path: paths.next().unwrap(),
        mirrors: paths.collect(),
        remotes: DEFAULT_REMOTES.into(),
        min_copies: 1,
        unlock: unlock(),
        read_only: false,
        allow_same_device: true,
        auto_create: false,
        wait: 0,
        datadir: None,
        audit: AuditConfig::default(),
    };
    Keyring::open(&Places::from(&sim.fs()), &config, Trust::Witness, |_, _| {}).unwrap().0
}

fn beside(sim: &Sim, copies: &[&str]) -> Keyring {
    let paths: Vec<_> = copies.iter().map(PathBuf::from).collect();
    let read = || Ok(secret(&SECRET));
    load_beside_others(&Places::from(&sim.fs()), &paths, paths.len(), "test", read, |_, _| {}).unwrap()
}

fn alone(sim: &Sim, path: &str) -> Keyring {
    let read = || Ok(secret(&SECRET));
    load_all(&Places::from(&sim.fs()), &[path.into()], 1, "test", read, |_, _| {}).unwrap().0
}

#[test]
fn a_retired_key_answers_and_is_counted_and_can_be_taken_back() {
    let (sim, set) = filled();
    let (keyring, _) = open(&sim.fs()).unwrap();
    assert_eq!((retired(&keyring, KEY), fetches(&keyring)), (None, 0));
    retire(&keyring);
    assert_eq!((retired(&keyring, KEY), fetches(&keyring)), (Some(AT.get()), 1));
    let found = keyring.find(&name(KEY, "")).unwrap();
    assert_eq!((keyring.lengths(&found, &name(KEY, "")), fetches(&keyring)), (Some((32, 3)), 1));
    keyring.fetch_found(&found, &name(KEY, ""), |_| ()).unwrap();
    assert_eq!(fetches(&keyring), 2);
    // Its date stays.
    keyring.retire(&[name(KEY, "")], NonZeroU64::MAX).unwrap();
    for change in [|_: &Keyring| {}, |k: &Keyring| drop(rekey(k, &[&SECRET], false).unwrap())] {
        let (again, _) = open(&sim.fs()).unwrap();
        assert_eq!((retired(&again, KEY), contents(&again)), (Some(AT.get()), set.clone()));
        again.store(name("passing", ""), &key_type("AES"), &[1; 16]).unwrap();
        again.remove(name("passing", "")).unwrap();
        change(&again);
    }
    let (again, _) = open(&sim.fs()).unwrap();
    assert_eq!(retired(&again, KEY), Some(AT.get()), "after a renewal");
    again.unretire(&[name(KEY, "")]).unwrap();
    assert_eq!(retired(&open(&sim.fs()).unwrap().0, KEY), None);
    let none = again.retire(&[name(KEY, ""), name("none", "")], AT).unwrap_err();
    assert!(matches!(none, Error::BadRequest(BadRequest::NoSuchKey { .. })), "{none}");
    assert_eq!(retired(&again, KEY), None, "all or none");
}

#[test]
fn copies_that_differ_in_a_mark_are_ordered_by_generation() {
    let (sim, _) = filled();
    sim.put(MIRROR, sim.bytes(PATH).unwrap());
    retire(&alone(&sim, PATH));
    let (newer, older) = (alone(&sim, PATH), alone(&sim, MIRROR));
    assert_eq!(older.relation_to(&newer), Relation::Ancestor);
    let both = beside(&sim, &[MIRROR, PATH]);
    both.bring_up_to_date().unwrap();
    assert_eq!(retired(&alone(&sim, MIRROR), KEY), Some(AT.get()));
    alone(&sim, MIRROR).unretire(&[name(KEY, "")]).unwrap();
    beside(&sim, &[PATH, MIRROR]).bring_up_to_date().unwrap();
    assert_eq!(retired(&alone(&sim, PATH), KEY), None);
}

#[test]
fn a_merge_keeps_the_mark_and_the_later_date() {
    for swapped in [false, true] {
        let (sim, _) = filled();
        sim.put(MIRROR, sim.bytes(PATH).unwrap());
        let (one, other) = if swapped { (MIRROR, PATH) } else { (PATH, MIRROR) };
        retire(&alone(&sim, one));
        let there = alone(&sim, other);
        there.store(name("more", ""), &key_type("AES"), &[1; 16]).unwrap();
        there.retire(&[name("long", "anna")], AT).unwrap();
        drop(there);
        alone(&sim, one).retire(&[name("long", "anna")], AT.saturating_add(5)).unwrap();
        let places = Places::from(&sim.fs());
        let paths = [PathBuf::from(PATH), PathBuf::from(MIRROR)];
        let merging = Merging::read(&places, &paths, |path| Ok(alone(&sim, path.to_str().unwrap()))).unwrap();
        merging.unwrap().write(|_, _| {}, |_| None).unwrap();
        let merged = alone(&sim, PATH);
        assert_eq!(retired(&merged, KEY), Some(AT.get()));
        let long = merged.fetch(&name("long", "anna"), |key| key.retired.map(NonZeroU64::get));
        assert_eq!(long, Some(Some(AT.get() + 5)));
        assert_eq!(retired(&merged, "more"), None);
    }
}

#[test]
fn only_a_key_that_was_retired_in_time_is_destroyed_and_no_copy_has_its_record() {
    let (sim, mut set) = filled();
    sim.put(MIRROR, sim.bytes(PATH).unwrap());
    let keyring = beside(&sim, &[PATH, MIRROR]);
    let refused = |by| matches!(destroy(&keyring, by), Err(Error::BadRequest(BadRequest::NotRetired { .. })));
    assert!(refused(u64::MAX), "not retired");
    retire(&keyring);
    assert!(refused(AT.get() - 1), "too early");
    let before = sim.bytes(PATH).unwrap();
    destroy(&keyring, AT.get()).unwrap();
    set.remove(&(b"".to_vec(), KEY.as_bytes().to_vec()));
    for path in [PATH, MIRROR] {
        let after = sim.bytes(path).unwrap();
        let copy = alone(&sim, path);
        assert_eq!(contents(&copy), set);
        // No record of the file before is in the one after, and the data key is another one.
        for at in 16384..before.len() - 32 {
            assert!(!after.windows(32).any(|w| w == &before[at..at + 32]), "{path}: bytes of offset {at}");
        }
    }
    assert!(matches!(destroy(&keyring, u64::MAX), Err(Error::BadRequest(BadRequest::NoSuchKey { .. }))));
}

#[test]
fn nothing_is_destroyed_while_a_copy_is_out() {
    let (sim, set) = filled();
    sim.put(MIRROR, sim.bytes(PATH).unwrap());
    let keyring = beside(&sim, &[PATH, MIRROR]);
    retire(&keyring);
    let was = sim.bytes(MIRROR).unwrap();
    sim.put(MIRROR, vec![]);
    destroy(&keyring, AT.get()).unwrap_err();
    sim.put(MIRROR, was);
    assert_eq!(contents(&alone(&sim, PATH)), set);
    assert_eq!(retired(&alone(&sim, PATH), KEY), Some(AT.get()));
}

#[test]
fn a_server_adopts_that_a_retired_key_was_destroyed_and_no_other_loss() {
    let (sim, set) = filled();
    let server = served(&sim, &[PATH]);
    retire(&beside(&sim, &[PATH]));
    server.maintain();
    assert_eq!(retired(&server, KEY), Some(AT.get()));
    // The removal and the renewal of the data key are one step for the server.
    destroy(&beside(&sim, &[PATH]), AT.get()).unwrap();
    server.store(name("new", ""), &key_type("AES"), &[3; 16]).unwrap();
    assert!(server.fetch(&name(KEY, ""), |_| ()).is_none(), "it is no longer in memory");
    assert_eq!(server.len(), set.len());
    assert_eq!(contents(&alone(&sim, PATH)), contents(&server));
    // A key in use that is missing under another data key is a loss.
    let tool = beside(&sim, &[PATH]);
    tool.remove(name("short", "anna")).unwrap();
    rekey(&tool, &[&SECRET], false).unwrap();
    let refused = server.store(name("newer", ""), &key_type("AES"), &[3; 16]).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::Refusal(Refusal::OtherKey { .. } | Refusal::Changed { .. } | Refusal::Diverged { .. })
        ),
        "{refused}"
    );
    assert!(server.fetch(&name("short", "anna"), |_| ()).is_some());
}
