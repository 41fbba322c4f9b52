// SPDX-License-Identifier: GPL-2.0-or-later
//! Turns arbitrary bytes into an authentic keyring file: every checksum, MAC and ciphertext fits keys known here.

use keyring_external::format::commit::COMMIT_LEN;
use keyring_external::format::crypto::{DataKey, DataKeys, IV_LEN, KEY_LEN, TAG_LEN, Tag};
use keyring_external::format::layout::{COMMIT_BLOCK, COMMITS_AT, FIXED_LEN, HEADER_LEN, MAX_BODY};
use keyring_external::format::log_note::LOG_NOTE_LEN;
use sha2::{Digest, Sha256};
use uuid::Uuid;

const ID: std::ops::Range<usize> = 24..40;
const EPOCH: std::ops::Range<usize> = 40..56;
const CHECKSUM_AT: usize = HEADER_LEN - 32;
const MAC_AT: usize = CHECKSUM_AT - TAG_LEN;
/// Where a commit slot holds the number of records and the chain.
const COUNT: std::ops::Range<usize> = 24..32;
const CHAIN: std::ops::Range<usize> = 32..64;

/// The keys of the keyring with that id.
pub fn keys(id: &Uuid) -> DataKeys {
    let data = DataKey::copy_of(&[7; KEY_LEN]).expect("memory");
    DataKeys::derive(&data, id).expect("memory")
}

/// The keys for the keyring id in a file; `None` if the file is too short to have one.
pub fn keys_of(file: &[u8]) -> Option<DataKeys> {
    Some(keys(&Uuid::from_slice(file.get(ID)?).ok()?))
}

/// Repairs the checksum of a header, which takes no key.
pub fn checksum(header: &mut [u8]) {
    let (body, checksum) = header.split_at_mut(CHECKSUM_AT);
    checksum.copy_from_slice(&Sha256::digest(body));
}

/// Repairs the MAC and the checksum of a header. Returns the MAC, with which the chain of records begins.
pub fn header(header: &mut [u8], keys: &DataKeys) -> Tag {
    let (body, rest) = header.split_at_mut(MAC_AT);
    let tag = keys.header_mac().tag(&[body]);
    rest[..TAG_LEN].copy_from_slice(&tag);
    checksum(header);
    tag
}

/// Seals the plaintext body of a record. Returns the bytes of the record and advances the chain.
pub fn record(keys: &DataKeys, chain: &mut Tag, iv: [u8; IV_LEN], body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    keys.record_encryption().apply(&iv, &mut body).expect("memory");
    let len = (body.len() as u32).to_le_bytes();
    *chain = keys.record_mac().tag(&[chain, &len, &iv, &body]);
    [&len[..], &iv, &body, chain].concat()
}

/// Makes a file with plaintext record bodies authentic. A commit slot gets the chain of as many records as it counts,
/// unless its chain begins with 0xff: that one is left wrong.
pub fn file(data: &[u8]) -> Option<(Vec<u8>, DataKeys)> {
    let keys = keys_of(data)?;
    let mut file = data.to_vec();
    let mut chains = Vec::new();
    for (n, copy) in file.chunks_exact_mut(HEADER_LEN).take(2).enumerate() {
        let tag = header(copy, &keys);
        if n == 0 {
            chains.push(tag);
        }
    }
    let mut at = FIXED_LEN;
    while let Some((iv, len)) = front_of_record(&file, at) {
        let mut chain = *chains.last()?;
        let body = at + 4 + IV_LEN;
        let sealed = record(&keys, &mut chain, iv, &file[body..body + len]);
        file[at..at + sealed.len()].copy_from_slice(&sealed);
        chains.push(chain);
        at += sealed.len();
    }
    let epoch: [u8; 16] = file.get(EPOCH)?.try_into().ok()?;
    for index in 0..2 {
        let from = COMMITS_AT + usize::from(index) * COMMIT_BLOCK;
        let Some(slot) = file.get_mut(from..from + COMMIT_LEN + LOG_NOTE_LEN) else { break };
        let count = usize::from_le_bytes(slot[COUNT].try_into().ok()?);
        if slot[CHAIN.start] != 0xff
            && let Some(chain) = chains.get(count)
        {
            slot[CHAIN].copy_from_slice(chain);
        }
        let (body, rest) = slot.split_at_mut(COMMIT_LEN - TAG_LEN);
        let (tag, note) = rest.split_at_mut(TAG_LEN);
        let noted: &[u8] = if note.iter().any(|b| *b != 0) { note } else { &[] };
        tag.copy_from_slice(&keys.commit_mac().tag(&[&epoch, &[index], body, noted]));
    }
    Some((file, keys))
}

/// The initialisation vector of the record at `at` and the length of its body; `None` if the record is cut off.
fn front_of_record(file: &[u8], at: usize) -> Option<([u8; IV_LEN], usize)> {
    let (len, rest) = file.get(at..)?.split_first_chunk::<4>()?;
    let (iv, rest) = rest.split_first_chunk()?;
    let len = u32::from_le_bytes(*len) as usize;
    (len <= MAX_BODY && len + TAG_LEN <= rest.len()).then_some((*iv, len))
}
