// SPDX-License-Identifier: GPL-2.0-or-later
//! A file of a vector, and what is common to making several.

use super::common::SECRET;
use super::common::forge::Forge;
use keyring_external::format::cost::Cost;
use keyring_external::format::crypto::DataKeys;
use keyring_external::format::header::Header;
use keyring_external::format::slots::{Slot, SlotKind};

/// A file, the secret that it is opened with, and what that must come to.
pub struct Made {
    pub file: Vec<u8>,
    pub secret: Vec<u8>,
    pub expect: &'static str,
}

pub fn opened(file: Vec<u8>) -> Made {
    Made { file, secret: SECRET.into(), expect: "opened" }
}

pub fn damaged(file: Vec<u8>) -> Made {
    Made { file, secret: SECRET.into(), expect: "damaged" }
}

pub fn with_secret(made: Made, secret: &[u8]) -> Made {
    Made { secret: secret.into(), expect: "wrong_secret", ..made }
}

/// A file without keys that [`SECRET`] opens.
pub fn with_label(label: &str) -> Forge {
    Forge::with_header(label, |header, keys| {
        add_slot(header, keys, SlotKind::SecretFile, Cost::NONE, "", &SECRET);
    })
}

pub fn add_slot(header: &mut Header, keys: &DataKeys, kind: SlotKind, cost: Cost, name: &str, secret: &[u8]) {
    let slot = Slot::seal(kind, cost, name, 1_700_000_000, secret, keys, &header.id);
    header.add(slot.unwrap()).unwrap();
}
