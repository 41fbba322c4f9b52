// SPDX-License-Identifier: GPL-2.0-or-later
//! A volume without a free block: each kind of change is made or refused, nothing acknowledged is lost,
//! nothing is left behind, and when there is room again, all goes on.

use keyring_external::error::Result;
use keyring_external::format::layout::FIXED_LEN;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::Keyring as Open;
use mysql_plugin_tests::rig::{Host, Keyring, Kind, ROTATE, Volume, agree, told};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What the message of a full volume asks for.
const REMEDY: &str = "Free some space on the volume";
/// So many changes are refused before the volume counts as full: a filesystem may keep blocks back, and give
/// them away in the end.
const REFUSALS: usize = 20;

fn name(id: &str) -> NameRef<'_> {
    NameRef::new(id.as_bytes(), b"").unwrap()
}

/// The keys that were acknowledged, and what became of changes.
#[derive(Default)]
struct Book {
    keys: BTreeMap<String, Vec<u8>>,
    made: usize,
    refused: usize,
}

impl Book {
    /// Makes a change that a full volume may refuse.
    fn change(&mut self, what: &str, done: Result<()>) -> bool {
        match &done {
            Ok(()) => self.made += 1,
            Err(e) => {
                self.refused += 1;
                assert!(e.to_string().contains(REMEDY), "{what}: {e}");
            }
        }
        done.is_ok()
    }

    fn store(&mut self, open: &Open, id: String) -> bool {
        let data = id.as_bytes().repeat(4000 / id.len());
        let made = self.change("store", open.store(name(&id), &KeyType::new(b"SECRET").unwrap(), &data));
        if made {
            self.keys.insert(id, data);
        }
        made
    }

    fn generate(&mut self, open: &Open, id: String) -> bool {
        let made = self.change("generate", open.generate(name(&id), &KeyType::new(b"AES").unwrap(), 3000));
        if made {
            let data = open.fetch(&name(&id), |key| key.data.to_vec()).unwrap();
            self.keys.insert(id, data);
        }
        made
    }

    fn remove(&mut self, open: &Open) -> bool {
        let id = self.keys.keys().next().unwrap().clone();
        let removed = self.change("remove", open.remove(name(&id)));
        if removed {
            self.keys.remove(&id);
        }
        removed
    }

    /// The keyring on disk has exactly these keys, byte for byte.
    fn check(&self, keyring: &Keyring) {
        let open = keyring.open();
        let mut found = BTreeMap::new();
        open.for_each(|key| {
            let id = String::from_utf8_lossy(key.name.id()).into_owned();
            found.insert(id, key.data.to_vec());
        });
        let ids: Vec<_> = found.keys().collect();
        assert!(found == self.keys, "{ids:?} instead of {:?}", self.keys.keys().collect::<Vec<_>>());
    }
}

/// How many slots it has.
fn slots(keyring: &Keyring) -> usize {
    keyring.report("status")["slots"].as_array().unwrap().len()
}

/// Runs a command that is refused for want of space, and leaves no trace.
fn ctl_is_refused(volume: &Volume, keyring: &Keyring, command: &[&str], args: &[&Path]) {
    let names = || {
        let entries = fs::read_dir(volume.keys()).unwrap().map(|e| e.unwrap().file_name());
        entries.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    let output = keyring.ctl_with(command, args.iter().map(|arg| arg.as_os_str()));
    assert!(!output.status.success() && told(&output).contains(REMEDY), "{command:?}: {}", told(&output));
    assert_eq!(names(), before, "{command:?} left something");
}

/// Damages the first record, in place.
fn damage(path: &Path) -> bool {
    let file = fs::File::options().write(true).open(path).unwrap();
    // Where every write goes to a new block, there may be none for this one.
    file.write_all_at(&[0x55; 8], FIXED_LEN as u64 + 60).and_then(|()| file.sync_all()).is_ok()
}

/// Store, generate, remove, a new slot, a new data key, a new keyring, a new copy, and the healing of a copy.
pub fn each_change(kind: Kind) {
    let (volume, other) = (Volume::of(kind), Volume::of(Kind::Directory));
    let keyring = Keyring::init(&volume);
    let open = keyring.open();
    let mut book = Book::default();
    for n in 0..40 {
        assert!(book.store(&open, format!("before{n}")));
    }
    volume.fill();
    for n in 0.. {
        if book.refused >= REFUSALS {
            break;
        }
        assert!(n < 5000, "the volume is not full");
        book.store(&open, format!("full{n}"));
        if n % 10 == 0 {
            book.check(&keyring);
        }
    }
    let stores = book.refused;
    let generates = (0..5).filter(|n| !book.generate(&open, format!("made{n}"))).count();
    book.check(&keyring);
    let removes = (0..3).filter(|_| !book.remove(&open)).count();
    book.check(&keyring);
    drop(open);
    // What removing freed, when it was not refused.
    volume.fill();

    let before = slots(&keyring);
    ctl_is_refused(&volume, &keyring, &["slot", "add", "--new-recovery"], &[&keyring.path]);
    assert_eq!(slots(&keyring), before);
    ctl_is_refused(&volume, &keyring, &["rekey", "--yes"], &[&keyring.path]);
    let elsewhere = volume.keys().join("elsewhere");
    ctl_is_refused(&volume, &keyring, &["init"], &[&elsewhere]);
    ctl_is_refused(
        &volume,
        &keyring,
        &["sync", "--create", "--yes"],
        &[&keyring.path, "--mirror".as_ref(), &elsewhere],
    );
    book.check(&keyring);

    // A whole copy elsewhere, and this one damaged: healing needs room for a whole file.
    let mirror = other.keys().join("keyring");
    fs::copy(&keyring.path, &mirror).unwrap();
    let pair = Keyring { mirrors: vec![mirror], ..keyring.clone() };
    let damaged = damage(&keyring.path);
    let open = pair.open();
    let healed = open.bring_up_to_date();
    assert!(!damaged || open.status().copies == (1, 2), "{healed:?} {:?}", open.status());
    drop(open);
    book.check(&pair);

    volume.make_room();
    let open = pair.open();
    open.bring_up_to_date().unwrap();
    assert_eq!(open.status().copies, (2, 2), "{:?}", open.standings());
    assert!(book.store(&open, "after".to_owned()) && book.generate(&open, "after, made".to_owned()));
    assert!(book.remove(&open));
    drop(open);
    for path in pair.paths() {
        book.check(&pair.copy(&path));
    }
    eprintln!(
        "full disk, {}: refused: {stores} stores, {generates} generates, {removes} removes, 1 slot, 1 rekey, 1 init, \
         1 sync, {} heal; 0 lost, 0 false",
        kind.name(),
        usize::from(damaged)
    );
    assert!(generates > 0 || removes > 0);
}

/// Under a real server: changes go to the mirror alone, or are refused when there is none, and the copy on
/// the full volume is healed when there is room.
pub fn server() {
    let (volume, other) = (Volume::ext4(), Volume::directory());
    let keyring = Keyring::init_on(&[&volume, &other]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
    agree(&server, &keyring, "ATTACHED", "2/2");
    // Full, and nothing was written yet.
    volume.fill();
    agree(&server, &keyring, "DEGRADED", "1/2");
    for n in 0..3 {
        let data = "x".repeat(8000);
        let ask = format!("SELECT keyring_key_store('full{n}', 'SECRET', '{data}')");
        assert_eq!(server.value::<Option<i32>>(&ask), Some(1), "{}", server.log());
        server.sql(ROTATE);
    }
    agree(&server, &keyring, "DEGRADED", "1/2");
    assert!(server.log().contains(REMEDY), "{}", server.log());
    volume.make_room();
    agree(&server, &keyring, "ATTACHED", "2/2");
    server.stop();

    // At start the copy on the full volume is damaged.
    volume.fill();
    assert!(damage(&keyring.path));
    let server = host.start();
    agree(&server, &keyring, "DEGRADED", "1/2");
    assert!(server.log().contains(REMEDY), "{}", server.log());
    server.sql(ROTATE);
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    agree(&server, &keyring, "DEGRADED", "1/2");
    volume.make_room();
    agree(&server, &keyring, "ATTACHED", "2/2");
    server.stop();

    // The only copy.
    let alone = keyring.copy(&keyring.path);
    let host = host.without_mirrors();
    let server = host.start();
    let store = |id: &str| {
        let ask = format!("SELECT keyring_key_store('{id}', 'SECRET', REPEAT('x', 8000))");
        server.value::<Option<i32>>(&ask)
    };
    volume.fill();
    assert_eq!([store("none"), store("neither")], [None, None]);
    server.sql_error(ROTATE);
    assert_eq!(server.value::<Option<i32>>("SELECT keyring_key_remove('full1')"), None);
    assert!(server.log().contains(REMEDY), "{}", server.log());
    assert_eq!(server.value::<i32>("SELECT keyring_key_length_fetch('full1')"), 8000);
    agree(&server, &alone, "DETACHED", "0/1");
    volume.make_room();
    assert_eq!(store("some"), Some(1));
    server.sql(ROTATE);
    agree(&server, &alone, "ATTACHED", "1/1");
    server.stop();
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
    let mut stored = alone.ids("");
    stored.retain(|id| !id.starts_with("INNODB"));
    stored.sort();
    assert_eq!(stored, ["full0", "full1", "full2", "some"]);
}
