// SPDX-License-Identifier: GPL-2.0-or-later
//! Adds, changes and removes unlock slots, and renews the data key, on all copies at once. A server that uses
//! the keyring keeps running.

use super::sealing::{
    RECOVERY_NAME, custodians_name, name_after_change, seal, seal_custodians, seal_recovery,
};
use super::shared::Keyring;
use super::until::Until;
use super::writer::Writer;
use crate::audit::{Event, EventKind};
use crate::custodians::{Custodians, Share};
use crate::error::{BadRequest, Error, Refusal, Result};
use crate::format::cost::Cost;
use crate::format::crypto::DataKeys;
use crate::format::header::Header;
use crate::format::slots::{Slot, SlotOutcome, Slots};
use crate::format::unlocking::Unlocking;
use crate::key::NameRef;
use crate::recovery::RecoveryKey;
use crate::secret::UnlockSecret;
use std::path::PathBuf;
use uuid::Uuid;

/// How many times a change of slots is prepared, if others change them at the same time.
const MOST_PREPARED: usize = 20;

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
    slots: &'a Slots,
    keys: &'a DataKeys,
    id: &'a Uuid,
}

impl Current<'_> {
    /// Whether a secret unlocks slot `number`, which must wrap the present data key.
    fn opens(&self, number: usize, slot: &Slot, secret: &Unlocking) -> Result<bool> {
        match secret.open(slot, self.id).map_err(told)? {
            SlotOutcome::Key(key) if key == *self.keys.data() => Ok(true),
            SlotOutcome::Key(_) | SlotOutcome::Forged => Err(self.forged(number, slot)),
            SlotOutcome::Wrong | SlotOutcome::Untried => Ok(false),
        }
    }

    /// For each slot, the secret that unlocks it. Each secret must unlock at least one.
    fn openers<'s>(&self, secrets: &'s [(&str, Unlocking)]) -> Result<Vec<Option<&'s Unlocking>>> {
        let mut openers = vec![None; self.slots.len()];
        for (source_name, secret) in secrets {
            let mut opens = false;
            for ((number, slot), opener) in self.slots.iter().zip(&mut openers) {
                if self.opens(number, slot, secret)? {
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

    fn forged(&self, number: usize, slot: &Slot) -> Error {
        Error::Refusal(Refusal::ForgedSlot { path: self.path.clone(), number, name: slot.name.clone() })
    }

    fn not_verified(&self, number: usize, slot: &Slot) -> Error {
        let (path, name) = (self.path.clone(), slot.name.clone());
        Error::Refusal(Refusal::SlotNotVerified { path, number, name })
    }

    fn no_such_slot(&self, number: usize) -> Error {
        let existing = self.slots.iter().map(|(number, _)| number).collect();
        Error::BadRequest(BadRequest::NoSuchSlot { number, existing })
    }
}

/// The secrets, with the names of their sources.
fn unlocking(secrets: &[Verifier]) -> Result<Vec<(&str, Unlocking)>> {
    secrets.iter().map(|v| Ok((v.source_name.as_str(), Unlocking::new(v.secret.try_clone()?)))).collect()
}

/// Says in an event which slot differs between the present slots and the new ones.
fn with_slot(event: Event, present: &Slots, new: &Slots) -> Event {
    let is_in = |slots: &Slots, number, slot: &Slot| slots.get(number).is_some_and(|other| other == slot);
    let added = new.iter().find(|(number, slot)| !is_in(present, *number, slot));
    let removed = || present.iter().find(|(number, slot)| !is_in(new, *number, slot));
    match added.or_else(removed) {
        Some((number, slot)) => event
            .with("slot", number)
            .with("slot_kind", slot.kind.to_string())
            .with("slot_name", slot.name.clone()),
        None => event,
    }
}

fn told(e: crate::format::FormatError) -> Error {
    e.in_memory()
}

impl Keyring {
    /// The slots.
    pub fn slots(&self) -> Slots {
        self.lock_writer().header().slots.clone()
    }

    /// The numbers of the slots that a secret unlocks. A slot that was altered is none of them.
    ///
    /// # Errors
    /// No memory.
    pub fn slots_of(&self, secret: &UnlockSecret) -> Result<Vec<usize>> {
        let (slots, data_key) = {
            let writer = self.lock_writer();
            (writer.header().slots.clone(), writer.keys().try_clone().map_err(told)?)
        };
        let secret = Unlocking::new(secret.try_clone()?);
        let mut numbers = Vec::new();
        for (number, slot) in slots.iter() {
            let outcome = secret.open(slot, &self.id).map_err(told)?;
            numbers.extend(
                matches!(outcome, SlotOutcome::Key(key) if key == *data_key.data()).then_some(number),
            );
        }
        Ok(numbers)
    }

    /// Adds a slot that `secret`, read from `source_name`, unlocks. Returns its number.
    ///
    /// # Errors
    /// A secret that is too short; [`BadRequest::NoFreeSlot`]; as [`Keyring::store`].
    pub fn add_slot(
        &self,
        secret: &UnlockSecret,
        source_name: &str,
        name: &str,
        cost: Cost,
    ) -> Result<usize> {
        self.change_slots(
            EventKind::SlotAdded,
            |current| seal(secret, source_name, name, cost, current.keys, current.id),
            |header, slot| header.add(slot.clone()).map_err(told),
        )
    }

    /// Adds a slot for a new recovery key, called "recovery key" unless `name` is given. Returns its number and
    /// the key.
    ///
    /// # Errors
    /// [`BadRequest::NoFreeSlot`]; as [`Keyring::store`].
    pub fn add_recovery_slot(&self, name: Option<&str>) -> Result<(usize, RecoveryKey)> {
        let key = RecoveryKey::generate()?;
        let number = self.change_slots(
            EventKind::SlotAdded,
            |current| seal_recovery(&key, name.unwrap_or(RECOVERY_NAME), current.keys, current.id),
            |header, slot| header.add(slot.clone()).map_err(told),
        )?;
        Ok((number, key))
    }

    /// Adds a slot for custodians, called "set" and that of the shares unless `name` is given. Returns its number and the shares.
    ///
    /// # Errors
    /// [`BadRequest::NoFreeSlot`]; as [`Keyring::store`].
    pub fn add_custodians_slot(
        &self,
        custodians: Custodians,
        name: Option<&str>,
    ) -> Result<(usize, Vec<Share>)> {
        let (secret, shares) = Share::split(custodians, &self.id)?;
        let name = custodians_name(name, &shares);
        let number = self.change_slots(
            EventKind::SlotAdded,
            |current| seal_custodians(custodians, &secret, &name, current.keys, current.id),
            |header, slot| header.add(slot.clone()).map_err(told),
        )?;
        Ok((number, shares))
    }

    /// Replaces the slot that `old` unlocks by one for `new`, read from `source_name`. It keeps its number and
    /// its name, unless that is the set of custodians' shares. Returns its number.
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
            EventKind::SlotChanged,
            |current| {
                for (number, slot) in current.slots.iter() {
                    if current.opens(number, slot, &old)? {
                        let name = name_after_change(slot);
                        let new = seal(new, source_name, name, cost, current.keys, current.id)?;
                        return Ok((number, new));
                    }
                }
                Err(current.no_such_slot(0))
            },
            |header, (number, slot)| {
                let mut slots = header.slots.clone();
                *slots.get_mut(*number).ok_or(Error::BadRequest(BadRequest::Unavailable))? = slot.clone();
                header.set_slots(slots).map_err(told)?;
                Ok(*number)
            },
        )
    }

    /// Removes slot `number`, and returns it. The other slots keep their numbers. If `shown` is the slot that
    /// somebody was shown under that number, another one is not removed in its place.
    ///
    /// # Errors
    /// [`BadRequest::NoSuchSlot`], [`BadRequest::LastSlot`]; [`BadRequest::SlotReplaced`] if the slot is not
    /// the one that was shown; as [`Keyring::store`].
    pub fn remove_slot(&self, number: usize, shown: Option<&Slot>) -> Result<Slot> {
        self.change_slots(
            EventKind::SlotRemoved,
            |current| {
                let slot = current.slots.get(number).ok_or_else(|| current.no_such_slot(number))?;
                if current.slots.len() == 1 {
                    return Err(Error::BadRequest(BadRequest::LastSlot));
                }
                if shown.is_some_and(|shown| !shown.is_renewal_of(slot)) {
                    return Err(Error::BadRequest(BadRequest::SlotReplaced { number }));
                }
                Ok(slot.clone())
            },
            |header, slot| {
                let mut slots = header.slots.clone();
                slots.remove(number);
                header.set_slots(slots).map_err(told)?;
                Ok(slot.clone())
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
        self.renew_without(&[], |_| Ok(()), &Event::new(EventKind::Rekey), secrets, require_all)
    }

    /// As [`Keyring::rekey`], and leaves out some keys, if they `may_go` when the change is made.
    pub(super) fn renew_without(
        &self,
        left_out: &[NameRef<'_>],
        may_go: impl Fn(&mut Writer) -> Result<()>,
        event: &Event,
        secrets: &[Verifier],
        require_all: bool,
    ) -> Result<Vec<Renewed>> {
        let secrets = unlocking(secrets)?;
        let renew = |current: &Current<'_>| {
            let openers = current.openers(&secrets)?;
            let keys = DataKeys::generate(current.id).map_err(told)?;
            let (mut slots, mut how) = (current.slots.clone(), Vec::new());
            for ((number, slot), opener) in slots.iter_mut().zip(openers) {
                let (renewed, by) = match opener {
                    Some(secret) => (slot.renew_with(secret.secret(), &keys, current.id), Renewed::BySecret),
                    None if require_all => return Err(current.not_verified(number, slot)),
                    None => (slot.renew(current.keys, &keys, current.id), Renewed::ByPublicKey),
                };
                *slot = renewed.map_err(told)?.ok_or_else(|| current.forged(number, slot))?;
                how.push(by);
            }
            Ok((slots, keys, how))
        };
        self.prepared(event, renew, |writer, (slots, keys, how)| {
            may_go(writer)?;
            let mut header = writer.header().clone();
            header.set_slots(slots.clone()).map_err(told)?;
            let keys = keys.try_clone().map_err(told)?;
            writer.rekey(&self.read_memory(), header, keys, left_out, event)?;
            self.forget(left_out);
            Ok(how.clone())
        })
    }

    /// Says how [`Keyring::rekey`] would renew each slot, and changes nothing.
    ///
    /// # Errors
    /// The refusals of [`Keyring::rekey`].
    pub fn plan_rekey(&self, secrets: &[Verifier], require_all: bool) -> Result<Vec<(usize, Renewed)>> {
        let secrets = unlocking(secrets)?;
        let writer = self.lock_writer();
        let (slots, keys) = (writer.header().slots.clone(), writer.keys().try_clone().map_err(told)?);
        let current = Current { path: writer.path().to_owned(), slots: &slots, keys: &keys, id: &self.id };
        drop(writer);
        let openers = current.openers(&secrets)?;
        let mut how = Vec::new();
        for ((number, slot), opener) in slots.iter().zip(openers) {
            match opener {
                Some(_) => how.push((number, Renewed::BySecret)),
                None if require_all => return Err(current.not_verified(number, slot)),
                None => how.push((number, Renewed::ByPublicKey)),
            }
        }
        Ok(how)
    }

    /// Changes the header with what was prepared.
    fn change_slots<P, R>(
        &self,
        kind: EventKind,
        prepare: impl Fn(&Current<'_>) -> Result<P>,
        change: impl Fn(&mut Header, &P) -> Result<R>,
    ) -> Result<R> {
        let event = Event::new(kind);
        self.prepared(&event, prepare, |writer, prepared| {
            let mut header = writer.header().clone();
            let answer = change(&mut header, prepared)?;
            let event = with_slot(event.clone(), &writer.header().slots, &header.slots);
            writer.change_header(&self.read_memory(), header, &event)?;
            Ok(answer)
        })
    }

    /// Makes a change for which Argon2id may have to run. This is done before the change, and repeated only
    /// if the slots or keys changed meanwhile. Otherwise a server that stores one key after another could
    /// starve the change.
    fn prepared<P, R>(
        &self,
        event: &Event,
        prepare: impl Fn(&Current<'_>) -> Result<P>,
        change: impl Fn(&mut Writer, &P) -> Result<R>,
    ) -> Result<R> {
        self.counted(event, || {
            let mut writer = self.writable(&Until::default())?;
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
