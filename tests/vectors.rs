// SPDX-License-Identifier: GPL-2.0-or-later
//! Golden vectors: keyring files as text, each with what opening it must come to. They hold
//! docs/FORMAT.md and this implementation together, and old files readable: once a version is released, vectors are
//! only added, never edited. `cargo test --test vectors -- --ignored` makes those that are missing.

mod common;
#[path = "vectors/made.rs"]
mod made;
#[path = "vectors/make.rs"]
mod make;
#[path = "vectors/planted.rs"]
mod planted;
#[path = "vectors/text.rs"]
mod text;

use common::sim::Sim;
use common::{PATH, secret_file};
use keyring_external::error::{Error, Refusal};
use keyring_external::format::image::Note;
use keyring_external::format::slots::{SlotKind, Slots};
use keyring_external::keyring::{inspect, load};
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use made::Made;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use text::{Expect, Key, Opened, Vector};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn note(note: &Note) -> String {
    match note {
        Note::HeaderCopy => "header_copy".to_owned(),
        Note::CommitSlot => "commit_slot".to_owned(),
        Note::RolledForward(n) => format!("rolled_forward {n}"),
        Note::Ignored(n) => format!("ignored {n}"),
    }
}

fn kind(kind: SlotKind) -> String {
    match kind {
        SlotKind::Custodians(of) => format!("custodians {of}"),
        kind => kind.name().to_owned(),
    }
}

/// The slots up to the last one in use, each at its position.
fn slots(slots: &Slots) -> Vec<String> {
    let last = slots.iter().last().map_or(0, |(number, _)| number);
    let shown = |number| {
        let slot = slots.get(number);
        slot.map_or_else(|| "unused".to_owned(), |s| format!("{} {:?}", kind(s.kind), s.name))
    };
    (1..=last).map(shown).collect()
}

/// What opening a file with a secret comes to.
fn outcome(file: &[u8], secret: &[u8]) -> Expect {
    let sim = Sim::default();
    sim.put(PATH, file.to_vec());
    let unlock = UnlockSource::File(secret_file(secret));
    match load(&Places::from(&sim.fs()), Path::new(PATH), &unlock) {
        Ok((keyring, notes)) => {
            let header = inspect(&Places::from(&sim.fs()), Path::new(PATH)).unwrap().header;
            let mut keys = Vec::new();
            keyring.for_each(|k| {
                keys.push(Key {
                    user: k.name.user().to_vec(),
                    id: k.name.id().to_vec(),
                    key_type: k.key_type.bytes().to_vec(),
                    created: k.created,
                    retired: k.retired.map_or(0, |at| at.get()),
                    data: k.data.to_vec(),
                });
            });
            Expect::Opened(Opened {
                id: keyring.id().to_string(),
                label: header.label.clone(),
                created: header.created,
                slots: slots(&header.slots),
                generation: keyring.status().generation,
                notes: notes.iter().map(note).collect(),
                keys,
            })
        }
        Err(Error::Refusal(Refusal::Damaged { .. }) | Error::Refusal(Refusal::ForgedSlot { .. })) => {
            Expect::Damaged
        }
        Err(Error::Refusal(Refusal::NotAKeyring { .. })) => Expect::NotAKeyring,
        Err(Error::Refusal(Refusal::Newer { .. })) => Expect::Newer,
        Err(Error::Refusal(Refusal::WrongSecret { .. })) => Expect::WrongSecret,
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn every_vector_opens_as_it_says() {
    for (name, _, _) in make::VECTORS {
        let text = std::fs::read_to_string(directory().join(format!("{name}.vector")))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let vector = Vector::parse(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(vector.name, *name);
        assert_eq!(vector.to_text(), text, "{name}: is not in the one form that there is");
        assert_eq!(outcome(&vector.file, &vector.secret), vector.expect, "{name}");
    }
}

/// The second reader, made from docs/FORMAT.md, agrees.
#[test]
fn a_reader_made_from_the_document_reads_every_vector_alike() {
    let files = make::VECTORS.iter().map(|(name, _, _)| directory().join(format!("{name}.vector")));
    let files = files.chain([directory().join("several_keys.head")]);
    let run = Command::new("python3").arg("-B").arg(directory().join("reader.py")).args(files).output();
    let run = match run {
        Err(e) if e.kind() == ErrorKind::NotFound => return println!("skipped: there is no python3"),
        run => run.unwrap(),
    };
    let said = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// What a line `word: value` of a vector says, for each such line.
#[cfg(feature = "remote")]
fn said<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(": ")).collect()
}

/// The head of a copy at a remote stands for the file.
#[cfg(feature = "remote")]
#[test]
fn the_vector_of_a_head_is_read_and_written_as_it_says() {
    use keyring_external::store::remote::head::{Head, PieceName};
    let read = |name: &str| std::fs::read_to_string(directory().join(name)).unwrap();
    let text = read("several_keys.head");
    let mut bytes = vec![0; said(&text, "length")[0].parse().unwrap()];
    for line in text.lines().filter_map(|line| line.strip_prefix('@')) {
        let (at, hex) = line.split_once(' ').unwrap();
        let at: usize = at.parse().unwrap();
        for (n, byte) in (0..hex.len()).step_by(2).enumerate() {
            bytes[at + n] = u8::from_str_radix(&hex[byte..byte + 2], 16).unwrap();
        }
    }
    let file = Vector::parse(&read(said(&text, "file")[0])).unwrap().file;
    let head = Head::decode(&bytes).unwrap();
    assert_eq!(*head.front().0, file[..16384]);
    assert_eq!(head.file_len(), file.len() as u64);
    let identity: String = head.replica.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(said(&text, "identity"), [identity]);
    assert_eq!(said(&text, "sequence"), [head.sequence.to_string()]);
    assert_eq!(said(&text, "written"), [head.written.to_string()]);
    let pieces: Vec<_> = head.pieces.iter().map(|piece| format!("{} {}", piece.name, piece.len)).collect();
    assert_eq!(said(&text, "piece"), pieces);
    assert!(pieces.iter().all(|piece| PieceName::parse(piece.split(' ').next().unwrap()).is_some()));
    assert_eq!(head.encode().unwrap(), bytes);
    let mut again = Head::of_front(&file[..16384], head.replica, head.sequence).unwrap();
    (again.written, again.pieces) = (head.written, head.pieces.clone());
    assert!(again == head);
}

#[test]
fn every_file_in_the_directory_is_a_known_vector() {
    let mut found: Vec<_> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".vector").map(str::to_owned))
        .collect();
    found.sort();
    let mut known: Vec<_> = make::VECTORS.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    known.sort();
    assert_eq!(found, known);
}

#[test]
#[ignore = "writes the vectors that are missing"]
fn make_vectors() {
    for (name, about, make) in make::VECTORS {
        let path = directory().join(format!("{name}.vector"));
        if path.exists() {
            continue;
        }
        let Made { file, secret, expect } = make();
        let found = outcome(&file, &secret);
        assert_eq!(found.word(), expect, "{name}");
        let vector = Vector { name: (*name).into(), note: (*about).into(), secret, expect: found, file };
        std::fs::write(path, vector.to_text()).unwrap();
    }
}
