// SPDX-License-Identifier: GPL-2.0-or-later
//! A renewed data key: every slot goes on to open the keyring, what the old data key opened is opened by it no
//! more, and whoever uses the keyring meanwhile goes on. Power cuts and failing operations within a renewal
//! are in crash.rs, faults.rs and mirrors.rs.

use crate::common::forge::{PARENTS_AT, PUBLIC_AT, SLOTS_AT, reheaded};
use crate::common::{
    CHEAP, SECRET, contents, key_type, name, private_dir, rekey, secret, secret_file, tended,
};
use keyring_external::config::{AuditConfig, Config, DEFAULT_REMOTES};
use keyring_external::error::{BadRequest, Error, Refusal};
use keyring_external::format::commit;
use keyring_external::format::cost::Cost;
use keyring_external::format::crypto::DataKeys;
use keyring_external::format::header::{self, ClaimedHeader};
use keyring_external::format::layout::SLOT_LEN;
use keyring_external::format::slots::{Slot, SlotKind};
use keyring_external::keyring::Renewed::{ByPublicKey, BySecret};
use keyring_external::keyring::{Keyring, KeyringState, Log, NewKeyring, Trust, load_all};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PASSPHRASE: &[u8] = b"correct horse battery";
const QUIET: Log = |_, _| {};

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
    new.write(&Places::from(&real()), &paths(dir)).unwrap();
    let keyring = open(dir, &SECRET).unwrap();
    keyring.add_slot(&secret(PASSPHRASE), "test", "a passphrase", CHEAP).unwrap();
    for id in ["one", "two", "three"] {
        keyring.generate(name(id, ""), &key_type("AES"), 32).unwrap();
    }
    recovery.into_bytes()
}

fn open(dir: &Path, with: &[u8]) -> Result<Keyring, Error> {
    let read = || Ok(secret(with));
    load_all(&Places::from(&real()), &paths(dir), 2, "test", read, QUIET).map(|(keyring, _)| keyring)
}

/// As a server opens it.
fn in_server(dir: &Path, with: &[u8]) -> Keyring {
    let unlock = format!("file:{}", secret_file(with).display()).parse().unwrap();
    let mut paths = paths(dir).into_iter();
    let config = Config {
        path: paths.next().unwrap(),
        mirrors: paths.collect(),
        remotes: DEFAULT_REMOTES.into(),
        min_copies: 1,
        unlock,
        read_only: false,
        allow_same_device: true,
        auto_create: false,
        wait: 0,
        audit: AuditConfig::default(),
        datadir: None,
    };
    Keyring::open(&Places::from(&real()), &config, Trust::Witness, QUIET).unwrap().0
}

fn header_of(path: &Path) -> ClaimedHeader {
    header::read(&fs::read(path).unwrap()).unwrap().readable[0].claims().clone()
}

/// The data key, as who opens the file once may keep it.
fn keys_of(path: &Path, with: &[u8]) -> DataKeys {
    header::read(&fs::read(path).unwrap()).unwrap().readable[0].unlock(&secret(with).into()).unwrap().0
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
            let how = rekey(&open(dir.path(), secrets[with]).unwrap(), &[secrets[with]], false).unwrap();
            assert!((0..3).all(|slot| how[slot] == if slot == with { BySecret } else { ByPublicKey }));
            let followed = header_of(&paths(dir.path())[0]).slots;
            assert!(followed.iter().all(|(n, slot)| slot.was_renewed_by_public_key() == (n != with + 1)));
        }
        for opener in secrets {
            assert_eq!(contents(&open(dir.path(), opener).unwrap()), before);
        }
        assert!(matches!(open(dir.path(), &[1; 40]), Err(Error::Refusal(Refusal::WrongSecret { .. }))));
        let new = header_of(&paths(dir.path())[0]);
        let told = |h: &ClaimedHeader| -> Vec<_> {
            h.slots.iter().map(|(n, s)| (n, s.kind, s.cost, s.name.clone(), s.created)).collect()
        };
        assert_eq!((new.id, told(&new)), (old.id, told(&old)));
        assert_eq!(new.slots.get(3).unwrap().kind, SlotKind::Passphrase);
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
    open(dir.path(), &SECRET).unwrap().remove_slot(3, None).unwrap();
    assert_eq!(keys_of(path, &SECRET), old, "a removed slot alone renews nothing");
    rekey(&open(dir.path(), &SECRET).unwrap(), &[&SECRET], false).unwrap();
    assert!(keys_of(path, &SECRET) != old);
    assert!(matches!(open(dir.path(), PASSPHRASE), Err(Error::Refusal(Refusal::WrongSecret { .. }))));
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
        rekey(&tool, &[PASSPHRASE], false).unwrap();
        let id = format!("after {round}");
        match round % 3 {
            0 => server.generate(name(&id, ""), &key_type("AES"), 32).unwrap(),
            1 => server.remove(name(&format!("before {round}"), "")).unwrap(),
            _ => assert_eq!(tended(&server).state, KeyringState::Attached),
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
        assert_eq!(tended(&server).state, KeyringState::Degraded);
        let tool = load_all(
            &Places::from(&real()),
            std::slice::from_ref(&a),
            1,
            "test",
            || Ok(secret(&SECRET)),
            QUIET,
        )
        .unwrap()
        .0;
        rekey(&tool, &[&SECRET], false).unwrap();
        server.generate(name("meanwhile", ""), &key_type("AES"), 32).unwrap();
        if restarted {
            server = in_server(dir.path(), &SECRET);
            assert_eq!(tended(&server).state, KeyringState::Degraded);
        }
        fs::rename(&away, &b).unwrap();
        assert_eq!(tended(&server).copies, (2, 2));
        assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap());
        assert_eq!(contents(&open(dir.path(), &SECRET).unwrap()), contents(&server));
    }
}

/// A keyring without keys, in two copies, with a secret file and a recovery key.
fn with_paper(dir: &Path) -> Vec<u8> {
    let mut new = NewKeyring::new("test", &secret(&SECRET), "test", Cost::NONE).unwrap();
    let mut recovery = String::new();
    new.add_recovery().unwrap().write_to(&mut recovery).unwrap();
    new.write(&Places::from(&real()), &paths(dir)).unwrap();
    recovery.into_bytes()
}

/// What somebody does who may write to the volume: the headers of both copies changed, and authenticated with the keys
/// that he has.
fn tamper(dir: &Path, keys: &DataKeys, change: impl Fn(&mut [u8])) {
    let file = fs::read(&paths(dir)[0]).unwrap();
    let generation = commit::claimed(&file).unwrap().generation + 1;
    paths(dir).iter().for_each(|path| fs::write(path, reheaded(&file, keys, generation, &change)).unwrap());
}

fn slot_bytes(header: &mut [u8], index: usize) -> &mut [u8] {
    &mut header[SLOTS_AT + index * SLOT_LEN..SLOTS_AT + (index + 1) * SLOT_LEN]
}

/// Somebody who knows the data key puts his own public key into the recovery slot.
fn plant(dir: &Path) {
    tamper(dir, &keys_of(&paths(dir)[0], &SECRET), |header| {
        slot_bytes(header, 1)[PUBLIC_AT..PUBLIC_AT + 32].fill(9);
    });
}

fn files(dir: &Path) -> Vec<Vec<u8>> {
    paths(dir).iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn a_planted_public_key_is_refused_where_the_slots_secret_is_used() {
    let dir = private_dir();
    let paper = with_paper(dir.path());
    open(dir.path(), &paper).unwrap();
    plant(dir.path());
    let before = files(dir.path());
    let is_forged = |e: Error| {
        assert!(matches!(e, Error::Refusal(Refusal::ForgedSlot { number: 2, .. })), "{e}");
        assert!(e.to_string().contains("recovery key") && e.to_string().contains("a.keyring"), "{e}");
    };
    is_forged(open(dir.path(), &paper).unwrap_err());
    // The other slots open, and a renewal that is given the slot's secret finds out.
    let keyring = open(dir.path(), &SECRET).unwrap();
    is_forged(rekey(&keyring, &[&SECRET, &paper], false).unwrap_err());
    let refused = rekey(&keyring, &[&SECRET], true).unwrap_err();
    assert!(matches!(refused, Error::Refusal(Refusal::SlotNotVerified { number: 2, .. })), "{refused}");
    is_forged(keyring.change_slot(&secret(&paper), &secret(&[1; 32]), "test", Cost::NONE).unwrap_err());
    assert!(files(dir.path()) == before, "nothing was changed");
    // The way out that the message tells.
    keyring.remove_slot(2, None).unwrap();
    let mut paper = String::new();
    keyring.add_recovery_slot(None).unwrap().1.write_to(&mut paper).unwrap();
    assert_eq!(rekey(&keyring, &[&SECRET, paper.as_bytes()], true).unwrap(), [BySecret, BySecret]);
    open(dir.path(), paper.as_bytes()).unwrap();
}

/// Nobody can tell such a key from the genuine one without the slot's secret: the renewal says that it was not verified,
/// and the slot's owner finds out at the next use.
#[test]
fn a_planted_public_key_that_a_renewal_followed_is_told_and_opens_nothing_for_its_owner() {
    let dir = private_dir();
    let paper = with_paper(dir.path());
    plant(dir.path());
    let keyring = open(dir.path(), &SECRET).unwrap();
    assert_eq!(rekey(&keyring, &[&SECRET], false).unwrap(), [BySecret, ByPublicKey]);
    assert!(matches!(open(dir.path(), &paper), Err(Error::Refusal(Refusal::WrongSecret { .. }))));
    let refused = rekey(&keyring, &[&SECRET, &paper], false).unwrap_err();
    assert!(matches!(refused, Error::Refusal(Refusal::VerifiesNoSlot { count: 2, .. })), "{refused}");
}

#[test]
fn a_slot_that_somebody_added_is_told_and_can_be_ruled_out() {
    let dir = private_dir();
    let paper = with_paper(dir.path());
    let keys = keys_of(&paths(dir.path())[0], &SECRET);
    let id = header_of(&paths(dir.path())[0]).id;
    let added = Slot::seal(SlotKind::SecretFile, Cost::NONE, "added", 5, &[1; 32], &keys, &id).unwrap();
    tamper(dir.path(), &keys, |header| slot_bytes(header, 2).copy_from_slice(&added.encode()));
    let keyring = open(dir.path(), &SECRET).unwrap();
    let refused = rekey(&keyring, &[&SECRET, &paper], true).unwrap_err();
    assert!(matches!(refused, Error::Refusal(Refusal::SlotNotVerified { number: 3, .. })), "{refused}");
    assert!(refused.to_string().contains("added"), "{refused}");
    assert_eq!(rekey(&keyring, &[&SECRET, &paper], false).unwrap(), [BySecret, BySecret, ByPublicKey]);
    keyring.remove_slot(3, None).unwrap();
    assert_eq!(rekey(&keyring, &[&paper, &SECRET], true).unwrap(), [BySecret, BySecret]);
    assert!(matches!(open(dir.path(), &[1; 32]), Err(Error::Refusal(Refusal::WrongSecret { .. }))));
}

/// The public keys are there for everybody to read, and the id, and the state that a later one must descend from: whoever
/// can write to the volume makes a keyring of his own with them, but no secret of this one opens it.
#[test]
fn who_knows_no_data_key_makes_no_keyring_that_the_secrets_open() {
    let dir = private_dir();
    let paper = with_paper(dir.path());
    let server = in_server(dir.path(), &SECRET);
    server.generate(name("one", ""), &key_type("AES"), 32).unwrap();
    let before = contents(&server);
    let file = fs::read(&paths(dir.path())[0]).unwrap();
    let copies = header::read(&file).unwrap();
    let claims = copies.readable[0].claims();
    let commit = commit::claimed(&file).unwrap();
    let own = DataKeys::generate(&claims.id).unwrap();
    let slots: Vec<_> =
        claims.slots.iter().map(|(_, slot)| slot.renew(&own, &own, &claims.id).unwrap().unwrap()).collect();
    let parent = [&claims.epoch[..], &commit.generation.to_le_bytes(), &commit.chain[..16]].concat();
    tamper(dir.path(), &own, |header| {
        slots.iter().enumerate().for_each(|(i, slot)| slot_bytes(header, i).copy_from_slice(&slot.encode()));
        header[PARENTS_AT..PARENTS_AT + parent.len()].copy_from_slice(&parent);
        header[40..56].fill(7);
    });
    for secret in [&SECRET[..], &paper] {
        assert!(matches!(open(dir.path(), secret), Err(Error::Refusal(Refusal::ForgedSlot { .. }))));
    }
    // Nor does a server that is running go on from there.
    let status = tended(&server);
    assert_eq!((status.state, status.keys), (KeyringState::Detached, 1), "{}", status.last_error);
    assert!(server.generate(name("two", ""), &key_type("AES"), 32).is_err());
    assert_eq!(contents(&server), before);
}

/// He has an old file, and what opened it: the server's slot in it opens with the server's secret for ever. A server that
/// runs does not go back to that data key, because he does not have the keys that were made since.
#[test]
fn who_keeps_an_old_data_key_does_not_lead_a_running_server_back_to_it() {
    let dir = private_dir();
    with_paper(dir.path());
    let old_file = fs::read(&paths(dir.path())[0]).unwrap();
    let old = keys_of(&paths(dir.path())[0], &SECRET);
    let server = in_server(dir.path(), &SECRET);
    rekey(&open(dir.path(), &SECRET).unwrap(), &[&SECRET], false).unwrap();
    server.generate(name("since", ""), &key_type("AES"), 32).unwrap();
    let (before, file) = (contents(&server), fs::read(&paths(dir.path())[0]).unwrap());
    let (epoch, state) = (header_of(&paths(dir.path())[0]).epoch, commit::claimed(&file).unwrap());
    let parent = [&epoch[..], &state.generation.to_le_bytes(), &state.chain[..16]].concat();
    let forged = reheaded(&old_file, &old, state.generation + 1, |header| {
        header[PARENTS_AT..PARENTS_AT + parent.len()].copy_from_slice(&parent);
    });
    paths(dir.path()).iter().for_each(|path| fs::write(path, &forged).unwrap());
    open(dir.path(), &SECRET).unwrap();
    assert_eq!(tended(&server).state, KeyringState::Detached);
    assert!(server.generate(name("two", ""), &key_type("AES"), 32).is_err());
    assert_eq!(contents(&server), before);
}

#[test]
fn a_secret_that_verifies_no_slot_ends_the_renewal() {
    let dir = private_dir();
    with_paper(dir.path());
    let before = files(dir.path());
    let keyring = open(dir.path(), &SECRET).unwrap();
    let refused = rekey(&keyring, &[&SECRET, &[2; 32]], false).unwrap_err();
    assert!(matches!(refused, Error::Refusal(Refusal::VerifiesNoSlot { count: 2, .. })), "{refused}");
    assert!(files(dir.path()) == before);
}

/// A removed slot leaves a gap: no other slot changes its number, whatever is done with the keyring afterwards.
#[test]
fn slots_keep_their_numbers_through_every_change() {
    let dir = private_dir();
    made(dir.path());
    let tool = open(dir.path(), &SECRET).unwrap();
    let numbers = |keyring: &Keyring| -> Vec<_> {
        keyring.slots().iter().map(|(number, slot)| (number, slot.name.clone())).collect()
    };
    let shown = tool.slots().get(3).unwrap().clone();
    let replaced = tool.remove_slot(2, Some(&shown)).unwrap_err();
    assert!(matches!(replaced, Error::BadRequest(BadRequest::SlotReplaced { number: 2 })), "{replaced}");
    assert_eq!(tool.remove_slot(2, None).unwrap().kind, SlotKind::Recovery);
    let gap = [(1, "unlock secret".to_owned()), (3, "a passphrase".to_owned())];
    assert_eq!(numbers(&tool), gap);
    let missing = tool.remove_slot(2, None).unwrap_err().to_string();
    assert!(missing.contains("slot 2 does not exist") && missing.contains("1, 3"), "{missing}");
    assert_eq!(rekey(&tool, &[&SECRET], false).unwrap(), [BySecret, ByPublicKey]);
    assert_eq!(numbers(&tool), gap);
    assert_eq!(tool.change_slot(&secret(PASSPHRASE), &secret(&[6; 32]), "test", CHEAP).unwrap(), 3);
    assert_eq!(
        (tool.slots_of(&secret(&[6; 32])).unwrap(), tool.slots_of(&secret(PASSPHRASE)).unwrap()),
        (vec![3], vec![])
    );
    assert_eq!(numbers(&tool), gap);
    // A server that starts with the gap, stores keys, and brings a copy up to date that was away.
    let server = in_server(dir.path(), &SECRET);
    let away = fs::read(&paths(dir.path())[1]).unwrap();
    server.generate(name("after", ""), &key_type("AES"), 32).unwrap();
    fs::write(&paths(dir.path())[1], away).unwrap();
    open(dir.path(), &[6; 32]).unwrap().bring_up_to_date().unwrap();
    assert_eq!(numbers(&server), gap);
    for path in paths(dir.path()) {
        assert_eq!(header_of(&path).slots, server.slots());
    }
    let tool = open(dir.path(), &SECRET).unwrap();
    assert_eq!(tool.add_slot(&secret(&[8; 32]), "test", "new", CHEAP).unwrap(), 2);
    assert_eq!(tool.add_recovery_slot(Some("the safe")).unwrap().0, 4);
    let names: Vec<_> = numbers(&tool).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["unlock secret", "new", "a passphrase", "the safe"]);
}
