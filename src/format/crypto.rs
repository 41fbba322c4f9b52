// SPDX-License-Identifier: GPL-2.0-or-later
//! AES-256-CTR and HMAC-SHA-256, encrypt-then-MAC, with keys separated by HKDF-SHA-256 (RFC 5869)
//! from one random data key.

use super::Result;
use crate::secret::Locked;
use aes::Aes256;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io;
use uuid::Uuid;

/// Bytes of a key of AES-256 and of the HMAC keys.
pub const KEY_LEN: usize = 32;
/// Bytes of an HMAC-SHA-256 tag.
pub const TAG_LEN: usize = 32;
/// Bytes of an AES-CTR starting block. Random for each use, never a counter: a file rolled back,
/// copied or forked must not repeat a keystream.
pub const IV_LEN: usize = 16;

/// An HMAC-SHA-256 tag.
pub type Tag = [u8; TAG_LEN];

/// The purposes that keys are separated by; the text is HKDF's `info`.
const PURPOSES: [&[u8]; 5] = [
    b"keyring_external 1 header mac",
    b"keyring_external 1 commit mac",
    b"keyring_external 1 record encryption",
    b"keyring_external 1 record mac",
    b"keyring_external 1 witness mac",
];

/// The data key and the keys derived from it, in locked memory.
#[derive(Debug)]
pub struct Keys(Locked);

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, $at:expr) => {
        $(#[$doc])*
        pub fn $name(&self) -> &[u8] {
            self.0.get($at * KEY_LEN..($at + 1) * KEY_LEN).unwrap_or_default()
        }
    };
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.data(), other.data()).into()
    }
}

impl Keys {
    /// A new random data key for the keyring `id`.
    ///
    /// # Errors
    /// No memory or no randomness.
    pub fn generate(id: &Uuid) -> Result<Self> {
        let data_key = Locked::random(KEY_LEN)?;
        Self::derive(&data_key, id)
    }

    /// The keys that follow from `data_key` ([`KEY_LEN`] bytes are used).
    ///
    /// # Errors
    /// No memory, or a data key of another length.
    pub fn derive(data_key: &[u8], id: &Uuid) -> Result<Self> {
        let data_key = data_key.get(..KEY_LEN).ok_or_else(short_key)?;
        let mut all = Locked::new((1 + PURPOSES.len()) * KEY_LEN)?;
        let mut fields = all.chunks_exact_mut(KEY_LEN);
        if let Some(first) = fields.next() {
            first.copy_from_slice(data_key);
        }
        for (info, out) in PURPOSES.iter().zip(fields) {
            hkdf(id.as_bytes(), data_key, info, out)?;
        }
        Ok(Self(all))
    }

    /// The same keys once more.
    ///
    /// # Errors
    /// No memory.
    pub fn again(&self) -> Result<Self> {
        Ok(Self(Locked::copy_of(&self.0)?))
    }

    key!(/** The data key that the slots wrap. */ data, 0);
    key!(/** Authenticates the header. */ header_mac, 1);
    key!(/** Authenticates commit slots. */ commit_mac, 2);
    key!(/** Encrypts records. */ record_encryption, 3);
    key!(/** Authenticates records. */ record_mac, 4);
    key!(/** Authenticates the witness. */ witness_mac, 5);
}

fn short_key() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a key of the wrong length")
}

/// HKDF-SHA-256: `out` from `secret`, with `salt` and `info`. `out` has at most 8160 bytes.
///
/// # Errors
/// When `out` is longer than that.
pub fn hkdf(salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<()> {
    Ok(Hkdf::<Sha256>::new(Some(salt), secret).expand(info, out).map_err(|_| short_key())?)
}

/// Encrypts or decrypts `buf` in place with AES-256-CTR (big-endian 128-bit counter).
///
/// # Errors
/// When `key` or `iv` has the wrong length.
pub fn aes_ctr(key: &[u8], iv: &[u8; IV_LEN], buf: &mut [u8]) -> Result<()> {
    let mut cipher = ctr::Ctr128BE::<Aes256>::new_from_slices(key, iv).map_err(|_| short_key())?;
    Ok(cipher.try_apply_keystream(buf).map_err(|_| short_key())?)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Result<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).map_err(|_| short_key())?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac)
}

/// HMAC-SHA-256 over the concatenation of `parts`. Callers keep the parts' lengths fixed or encoded.
///
/// # Errors
/// Never in practice: HMAC takes keys of every length.
pub fn mac(key: &[u8], parts: &[&[u8]]) -> Result<Tag> {
    Ok(hmac(key, parts)?.finalize().into_bytes().into())
}

/// Whether `tag` is the HMAC-SHA-256 of `parts`, in constant time.
///
/// # Errors
/// As [`mac`].
pub fn mac_fits(key: &[u8], parts: &[&[u8]], tag: &[u8]) -> Result<bool> {
    Ok(hmac(key, parts)?.verify_slice(tag).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(s: &str) -> Vec<u8> {
        (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
    }

    /// RFC 5869, appendix A.1.
    #[test]
    fn hkdf_is_rfc_5869() {
        let mut out = [0; 42];
        hkdf(&hex("000102030405060708090a0b0c"), &[0x0b; 22], &hex("f0f1f2f3f4f5f6f7f8f9"), &mut out)
            .unwrap();
        assert_eq!(
            out[..],
            hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        );
    }

    /// NIST SP 800-38A, F.5.5, first block.
    #[test]
    fn aes_ctr_is_sp_800_38a() {
        let mut block = hex("6bc1bee22e409f96e93d7e117393172a");
        let iv: [u8; 16] = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
        aes_ctr(&hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"), &iv, &mut block)
            .unwrap();
        assert_eq!(block, hex("601ec313775789a5b7a7f504bbf3d228"));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn mac_is_rfc_4231() {
        let tag = mac(b"Jefe", &[b"what do ya want ", b"for nothing?"]).unwrap();
        assert_eq!(tag[..], hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
        assert!(mac_fits(b"Jefe", &[b"what do ya want for nothing?"], &tag).unwrap());
        assert!(!mac_fits(b"Jefe", &[b"what do ya want for nothing!"], &tag).unwrap());
    }

    #[test]
    fn every_purpose_has_its_own_key() {
        let keys = Keys::generate(&Uuid::from_u128(1)).unwrap();
        let all = [
            keys.data(),
            keys.header_mac(),
            keys.commit_mac(),
            keys.record_encryption(),
            keys.record_mac(),
            keys.witness_mac(),
        ];
        for (i, a) in all.iter().enumerate() {
            assert_eq!(a.len(), KEY_LEN);
            assert!(all[..i].iter().all(|b| a != b));
        }
        let other = Keys::derive(keys.data(), &Uuid::from_u128(2)).unwrap();
        assert_ne!(keys.header_mac(), other.header_mac());
    }
}
