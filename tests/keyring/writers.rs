// SPDX-License-Identifier: GPL-2.0-or-later
//! A file that is not the one in use any more: written by another program, older, foreign, forked,
//! damaged or gone. A change is refused before anything is written, and nothing anyone acknowledged is
//! lost; what may be healed is healed (invariants 1, 4 and 5).

use crate::common::sim::{Effect, Sim};
use crate::common::{CHEAP, Op, PATH, SECRET, contents, copies, create, data, filled, open, secret, tended};
use keyring_external::error::{Error, Refusal};
use keyring_external::keyring::{Keyring, KeyringState, NewKeyring, Severity, Trust};
use keyring_external::store::places::Places;
use std::path::Path;
use std::sync::Mutex;

fn store(id: &'static str) -> Op {
    Op::Store { id, user: "", key_type: "AES", data: data(id.len() as u64, 32) }
}

fn append(sim: &Sim, id: &'static str) {
    store(id).run(&open(&sim.fs()).unwrap().0).unwrap();
}

fn rewrite(sim: &Sim) {
    let (keyring, _) = open(&sim.fs()).unwrap();
    store("passing").run(&keyring).unwrap();
    Op::Remove { id: "passing", user: "" }.run(&keyring).unwrap();
}

/// Every kind of change is refused with an error that `expected` takes; the disk and memory stay.
fn is_refused(sim: &Sim, keyring: &Keyring, what: &str, expected: impl Fn(&Error) -> bool) {
    let (disk, memory) = (sim.bytes(PATH), contents(keyring));
    for op in [
        store("refused"),
        Op::Generate { id: "refused", user: "", key_type: "AES", len: 16 },
        Op::StoreAll { keys: vec![("refused", data(1, 32)), ("refused too", data(2, 32))] },
        Op::Remove { id: "short", user: "anna" },
    ] {
        sim.reset();
        let e = op.run(keyring).unwrap_err();
        assert!(expected(&e), "{what}, {op:?}: {e:?}");
        assert_eq!(sim.counts().changes(), 0, "{what}, {op:?}: something was written");
    }
    let status = tended(keyring);
    assert_eq!(status.state, KeyringState::Detached, "{what}");
    assert!(!status.last_error.is_empty(), "{what}");
    assert_eq!((sim.bytes(PATH), contents(keyring)), (disk, memory), "{what}");
}

#[test]
fn a_second_writer_stops_the_first_and_neither_loses_a_key() {
    type Change = fn(&Sim);
    let changes: [(&str, Change); 4] = [
        ("one append", |sim| append(sim, "second")),
        ("two appends", |sim| {
            append(sim, "second");
            append(sim, "third");
        }),
        ("a rewrite", rewrite),
        ("an append and a rewrite", |sim| {
            append(sim, "second");
            rewrite(sim);
        }),
    ];
    for (what, change) in changes {
        let (sim, _) = filled();
        let (first, _) = open(&sim.fs()).unwrap();
        assert_eq!(tended(&first).state, KeyringState::Attached);
        change(&sim);
        let second = contents(&open(&sim.fs()).unwrap().0);
        is_refused(&sim, &first, what, |e| matches!(e, Error::Refusal(Refusal::Changed { .. })));
        assert_eq!(contents(&open(&sim.fs()).unwrap().0), second, "{what}");
    }
}

/// The first writer's failed attempts reach the generation that the second one acknowledged.
#[test]
fn a_second_writer_stops_the_first_also_after_the_first_ones_writes_failed() {
    for attempts in 1..4 {
        for effect in [Effect::None, Effect::Half] {
            for at in 1..20 {
                let (sim, _) = filled();
                let (first, _) = open(&sim.fs()).unwrap();
                for _ in 0..attempts {
                    sim.fail_at(at, effect, 5);
                    let _ = store("failed").run(&first);
                }
                sim.reset();
                if first.len() != 4 {
                    continue;
                }
                append(&sim, "acknowledged");
                let second = contents(&open(&sim.fs()).unwrap().0);
                let what = format!("{attempts} failures at operation {at}, {effect:?}");
                is_refused(&sim, &first, &what, |e| matches!(e, Error::Refusal(Refusal::Changed { .. })));
                assert_eq!(contents(&open(&sim.fs()).unwrap().0), second);
            }
        }
    }
}

/// Two copies of one file went different ways, to the same generation.
#[test]
fn the_fork_of_a_keyring_is_not_overwritten() {
    let (sim, _) = filled();
    let fork = sim.fork();
    let (keyring, _) = open(&sim.fs()).unwrap();
    store("here").run(&keyring).unwrap();
    append(&fork, "there");
    sim.put(PATH, fork.bytes(PATH).unwrap());
    is_refused(&sim, &keyring, "a fork", |e| matches!(e, Error::Refusal(Refusal::Diverged { .. })));
    // A damaged commit slot of the fork makes it no less a fork.
    for slot in [8192, 12288] {
        let mut bytes = fork.bytes(PATH).unwrap();
        bytes[slot + 90] ^= 1;
        sim.put(PATH, bytes);
        is_refused(&sim, &keyring, "a damaged fork", |e| {
            matches!(e, Error::Refusal(Refusal::Diverged { .. }))
        });
    }
}

#[test]
fn an_older_copy_is_refused() {
    type Change = fn(&Sim);
    let changes: [(&str, Change); 3] = [
        ("one append", |sim| append(sim, "newer")),
        ("a rewrite", rewrite),
        ("both", |sim| {
            append(sim, "newer");
            rewrite(sim);
        }),
    ];
    for (what, change) in changes {
        let (sim, _) = filled();
        let old = sim.bytes(PATH).unwrap();
        change(&sim);
        let (keyring, _) = open(&sim.fs()).unwrap();
        let generation = keyring.known_status().generation;
        sim.put(PATH, old);
        is_refused(
            &sim,
            &keyring,
            what,
            |e| matches!(e, Error::Refusal(Refusal::Older { found: 5, expected, id, .. }) if (*expected, *id) == (generation, keyring.id())),
        );
    }
}

#[test]
fn another_keyring_or_none_is_refused() {
    let (sim, set) = filled();
    let (keyring, _) = open(&sim.fs()).unwrap();
    let ours = sim.bytes(PATH).unwrap();

    let other = Sim::default();
    create(&other.fs()).unwrap();
    let id = open(&other.fs()).unwrap().0.id();
    sim.put(PATH, other.bytes(PATH).unwrap());
    is_refused(
        &sim,
        &keyring,
        "foreign",
        |e| matches!(e, Error::Refusal(Refusal::Foreign { found, expected, .. }) if (*found, *expected) == (id, keyring.id())),
    );

    sim.put(PATH, vec![b'x'; 20000]);
    is_refused(&sim, &keyring, "no keyring", |e| matches!(e, Error::Refusal(Refusal::NotAKeyring { .. })));
    sim.put(PATH, Vec::new());
    is_refused(&sim, &keyring, "an empty file", |e| matches!(e, Error::Refusal(Refusal::NotAKeyring { .. })));
    sim.remove(PATH);
    is_refused(&sim, &keyring, "gone", |e| matches!(e, Error::Refusal(Refusal::Missing { .. })));

    // The volume is back.
    sim.put(PATH, ours);
    let op = store("back");
    op.run(&keyring).unwrap();
    assert_eq!(tended(&keyring).state, KeyringState::Attached);
    assert_eq!(contents(&open(&sim.fs()).unwrap().0), op.after(&set, &set));
}

/// Damage that appears while the keyring is open is healed by the next change, whichever half of a
/// pair it hits, and also the newest commit slot.
#[test]
fn damage_while_in_use_is_healed_by_the_next_change() {
    let (start, set) = filled();
    let len = start.bytes(PATH).unwrap().len();
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 7] = [
        ("first header copy", |b| b[100] ^= 1),
        ("second header copy", |b| b[4096 + 100] ^= 1),
        ("first commit slot", |b| b[8192 + 40] ^= 1),
        ("second commit slot", |b| b[12288 + 40] ^= 1),
        ("newest commit slot gone", |b| b[12288..16384].fill(0)),
        ("older commit slot gone", |b| b[8192..12288].fill(0)),
        ("garbage behind the end", |b| b.extend([7; 100])),
    ];
    for (what, damage) in damages {
        for op in [store("healing"), Op::Remove { id: "short", user: "anna" }] {
            let sim = start.fork();
            let (keyring, _) = open(&sim.fs()).unwrap();
            let mut bytes = sim.bytes(PATH).unwrap();
            damage(&mut bytes);
            sim.overwrite(PATH, bytes);
            op.run(&keyring).unwrap_or_else(|e| panic!("{what}: {e}"));
            let (again, notes) = open(&sim.fs()).unwrap();
            assert_eq!((contents(&again), notes), (op.after(&set, &set), vec![]), "{what}");
        }
    }
    // What was cut off is in memory.
    for cut in [1, 30, 200] {
        let sim = start.fork();
        let (keyring, _) = open(&sim.fs()).unwrap();
        sim.overwrite(PATH, sim.bytes(PATH).unwrap()[..len - cut].to_vec());
        store("healing").run(&keyring).unwrap();
        assert_eq!(contents(&open(&sim.fs()).unwrap().0), store("healing").after(&set, &set));
    }
}

/// Both halves of a pair are gone: nobody can tell any more what the file is, and it is left alone.
#[test]
fn damage_beyond_recognition_is_refused() {
    let (start, _) = filled();
    for (what, ranges) in
        [("both header copies", [100..101, 4196..4197]), ("both commit slots", [8192..8193, 12288..12289])]
    {
        let sim = start.fork();
        let (keyring, _) = open(&sim.fs()).unwrap();
        let mut bytes = sim.bytes(PATH).unwrap();
        ranges.into_iter().for_each(|r| bytes[r].fill(0xff));
        sim.overwrite(PATH, bytes);
        is_refused(&sim, &keyring, what, |e| matches!(e, Error::Refusal(Refusal::Damaged { .. })));
    }
}

/// What is told of a missing file is of the filesystem that was asked, not of this host's.
#[test]
fn a_missing_file_is_described_by_its_own_filesystem() {
    let e = open(&Sim::default().fs()).unwrap_err();
    assert!(matches!(e, Error::Refusal(Refusal::Missing { .. })), "{e}");
    let text = e.to_string();
    assert!(text.contains("directory /volume exists, but the file does not"), "{text}");
}

/// A volume without locks is told of at the first change, and not again.
#[test]
fn a_volume_without_locks_is_told_once() {
    static TOLD: Mutex<Vec<(Severity, String)>> = Mutex::new(Vec::new());
    fn report(severity: Severity, message: &str) {
        TOLD.lock().unwrap().push((severity, message.to_owned()));
    }
    // A name of its own: what is told is kept for each path of the process.
    let path = Path::new("/volume/without_locks");
    let config = copies::config(&[path.to_owned()], 1);
    let sim = Sim::default();
    NewKeyring::new("", &secret(&SECRET), "test", CHEAP)
        .unwrap()
        .write(&Places::from(&sim.fs()), &[path.to_owned()])
        .unwrap();
    let open = || Keyring::open(&Places::from(&sim.fs()), &config, Trust::Witness, report).unwrap().0;
    store("with locks").run(&open()).unwrap();
    assert!(TOLD.lock().unwrap().is_empty());
    sim.forget_locks();
    let keyring = open();
    store("one").run(&keyring).unwrap();
    store("two").run(&keyring).unwrap();
    store("three").run(&open()).unwrap();
    let told = TOLD.lock().unwrap();
    assert!(
        matches!(&told[..], [(Severity::Warning, text)] if text.contains("without_locks has no locks")),
        "{told:?}"
    );
}

mod on_real_files {
    use crate::common::{SECRET, contents, data, key_type, name, private_dir, secret, unlock};
    use keyring_external::error::{BadRequest, Error, Refusal};
    use keyring_external::format::cost::Cost;
    use keyring_external::keyring::{NewKeyring, load};
    use keyring_external::store::file::fs::Fs;
    use keyring_external::store::file::real::RealFs;
    use keyring_external::store::places::Places;
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::{Arc, Barrier};

    fn create(fs: &Arc<dyn Fs>, path: &Path) -> Result<(), Error> {
        NewKeyring::new("", &secret(&SECRET), "test", Cost::NONE)?
            .write(&Places::from(fs), &[path.to_owned()])
    }

    /// Two servers at one file, each of which has it read again whenever it is refused.
    #[test]
    fn two_writers_at_once_lose_no_acknowledged_key() {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let dir = private_dir();
        let path = dir.path().join("keyring");
        create(&fs, &path).unwrap();
        let start = Barrier::new(2);
        let write = |who: &str| {
            let mut stored = BTreeSet::new();
            let mut refused = 0;
            let mut keyring = load(&Places::from(&fs), &path, &unlock()).unwrap().0;
            start.wait();
            while stored.len() < 30 {
                let id = format!("{who}{}", stored.len());
                match keyring.store(name(&id, who), &key_type("AES"), &data(1, 32)) {
                    Ok(()) => drop(stored.insert((who.as_bytes().to_vec(), id.into_bytes()))),
                    Err(Error::Refusal(Refusal::Changed { .. })) => {
                        refused += 1;
                        keyring = load(&Places::from(&fs), &path, &unlock()).unwrap().0;
                    }
                    Err(e) => panic!("{e}"),
                }
            }
            (stored, refused)
        };
        let (one, other) = std::thread::scope(|s| {
            let other = s.spawn(|| write("other"));
            (write("one"), other.join().unwrap())
        });
        assert!(one.1 + other.1 > 0, "they never met");
        let all: BTreeSet<_> = one.0.union(&other.0).cloned().collect();
        let (keyring, notes) = load(&Places::from(&fs), &path, &unlock()).unwrap();
        assert_eq!(contents(&keyring).into_keys().collect::<BTreeSet<_>>(), all);
        assert_eq!(notes, []);
    }

    #[test]
    fn of_many_that_create_a_keyring_one_does() {
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        for _ in 0..20 {
            let dir = private_dir();
            let path = dir.path().join("keyring");
            let start = Barrier::new(4);
            let made = std::thread::scope(|s| {
                let create = || {
                    start.wait();
                    create(&fs, &path)
                };
                let threads: Vec<_> = (0..4).map(|_| s.spawn(create)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
            });
            for e in made.iter().filter_map(|m| m.as_ref().err()) {
                assert!(matches!(e, Error::BadRequest(BadRequest::AlreadyThere { .. })), "{e}");
            }
            assert_eq!(made.iter().filter(|m| m.is_ok()).count(), 1);
            assert!(load(&Places::from(&fs), &path, &unlock()).unwrap().0.is_empty());
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
