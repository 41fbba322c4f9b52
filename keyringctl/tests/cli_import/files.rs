// SPDX-License-Identifier: GPL-2.0-or-later
//! Files of other keyrings, as their servers write them.

use super::common::{Set, put};
use serde_json::json;
use sha2::{Digest, Sha256};

/// A part of every key in these tests, which must not appear in any output.
pub const CANARY: &str = "c4n4ry!";

/// (id, user, type, bytes)
pub type Key<'a> = (&'a str, &'a str, &'a str, Vec<u8>);

pub fn key<'a>(id: &'a str, user: &'a str, key_type: &'a str, len: usize) -> Key<'a> {
    let bytes = CANARY.bytes().chain(id.bytes()).chain(user.bytes()).cycle().take(len).collect();
    (id, user, key_type, bytes)
}

pub fn some_keys() -> Vec<Key<'static>> {
    vec![
        key("INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-1", "", "AES", 32),
        key("mine", "anna@host", "SECRET", 100),
        key("mine", "bert@host", "RSA", 16384),
    ]
}

pub fn set(keys: &[Key<'_>]) -> Set {
    let mut set = Set::new();
    keys.iter().for_each(|(id, user, key_type, data)| put(&mut set, id, user, key_type, data));
    set
}

/// The file of component_keyring_file.
pub fn json_file(keys: &[Key<'_>]) -> Vec<u8> {
    let hex = |data: &[u8]| data.iter().map(|b| format!("{b:02X}")).collect::<String>();
    let elements: Vec<_> = keys
        .iter()
        .map(|(id, user, t, data)| json!({"user": user, "data_id": id, "data_type": t, "data": hex(data), "extension": []}))
        .collect();
    json!({"version": "1.0", "elements": elements}).to_string().into_bytes()
}

/// The file of keyring_file, as a server on x86-64 writes it.
pub fn plugin_file(keys: &[Key<'_>]) -> Vec<u8> {
    let mut records = Vec::new();
    for (id, user, key_type, data) in keys {
        let hidden: Vec<u8> =
            data.iter().zip(b"*305=Ljt0*!@$Hnm(*-9-w;:".iter().cycle()).map(|(b, x)| b ^ x).collect();
        let lengths = [id.len(), key_type.len(), user.len(), data.len()];
        let bare = 40 + lengths.iter().sum::<usize>();
        for number in [bare.next_multiple_of(8)].into_iter().chain(lengths) {
            records.extend_from_slice(&(number as u64).to_le_bytes());
        }
        records.extend([id.as_bytes(), key_type.as_bytes(), user.as_bytes(), &hidden].concat());
        records.resize(records.len().next_multiple_of(8), 0);
    }
    let digest = Sha256::digest(&records);
    [b"Keyring file version:2.0", &records[..], b"EOF", &digest[..]].concat()
}
