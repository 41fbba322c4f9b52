// SPDX-License-Identifier: GPL-2.0-or-later
//! A renewed data key: every slot goes on to open the keyring, what the old data key opened is opened by it no
//! more, and whoever uses the keyring meanwhile goes on. Power cuts and failing operations within a renewal
//! are in crash.rs, faults.rs and mirrors.rs.

mod common;
#[allow(dead_code)]
#[path = "vectors/text.rs"]
mod text;

use common::{CHEAP, SECRET, contents, key_type, name, private_dir, secret, secret_file, tended};
use keyring_external::config::Config;
use keyring_external::error::Error;
use keyring_external::format::crypto::Keys;
use keyring_external::format::header::{self, ClaimedHeader};
use keyring_external::format::slots::SlotKind;
use keyring_external::keyring::{Keyring, NewKeyring, Report, State, Trust, load_all};
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PASSPHRASE: &[u8] = b"correct horse battery";
const QUIET: Report = |_, _| {};

fn real() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

fn paths(dir: &Path) -> Vec<PathBuf> {
    vec![dir.join("a.keyring"), dir.join("b.keyring")]
}

/// A keyring in two copies with a slot of each kind and a few keys; its recovery key.
fn made(dir: &Path) -> Vec<u8> {
    let mut new = NewKeyring::new("test", &secret(&SECRET), "test", CHEAP).unwrap();
    let mut recovery = String::new();
    new.add_recovery().unwrap().write_to(&mut recovery).unwrap();
    new.write(&real(), &paths(dir)).unwrap();
    let keyring = open(dir, &SECRET).unwrap();
    keyring.add_slot(&secret(PASSPHRASE), "test", "a passphrase", CHEAP).unwrap();
    for id in ["one", "two", "three"] {
        keyring.generate(name(id, ""), &key_type("AES"), 32).unwrap();
    }
    recovery.into_bytes()
}

fn open(dir: &Path, with: &[u8]) -> Result<Keyring, Error> {
    let read = || Ok(secret(with));
    load_all(&real(), &paths(dir), 2, "test", read, QUIET).map(|(keyring, _)| keyring)
}

/// As a server opens it.
fn in_server(dir: &Path, with: &[u8]) -> Keyring {
    let unlock = format!("file:{}", secret_file(with).display()).parse().unwrap();
    let mut paths = paths(dir).into_iter();
    let config = Config {
        path: paths.next().unwrap(),
        mirrors: paths.collect(),
        min_copies: 1,
        unlock,
        read_only: false,
        allow_same_device: true,
        auto_create: false,
        wait: 0,
        datadir: None,
    };
    Keyring::open(&real(), &config, Trust::Witness, QUIET).unwrap().0
}

fn header_of(path: &Path) -> ClaimedHeader {
    header::read(&fs::read(path).unwrap()).unwrap().readable[0].claims().clone()
}

/// The data key, as who opens the file once may keep it.
fn keys_of(path: &Path, with: &[u8]) -> Keys {
    header::read(&fs::read(path).unwrap()).unwrap().readable[0].unlock(&secret(with)).unwrap().0
}

#[test]
fn every_slot_opens_the_renewed_keyring_with_its_own_secret() {
    for with in 0..3 {
        let dir = private_dir();
        let recovery = made(dir.path());
        let secrets: [&[u8]; 3] = [&SECRET, &recovery, PASSPHRASE];
        let before = contents(&open(dir.path(), &SECRET).unwrap());
        let (old, old_file) = (header_of(&paths(dir.path())[0]), fs::read(&paths(dir.path())[0]).unwrap());
        // Twice: a renewed slot is renewed again.
        for _ in 0..2 {
            open(dir.path(), secrets[with]).unwrap().rekey(&secret(secrets[with])).unwrap();
        }
        for opener in secrets {
            assert_eq!(contents(&open(dir.path(), opener).unwrap()), before);
        }
        assert!(matches!(open(dir.path(), &[1; 40]), Err(Error::WrongSecret { .. })));
        let new = header_of(&paths(dir.path())[0]);
        let told = |h: &ClaimedHeader| -> Vec<_> {
            h.slots.iter().map(|s| (s.kind, s.cost, s.name.clone(), s.created)).collect()
        };
        assert_eq!((new.id, told(&new)), (old.id, told(&old)));
        assert_eq!(new.slots[2].kind, SlotKind::Passphrase);
        let files: Vec<_> = paths(dir.path()).iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(files[0] == files[1] && files[0].len() == old_file.len());
    }
}

/// What the renewal is for: with the data key of before, or with a removed slot's secret and an old copy of the
/// file, nothing of the new file is opened. Not one slot of the new file is wrapped under keys that the old
/// file and its data key lead to.
#[test]
fn who_knows_the_old_data_key_does_not_open_the_renewed_keyring() {
    let dir = private_dir();
    made(dir.path());
    let path = &paths(dir.path())[0];
    let old = keys_of(path, PASSPHRASE);
    open(dir.path(), &SECRET).unwrap().remove_slot(3).unwrap();
    assert_eq!(keys_of(path, &SECRET), old, "a removed slot alone renews nothing");
    open(dir.path(), &SECRET).unwrap().rekey(&secret(&SECRET)).unwrap();
    assert!(keys_of(path, &SECRET) != old);
    assert!(matches!(open(dir.path(), PASSPHRASE), Err(Error::WrongSecret { .. })));
    let file = fs::read(path).unwrap();
    assert!(header::read(&file).unwrap().readable[0].check(&old).is_err());
    assert!(
        !file
            .windows(32)
            .any(|bytes| bytes == old.data().bytes() || bytes == keys_of(path, &SECRET).data().bytes())
    );
}

#[test]
fn a_server_goes_on_while_its_keyring_is_renewed_and_passphrases_change() {
    let dir = private_dir();
    made(dir.path());
    let server = in_server(dir.path(), &SECRET);
    for round in 0..5 {
        server.generate(name(&format!("before {round}"), ""), &key_type("AES"), 32).unwrap();
        let tool = open(dir.path(), PASSPHRASE).unwrap();
        tool.rekey(&secret(PASSPHRASE)).unwrap();
        let id = format!("after {round}");
        match round % 3 {
            0 => server.generate(name(&id, ""), &key_type("AES"), 32).unwrap(),
            1 => server.remove(name(&format!("before {round}"), "")).unwrap(),
            _ => assert_eq!(tended(&server).state, State::Attached),
        }
        assert_eq!(contents(&open(dir.path(), PASSPHRASE).unwrap()), contents(&server));
    }
    assert_eq!(tended(&server).copies, (2, 2));
}

#[test]
fn a_copy_that_was_away_during_the_renewal_follows_when_it_comes_back() {
    for restarted in [false, true] {
        let dir = private_dir();
        made(dir.path());
        let [a, b] = <[PathBuf; 2]>::try_from(paths(dir.path())).unwrap();
        let mut server = in_server(dir.path(), &SECRET);
        let away = dir.path().join("away");
        fs::rename(&b, &away).unwrap();
        assert_eq!(tended(&server).state, State::Degraded);
        let tool =
            load_all(&real(), std::slice::from_ref(&a), 1, "test", || Ok(secret(&SECRET)), QUIET).unwrap().0;
        tool.rekey(&secret(&SECRET)).unwrap();
        server.generate(name("meanwhile", ""), &key_type("AES"), 32).unwrap();
        if restarted {
            server = in_server(dir.path(), &SECRET);
            assert_eq!(tended(&server).state, State::Degraded);
        }
        fs::rename(&away, &b).unwrap();
        assert_eq!(tended(&server).copies, (2, 2));
        assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap());
        assert_eq!(contents(&open(dir.path(), &SECRET).unwrap()), contents(&server));
    }
}

/// Slots from before there were public keys: those that the secret opens follow, the first other is named.
#[test]
fn a_slot_that_cannot_follow_is_named_and_nothing_changes() {
    let vector = text::Vector::parse(include_str!("vectors/slots_all_eight.vector")).unwrap();
    let dir = private_dir();
    for path in paths(dir.path()) {
        fs::write(&path, &vector.file).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let keyring = open(dir.path(), &vector.secret).unwrap();
    let refused = keyring.rekey(&secret(&vector.secret)).unwrap_err();
    assert!(matches!(refused, Error::SlotWithoutPublicKey { number: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("person 0"), "{refused}");
    paths(dir.path()).iter().for_each(|path| assert!(fs::read(path).unwrap() == vector.file));
    for _ in 0..7 {
        keyring.remove_slot(1).unwrap();
    }
    keyring.rekey(&secret(&vector.secret)).unwrap();
    assert_eq!(open(dir.path(), &vector.secret).unwrap().slots().len(), 1);
}
