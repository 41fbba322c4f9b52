// SPDX-License-Identifier: GPL-2.0-or-later
//! The cryptography of the file: AES-256-CTR and HMAC-SHA-256 (encrypt-then-MAC), with a key for each purpose
//! that HKDF-SHA-256 (RFC 5869) derives from one random data key.

use super::error::Result;
use crate::secret::Locked;
use aes::Aes256;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of an AES-256 key and of an HMAC key.
pub const KEY_LEN: usize = 32;
/// Bytes of an HMAC-SHA-256 tag.
pub const TAG_LEN: usize = 32;
/// Block size of SHA-256, to which HMAC pads its key.
const HMAC_BLOCK: usize = 64;
/// Bytes of an AES-CTR starting block. It is random for each use and never a counter: a file that was rolled
/// back or copied must not repeat a keystream.
pub const IV_LEN: usize = 16;

/// An HMAC-SHA-256 tag.
pub type Tag = [u8; TAG_LEN];

/// The purposes of the derived keys, used as HKDF's `info`.
const PURPOSES: [&[u8]; 7] = [
    b"keyring_external 1 header mac",
    b"keyring_external 1 commit mac",
    b"keyring_external 1 record encryption",
    b"keyring_external 1 record mac",
    b"keyring_external 1 witness mac",
    b"keyring_external 1 slot token",
    b"keyring_external 1 audit log",
];

/// The random key that the unlock slots wrap, and from which all other keys of a keyring are derived.
#[derive(Debug)]
pub struct DataKey(Locked);

impl DataKey {
    /// Generates a data key.
    ///
    /// # Errors
    /// No memory or no randomness.
    pub fn random() -> Result<Self> {
        Ok(Self(Locked::random(KEY_LEN)?))
    }

    /// Copies a data key from its bytes.
    ///
    /// # Errors
    /// No memory; not [`KEY_LEN`] bytes.
    pub fn copy_of(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != KEY_LEN {
            return Err(short_key().into());
        }
        Ok(Self(Locked::copy_of(bytes)?))
    }

    /// The bytes of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for DataKey {
    fn eq(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.bytes(), other.bytes()).into()
    }
}

/// Defines a type for the authentication key of one role, so that it cannot be used in another role.
macro_rules! authenticates {
    ($(#[$doc:meta])* $role:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $role<'a>(&'a [u8]);

        impl<'a> $role<'a> {
            pub(super) fn new(key: &'a [u8]) -> Self {
                Self(key)
            }

            /// Computes HMAC-SHA-256 over the concatenation of `parts`. The lengths of the parts must be
            /// fixed or encoded in them.
            pub fn tag(&self, parts: &[&[u8]]) -> Tag {
                hmac(self.0, parts).finalize().into_bytes().into()
            }

            /// Checks in constant time whether `tag` is that of `parts`.
            pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
                hmac(self.0, parts).verify_slice(tag).is_ok()
            }
        }
    };
}

/// Defines a type for the encryption key of one role.
macro_rules! encrypts {
    ($(#[$doc:meta])* $role:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $role<'a>(&'a [u8]);

        impl<'a> $role<'a> {
            pub(super) fn new(key: &'a [u8]) -> Self {
                Self(key)
            }

            /// Encrypts or decrypts `buf` in place with AES-256-CTR (big-endian 128-bit counter).
            ///
            /// # Errors
            /// If the key does not have [`KEY_LEN`] bytes. All keys that this module makes have that length.
            pub fn apply(&self, iv: &[u8; IV_LEN], buf: &mut [u8]) -> Result<()> {
                aes_ctr(self.0, iv, buf)
            }
        }
    };
}

authenticates!(/** Authenticates headers. */ HeaderMac);
authenticates!(/** Authenticates commit slots. */ CommitMac);
authenticates!(/** Authenticates records. */ RecordMac);
authenticates!(/** Authenticates witnesses. */ WitnessMac);
authenticates!(/** Authenticates one unlock slot. */ SlotMac);
encrypts!(/** Encrypts records. */ RecordEncryption);
encrypts!(/** Encrypts the renewal tokens of the slots. */ TokenEncryption);
encrypts!(/** Encrypts the data key in one unlock slot. */ SlotEncryption);

/// The data key and the keys derived from it, in locked memory.
#[derive(Debug)]
pub struct DataKeys {
    data: DataKey,
    derived: Locked,
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, $role:ident, $at:expr) => {
        $(#[$doc])*
        pub fn $name(&self) -> $role<'_> {
            $role::new(self.derived.get($at * KEY_LEN..($at + 1) * KEY_LEN).unwrap_or_default())
        }
    };
}

impl PartialEq for DataKeys {
    fn eq(&self, other: &Self) -> bool {
        self.data == other.data
    }
}

impl DataKeys {
    /// Generates a data key for the keyring `id` and derives the other keys.
    ///
    /// # Errors
    /// No memory or no randomness.
    pub fn generate(id: &Uuid) -> Result<Self> {
        Self::derive(&DataKey::random()?, id)
    }

    /// Derives the keys of the keyring `id` from its data key.
    ///
    /// # Errors
    /// No memory.
    pub fn derive(data: &DataKey, id: &Uuid) -> Result<Self> {
        let mut derived = Locked::new(PURPOSES.len() * KEY_LEN)?;
        for (info, out) in PURPOSES.iter().zip(derived.chunks_exact_mut(KEY_LEN)) {
            hkdf(id.as_bytes(), data.bytes(), info, out)?;
        }
        Ok(Self { data: DataKey::copy_of(data.bytes())?, derived })
    }

    /// Copies the keys.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(Self { data: DataKey::copy_of(self.data.bytes())?, derived: Locked::copy_of(&self.derived)? })
    }

    /// The data key.
    pub fn data(&self) -> &DataKey {
        &self.data
    }

    key!(/** Authenticates the header. */ header_mac, HeaderMac, 0);
    key!(/** Authenticates commit slots. */ commit_mac, CommitMac, 1);
    key!(/** Encrypts records. */ record_encryption, RecordEncryption, 2);
    key!(/** Authenticates records. */ record_mac, RecordMac, 3);
    key!(/** Authenticates the witness. */ witness_mac, WitnessMac, 4);
    key!(/** Encrypts the slots' renewal tokens. */ slot_token, TokenEncryption, 5);

    /// The bytes of the key that authenticates lines of the audit log.
    pub(super) fn audit_bytes(&self) -> &[u8] {
        self.derived.get(6 * KEY_LEN..7 * KEY_LEN).unwrap_or_default()
    }
}

fn short_key() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a key of the wrong length")
}

/// Derives `out`, at most 8160 bytes, from `secret` with HKDF-SHA-256.
///
/// # Errors
/// If `out` is longer than that.
pub(super) fn hkdf(salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<()> {
    Ok(Hkdf::<Sha256>::new(Some(salt), secret).expand(info, out).map_err(|_| short_key())?)
}

/// Encrypts or decrypts `buf` in place with AES-256-CTR (big-endian 128-bit counter).
///
/// # Errors
/// If `key` does not have [`KEY_LEN`] bytes.
pub(super) fn aes_ctr(key: &[u8], iv: &[u8; IV_LEN], buf: &mut [u8]) -> Result<()> {
    let mut cipher = ctr::Ctr128BE::<Aes256>::new_from_slices(key, iv).map_err(|_| short_key())?;
    Ok(cipher.try_apply_keystream(buf).map_err(|_| short_key())?)
}

/// Starts HMAC-SHA-256 and feeds it `parts`. `key` has at most [`HMAC_BLOCK`] bytes.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    debug_assert!(key.len() <= HMAC_BLOCK);
    // RFC 2104 pads the key with zeros to the block size of the hash. A padded key cannot have the wrong
    // length.
    let mut block = Zeroizing::new([0; HMAC_BLOCK]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    parts.iter().for_each(|part| mac.update(part));
    mac
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
        let key = RecordMac::new(b"Jefe");
        let tag = key.tag(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag[..], hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
        assert!(key.verify(&[b"what do ya want for nothing?"], &tag));
        assert!(!key.verify(&[b"what do ya want for nothing!"], &tag));
    }

    #[test]
    fn every_purpose_has_its_own_key() {
        let keys = DataKeys::generate(&Uuid::from_u128(1)).unwrap();
        let all = [
            keys.data().bytes(),
            keys.header_mac().0,
            keys.commit_mac().0,
            keys.record_encryption().0,
            keys.record_mac().0,
            keys.witness_mac().0,
            keys.slot_token().0,
        ];
        for (i, a) in all.iter().enumerate() {
            assert_eq!(a.len(), KEY_LEN);
            assert!(all[..i].iter().all(|b| a != b));
        }
        let other = DataKeys::derive(keys.data(), &Uuid::from_u128(2)).unwrap();
        assert_ne!(keys.header_mac().0, other.header_mac().0);
        assert!(DataKey::copy_of(&[1; 31]).is_err());
    }
}
