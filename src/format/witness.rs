// SPDX-License-Identifier: GPL-2.0-or-later
//! The witness: a small file in the data directory that records which keyring, and which state of it, the
//! data was last used with. It holds no secret.

use super::bytes::{FieldReader, FieldWriter};
use super::commit::Commit;
use super::crypto::{DataKeys, TAG_LEN, Tag};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Bytes of a witness.
pub(crate) const WITNESS_LEN: usize = 128;
const MAGIC: &[u8; 16] = b"KEYRING_WITNESS\x01";
/// Bytes of the checksum.
const CHECKSUM_LEN: usize = 24;

/// The contents of a witness.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Witness {
    /// The keyring's identity.
    pub id: Uuid,
    /// The generation that was last seen.
    pub generation: u64,
    /// The chain of MACs of that generation, which tells two states of one generation apart.
    pub chain: Tag,
}

impl Witness {
    /// The witness of a state.
    pub fn new(id: Uuid, commit: &Commit) -> Self {
        Self { id, generation: commit.generation, chain: commit.chain }
    }

    fn body(&self) -> Vec<u8> {
        let mut w = FieldWriter::with_capacity(WITNESS_LEN);
        w.put(MAGIC).put(self.id.as_bytes()).put(&self.generation.to_le_bytes()).put(&self.chain);
        let checksum = checksum(&w.0);
        w.put(&checksum);
        w.0
    }

    /// Returns the bytes of the file.
    pub fn encode(&self, keys: &DataKeys) -> Vec<u8> {
        let mut bytes = self.body();
        let tag = keys.witness_mac().tag(&[&bytes]);
        bytes.extend_from_slice(&tag);
        bytes
    }

    /// Reads what a file claims. Returns `None` if it is no witness or a damaged one. Nothing is
    /// authenticated.
    pub fn claims(bytes: &[u8]) -> Option<Self> {
        let mut r = FieldReader(bytes);
        (r.array()? == *MAGIC && bytes.len() == WITNESS_LEN).then_some(())?;
        let (claims, rest) = bytes.split_at_checked(WITNESS_LEN - TAG_LEN - CHECKSUM_LEN)?;
        rest.starts_with(&checksum(claims)).then_some(())?;
        Some(Self { id: Uuid::from_bytes(r.array()?), generation: r.u64()?, chain: r.array()? })
    }

    /// Whether the keyring with these keys wrote these bytes.
    pub(crate) fn is_authentic(bytes: &[u8], keys: &DataKeys) -> bool {
        let mut r = FieldReader(bytes);
        let body = r.take(WITNESS_LEN - TAG_LEN).unwrap_or_default();
        keys.witness_mac().verify(&[body], r.0)
    }
}

/// Distinguishes a damaged witness from one that somebody wrote on purpose.
fn checksum(claims: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut checksum = [0; CHECKSUM_LEN];
    checksum.iter_mut().zip(Sha256::digest(claims)).for_each(|(to, from)| *to = from);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_is_read_back_and_every_byte_counts() {
        let id = Uuid::from_u128(5);
        let keys = DataKeys::generate(&id).unwrap();
        let witness = Witness { id, generation: 9, chain: [7; TAG_LEN] };
        let bytes = witness.encode(&keys);
        assert_eq!(bytes.len(), WITNESS_LEN);
        assert_eq!(Witness::claims(&bytes), Some(witness));
        assert!(Witness::is_authentic(&bytes, &keys));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(!Witness::is_authentic(&changed, &keys), "byte {at}");
            let tag = at >= WITNESS_LEN - TAG_LEN;
            assert_eq!(Witness::claims(&changed), tag.then_some(witness), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Witness::claims(&bytes[..len]), None);
            assert!(!Witness::is_authentic(&bytes[..len], &keys));
        }
        assert!(!Witness::is_authentic(&bytes, &DataKeys::generate(&id).unwrap()));
    }
}
