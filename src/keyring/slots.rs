// SPDX-License-Identifier: GPL-2.0-or-later
//! Adds, changes and removes unlock slots, and renews the data key, on all copies at once. A server that uses
//! the keyring keeps running.

use super::clock::now;
use super::shared::Keyring;
use super::writer::Writer;
use crate::error::{BadRequest, Error, Failure, Refusal, Result};
use crate::format::cost::Cost;
use crate::format::crypto::DataKeys;
use crate::format::header::Header;
use crate::format::slots::{Slot, SlotKind, SlotOutcome};
use crate::format::unlocking::Unlocking;
use crate::recovery::RecoveryKey;
use crate::secret::{MIN_SECRET, UnlockSecret};
use std::path::PathBuf;
use uuid::Uuid;

/// Minimum length of a passphrase in bytes.
const MIN_PASSPHRASE: usize = 8;
/// How many times a change of slots is prepared, if others change them at the same time.
const MOST_PREPARED: usize = 20;
/// Name of a slot for a recovery key.
const RECOVERY_NAME: &str = "recovery key";

/// A secret that verifies a slot in a renewal.
#[derive(Debug)]
pub struct Verifier {
    /// The name of its source in messages.
    pub source_name: String,
    /// The secret.
    pub secret: UnlockSecret,
}

/// How a slot was renewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Renewed {
    /// With its secret, which verified the slot.
    BySecret,
    /// With its public key, which only the old data key authenticates.
    ByPublicKey,
}

/// The slots and keys that a change is prepared for.
struct Current<'a> {
    path: PathBuf,
    slots: &'a [Slot],
    keys: &'a DataKeys,
    id: &'a Uuid,
}

impl Current<'_> {
    /// Whether a secret unlocks slot `index`, which must wrap the present data key.
    fn opens(&self, index: usize, slot: &Slot, secret: &Unlocking) -> Result<bool> {
        match secret.open(slot, self.id).map_err(told)? {
            SlotOutcome::Key(key) if key == *self.keys.data() => Ok(true),
            SlotOutcome::Key(_) | SlotOutcome::Forged => Err(self.forged(index, slot)),
            SlotOutcome::Wrong | SlotOutcome::Untried => Ok(false),
        }
    }

    /// For each slot, the secret that unlocks it. Each secret must unlock at least one.
    fn openers<'s>(&self, secrets: &'s [(&str, Unlocking)]) -> Result<Vec<Option<&'s Unlocking>>> {
        let mut openers = vec![None; self.slots.len()];
        for (source_name, secret) in secrets {
            let mut opens = false;
            for ((index, slot), opener) in self.slots.iter().enumerate().zip(&mut openers) {
                if self.opens(index, slot, secret)? {
                    opens = true;
                    *opener = Some(secret);
                }
            }
            if !opens {
                let (path, source_name) = (self.path.clone(), (*source_name).to_owned());
                return Err(Refusal::VerifiesNoSlot { path, source_name, count: self.slots.len() }.into());
            }
        }
        Ok(openers)
    }

    fn forged(&self, index: usize, slot: &Slot) -> Error {
        Error::Refusal(Refusal::ForgedSlot {
            path: self.path.clone(),
            number: index + 1,
            name: slot.name.clone(),
        })
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
    Slot::seal(kind, cost, name, now(), bytes, keys, id).map_err(told)
}

/// Generates a recovery key and creates a slot for it.
///
/// # Errors
/// No memory or randomness.
pub(super) fn seal_recovery(keys: &DataKeys, id: &Uuid) -> Result<(RecoveryKey, Slot)> {
    let key = RecoveryKey::generate()?;
    let slot = seal_for(&key, keys, id)?;
    Ok((key, slot))
}

fn seal_for(key: &RecoveryKey, keys: &DataKeys, id: &Uuid) -> Result<Slot> {
    Slot::seal(SlotKind::Recovery, Cost::NONE, RECOVERY_NAME, now(), key.bytes(), keys, id).map_err(told)
}

fn told(e: crate::format::FormatError) -> Error {
    e.in_memory()
}

impl Keyring {
    /// The slots, in order.
    pub fn slots(&self) -> Vec<Slot> {
        self.lock_writer().header().slots.clone()
    }

    /// Adds a slot that `secret`, read from `source_name`, unlocks.
    ///
    /// # Errors
    /// A secret that is too short; [`BadRequest::NoFreeSlot`]; as [`Keyring::store`].
    pub fn add_slot(&self, secret: &UnlockSecret, source_name: &str, name: &str, cost: Cost) -> Result<()> {
        self.change_slots(
            |current| seal(secret, source_name, name, cost, current.keys, current.id),
            |header, slot| header.add(slot.clone()).map_err(told),
        )
    }

    /// Adds a slot for a new recovery key, and returns the key.
    ///
    /// # Errors
    /// [`BadRequest::NoFreeSlot`]; as [`Keyring::store`].
    pub fn add_recovery_slot(&self) -> Result<RecoveryKey> {
        let key = RecoveryKey::generate()?;
        self.change_slots(
            |current| seal_for(&key, current.keys, current.id),
            |header, slot| header.add(slot.clone()).map_err(told),
        )?;
        Ok(key)
    }

    /// Replaces the slot that `old` unlocks by one for `new`, read from `source_name`. Returns its number.
    ///
    /// # Errors
    /// [`BadRequest::NoSuchSlot`] if `old` unlocks none; [`Refusal::ForgedSlot`]; a secret that is too short;
    /// as [`Keyring::store`].
    pub fn change_slot(
        &self,
        old: &UnlockSecret,
        new: &UnlockSecret,
        source_name: &str,
        cost: Cost,
    ) -> Result<usize> {
        let old = Unlocking::new(old.try_clone()?);
        self.change_slots(
            |current| {
                for (index, slot) in current.slots.iter().enumerate() {
                    if current.opens(index, slot, &old)? {
                        let new = seal(new, source_name, &slot.name, cost, current.keys, current.id)?;
                        return Ok((index, new));
                    }
                }
                Err(Error::BadRequest(BadRequest::NoSuchSlot { number: 0, count: current.slots.len() }))
            },
            |header, (index, slot)| {
                let mut slots = header.slots.clone();
                *slots.get_mut(*index).ok_or(Error::BadRequest(BadRequest::Unavailable))? = slot.clone();
                header.set_slots(slots).map_err(told)?;
                Ok(index + 1)
            },
        )
    }

    /// Removes slot `number`, counted from 1.
    ///
    /// # Errors
    /// [`BadRequest::NoSuchSlot`], [`BadRequest::LastSlot`]; as [`Keyring::store`].
    pub fn remove_slot(&self, number: usize) -> Result<()> {
        self.change_slots(
            |current| match current.slots.len() {
                count if number == 0 || number > count => {
                    Err(Error::BadRequest(BadRequest::NoSuchSlot { number, count }))
                }
                1 => Err(Error::BadRequest(BadRequest::LastSlot)),
                _ => Ok(()),
            },
            |header, ()| {
                let mut slots = header.slots.clone();
                slots.remove(number - 1);
                header.set_slots(slots).map_err(told)
            },
        )
    }

    /// Renews the data key. All records are sealed again, and all slots stay. A slot that one of `secrets`
    /// unlocks wraps the new data key with that secret. The others do it with their public keys, which is
    /// refused if `require_all`. Returns how each slot was renewed, in order.
    ///
    /// Only the old data key authenticates the public key of a slot. Therefore a public key that somebody
    /// with the data key planted is renewed too, and so is a slot that they added.
    ///
    /// # Errors
    /// [`Refusal::VerifiesNoSlot`] for a secret that unlocks no slot; [`Refusal::ForgedSlot`] for a slot that
    /// was altered; [`Refusal::SlotNotVerified`] if all are required; as [`Keyring::store`].
    pub fn rekey(&self, secrets: &[Verifier], require_all: bool) -> Result<Vec<Renewed>> {
        let secrets = secrets
            .iter()
            .map(|v| Ok((v.source_name.as_str(), Unlocking::new(v.secret.try_clone()?))))
            .collect::<Result<Vec<_>>>()?;
        let renew = |current: &Current<'_>| {
            let openers = current.openers(&secrets)?;
            let keys = DataKeys::generate(current.id).map_err(told)?;
            let (mut slots, mut how) = (Vec::new(), Vec::new());
            for ((index, slot), opener) in current.slots.iter().enumerate().zip(openers) {
                let (renewed, by) = match opener {
                    Some(secret) => (slot.renew_with(secret.secret(), &keys, current.id), Renewed::BySecret),
                    None if require_all => {
                        let (path, number, name) = (current.path.clone(), index + 1, slot.name.clone());
                        return Err(Refusal::SlotNotVerified { path, number, name }.into());
                    }
                    None => (slot.renew(current.keys, &keys, current.id), Renewed::ByPublicKey),
                };
                slots.push(renewed.map_err(told)?.ok_or_else(|| current.forged(index, slot))?);
                how.push(by);
            }
            Ok((slots, keys, how))
        };
        self.prepared(renew, |writer, (slots, keys, how)| {
            let mut header = writer.header().clone();
            header.set_slots(slots.clone()).map_err(told)?;
            writer.rekey(&self.read_memory(), header, keys.try_clone().map_err(told)?)?;
            Ok(how.clone())
        })
    }

    /// Changes the header with what was prepared.
    fn change_slots<P, R>(
        &self,
        prepare: impl Fn(&Current<'_>) -> Result<P>,
        change: impl Fn(&mut Header, &P) -> Result<R>,
    ) -> Result<R> {
        self.prepared(prepare, |writer, prepared| {
            let mut header = writer.header().clone();
            let answer = change(&mut header, prepared)?;
            writer.change_header(&self.read_memory(), header)?;
            Ok(answer)
        })
    }

    /// Makes a change for which Argon2id may have to run. This is done before the change, and repeated only
    /// if the slots or keys changed meanwhile. Otherwise a server that stores one key after another could
    /// starve the change.
    fn prepared<P, R>(
        &self,
        prepare: impl Fn(&Current<'_>) -> Result<P>,
        change: impl Fn(&mut Writer, &P) -> Result<R>,
    ) -> Result<R> {
        self.counted(|| {
            let mut writer = self.writable()?;
            for _ in 0..MOST_PREPARED {
                let (slots, keys) = (writer.header().slots.clone(), writer.keys().try_clone().map_err(told)?);
                let path = writer.path().to_owned();
                let current = Current { path, slots: &slots, keys: &keys, id: &self.id };
                let prepared = prepare(&current)?;
                let done = self.adopting_changes(&mut writer, |writer| {
                    let fits = writer.header().slots == slots && *writer.keys() == keys;
                    if fits { change(writer, &prepared).map(Some) } else { Ok(None) }
                });
                if let Some(answer) = done? {
                    return Ok(answer);
                }
            }
            let detail = "its slots change again and again".to_owned();
            Err(Error::Refusal(Refusal::Changed { path: writer.path().to_owned(), detail }))
        })
    }
}
