// SPDX-License-Identifier: GPL-2.0-or-later
//! SeaweedFS, as a store that speaks the protocol of S3: one node.

use crate::opened::{PREFIX, STEP, name, open, put, read, soon, trouble, until_it_works};
use crate::{mistakes, promises, rights as least, set_aside};
use keyring_external::store::remote::examine::{Engine, Weight};
use keyring_external::store::remote::objects::{Cause, Put, Version};
use keyring_external::store::remote::probe::{Verdict, honours_conditions};
use mysql_plugin_tests::rig::engines::Engine as _;
use mysql_plugin_tests::rig::engines::seaweedfs::{SeaweedFs, Settings};
use mysql_plugin_tests::rig::times;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn start(settings: Settings) -> (tempfile::TempDir, SeaweedFs) {
    let dir = tempfile::tempdir().unwrap();
    let store = SeaweedFs::start(dir.path(), settings);
    (dir, store)
}

fn of_one_server() -> Settings {
    Settings { allowed: Some(PREFIX), ..Settings::default() }
}

pub fn promises_and_faults() {
    let (dir, mut store) = start(of_one_server());
    let engine = open(dir.path(), &store.remote()).unwrap();
    promises::kept(&*engine);
    mistakes::are_told(&store, dir.path());
    rights(&store, &*engine, dir.path());
    set_aside::makes_room(dir.path(), &store.remote(), &*engine);
    killed_and_paused(&mut store, &*engine);
}

fn rights(store: &SeaweedFs, engine: &dyn Engine, dir: &Path) {
    least::end_at_the_prefix(engine);
    let seen = engine.examine(PREFIX, soon());
    assert!(
        seen.iter()
            .all(|seen| seen.weight == Weight::Note && seen.what.contains("may not read all settings")),
        "{seen:?}"
    );
    let administrator = open(dir, &store.remote_of("administrator")).unwrap();
    assert_eq!(administrator.examine(PREFIX, soon()), []);

    // Keys that only look, as those of a fleet's monitoring do.
    let version = put(engine, &name("rights/head"), b"1", None);
    let reader = open(dir, &store.remote_of("reader")).unwrap();
    assert_eq!(reader.list(&name("rights"), soon()).unwrap(), [name("rights/head")]);
    assert_eq!(read(&*reader, &name("rights/head")), Some(b"1".to_vec()));
    let refused = trouble("put", reader.put(&name("rights/head"), b"2", Some(&version), soon()));
    assert_eq!(refused.cause, Cause::NotAllowed, "{refused}");
    assert_eq!(trouble("delete", reader.delete(&[name("rights/head")], soon())).cause, Cause::NotAllowed);
    assert_eq!(read(engine, &name("rights/head")), Some(b"1".to_vec()));
}

/// A head is replaced again and again while the store is killed and started, and stops and goes on: what was
/// acknowledged is there, and it goes on by itself.
fn killed_and_paused(store: &mut SeaweedFs, engine: &dyn Engine) {
    let head = name("killed/head");
    let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    put(engine, &head, &0_u64.to_le_bytes(), None);
    let write = || {
        while !stop.load(Ordering::Relaxed) {
            let acknowledged = done.load(Ordering::Relaxed);
            let found = until_it_works(|| engine.get(&head, soon())).expect("a head");
            let there = u64::from_le_bytes(found.bytes.try_into().unwrap());
            // One whose answer was lost may have been carried out.
            assert!(there == acknowledged || there == acknowledged + 1, "{there}, not {acknowledged}");
            if there == acknowledged {
                let next = (acknowledged + 1).to_le_bytes();
                match engine.put(&head, &next, Some(&found.version), Instant::now() + Duration::from_secs(2))
                {
                    Ok(Put::Done(_)) => {}
                    // An earlier try of the same put may be the reason.
                    Ok(Put::Conflict) | Err(_) => continue,
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(write);
        let progress = || {
            let from = done.load(Ordering::Relaxed);
            let end = Instant::now() + crate::opened::RECOVERY;
            while done.load(Ordering::Relaxed) < from + 10 && !writer.is_finished() {
                assert!(Instant::now() < end, "no put succeeds any more");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        // A round that fails ends the writer.
        let rounds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..times(1, 100) {
                progress();
                store.kill(0);
                store.start(0);
                store.wait_until_whole();
                progress();
                let paused = store.pause(0);
                // Longer than one try takes.
                std::thread::sleep(Duration::from_secs(3));
                drop(paused);
                progress();
            }
        }));
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        rounds.unwrap_or_else(|e| std::panic::resume_unwind(e));
    });

    // One that is not there is told from one that is there and does not answer.
    let version = engine.get(&head, soon()).unwrap().expect("a head").version;
    let paused = store.pause(0);
    let late =
        trouble("put", engine.put(&head, b"x", Some(&version), Instant::now() + Duration::from_secs(3)));
    assert_eq!(late.cause, Cause::Unreachable, "{late}");
    drop(paused);
    store.kill(0);
    for refused in [
        trouble("get", engine.get(&head, soon()).map(drop)),
        trouble("put", engine.put(&head, b"x", Some(&version), soon()).map(drop)),
    ] {
        assert_eq!((refused.cause, refused.may_have_happened), (Cause::Unreachable, false), "{refused}");
    }
}

pub fn full_and_restored() {
    let (dir, mut store) = start(Settings::default());
    full(&store, &*open(dir.path(), &store.remote()).unwrap());
    restored_from_a_snapshot(&mut store, dir.path());
}

/// The bucket takes nothing more: nothing is lost, reads go on, and when there is room again puts do.
fn full(store: &SeaweedFs, engine: &dyn Engine) {
    let version = put(engine, &name("head"), b"1", None);
    store.fill();
    // It takes a moment until the store knows, and then answers no more than that it failed.
    let other = Version("0".into());
    let end = Instant::now() + 6 * STEP;
    while engine.put(&name("head"), b"x", Some(&other), soon()) == Ok(Put::Conflict) {
        if engine.put(&name("other"), b"x", None, Instant::now() + Duration::from_secs(1)).is_err() {
            break;
        }
        engine.delete(&[name("other")], soon()).unwrap();
        assert!(Instant::now() < end, "the store refuses nothing");
    }
    let refused = trouble("put", engine.put(&name("head"), b"2", Some(&version), soon()));
    assert!([Cause::Full, Cause::Unwell].contains(&refused.cause), "{refused}");
    println!("full: {refused}");
    assert_eq!(read(engine, &name("head")), Some(b"1".to_vec()));
    store.make_room();
    until_it_works(|| engine.put(&name("other"), b"x", None, soon()));
    let version = engine.get(&name("head"), soon()).unwrap().expect("a head").version;
    put(engine, &name("head"), b"3", Some(&version));
}

fn restored_from_a_snapshot(store: &mut SeaweedFs, dir: &Path) {
    let engine = open(dir, &store.remote()).unwrap();
    let first = put(&*engine, &name("restored/head"), b"1", None);
    let snapshot = dir.join("snapshot");
    store.snapshot(&snapshot);
    let ours = put(&*engine, &name("restored/head"), b"2", Some(&first));
    store.restore(&snapshot);
    let found = until_it_works(|| engine.get(&name("restored/head"), soon())).expect("a head");
    assert_eq!((found.bytes, &found.version), (b"1".to_vec(), &first));
    put(&*open(dir, &store.remote()).unwrap(), &name("restored/head"), b"another's", Some(&first));
    assert_eq!(engine.put(&name("restored/head"), b"3", Some(&ours), soon()), Ok(Put::Conflict));
}

/// Conditions hold in such a bucket too, and what is deleted is deleted with its versions.
pub fn a_bucket_that_keeps_versions() {
    let (dir, store) = start(Settings { versions: true, ..Settings::default() });
    let engine = open(dir.path(), &store.remote_of("administrator")).unwrap();
    let minute = Instant::now() + 6 * STEP;
    assert_eq!(honours_conditions(&*engine, PREFIX, minute), Ok(Verdict::Honoured));
    let seen = engine.examine(PREFIX, soon());
    assert!(seen.iter().any(|seen| seen.what.contains("keeps old versions")), "{seen:?}");

    let piece = name("pieces/0123456789abcdef-1");
    put(&*engine, &piece, b"a removed key", None);
    assert!(store.versions(&piece) > 0);
    engine.delete(std::slice::from_ref(&piece), soon()).unwrap();
    assert_eq!(store.versions(&piece), 0);
}
