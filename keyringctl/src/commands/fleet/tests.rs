// SPDX-License-Identifier: GPL-2.0-or-later
//! Fleets whose objects are in memory.

mod memory;

use super::entry::{Entry, Kind};
use super::{check, show};
use keyring_external::format::cost::Cost;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{NewKeyring, load};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::store::remote::head::{Head, Piece, PieceName};
use keyring_external::unlock::UnlockSource;
use memory::Memory;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const NOW: u64 = 1_800_000_000;
const SECRET: [u8; 40] = [7; 40];

/// A keyring in a file, which is put at prefixes.
struct Source {
    dir: TempDir,
    path: PathBuf,
    fs: Places,
}

impl Source {
    fn new(label: &str) -> Source {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let (path, fs) = (dir.path().join("k"), Places::from(fs));
        let secret = dir.path().join("secret");
        fs::write(&secret, SECRET).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let secret = UnlockSource::File(secret).read().unwrap();
        let new = NewKeyring::new(label, &secret, "test", Cost::NONE).unwrap();
        new.write(&fs, std::slice::from_ref(&path)).unwrap();
        Source { dir, path, fs }
    }

    /// Stores a key.
    fn change(&self, name: &str) {
        let source = UnlockSource::File(self.dir.path().join("secret"));
        let (keyring, _) = load(&self.fs, &self.path, &source).unwrap();
        let name = NameRef::new(name.as_bytes(), b"").unwrap();
        keyring.store(name, &KeyType::new(b"AES").unwrap(), &[1; 32]).unwrap();
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    fn put_at(&self, memory: &Memory, prefix: &str, replica: u8, written: u64) {
        put(memory, prefix, &self.bytes(), replica, written);
    }
}

/// Puts a keyring at a prefix, in one piece.
fn put(memory: &Memory, prefix: &str, file: &[u8], replica: u8, written: u64) {
    let (front, rest) = file.split_at(16_384);
    let mut head = Head::of_front(front, [replica; 16], 2).unwrap();
    head.written = written;
    if !rest.is_empty() {
        let name = PieceName { base: 1, random: u64::from(replica) };
        head.pieces = vec![Piece { name, len: rest.len() as u32 }];
        memory.set(&format!("{prefix}/{name}"), rest.to_vec());
    }
    memory.set(&format!("{prefix}/head"), head.encode().unwrap());
}

fn kinds(entries: &[Entry]) -> Vec<(String, Vec<Kind>)> {
    let all = entries.iter().map(|entry| {
        (entry.path.display().to_string(), entry.problems.iter().map(|problem| problem.kind).collect())
    });
    all.collect()
}

fn expected(all: &[(&str, &[Kind])]) -> Vec<(String, Vec<Kind>)> {
    all.iter().map(|(path, kinds)| ((*path).to_owned(), kinds.to_vec())).collect()
}

#[test]
fn every_keyring_of_a_fleet_is_shown_with_what_its_head_says() {
    let memory = Memory::default();
    let (one, two) = (Source::new("Biobank, server 1"), Source::new(""));
    one.change("first");
    one.put_at(&memory, "hospital/db1", 1, NOW - 100);
    two.put_at(&memory, "lab/x.y/db-2", 2, NOW - 50);
    memory.set("lab/notes.txt", b"not a keyring".to_vec());
    let entries = memory.compared(Some(400));
    assert_eq!(kinds(&entries), expected(&[("@b/hospital/db1", &[]), ("@b/lab/x.y/db-2", &[])]));
    let about = entries[0].about.as_ref().unwrap();
    assert_eq!(
        (about.label.as_str(), about.generation, about.changed),
        ("Biobank, server 1", Some(2), NOW - 100)
    );
    assert_eq!((about.size, about.pieces, about.slots.len()), (one.bytes().len() as u64, 1, 1));
    assert_eq!(entries[1].about.as_ref().unwrap().pieces, 0);
}

#[test]
fn damage_that_shows_without_a_secret_is_an_error() {
    let memory = Memory::default();
    let source = Source::new("");
    source.change("first");
    for (i, prefix) in ["cut", "gone", "header", "nohead", "noise", "short", "slots"].iter().enumerate() {
        source.put_at(&memory, prefix, i as u8, NOW);
    }
    let head = memory.objects.lock().unwrap()["cut/head"].clone();
    memory.set("cut/head", head[..head.len() - 1].to_vec());
    memory.remove("gone/pieces/0000000000000001-0000000000000001");
    let changed = |prefix: &str, at: std::ops::Range<usize>| {
        let name = format!("{prefix}/head");
        let mut head = memory.objects.lock().unwrap()[&name].clone();
        head[at].fill(0xff);
        memory.set(&name, head);
    };
    changed("header", 30..31);
    changed("slots", 4096..4096 + 256);
    memory.remove("nohead/head");
    memory.set("noise/head", b"<html>".to_vec());
    put(&memory, "short", &source.bytes()[..16_384], 9, NOW);
    let entries = memory.look();
    let damaged: &[Kind] = &[Kind::Damaged];
    assert_eq!(
        kinds(&entries),
        expected(&[
            ("@b/cut", damaged),
            ("@b/gone", damaged),
            ("@b/header", damaged),
            ("@b/nohead", &[Kind::NoHead]),
            ("@b/noise", damaged),
            ("@b/short", damaged),
            ("@b/slots", damaged),
        ])
    );
    let told = |i: usize| entries[i].problems[0].what.as_str();
    assert!(told(1).starts_with("1 of its 1 piece"), "{}", told(1));
    assert!(told(5).contains("but its pieces have 16384"), "{}", told(5));
}

#[test]
fn what_a_stale_list_leaves_out_is_looked_for() {
    let source = Source::new("");
    source.change("first");
    let mut memory = Memory::default();
    source.put_at(&memory, "db1", 1, NOW);
    memory.unlisted = vec!["db1/pieces/0000000000000001-0000000000000001".to_owned()];
    assert_eq!(kinds(&memory.look()), expected(&[("@b/db1", &[])]));
    memory.unlisted = vec!["db1/head".to_owned()];
    assert_eq!(kinds(&memory.look()), expected(&[("@b/db1", &[])]));
}

#[test]
fn a_head_that_is_listed_but_was_deleted_is_an_error() {
    let source = Source::new("");
    source.change("first");
    let mut memory = Memory::default();
    source.put_at(&memory, "db1", 1, NOW);
    memory.remove("db1/head");
    memory.deleted = vec!["db1/head".to_owned(), "db2/head".to_owned()];
    let entries = memory.look();
    assert_eq!(kinds(&entries), expected(&[("@b/db1", &[Kind::NoHead])]));
    let what = &entries[0].problems[0].what;
    for command in ["keyringctl set-aside @b/db1", "keyringctl sync COPY --mirror @b/db1"] {
        assert!(what.contains(command), "{what}");
    }
    // Its pieces are set aside, and a mark says so.
    memory.set("db1/head", b"keyring_external: no copy is here\n".to_vec());
    assert_eq!(kinds(&memory.look()), []);
}

#[test]
fn copies_of_one_keyring_are_compared() {
    let memory = Memory::default();
    let source = Source::new("");
    source.put_at(&memory, "behind", 1, NOW);
    let first = source.bytes();
    source.change("first");
    source.put_at(&memory, "newest", 2, NOW);
    source.put_at(&memory, "same", 3, NOW);
    let entries = memory.compared(None);
    let found = kinds(&entries);
    assert_eq!(found, expected(&[("@b/behind", &[Kind::Behind]), ("@b/newest", &[]), ("@b/same", &[])]));
    assert_eq!(entries[0].copies, [Path::new("@b/newest"), Path::new("@b/same")]);
    let what = &entries[0].problems[0].what;
    assert!(what.contains("keyringctl sync @b/newest --mirror @b/behind"), "{what}");
    // The copy that was behind is changed by another server.
    let file = first.len();
    fs::write(&source.path, &first).unwrap();
    source.change("other");
    assert!(source.bytes().len() > file);
    memory.objects.lock().unwrap().retain(|name, _| name.starts_with("newest"));
    source.put_at(&memory, "other", 4, NOW);
    let entries = memory.compared(None);
    let both: &[Kind] = &[Kind::Diverged];
    assert_eq!(kinds(&entries), expected(&[("@b/newest", both), ("@b/other", both)]));
}

#[test]
fn a_copied_prefix_is_found_and_so_is_a_keyring_that_nobody_changed() {
    let memory = Memory::default();
    let (one, two) = (Source::new(""), Source::new(""));
    one.put_at(&memory, "a", 1, NOW - 401 * 24 * 60 * 60);
    one.put_at(&memory, "copied", 1, NOW);
    two.put_at(&memory, "other", 2, NOW + 1000);
    let entries = memory.compared(Some(400));
    assert_eq!(
        kinds(&entries),
        expected(&[
            ("@b/a", &[Kind::SameReplica, Kind::Stale]),
            ("@b/copied", &[Kind::SameReplica]),
            ("@b/other", &[]),
        ])
    );
    assert!(entries[0].problems[1].what.starts_with("not changed for 401 days"));
    assert_eq!(memory.compared(None)[0].problems.len(), 1);
}

/// If each named all others, ten thousand prefixes of one keyring would take minutes.
#[test]
fn a_keyring_at_many_prefixes_names_some_of_them_and_counts_all() {
    let memory = Memory::default();
    let source = Source::new("");
    for i in 0..30 {
        source.put_at(&memory, &format!("db{i:02}"), 1, NOW);
    }
    for entry in memory.compared(None) {
        assert_eq!((entry.copies.len(), entry.copies_in_all), (Entry::MOST_COPIES, 29));
        assert!(!entry.copies.contains(&entry.path));
        assert!(entry.problems[0].what.contains(", 21 more: two servers"), "{}", entry.problems[0].what);
    }
}

#[test]
fn an_engine_that_fails_is_not_asked_ten_thousand_times() {
    let source = Source::new("");
    let mut memory = Memory::default();
    for i in 0..100 {
        source.put_at(&memory, &format!("db{i:03}"), i, NOW);
    }
    memory.closed = vec!["db".to_owned()];
    let entries = memory.look();
    assert!(entries.iter().all(|entry| entry.problems[0].kind == Kind::Unread));
    let asked = entries.iter().filter(|entry| entry.problems[0].what.contains("refuses")).count();
    assert!((8..100).contains(&asked), "{asked}");
}

#[test]
fn the_check_is_one_line_and_names_the_worst_first() {
    let memory = Memory::default();
    let source = Source::new("");
    source.put_at(&memory, "a", 1, NOW - 401 * 24 * 60 * 60);
    let line = |stale, min| check::line(&memory.compared(stale), min).shown("fleet check", false);
    let (code, text) = line(None, 1);
    let fine = "OK: 1 keyring, nothing wrong as far as their heads tell without a secret | keyrings=1;;1: \
                keyrings_failed=0;;0 keyrings_warned=0;0\n";
    assert_eq!((code, text.as_str()), (0, fine));
    assert!(line(None, 2).1.starts_with("CRITICAL: 1 keyring"), "{}", line(None, 2).1);
    let (code, none) = check::line(&[], 1).shown("fleet check", false);
    assert!(code == 2 && none.starts_with("CRITICAL: 0 keyrings; fewer than 1 ("), "{none}");
    let (code, text) = line(Some(400), 1);
    assert!(
        code == 1
            && text.starts_with("WARNING: 1 keyring: 0 with errors, 1 with warnings; @b/a: not changed")
    );
    memory.set("z/head", b"".to_vec());
    let (code, text) = line(Some(400), 1);
    assert!(code == 2 && text.find("@b/z: its head").unwrap() < text.find("@b/a: not").unwrap(), "{text}");
}

#[test]
fn metrics_have_one_sample_for_each_keyring_and_kind() {
    let memory = Memory::default();
    Source::new("L \"1\"").put_at(&memory, "a", 1, NOW);
    memory.set("z/head", b"".to_vec());
    let text = show::metrics(&memory.compared(None), 0).text();
    assert!(
        text.contains("keyring_external_fleet_fine{path=\"@b/z\",keyring=\"\",label=\"\"} 0\n"),
        "{text}"
    );
    assert!(text.contains(",label=\"L \\\"1\\\"\"} 1800000000\n"), "{text}");
    assert!(text.contains("keyring_external_fleet_problems{kind=\"damaged\"} 1\n"), "{text}");
    assert!(text.contains("keyring_external_fleet_keyrings 2\n"), "{text}");
}
