// SPDX-License-Identifier: GPL-2.0-or-later
//! Keys for the tests of all formats.

use super::keys::{Key, LegacyKeys};

/// User, id, type, bytes.
pub type Sample = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

/// Keys of various lengths, some of which belong to users, in no particular order.
pub fn some(count: usize) -> Vec<Sample> {
    let lengths = [32, 1, 7, 24, 16, 25, 100, 0, 48];
    let types = ["AES", "SECRET", "RSA"];
    (0..count)
        .rev()
        .map(|i| {
            let user = if i % 2 == 1 { format!("user{}@host", "x".repeat(i)) } else { String::new() };
            let data = (0..lengths[i % lengths.len()]).map(|n| (n * 7 + i * 31 + 3) as u8).collect();
            (user.into(), format!("key{i}").into(), types[i % types.len()].into(), data)
        })
        .collect()
}

/// Passes the samples to `put` as keys.
pub fn each(keys: &[Sample], put: &mut dyn FnMut(Key<'_>)) {
    keys.iter().for_each(|(user, id, key_type, data)| put(Key { id, user, key_type, data }));
}

/// Converts keys that were read to samples.
pub fn of(keys: &LegacyKeys) -> Vec<Sample> {
    keys.iter().map(|k| (k.user.to_vec(), k.id.to_vec(), k.key_type.to_vec(), k.data.to_vec())).collect()
}

/// Sorts samples as keys are sorted when they are read.
pub fn sorted(mut keys: Vec<Sample>) -> Vec<Sample> {
    keys.sort();
    keys
}
