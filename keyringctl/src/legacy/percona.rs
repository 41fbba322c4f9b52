// SPDX-License-Identifier: GPL-2.0-or-later
//! The file of Percona's component `component_percona_keyring_encrypted_file`: a byte 01, 32 bytes of
//! salt, the number of iterations (4 bytes, big-endian), 16 bytes of initialisation vector, then the JSON
//! of `component_keyring_file`, encrypted with AES-256-CBC and padded according to PKCS #7. The key is derived
//! from the password with PBKDF2-HMAC-SHA-256 (RFC 8018). Nothing is authenticated.

use super::component_keyring_file;
use super::fault::{Fault, Result};
use super::keys::LegacyKeys;
use aes::Aes256;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use keyring_external::secret::Locked;
use sha2::Sha256;

/// The first byte.
pub const VERSION: u8 = 1;
const SALT: usize = 32;
const IV: usize = 16;
const BLOCK: usize = 16;
const KEY: usize = 32;
/// Most iterations: the number is not authenticated, and this many already take seconds.
const MOST_ITERATIONS: u32 = 10_000_000;

/// The parts of a file.
struct Sealed<'a> {
    salt: &'a [u8; SALT],
    iterations: u32,
    iv: &'a [u8; IV],
    sealed: &'a [u8],
}

/// Reads the keys of a file with its password. The component uses every byte of its password file, so the password is
/// tried as it is, without its line ending, and with an added one.
///
/// # Errors
/// The file has another format, is damaged, or has two keys with one name; or the password is wrong.
pub fn read(bytes: &[u8], password: &[u8]) -> Result<LegacyKeys> {
    let sealed = parts(bytes)?;
    if sealed.iterations == 0 || sealed.iterations > MOST_ITERATIONS {
        return Err(Fault::Iterations(sealed.iterations));
    }
    let mut fault = Fault::Password;
    for password in candidates(password)? {
        match sealed.open(&password) {
            Err(Fault::Password) => {}
            Err(other) => fault = other,
            keys => return keys,
        }
    }
    Err(fault)
}

fn parts(bytes: &[u8]) -> Result<Sealed<'_>> {
    let Some((&VERSION, behind)) = bytes.split_first() else {
        return Err(Fault::NotThis { looks_like: None });
    };
    let parts = || {
        let (salt, behind) = behind.split_first_chunk()?;
        let (iterations, behind) = behind.split_first_chunk()?;
        let (iv, sealed) = behind.split_first_chunk()?;
        let whole = !sealed.is_empty() && sealed.len().is_multiple_of(BLOCK);
        whole.then_some(Sealed { salt, iterations: u32::from_be_bytes(*iterations), iv, sealed })
    };
    parts().ok_or(Fault::Damaged { offset: bytes.len(), what: "it is truncated" })
}

/// The password as it is, then with other line endings.
fn candidates(password: &[u8]) -> Result<Vec<Locked>> {
    let line = password.strip_suffix(b"\n").unwrap_or(password);
    let bare = line.strip_suffix(b"\r").unwrap_or(line);
    let mut all = vec![Locked::copy_of(password)?];
    if line.len() < password.len() {
        all.push(Locked::copy_of(line)?);
        if bare.len() < line.len() {
            all.push(Locked::copy_of(bare)?);
        }
    } else if !password.is_empty() {
        let mut longer = Locked::new(password.len() + 1)?;
        longer.iter_mut().zip(password.iter().chain(b"\n")).for_each(|(to, from)| *to = *from);
        all.push(longer);
    }
    Ok(all)
}

impl Sealed<'_> {
    fn open(&self, password: &[u8]) -> Result<LegacyKeys> {
        let mut key = Locked::new(KEY)?;
        pbkdf2::pbkdf2_hmac::<Sha256>(password, self.salt, self.iterations, &mut key);
        let mut plain = Locked::copy_of(self.sealed)?;
        let cipher =
            cbc::Decryptor::<Aes256>::new_from_slices(&key, self.iv).map_err(|_| Fault::DamagedInside)?;
        cipher.decrypt_padded::<NoPadding>(&mut plain).map_err(|_| Fault::DamagedInside)?;
        // With a wrong password the first block is random too; damage elsewhere leaves it intact.
        let damaged = if plain.starts_with(b"{\"") { Fault::DamagedInside } else { Fault::Password };
        match unpadded(&plain).map(component_keyring_file::read) {
            Some(Ok(keys)) => Ok(keys),
            Some(Err(fault)) if !matches!(fault, Fault::Json { .. }) => Err(fault),
            _ => Err(damaged),
        }
    }
}

/// The bytes before the padding.
fn unpadded(plain: &[u8]) -> Option<&[u8]> {
    let pad = usize::from(*plain.last()?);
    let (text, padding) = plain.split_at_checked(plain.len().checked_sub(pad)?)?;
    let whole = (1..=BLOCK).contains(&pad) && padding.iter().all(|byte| usize::from(*byte) == pad);
    whole.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::component_keyring_file as json;
    use super::super::samples;
    use super::*;
    use cbc::cipher::BlockModeEncrypt;
    use cbc::cipher::block_padding::Pkcs7;

    const ITERATIONS: u32 = 3;

    fn seal(plain: &[u8], password: &[u8]) -> Vec<u8> {
        let (salt, iv) = ([5; SALT], [6; IV]);
        let mut key = [0; KEY];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, ITERATIONS, &mut key);
        let mut sealed = plain.to_vec();
        sealed.resize(plain.len() + BLOCK, 0);
        let cipher = cbc::Encryptor::<Aes256>::new_from_slices(&key, &iv).unwrap();
        let sealed = cipher.encrypt_padded::<Pkcs7>(&mut sealed, plain.len()).unwrap();
        [&[VERSION], &salt[..], &ITERATIONS.to_be_bytes(), &iv, sealed].concat()
    }

    fn file(count: usize, password: &[u8]) -> Vec<u8> {
        let keys = samples::some(count);
        let (plain, len) = json::write(|put| samples::each(&keys, put)).unwrap();
        seal(&plain[..len], password)
    }

    /// Made with Python's hashlib.pbkdf2_hmac and `openssl enc -aes-256-cbc -K -iv`.
    const BY_OTHERS: &str = "01000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000003e86465666768\
        696a6b6c6d6e6f707172732063955200927eeb7765a5b13effa47485112d99a705adc8d2f1fe242127d3\
        781909eba78fbcd9cb9a689c12edae9df2ea6e17d52ea1e7d1425d57842a219e75fc9cc67c8f25ac239a\
        7ecf4fc00b2b96282971557bab18d964379c4e73d005c63c1e4a6fdecd01a5d7f3802d1af69d2488d6a3\
        93a13c5c2add50821e6b17cd3dd169c6b8cdadf92a3d0b414224de0bee3d7888b3786437911a49c1edec\
        c11864a50a85dd35b471c890cb872b1313954d";

    #[test]
    fn a_file_written_by_other_programs_is_read() {
        let file: Vec<u8> = BY_OTHERS
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        let keys = read(&file, b"correct horse\n").unwrap();
        let key = keys.get(b"INNODBKey-1", b"").unwrap();
        assert_eq!((key.key_type, key.data), (&b"AES"[..], &(0..32).collect::<Vec<u8>>()[..]));
    }

    #[test]
    fn the_password_is_accepted_with_and_without_its_line_ending() {
        for (written, given, opens) in [
            ("secret", "secret", true),
            ("secret", "secret\n", true),
            ("secret", "secret\r\n", true),
            ("secret\n", "secret", true),
            ("secret\n", "secret\n", true),
            ("secret\n", "secret\r\n", false),
            ("secret", "secret ", false),
            ("secret", "", false),
        ] {
            let found = read(&file(9, written.as_bytes()), given.as_bytes());
            match found {
                Ok(keys) if opens => assert_eq!(samples::of(&keys), samples::sorted(samples::some(9))),
                Err(Fault::Password) if !opens => {}
                other => panic!("{written:?} with {given:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn changed_and_truncated_files_are_refused_or_read_without_harm() {
        let file = file(3, b"secret");
        let keys = samples::sorted(samples::some(3));
        for at in 0..file.len() {
            for bit in 0..8 {
                // A larger number of iterations would only take long.
                if (33..36).contains(&at) {
                    continue;
                }
                let mut other = file.clone();
                other[at] ^= 1 << bit;
                // Names are not authenticated, but no key with its own name may have other bytes.
                if let Ok(read) = read(&other, b"secret") {
                    for key in samples::of(&read) {
                        let known = keys.iter().find(|k| (&k.0, &k.1) == (&key.0, &key.1));
                        assert!(known.is_none_or(|k| *k == key), "byte {at}, bit {bit}");
                    }
                }
            }
            assert!(at == 0 || read(&file[..at], b"secret").is_err(), "truncated to {at}");
        }
    }

    #[test]
    fn damage_is_distinguished_from_a_wrong_password() {
        let mut inside = file(3, b"secret");
        inside[100] ^= 1;
        assert!(matches!(read(&inside, b"secret"), Err(Fault::DamagedInside)));
        assert!(matches!(read(&inside, b"other"), Err(Fault::Password)));
    }

    #[test]
    fn the_number_of_iterations_is_checked_first() {
        for iterations in [0, MOST_ITERATIONS + 1, u32::MAX] {
            let mut file = file(1, b"secret");
            file[33..37].copy_from_slice(&iterations.to_be_bytes());
            assert!(matches!(read(&file, b"secret"), Err(Fault::Iterations(n)) if n == iterations));
        }
    }
}
