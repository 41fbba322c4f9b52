// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots of a keyring: added, changed and removed on all copies at once. Nothing is encrypted
//! anew, and a server that uses the keyring goes on.

use super::writer::Writer;
use super::{Keyring, now};
use crate::error::{Error, Result};
use crate::format::crypto::Keys;
use crate::format::header::Header;
use crate::format::slots::{Cost, MIN_SECRET, Slot, SlotKind, UnlockSecret};
use crate::recovery::RecoveryKey;
use uuid::Uuid;

/// Fewest bytes of a passphrase.
const MIN_PASSPHRASE: usize = 8;
/// How often a change of slots is prepared anew because others change them too.
const MOST_PREPARED: usize = 20;
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
    let slot = seal_for(&key, keys, id)?;
    Ok((key, slot))
}

fn seal_for(key: &RecoveryKey, keys: &Keys, id: &Uuid) -> Result<Slot> {
    Slot::seal(SlotKind::Recovery, Cost::NONE, RECOVERY_NAME, now(), key.bytes(), keys.data(), id)
        .map_err(told)
}

fn told(e: crate::format::FormatError) -> Error {
    crate::error::in_memory(e)
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
        self.change_slots(
            |_, keys, id| seal(secret, source_name, name, cost, keys, id),
            |header, slot| header.add(slot.clone()).map_err(told),
        )
    }

    /// Adds a slot for a new recovery key, and answers that.
    ///
    /// # Errors
    /// [`Error::NoFreeSlot`]; as [`Keyring::store`].
    pub fn add_recovery_slot(&self) -> Result<RecoveryKey> {
        let key = RecoveryKey::generate()?;
        self.change_slots(
            |_, keys, id| seal_for(&key, keys, id),
            |header, slot| header.add(slot.clone()).map_err(told),
        )?;
        Ok(key)
    }

    /// Has the slot that opens with `old` open with `new`, read from `source_name`, instead. Answers its number.
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
        self.change_slots(
            |slots, keys, id| {
                let index = slots.iter().position(|slot| opens(slot, old, id));
                let index = index.ok_or(Error::NoSuchSlot { number: 0, count: slots.len() })?;
                let name = slots.get(index).map_or("", |slot| &slot.name);
                Ok((index, seal(new, source_name, name, cost, keys, id)?))
            },
            |header, (index, slot)| {
                let mut slots = header.slots.clone();
                *slots.get_mut(*index).ok_or(Error::Unavailable)? = slot.clone();
                header.set_slots(slots);
                Ok(index + 1)
            },
        )
    }

    /// Removes slot `number`, counted from 1.
    ///
    /// # Errors
    /// [`Error::NoSuchSlot`], [`Error::LastSlot`]; as [`Keyring::store`].
    pub fn remove_slot(&self, number: usize) -> Result<()> {
        self.change_slots(
            |slots, _, _| match slots.len() {
                count if number == 0 || number > count => Err(Error::NoSuchSlot { number, count }),
                1 => Err(Error::LastSlot),
                _ => Ok(()),
            },
            |header, ()| {
                let mut slots = header.slots.clone();
                slots.remove(number - 1);
                header.set_slots(slots);
                Ok(())
            },
        )
    }

    /// Renews the data key: all records are sealed anew and all slots kept. The slots that `secret` opens
    /// wrap the new one as at their making, the others by their public keys.
    ///
    /// # Errors
    /// [`Error::SlotWithoutPublicKey`] for a slot from before there were public keys that `secret` does not
    /// open; as [`Keyring::store`].
    pub fn rekey(&self, secret: &UnlockSecret) -> Result<()> {
        let renew = |slots: &[Slot], _: &Keys, id: &Uuid| {
            let keys = Keys::generate(id).map_err(told)?;
            let renewed = slots.iter().enumerate().map(|(index, slot)| {
                let renewed = match slot.renew_with(secret, keys.data(), id).map_err(told)? {
                    Some(slot) => Some(slot),
                    None => slot.renew(keys.data(), id).map_err(told)?,
                };
                renewed.ok_or(Error::SlotWithoutPublicKey { number: index + 1, name: slot.name.clone() })
            });
            Ok((renewed.collect::<Result<Vec<_>>>()?, keys))
        };
        self.prepared(renew, |writer, (slots, keys)| {
            let mut header = writer.header().clone();
            header.set_slots(slots.clone());
            writer.rekey(&self.read_memory(), header, keys.again().map_err(told)?)
        })
    }

    /// Changes the header by what was prepared.
    fn change_slots<P, R>(
        &self,
        prepare: impl Fn(&[Slot], &Keys, &Uuid) -> Result<P>,
        change: impl Fn(&mut Header, &P) -> Result<R>,
    ) -> Result<R> {
        self.prepared(prepare, |writer, prepared| {
            let mut header = writer.header().clone();
            let answer = change(&mut header, prepared)?;
            writer.change_header(&self.read_memory(), header)?;
            Ok(answer)
        })
    }

    /// Makes a change for which Argon2id may have to run. That is done before, and again only when the slots or
    /// the keys are others by then: a server that stores key after key would else always be faster.
    fn prepared<P, R>(
        &self,
        prepare: impl Fn(&[Slot], &Keys, &Uuid) -> Result<P>,
        change: impl Fn(&mut Writer, &P) -> Result<R>,
    ) -> Result<R> {
        self.counted(|| {
            let mut writer = self.writable()?;
            for _ in 0..MOST_PREPARED {
                let (slots, keys) = (writer.header().slots.clone(), writer.keys().again().map_err(told)?);
                let prepared = prepare(&slots, &keys, &self.id)?;
                let done = self.catching_up(&mut writer, |writer| {
                    let fits = writer.header().slots == slots && *writer.keys() == keys;
                    if fits { change(writer, &prepared).map(Some) } else { Ok(None) }
                });
                if let Some(answer) = done? {
                    return Ok(answer);
                }
            }
            let detail = "its slots change again and again".to_owned();
            Err(Error::Changed { path: writer.path().to_owned(), detail })
        })
    }
}

fn opens(slot: &Slot, secret: &UnlockSecret, id: &Uuid) -> bool {
    crate::format::slots::open_any(std::slice::from_ref(slot), secret, id).is_ok_and(|key| key.is_some())
}
