// SPDX-License-Identifier: GPL-2.0-or-later
//! Files of other keyrings.

use aes::Aes256;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use keyringctl::legacy::{self, Fault, Format, LegacyKeys};
use sha2::{Digest, Sha256};

/// The password of every encrypted file.
pub const PASSWORD: &[u8] = b"secret\n";
/// Where Percona's file holds the number of iterations. The target reduces it, because many iterations only cost time.
const ITERATIONS: std::ops::Range<usize> = 33..37;
const CHECKED: &[u8] = b"Keyring file version:2.0";
const END: &[u8] = b"EOF";
const DIGEST: usize = 32;

/// User, id, type and bytes of each key.
type Set = Vec<[Vec<u8>; 4]>;

fn set(keys: &LegacyKeys) -> Set {
    let all: Set = keys.iter().map(|k| [k.user, k.id, k.key_type, k.data].map(<[u8]>::to_vec)).collect();
    assert_eq!(all.len(), keys.len());
    for ([user, id, ..], after) in all.iter().zip(all.iter().skip(1)) {
        assert!((user, id) < (&after[0], &after[1]), "keys are ordered, and none is there twice");
    }
    for [user, id, _, data] in &all {
        let key = keys.get(id, user).expect("a key is found by its name");
        assert_eq!(key.data, data);
        let _ = (key.check(), key.digest(), key.to_string());
    }
    all
}

fn read(format: Format, bytes: &[u8]) -> Result<Set, Fault> {
    let read = format.read(bytes, PASSWORD);
    match &read {
        Ok(keys) => {
            let sizes: usize = keys.iter().map(|key| key.data.len()).sum();
            assert!(sizes <= bytes.len(), "more key bytes than the file has");
        }
        Err(fault) => drop(fault.to_string()),
    }
    read.map(|keys| set(&keys))
}

/// A file of `keyring_file`: as it is, and with a repaired checksum.
pub fn keyring_file(data: &[u8]) {
    let _ = Format::guess(data);
    let _ = read(Format::KeyringFile, data);
    let records =
        data.strip_prefix(CHECKED).and_then(|behind| behind.get(..behind.len().checked_sub(DIGEST)?));
    if let Some(records) = records.and_then(|records| records.strip_suffix(END)) {
        let file = [CHECKED, records, END, &Sha256::digest(records)].concat();
        let _ = read(Format::KeyringFile, &file);
    }
}

/// A file of `component_keyring_file`. A file that is read can be written and read back.
pub fn component_keyring_file(data: &[u8]) {
    let Ok(keys) = read(Format::ComponentKeyringFile, data) else { return };
    let (file, len) = legacy::component_keyring_file::write(|put| {
        for [user, id, key_type, data] in &keys {
            put(legacy::Key { id, user, key_type, data });
        }
    })
    .expect("memory");
    let again = read(Format::ComponentKeyringFile, &file[..len]).expect("what was written is read");
    assert_eq!(again, keys);
}

/// A file of Percona's component: as it is, and as the contents of an encrypted one.
pub fn percona(data: &[u8]) {
    let mut file = data.to_vec();
    if let Some(iterations) = file.get_mut(ITERATIONS) {
        iterations[..3].fill(0);
        iterations[3] &= 3;
    }
    let _ = read(Format::PerconaEncryptedFile, &file);
    let found = read(Format::PerconaEncryptedFile, &seal(data));
    let plain = read(Format::ComponentKeyringFile, data);
    match (found, plain) {
        (Ok(found), Ok(plain)) => assert_eq!(found, plain),
        (Err(_), Err(_)) => {}
        (found, plain) => panic!("encrypted: {found:?}, unencrypted: {plain:?}"),
    }
}

fn seal(plain: &[u8]) -> Vec<u8> {
    let (salt, iv, iterations) = ([5; 32], [6; 16], 1_u32);
    let mut key = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(PASSWORD, &salt, iterations, &mut key);
    let mut sealed = plain.to_vec();
    sealed.resize(plain.len() + 16, 0);
    let cipher = cbc::Encryptor::<Aes256>::new_from_slices(&key, &iv).expect("key and iv have their lengths");
    let sealed = cipher.encrypt_padded::<Pkcs7>(&mut sealed, plain.len()).expect("there is room for padding");
    [&[1], &salt[..], &iterations.to_be_bytes(), &iv, sealed].concat()
}
