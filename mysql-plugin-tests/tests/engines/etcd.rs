// SPDX-License-Identifier: GPL-2.0-or-later
//! etcd: a cluster of three nodes.

use crate::opened::{PREFIX, RECOVERY, name, open, put, read, soon, trouble, until_it_works};
use crate::{faults, mistakes, promises, rights, set_aside};
use keyring_external::store::remote::examine::{Engine, Observation, Subject, Weight};
use keyring_external::store::remote::objects::{Cause, Object, Put};
use mysql_plugin_tests::rig;
use mysql_plugin_tests::rig::engines::Engine as _;
use mysql_plugin_tests::rig::engines::etcd::{Etcd, Settings};
use std::path::Path;
use std::time::Duration;

const ALLOWED: &str = "/keyrings/db1/";

fn start(settings: Settings) -> (tempfile::TempDir, Etcd) {
    let dir = tempfile::tempdir().unwrap();
    let etcd = Etcd::start(dir.path(), settings);
    (dir, etcd)
}

/// What it promises, by a user with the least rights; what is said of mistakes; and that it survives its nodes.
pub fn promises_and_faults() {
    let (dir, mut etcd) = start(Settings { allowed: Some(ALLOWED), ..Settings::default() });
    let engine = open(dir.path(), &etcd.remote()).unwrap();
    promises::kept(&*engine);
    mistakes::are_told(&etcd, dir.path());
    rights::end_at_the_prefix(&*engine);
    set_aside::makes_room(dir.path(), &etcd.remote(), &*engine);
    // A cluster of three, users, least rights: nothing to tell.
    let found = engine.examine(PREFIX, soon());
    assert!(found.is_empty(), "{found:?}");

    faults::of_three_nodes(&mut etcd, &*engine, Duration::ZERO);
    // What doctor says of a cluster without a majority.
    etcd.kill(0);
    etcd.kill(2);
    let told = |found: &[Observation]| {
        found.iter().any(|one| one.weight == Weight::Error && one.what.contains("has no leader"))
    };
    assert!(rig::wait_until(RECOVERY, || told(&engine.examine(PREFIX, soon()))), "no leader is not told");
}

/// etcd forgets logins, and users and rights change.
pub fn logins_are_renewed() {
    let (dir, etcd) = start(Settings { allowed: Some(ALLOWED), token_lifetime: 1, ..Settings::default() });
    let engine = open(dir.path(), &etcd.remote()).unwrap();
    let mut version = put(&*engine, &name("head"), b"0", None);
    for n in 1..4_u8 {
        // Longer than etcd remembers a login.
        std::thread::sleep(Duration::from_secs(3));
        version = put(&*engine, &name("head"), &[n], Some(&version));
    }
    // The rights of others change: etcd refuses all logins before that.
    etcd.must(&["role", "add", "another"]);
    assert_eq!(read(&*engine, &name("head")), Some(vec![3]));
    // Authentication is switched off for a while.
    etcd.must(&["auth", "disable"]);
    assert_eq!(read(&*engine, &name("head")), Some(vec![3]));
    let fresh = open(dir.path(), &etcd.remote()).unwrap();
    assert_eq!(read(&*fresh, &name("head")), Some(vec![3]));
    let found = fresh.examine(PREFIX, soon());
    assert!(found.iter().any(|one| one.subject == Subject::Rights), "{found:?}");
    etcd.enable_users();
    assert_eq!(read(&*fresh, &name("head")), Some(vec![3]));
    assert_eq!(read(&*engine, &name("head")), Some(vec![3]));
}

pub fn full_and_restored() {
    let (dir, mut etcd) = start(Settings { quota: Some(16 << 20), ..Settings::default() });
    full(&etcd, &*open(dir.path(), &etcd.remote()).unwrap());
    restored_from_a_snapshot(&mut etcd, dir.path());
}

/// The quota is used up: nothing is lost, reads and deletes go on, and when there is room again puts do.
fn full(etcd: &Etcd, engine: &dyn Engine) {
    let version = put(engine, &name("head"), b"1", None);
    etcd.fill();
    let refused = trouble("put", engine.put(&name("head"), b"2", Some(&version), soon()));
    // etcd may carry a transaction out and then refuse it.
    assert_eq!((refused.cause, refused.may_have_happened), (Cause::Full, true), "{refused}");
    println!("full: {refused}");
    let there = engine.get(&name("head"), soon()).unwrap().unwrap();
    assert!(there.bytes == b"1" || there.bytes == b"2", "{there:?}");
    engine.delete(&[name("nothing")], soon()).unwrap();
    let found = engine.examine(PREFIX, soon());
    assert!(found.iter().any(|one| one.weight == Weight::Error && one.what.contains("NOSPACE")), "{found:?}");
    etcd.make_room();
    put(engine, &name("head"), b"3", Some(&there.version));
}

/// After a restore revisions are counted anew: a version of before must not match another program's.
fn restored_from_a_snapshot(etcd: &mut Etcd, dir: &Path) {
    let engine = open(dir, &etcd.remote()).unwrap();
    let head = name("restored/head");
    let first = put(&*engine, &head, b"1", None);
    let snapshot = dir.join("snapshot");
    etcd.snapshot(&snapshot);
    let ours = put(&*engine, &head, b"2", Some(&first));
    etcd.restore(&snapshot);
    let found = until_it_works(|| engine.get(&head, soon()));
    assert_eq!(found, Some(Object { bytes: b"1".to_vec(), version: first.clone() }));
    // Another program, which saw the snapshot only.
    put(&*open(dir, &etcd.remote()).unwrap(), &head, b"another's", Some(&first));
    assert_eq!(engine.put(&head, b"3", Some(&ours), soon()), Ok(Put::Conflict));
}
