// SPDX-License-Identifier: GPL-2.0-or-later
//! Creates unlock slots: for the secret of an unlock source, for a new recovery key, and for custodians.

use super::clock::now;
use crate::custodians::{Custodians, Share};
use crate::error::{Failure, Result};
use crate::format::FormatError;
use crate::format::cost::Cost;
use crate::format::crypto::DataKeys;
use crate::format::slots::{Slot, SlotKind};
use crate::recovery::RecoveryKey;
use crate::secret::{Locked, MIN_SECRET, UnlockSecret};
use uuid::Uuid;

/// Minimum length of a passphrase in bytes.
pub const MIN_PASSPHRASE: usize = 8;
/// Name of the slot for a recovery key, unless another one is given.
pub(super) const RECOVERY_NAME: &str = "recovery key";

/// How [`custodians_name`] begins.
const SET: &str = "set ";
/// Name of the slot for a secret that came in the place of custodians.
const ADDED_NAME: &str = "added";

/// Length of what [`custodians_name`] adds to a name.
pub const SET_IN_NAME_LEN: usize = ", set 12345678".len();

/// Name of the slot for the custodians with these shares: the name that was given, if any, and the set, which their pages
/// name too. Nothing else in the slot tells which shares belong to it.
pub(super) fn custodians_name(name: Option<&str>, shares: &[Share]) -> String {
    let set = shares.first().map(Share::set).unwrap_or_default();
    match name {
        Some(name) => format!("{name}, {SET}{set}"),
        None => format!("{SET}{set}"),
    }
}

/// The set of shares at the end of a slot's name, and the name before it.
pub fn set_in_name(name: &str) -> Option<(&str, &str)> {
    let (before, set) = name.rsplit_once(SET)?;
    let is_set = set.len() == 8 && set.bytes().all(|c| c.is_ascii_hexdigit());
    let before = if before.is_empty() { Some(before) } else { before.strip_suffix(", ") };
    before.filter(|_| is_set).map(|before| (before, set))
}

/// Name of the slot for a secret in the place of another one: the same, without a set of shares.
pub(super) fn name_after_change(slot: &Slot) -> &str {
    match set_in_name(&slot.name).filter(|_| matches!(slot.kind, SlotKind::Custodians(_))) {
        Some(("", _)) => ADDED_NAME,
        Some((name, _)) => name,
        None => &slot.name,
    }
}

/// Creates a slot that `secret`, read from `source_name`, unlocks. If the secret is text, it is a passphrase
/// and goes through Argon2id with `cost`. Otherwise it is a random secret of at least 32 bytes.
///
/// # Errors
/// A secret that is too short; no memory or randomness.
pub(super) fn seal(
    secret: &UnlockSecret,
    source_name: &str,
    name: &str,
    cost: Cost,
    keys: &DataKeys,
    id: &Uuid,
) -> Result<Slot> {
    let (kind, bytes, least) = if secret.is_text() {
        (SlotKind::Passphrase, secret.passphrase(), MIN_PASSPHRASE)
    } else {
        (SlotKind::SecretFile, secret.raw(), MIN_SECRET)
    };
    if bytes.len() < least {
        return Err(Failure::Unlock {
            source_name: source_name.to_owned(),
            why: format!("a {kind} needs at least {least} bytes, it has {}", bytes.len()),
        }
        .into());
    }
    Slot::seal(kind, cost, name, now(), bytes, keys, id).map_err(FormatError::in_memory)
}

/// Creates a slot called `name` for a recovery key.
///
/// # Errors
/// No memory or randomness.
pub(super) fn seal_recovery(key: &RecoveryKey, name: &str, keys: &DataKeys, id: &Uuid) -> Result<Slot> {
    Slot::seal(SlotKind::Recovery, Cost::NONE, name, now(), key.bytes(), keys, id)
        .map_err(FormatError::in_memory)
}

/// Creates a slot called `name` for custodians, whose shares lead to `secret`.
///
/// # Errors
/// No memory or randomness.
pub(super) fn seal_custodians(
    custodians: Custodians,
    secret: &Locked,
    name: &str,
    keys: &DataKeys,
    id: &Uuid,
) -> Result<Slot> {
    Slot::seal(SlotKind::Custodians(custodians), Cost::NONE, name, now(), secret, keys, id)
        .map_err(FormatError::in_memory)
}
