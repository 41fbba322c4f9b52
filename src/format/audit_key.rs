// SPDX-License-Identifier: GPL-2.0-or-later
//! The key that authenticates the lines of an audit log, and how the key from before a renewal of the data key is
//! kept for the lines that it authenticated.

use super::crypto::{DataKeys, IV_LEN, KEY_LEN, TAG_LEN, Tag, aes_ctr, hkdf, hmac};
use super::error::{FormatError, Result};
use crate::secret::{Locked, random_array};
use hmac::Mac;
use uuid::Uuid;

/// HKDF's `info` for the two keys under which an earlier audit key is wrapped.
const WRAPPING: &[u8] = b"keyring_external 1 audit log earlier key";

/// Bytes of a wrapped audit key: IV, ciphertext, tag.
pub const WRAPPED_LEN: usize = IV_LEN + KEY_LEN + TAG_LEN;

/// Authenticates the lines of an audit log.
#[derive(Debug)]
pub struct AuditKey(Locked);

impl AuditKey {
    /// The audit key of a keyring with these keys.
    ///
    /// # Errors
    /// No memory.
    pub fn of(keys: &DataKeys) -> Result<Self> {
        Ok(Self(Locked::copy_of(keys.audit_bytes())?))
    }

    /// Computes the MAC of a line.
    pub fn tag(&self, line: &[u8]) -> Tag {
        hmac(&self.0, &[line]).finalize().into_bytes().into()
    }

    /// Checks in constant time whether `tag` is the MAC of a line.
    pub fn verify(&self, line: &[u8], tag: &[u8]) -> bool {
        hmac(&self.0, &[line]).verify_slice(tag).is_ok()
    }

    /// Wraps the audit key from before a renewal under this one, for the keyring `id`.
    ///
    /// # Errors
    /// No memory or no randomness.
    pub fn wrap(&self, earlier: &AuditKey, id: &Uuid) -> Result<[u8; WRAPPED_LEN]> {
        let keys = self.wrapping(id)?;
        let (encryption, mac) = keys.split_at_checked(KEY_LEN).unwrap_or_default();
        let iv: [u8; IV_LEN] = random_array()?;
        let mut sealed = Locked::copy_of(&earlier.0)?;
        aes_ctr(encryption, &iv, &mut sealed)?;
        let tag: Tag = hmac(mac, &[id.as_bytes(), &iv, &sealed]).finalize().into_bytes().into();
        let wrapped = [&iv[..], &sealed, &tag].concat();
        wrapped.try_into().map_err(|_| FormatError::Damaged { offset: 0, what: "wrapped audit key" })
    }

    /// Unwraps what [`AuditKey::wrap`] made. `None` if it was made with other keys, or changed since.
    pub fn unwrap_earlier(&self, wrapped: &[u8; WRAPPED_LEN], id: &Uuid) -> Option<AuditKey> {
        let keys = self.wrapping(id).ok()?;
        let (encryption, mac) = keys.split_at_checked(KEY_LEN)?;
        let (iv, rest) = wrapped.split_first_chunk::<IV_LEN>()?;
        let (sealed, tag) = rest.split_at_checked(KEY_LEN)?;
        hmac(mac, &[id.as_bytes(), iv, sealed]).verify_slice(tag).ok()?;
        let mut key = Locked::copy_of(sealed).ok()?;
        aes_ctr(encryption, iv, &mut key).ok()?;
        Some(Self(key))
    }

    fn wrapping(&self, id: &Uuid) -> Result<Locked> {
        let mut keys = Locked::new(2 * KEY_LEN)?;
        hkdf(id.as_bytes(), &self.0, WRAPPING, &mut keys)?;
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_key_is_unwrapped_by_the_later_one_only() {
        let id = Uuid::from_u128(1);
        let key = || AuditKey::of(&DataKeys::generate(&id).unwrap()).unwrap();
        let (earlier, later) = (key(), key());
        let tag = earlier.tag(b"a line");
        assert!(earlier.verify(b"a line", &tag) && !later.verify(b"a line", &tag));
        let wrapped = later.wrap(&earlier, &id).unwrap();
        assert!(later.unwrap_earlier(&wrapped, &id).unwrap().verify(b"a line", &tag));
        assert!(key().unwrap_earlier(&wrapped, &id).is_none());
        assert!(later.unwrap_earlier(&wrapped, &Uuid::from_u128(2)).is_none());
        for at in 0..WRAPPED_LEN {
            let mut flipped = wrapped;
            flipped[at] ^= 1;
            assert!(later.unwrap_earlier(&flipped, &id).is_none(), "byte {at}");
        }
    }
}
