// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes keyring files that are authentic in every byte and say whatever a test wants.

use super::SECRET;
use keyring_external::format::commit::Commit;
use keyring_external::format::cost::Cost;
use keyring_external::format::crypto::{DataKeys, Tag};
use keyring_external::format::header::Header;
use keyring_external::format::layout::FIXED_LEN;
use keyring_external::format::layout::HEADER_LEN;
use keyring_external::format::slots::{Slot, SlotKind};
use keyring_external::secret::random_array;
use sha2::{Digest, Sha256};

/// Where the unlock slots lie in a header, and how long each is.
pub const SLOTS_AT: usize = 128;
/// Where a slot's public key lies in it.
pub const PUBLIC_AT: usize = 192;
/// Where the earlier states lie in a header.
pub const PARENTS_AT: usize = 2176;
/// Where the MAC lies in a header.
const MAC_AT: usize = 4032;

/// A file under construction, with the keys to make it authentic.
pub struct Forge {
    pub header: Header,
    pub keys: DataKeys,
    pub bytes: Vec<u8>,
    pub chain: Tag,
    pub count: u64,
}

impl Forge {
    /// A file that [`SECRET`] opens.
    pub fn new() -> Self {
        Self::with_header("", |header, keys| {
            let slot = Slot::seal(SlotKind::SecretFile, Cost::NONE, "", 1, &SECRET, keys, &header.id);
            header.add(slot.unwrap()).unwrap();
        })
    }

    /// A file with a label and the slots that `slots` adds.
    pub fn with_header(label: &str, slots: impl FnOnce(&mut Header, &DataKeys)) -> Self {
        let mut header = Header::new(label, 1).unwrap();
        let keys = DataKeys::generate(&header.id).unwrap();
        slots(&mut header, &keys);
        Self::of(header, keys)
    }

    /// A file with that header.
    pub fn of(header: Header, keys: DataKeys) -> Self {
        let (copy, chain) = header.encode(&keys);
        let mut bytes = copy.repeat(2);
        bytes.resize(FIXED_LEN, 0);
        Self { header, keys, bytes, chain, count: 0 }
    }

    /// Adds a sealed record with any content.
    pub fn seal(mut self, body: &[u8]) -> Self {
        let iv = random_array().unwrap();
        let mut body = body.to_vec();
        self.keys.record_encryption().apply(&iv, &mut body).unwrap();
        let len = (body.len() as u32).to_le_bytes();
        self.chain = self.keys.record_mac().tag(&[&self.chain, &len, &iv, &body]);
        for part in [&len[..], &iv, &body, &self.chain] {
            self.bytes.extend_from_slice(part);
        }
        self.count += 1;
        self
    }

    pub fn commit(&self) -> Commit {
        Commit {
            generation: 5,
            length: self.bytes.len() as u64,
            count: self.count,
            chain: self.chain,
            note: None,
        }
    }

    /// The file with a commit in each slot.
    pub fn with_slots(&self, first: &Commit, second: &Commit) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let slot = |c: &Commit| c.encode_both(&self.keys, &self.header.epoch);
        bytes[8192..12288].copy_from_slice(&slot(first)[..4096]);
        bytes[12288..16384].copy_from_slice(&slot(second)[4096..]);
        bytes
    }

    /// The file as it is when it was written whole.
    pub fn file(&self) -> Vec<u8> {
        self.with_slots(&self.commit(), &self.commit())
    }
}

/// A file without records made of a genuine one: its headers changed and authenticated with any keys, its commit slots
/// made to fit.
pub fn reheaded(file: &[u8], keys: &DataKeys, generation: u64, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut copy = file[..HEADER_LEN].to_vec();
    change(&mut copy);
    let chain = keys.header_mac().tag(&[&copy[..MAC_AT]]);
    copy[MAC_AT..MAC_AT + 32].copy_from_slice(&chain);
    let checksum = Sha256::digest(&copy[..HEADER_LEN - 32]);
    copy[HEADER_LEN - 32..].copy_from_slice(&checksum);
    let epoch = copy[40..56].try_into().unwrap();
    let commit = Commit { generation, length: FIXED_LEN as u64, count: 0, chain, note: None };
    [copy.repeat(2), commit.encode_both(keys, &epoch)].concat()
}

/// The fields of a record, each of which may lie.
pub struct Fields<'a> {
    pub kind: u8,
    /// Only in a record of kind 2.
    pub retired: Option<u64>,
    pub lengths: (u8, u8, u8, u32),
    pub key_type: &'a [u8],
    pub id: &'a [u8],
    pub user: &'a [u8],
    pub data: &'a [u8],
}

impl<'a> Fields<'a> {
    pub fn honest(key_type: &'a [u8], id: &'a [u8], user: &'a [u8], data: &'a [u8]) -> Self {
        let lengths = (key_type.len() as u8, id.len() as u8, user.len() as u8, data.len() as u32);
        Self { kind: 1, retired: None, lengths, key_type, id, user, data }
    }

    pub fn body(&self) -> Vec<u8> {
        let (t, id, user, data) = self.lengths;
        let mut body = vec![self.kind];
        body.extend(7_u64.to_le_bytes());
        if let Some(retired) = self.retired {
            body.extend(retired.to_le_bytes());
        }
        body.extend([t, id, user]);
        body.extend(data.to_le_bytes());
        for field in [self.key_type, self.id, self.user, self.data] {
            body.extend_from_slice(field);
        }
        body
    }
}
