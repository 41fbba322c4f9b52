// SPDX-License-Identifier: GPL-2.0-or-later
//! What the integration tests share.
#![allow(dead_code, reason = "every test program uses its own part of it")]

pub mod copies;
pub mod ended;
pub mod forge;
pub mod gate;
pub mod hooked;
pub mod json_form;
pub mod mandatory;
pub mod seed;
pub mod sim;
mod states;

use keyring_external::error::Error;
use keyring_external::format::cost::Cost;
use keyring_external::format::image::Note;
use keyring_external::format::records::KeyRecord;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{Keyring, NewKeyring, Renewed, Status, Verifier, load};
use keyring_external::secret::Locked;
use keyring_external::secret::UnlockSecret;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
pub use seed::Rng;
use sim::Sim;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Where the keyring lies in simulated filesystems.
pub const PATH: &str = "/volume/keyring";
/// Where a new version of it is made.
pub const TEMPORARY: &str = "/volume/keyring.new";
/// The unlock secret of all test keyrings: no text, so that it goes into a secret-file slot.
pub const SECRET: [u8; 40] = [0xe7; 40];
/// An Argon2id cost that takes no time.
pub const CHEAP: Cost = Cost { memory_kib: 32, passes: 1, lanes: 1 };

/// A keyring's keys: (user, id) to (type, bytes).
pub type Set = BTreeMap<(Vec<u8>, Vec<u8>), (Vec<u8>, Vec<u8>)>;

pub fn keyring_path() -> &'static Path {
    Path::new(PATH)
}

/// A directory that is closed to others and vanishes.
pub fn private_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

/// A file, closed to others, that lives as long as the test program.
pub fn secret_file(bytes: &[u8]) -> PathBuf {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| tempfile::tempdir().unwrap());
    let name: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let path = dir.path().join(&name[..name.len().min(200)]);
    if !path.exists() {
        // Renamed into place, so that a test running beside this one never reads half of it.
        let file = tempfile::NamedTempFile::new_in(dir.path()).unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        file.persist(&path).unwrap();
    }
    path
}

pub fn unlock() -> UnlockSource {
    UnlockSource::File(secret_file(&SECRET))
}

pub fn secret(bytes: &[u8]) -> UnlockSecret {
    UnlockSecret::new(Locked::copy_of(bytes).unwrap())
}

/// Renews the data key with these secrets.
pub fn rekey(keyring: &Keyring, secrets: &[&[u8]], require_all: bool) -> Result<Vec<Renewed>, Error> {
    let verifier = |bytes: &&[u8]| Verifier { source_name: "test".into(), secret: secret(bytes) };
    keyring.rekey(&secrets.iter().map(verifier).collect::<Vec<_>>(), require_all)
}

/// Makes an empty keyring at [`PATH`].
pub fn create(fs: &Arc<dyn Fs>) -> Result<(), Error> {
    NewKeyring::new("test", &secret(&SECRET), "test", CHEAP)?
        .write(&Places::from(fs), &[keyring_path().to_owned()])
}

pub fn open(fs: &Arc<dyn Fs>) -> Result<(Keyring, Vec<Note>), Error> {
    load(&Places::from(fs), keyring_path(), &unlock())
}

/// Changes a keyring that was just opened, and takes that back: only from then on its writer appends.
pub fn take_into_use(keyring: &Keyring) {
    keyring.store(name("passing", ""), &key_type("AES"), &data(5, 32)).unwrap();
    keyring.remove(name("passing", "")).unwrap();
}

pub fn name<'a>(id: &'a str, user: &'a str) -> NameRef<'a> {
    NameRef::new(id.as_bytes(), user.as_bytes()).unwrap()
}

pub fn key_type(text: &str) -> KeyType {
    KeyType::new(text.as_bytes()).unwrap()
}

/// A keyring that was filled by appending, so that its commit slots are of two generations.
pub fn filled() -> (Sim, Set) {
    let sim = Sim::default();
    create(&sim.fs()).unwrap();
    let (keyring, _) = open(&sim.fs()).unwrap();
    let mut set = Set::new();
    for (id, user, t, len) in [
        ("INNODBKey-1", "", "AES", 32),
        ("short", "anna", "SECRET", 1),
        ("short", "bert", "AES", 16),
        ("long", "anna", "SECRET", 300),
    ] {
        let bytes = data(len as u64, len);
        keyring.store(name(id, user), &key_type(t), &bytes).unwrap();
        put(&mut set, id, user, t, &bytes);
    }
    drop(keyring);
    (sim.fork(), set)
}

/// The status after the keyring was looked after, as the server does when a copy is not up to date.
pub fn tended(keyring: &Keyring) -> Status {
    keyring.maintain();
    keyring.known_status()
}

/// All that is in a keyring.
pub fn contents(keyring: &Keyring) -> Set {
    let mut set = Set::new();
    keyring.for_each(|r| {
        let old = set.insert(
            (r.name.user().to_vec(), r.name.id().to_vec()),
            (r.key_type.bytes().to_vec(), r.data.to_vec()),
        );
        assert!(old.is_none(), "a key is listed twice");
    });
    assert_eq!(set.len(), keyring.len());
    set
}

/// Puts a key into a set that a test expects.
pub fn put(set: &mut Set, id: &str, user: &str, key_type: &str, data: &[u8]) {
    set.insert((user.into(), id.into()), (key_type.into(), data.to_vec()));
}

/// Bytes that differ from key to key.
pub fn data(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Rng(seed);
    (0..len).map(|_| rng.next() as u8).collect()
}

/// A change of a keyring that a test makes.
#[derive(Clone, Debug)]
pub enum Op {
    Store {
        id: &'static str,
        user: &'static str,
        key_type: &'static str,
        data: Vec<u8>,
    },
    /// Keys of the server itself, in one step.
    StoreAll {
        keys: Vec<(&'static str, Vec<u8>)>,
    },
    Generate {
        id: &'static str,
        user: &'static str,
        key_type: &'static str,
        len: usize,
    },
    Remove {
        id: &'static str,
        user: &'static str,
    },
    /// A slot more. The keys stay.
    AddSlot,
    /// A new data key. The keys stay.
    Rekey,
}

impl Op {
    pub fn run(&self, keyring: &Keyring) -> Result<(), Error> {
        match self {
            Op::Store { id, user, key_type: t, data } => keyring.store(name(id, user), &key_type(t), data),
            Op::StoreAll { keys } => {
                let key_type = &key_type("AES");
                let record =
                    |(id, data)| KeyRecord { name: name(id, ""), key_type, created: 7, retired: None, data };
                keyring.store_all(&keys.iter().map(|(id, data)| record((id, data))).collect::<Vec<_>>())
            }
            Op::Generate { id, user, key_type: t, len } => {
                keyring.generate(name(id, user), &key_type(t), *len)
            }
            Op::Remove { id, user } => keyring.remove(name(id, user)),
            Op::AddSlot => keyring.add_slot(&secret(&[7; 32]), "test", "another", CHEAP).map(drop),
            Op::Rekey => rekey(keyring, &[&SECRET], false).map(drop),
        }
    }

    /// Whether it is appended, by a writer that may.
    pub fn appends(&self) -> bool {
        matches!(self, Op::Store { .. } | Op::Generate { .. })
    }

    /// Whether the keyring holds other keys after it.
    pub fn changes_keys(&self) -> bool {
        !matches!(self, Op::AddSlot | Op::Rekey)
    }

    /// The keys after it. The bytes of a generated key are taken from `found`, when they are as many as
    /// were asked for.
    pub fn after(&self, before: &Set, found: &Set) -> Set {
        let mut after = before.clone();
        match self {
            Op::Store { id, user, key_type, data } => put(&mut after, id, user, key_type, data),
            Op::StoreAll { keys } => {
                keys.iter().for_each(|(id, data)| put(&mut after, id, "", "AES", data));
            }
            Op::Generate { id, user, key_type, len } => {
                let bytes = found.get(&(user.as_bytes().to_vec(), id.as_bytes().to_vec()));
                let bytes = bytes.map_or(&[][..], |(_, bytes)| bytes);
                assert!(bytes.is_empty() || bytes.len() == *len, "a generated key of another length");
                put(&mut after, id, user, key_type, bytes);
            }
            Op::Remove { id, user } => {
                after.remove(&(user.as_bytes().to_vec(), id.as_bytes().to_vec()));
            }
            Op::AddSlot | Op::Rekey => {}
        }
        after
    }
}
