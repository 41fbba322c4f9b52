// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots of a keyring: added, changed and removed on all copies at once. Nothing is encrypted
//! anew, and a server that uses the keyring goes on.

use super::{Keyring, now};
use crate::error::{Error, Result};
use crate::format::crypto::Keys;
use crate::format::header::Header;
use crate::format::slots::{Cost, MIN_SECRET, Slot, SlotKind, UnlockSecret};
use crate::recovery::RecoveryKey;
use std::path::Path;
use uuid::Uuid;

/// Fewest bytes of a passphrase.
const MIN_PASSPHRASE: usize = 8;
/// What a slot for a recovery key is called.
const RECOVERY_NAME: &str = "recovery key";

/// A slot that opens with `secret`, read from `source_name`: text is a passphrase and goes through
/// Argon2id with `cost`, at least 32 bytes of anything else are a random secret.
///
/// # Errors
/// A secret that is too short; no memory or randomness.
pub(super) fn seal(
    secret: &UnlockSecret,
    source_name: &str,
    name: &str,
    cost: Cost,
    keys: &Keys,
    id: &Uuid,
) -> Result<Slot> {
    let (kind, bytes, least) = if secret.is_text() {
        (SlotKind::Passphrase, secret.passphrase(), MIN_PASSPHRASE)
    } else {
        (SlotKind::SecretFile, secret.raw(), MIN_SECRET)
    };
    if bytes.len() < least {
        return Err(Error::Unlock {
            source_name: source_name.to_owned(),
            why: format!("a {kind} needs at least {least} bytes, it has {}", bytes.len()),
        });
    }
    Slot::seal(kind, cost, name, now(), bytes, keys.data(), id).map_err(told)
}

/// A new recovery key, and the slot that it opens.
///
/// # Errors
/// No memory or randomness.
pub(super) fn seal_recovery(keys: &Keys, id: &Uuid) -> Result<(RecoveryKey, Slot)> {
    let key = RecoveryKey::generate()?;
    let slot = Slot::seal(SlotKind::Recovery, Cost::NONE, RECOVERY_NAME, now(), key.bytes(), keys.data(), id)
        .map_err(told)?;
    Ok((key, slot))
}

fn told(e: crate::format::FormatError) -> Error {
    Error::format(Path::new(""), "", e)
}

impl Keyring {
    /// The slots, in their order.
    pub fn slots(&self) -> Vec<Slot> {
        self.lock_writer().header().slots.clone()
    }

    /// Adds a slot that opens with `secret`, read from `source_name`.
    ///
    /// # Errors
    /// A secret that is too short; [`Error::NoFreeSlot`]; as [`Keyring::store`].
    pub fn add_slot(&self, secret: &UnlockSecret, source_name: &str, name: &str, cost: Cost) -> Result<()> {
        self.change_header(|header, keys| {
            header.add(seal(secret, source_name, name, cost, keys, &header.id)?).map_err(told)
        })
    }

    /// Adds a slot for a new recovery key, and answers that.
    ///
    /// # Errors
    /// [`Error::NoFreeSlot`]; as [`Keyring::store`].
    pub fn add_recovery_slot(&self) -> Result<RecoveryKey> {
        self.change_header(|header, keys| {
            let (key, slot) = seal_recovery(keys, &header.id)?;
            header.add(slot).map_err(told)?;
            Ok(key)
        })
    }

    /// Has the slot that opens with `old` open with `new`, read from `source_name`, instead.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`] when `old` opens none; a secret that is too short; as [`Keyring::store`].
    pub fn change_slot(
        &self,
        old: &UnlockSecret,
        new: &UnlockSecret,
        source_name: &str,
        cost: Cost,
    ) -> Result<usize> {
        self.change_header(|header, keys| {
            let index = header.slots.iter().position(|slot| opens(slot, old, &header.id));
            let index = index.ok_or(Error::NoSuchSlot { number: 0, count: header.slots.len() })?;
            let id = header.id;
            let slot = header.slots.get_mut(index).ok_or(Error::Unavailable)?;
            *slot = seal(new, source_name, &slot.name.clone(), cost, keys, &id)?;
            Ok(index + 1)
        })
    }

    /// Removes slot `number`, counted from 1.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`], [`Error::LastSlot`]; as [`Keyring::store`].
    pub fn remove_slot(&self, number: usize) -> Result<()> {
        self.change_header(|header, _| {
            let count = header.slots.len();
            if number == 0 || number > count {
                return Err(Error::NoSuchSlot { number, count });
            }
            if count == 1 {
                return Err(Error::LastSlot);
            }
            header.slots.remove(number - 1);
            Ok(())
        })
    }

    /// Renews the data key: all records are sealed anew and all slots kept. The slots that `secret` opens
    /// wrap the new one as at their making, the others by their public keys.
    ///
    /// # Errors
    /// [`Error::SlotWithoutPublicKey`] for a slot from before there were public keys that `secret` does not
    /// open; as [`Keyring::store`].
    pub fn rekey(&self, secret: &UnlockSecret) -> Result<()> {
        self.counted(|| {
            let mut writer = self.writable()?;
            let mut header = writer.header().clone();
            let id = header.id;
            let keys = Keys::generate(&id).map_err(told)?;
            for (index, slot) in header.slots.iter_mut().enumerate() {
                let renewed = match slot.renew_with(secret, keys.data(), &id).map_err(told)? {
                    Some(slot) => Some(slot),
                    None => slot.renew(keys.data(), &id).map_err(told)?,
                };
                let (number, name) = (index + 1, slot.name.clone());
                *slot = renewed.ok_or(Error::SlotWithoutPublicKey { number, name })?;
            }
            writer.rekey(&self.read_memory(), header, keys)
        })
    }

    fn change_header<R>(&self, change: impl Fn(&mut Header, &Keys) -> Result<R>) -> Result<R> {
        let mut answer = None;
        self.counted(|| {
            let mut writer = self.writable()?;
            let mut header = writer.header().clone();
            answer = Some(change(&mut header, writer.keys())?);
            writer.change_header(&self.read_memory(), header)
        })?;
        answer.ok_or(Error::Unavailable)
    }
}

fn opens(slot: &Slot, secret: &UnlockSecret, id: &Uuid) -> bool {
    crate::format::slots::open_any(std::slice::from_ref(slot), secret, id).is_ok_and(|key| key.is_some())
}
