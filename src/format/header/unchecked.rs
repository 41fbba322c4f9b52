// SPDX-License-Identifier: GPL-2.0-or-later
//! Headers as read from a file, before a key has authenticated them.

use super::authentic::Header;
use super::fields::{CHECKSUM_LEN, ClaimedHeader, MAC_AT, MAGIC, VERSION};
use crate::format::bytes::FieldReader;
use crate::format::crypto::{DataKeys, Tag};
use crate::format::error::{FormatError, Result};
use crate::format::layout::HEADER_LEN;
use crate::format::unlocking::Unlocking;
use sha2::{Digest, Sha256};

/// A header as read. Its checksum is right, but it is not authenticated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unchecked {
    claims: ClaimedHeader,
    bytes: Vec<u8>,
}

impl Unchecked {
    /// What the header claims, for display only.
    pub fn claims(&self) -> &ClaimedHeader {
        &self.claims
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let damaged = |what| FormatError::Damaged { offset: 0, what };
        let mut r = FieldReader(bytes);
        if r.array() != Some(*MAGIC) {
            return Err(FormatError::NotAKeyring);
        }
        let (body, checksum) =
            bytes.split_at_checked(HEADER_LEN - CHECKSUM_LEN).ok_or_else(|| damaged("header cut short"))?;
        if Sha256::digest(body)[..] != *checksum {
            return Err(damaged("header"));
        }
        let version = r.u32().unwrap_or_default();
        if version != VERSION {
            return Err(FormatError::Newer(version));
        }
        let claims = ClaimedHeader::decode(r).ok_or_else(|| damaged("header fields"))?;
        Ok(Self { claims, bytes: bytes.to_vec() })
    }

    /// Authenticates the header with the keys of an open keyring. Returns it and its MAC, with which the
    /// chain of records starts.
    ///
    /// # Errors
    /// [`FormatError::Damaged`] if it is not authentic.
    pub fn check(&self, keys: &DataKeys) -> Result<(Header, Tag)> {
        let mut r = FieldReader(&self.bytes);
        let body = r.take(MAC_AT).unwrap_or_default();
        let tag: Tag = r.array().unwrap_or_default();
        if keys.header_mac().verify(&[body], &tag) {
            Ok((Header(self.claims.clone()), tag))
        } else {
            Err(FormatError::Damaged { offset: 0, what: "header authentication" })
        }
    }

    /// Unlocks the header with a secret.
    ///
    /// # Errors
    /// [`FormatError::ForgedSlot`] or [`FormatError::WrongSecret`] if no slot is unlocked; [`FormatError::Damaged`] if the secret unlocks a slot but the header is
    /// not authentic.
    pub fn unlock(&self, unlocking: &Unlocking) -> Result<(DataKeys, Header, Tag)> {
        let data_key = unlocking.open_any(&self.claims.slots, &self.claims.id)?;
        let keys = DataKeys::derive(&data_key, &self.claims.id)?;
        let (header, tag) = self.check(&keys)?;
        Ok((keys, header, tag))
    }
}

/// The copies of the header in the front of a file that have a correct checksum. Identical copies are listed
/// once.
#[derive(Debug)]
pub struct HeaderCopies {
    /// The readable copies, at least one.
    pub readable: Vec<Unchecked>,
    /// Whether a copy was unreadable, or the two differ.
    pub damaged: bool,
}

/// Reads both copies of the header from the front of a file.
///
/// # Errors
/// If neither copy can be read: not a keyring, of a newer version, or damaged.
pub fn read(front: &[u8]) -> Result<HeaderCopies> {
    if front.len() < 2 * HEADER_LEN {
        let begins = !front.is_empty() && front.iter().zip(MAGIC).all(|(a, b)| a == b);
        return Err(if begins {
            FormatError::Damaged { offset: front.len() as u64, what: "the file ends inside its header" }
        } else {
            FormatError::NotAKeyring
        });
    }
    let mut readable: Vec<Unchecked> = Vec::new();
    let mut first_error = None;
    for bytes in front.chunks_exact(HEADER_LEN).take(2) {
        match Unchecked::parse(bytes) {
            Ok(copy) if readable.contains(&copy) => {}
            Ok(copy) => readable.push(copy),
            Err(e @ FormatError::NotAKeyring) => {
                first_error.get_or_insert(e);
            }
            // "Damaged" or "newer version" says more than "not a keyring".
            Err(e) => first_error = Some(e),
        }
    }
    match first_error {
        Some(e) if readable.is_empty() => Err(e),
        e => Ok(HeaderCopies { damaged: e.is_some() || readable.len() > 1, readable }),
    }
}
