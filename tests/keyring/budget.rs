// SPDX-License-Identifier: GPL-2.0-or-later
//! What one opening computes of Argon2id, whatever the files ask for (invariant 7). Argon2id is counted, not timed.

use crate::common::forge::{SLOTS_AT, reheaded};
use crate::common::{CHEAP, SECRET, copies, private_dir, secret, secret_file, tended};
use keyring_external::error::{Error, Refusal};
use keyring_external::format::cost::{BUDGET, Cost, derivations};
use keyring_external::format::crypto::DataKeys;
use keyring_external::format::header;
use keyring_external::format::layout::HEADER_LEN;
use keyring_external::format::layout::SLOT_LEN;
use keyring_external::keyring::{Keyring, KeyringState, NewKeyring, Trust, load_all};
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const PASSPHRASE: &[u8] = b"correct horse battery";

/// The counter is the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counted<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let before = derivations();
    let answer = work();
    (answer, derivations() - before)
}

fn real() -> Arc<dyn Fs> {
    Arc::new(RealFs)
}

fn paths(dir: &Path, copies: usize) -> Vec<PathBuf> {
    (0..copies).map(|n| dir.join(format!("{n}.keyring"))).collect()
}

fn make(paths: &[PathBuf], bytes: &[u8], passphrases: u8) {
    NewKeyring::new("", &secret(bytes), "test", CHEAP).unwrap().write(&Places::from(&real()), paths).unwrap();
    let keyring =
        load_all(&Places::from(&real()), paths, 1, "test", || Ok(secret(bytes)), |_, _| {}).unwrap().0;
    for n in 0..passphrases {
        keyring.add_slot(&secret(&[b'a' + n; 12]), "test", "", CHEAP).unwrap();
    }
}

fn open(paths: &[PathBuf], bytes: &[u8]) -> Result<Keyring, Error> {
    load_all(&Places::from(&real()), paths, 1, "test", || Ok(secret(bytes)), |_, _| {})
        .map(|(keyring, _)| keyring)
}

/// A forged file: the headers of a genuine one with passphrase slots of this cost only, each header with its own, and
/// keys that nobody has.
fn forge(path: &Path, salt: u8, slots: usize, cost: Cost) {
    let file = std::fs::read(path).unwrap();
    let id = header::read(&file).unwrap().readable[0].claims().id;
    let keys = DataKeys::generate(&id).unwrap();
    let mut forged = Vec::new();
    for copy in 0..2_u8 {
        let headers = reheaded(&file, &keys, 99, |header| {
            header[SLOTS_AT..SLOTS_AT + 8 * SLOT_LEN].fill(0);
            for (i, slot) in header[SLOTS_AT..].chunks_exact_mut(SLOT_LEN).take(slots).enumerate() {
                slot[0] = 1;
                slot[4..8].copy_from_slice(&cost.memory_kib.to_le_bytes());
                slot[8..12].copy_from_slice(&cost.passes.to_le_bytes());
                slot[12..16].copy_from_slice(&cost.lanes.to_le_bytes());
                slot[24..27].copy_from_slice(&[copy + 1, i as u8 + 1, salt]);
            }
        });
        forged.extend_from_slice(&headers[..HEADER_LEN]);
    }
    forged.extend_from_slice(&file[2 * HEADER_LEN..]);
    std::fs::write(path, forged).unwrap();
}

#[test]
fn a_random_secret_computes_nothing_also_in_a_running_server() {
    let _alone = alone();
    let dir = private_dir();
    let paths = paths(dir.path(), 1);
    make(&paths, &SECRET, 2);
    let config = copies::config(&paths, 1);
    let ((), spent) = counted(|| {
        let server = Keyring::open(&Places::from(&real()), &config, Trust::Witness, |_, _| {}).unwrap().0;
        server.generate(crate::common::name("one", ""), &crate::common::key_type("AES"), 32).unwrap();
        forge(&paths[0], 0, 1, Cost { memory_kib: 1 << 20, passes: 4, lanes: 1 });
        assert_eq!(tended(&server).state, KeyringState::Detached);
        assert!(
            server.generate(crate::common::name("two", ""), &crate::common::key_type("AES"), 32).is_err()
        );
        assert!(matches!(open(&paths, &SECRET), Err(Error::Refusal(Refusal::WrongSecret { .. }))));
        // Nor do bytes that are no text because of one character.
        assert!(matches!(open(&paths, b"a passphrase\0"), Err(Error::Refusal(Refusal::WrongSecret { .. }))));
    });
    assert_eq!(spent, 0);
    assert!(secret_file(&SECRET).exists());
}

#[test]
fn equal_slots_of_headers_and_copies_are_computed_once() {
    let _alone = alone();
    let dir = private_dir();
    let paths = paths(dir.path(), 3);
    make(&paths, PASSPHRASE, 3);
    for (with, expected) in [(PASSPHRASE, 1), (&[b'b'; 12], 3), (&[b'c'; 12], 4)] {
        let (opened, spent) = counted(|| open(&paths, with));
        opened.unwrap();
        assert_eq!(spent, expected);
    }
    let (refused, spent) = counted(|| open(&paths, b"another passphrase"));
    assert!(matches!(refused, Err(Error::Refusal(Refusal::WrongSecret { .. }))));
    assert_eq!(spent, 4, "not four for each copy");
}

/// Each header of each copy asks for all that one opening may spend, 36 GiB over all passes together: what is computed
/// is what the budget pays for, and a slot behind that is not tried.
#[test]
fn one_budget_serves_all_headers_and_copies() {
    let _alone = alone();
    let dir = private_dir();
    let paths = paths(dir.path(), 3);
    make(&paths, PASSPHRASE, 0);
    let cost = Cost { memory_kib: 1 << 16, passes: 16, lanes: 4 };
    assert_eq!(BUDGET, 6 * cost.work());
    for (n, path) in paths.iter().enumerate() {
        forge(path, n as u8, 6, cost);
    }
    let (refused, spent) = counted(|| open(&paths, PASSPHRASE));
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Refusal(Refusal::SlotsUntried { untried: 10, .. })), "{refused}");
    assert!(refused.to_string().contains("0.keyring"), "{refused}");
    assert_eq!(spent, 6, "two for each copy");
}

/// One forged copy among two, whose slots are the dearest that there may be: the other opens with its last slot.
#[test]
fn a_forged_copy_does_not_use_up_what_the_others_need() {
    let _alone = alone();
    let dir = private_dir();
    let paths = paths(dir.path(), 2);
    make(&paths, PASSPHRASE, 7);
    forge(&paths[0], 0, 6, Cost { memory_kib: 1 << 16, passes: 16, lanes: 4 });
    let (opened, spent) = counted(|| open(&paths, &[b'g'; 12]));
    assert_eq!(opened.unwrap().status().copies, (1, 2));
    assert_eq!(spent, 3 + 8);
}
/// Two copies whose last slot is beyond the first one's share: the second opens with it, and then the first does too.
#[test]
fn honest_copies_that_need_more_than_their_share_are_all_opened() {
    let _alone = alone();
    let dir = private_dir();
    let paths = paths(dir.path(), 2);
    make(&paths, &SECRET, 0);
    let keyring = open(&paths, &SECRET).unwrap();
    for n in 0..4 {
        let cost = Cost { memory_kib: 1 << 16, passes: 16, lanes: 4 };
        keyring.add_slot(&secret(&[b'a' + n; 12]), "test", "", cost).unwrap();
    }
    let (opened, spent) = counted(|| open(&paths, &[b'd'; 12]));
    let standings = opened.unwrap().standings();
    assert!(standings.iter().all(|(_, standing)| standing.is_up_to_date()), "{standings:?}");
    assert_eq!(spent, 4);
}
