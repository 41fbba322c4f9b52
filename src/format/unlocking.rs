// SPDX-License-Identifier: GPL-2.0-or-later
//! One opening of a keyring with one secret. All headers and copies read for it share a limit on the cost of
//! Argon2id: anyone who can write to the volume can choose the slots, but must not be able to keep a server
//! computing.

use super::cost::{BUDGET, Cost};
use super::crypto::DataKey;
use super::error::{FormatError, Result};
use super::layout::SALT_LEN;
use super::slots::{Slot, SlotKind, SlotOutcome, Slots};
use crate::secret::{Locked, UnlockSecret};
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// A secret, and what Argon2id made of it so far.
#[derive(Debug)]
pub struct Unlocking {
    secret: UnlockSecret,
    budget: Mutex<Budget>,
}

#[derive(Debug)]
struct Budget {
    spent: u64,
    /// Argon2id is not run beyond this cost.
    limit: u64,
    /// Results of Argon2id, with their salt and cost.
    stretched: Vec<([u8; SALT_LEN], Cost, Locked)>,
}

impl Unlocking {
    /// Starts an opening.
    pub fn new(secret: UnlockSecret) -> Self {
        Self { secret, budget: Mutex::new(Budget { spent: 0, limit: BUDGET, stretched: Vec::new() }) }
    }

    /// The secret.
    pub fn secret(&self) -> &UnlockSecret {
        &self.secret
    }

    /// Limits the next copy to its share of the remaining budget, so that a forged copy cannot use up what
    /// the `copies` after it need. A slot that two copies have in common is computed once.
    pub(crate) fn leave_budget_for(&self, copies: usize) {
        let mut budget = self.budget();
        budget.limit = budget.spent + BUDGET.saturating_sub(budget.spent) / (copies as u64 + 1);
    }

    /// Tries every slot of a kind that the secret fits, the cheap kinds first.
    ///
    /// # Errors
    /// [`FormatError::ForgedSlot`] if a slot belongs to the secret but has been altered;
    /// [`FormatError::WrongSecret`] if the secret unlocks none; no memory.
    pub(crate) fn open_any(&self, slots: &Slots, id: &Uuid) -> Result<DataKey> {
        let (mut forged, mut untried) = (None, 0);
        // Secret files, recovery keys, custodians, passphrases.
        for code in [2, 3, 4, 1] {
            for (number, slot) in slots.iter().filter(|(_, slot)| slot.kind.code() == code) {
                match self.open(slot, id)? {
                    SlotOutcome::Key(key) => return Ok(key),
                    SlotOutcome::Forged => drop(forged.get_or_insert((number, slot))),
                    SlotOutcome::Untried => untried += 1,
                    SlotOutcome::Wrong => {}
                }
            }
        }
        Err(match forged {
            Some((number, slot)) => FormatError::ForgedSlot { number, name: slot.name.clone() },
            None => FormatError::WrongSecret { slots: slots.kinds(), untried },
        })
    }

    /// Tries one slot.
    ///
    /// # Errors
    /// No memory.
    pub fn open(&self, slot: &Slot, id: &Uuid) -> Result<SlotOutcome> {
        let Some(bytes) = slot.kind.bytes_of(&self.secret)? else { return Ok(SlotOutcome::Wrong) };
        if slot.kind != SlotKind::Passphrase {
            return slot.open(&bytes, id);
        }
        let mut budget = self.budget();
        let known =
            |(salt, cost, _): &&([u8; SALT_LEN], Cost, Locked)| *salt == slot.salt && *cost == slot.cost;
        if let Some((_, _, stretched)) = budget.stretched.iter().find(known) {
            return slot.open(stretched, id);
        }
        let spent = budget.spent.saturating_add(slot.cost.work());
        if spent > budget.limit {
            return Ok(SlotOutcome::Untried);
        }
        budget.spent = spent;
        let stretched = slot.key_material(&bytes)?;
        let opened = slot.open(&stretched, id);
        budget.stretched.push((slot.salt, slot.cost, stretched));
        opened
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<UnlockSecret> for Unlocking {
    fn from(secret: UnlockSecret) -> Self {
        Self::new(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::crypto::DataKeys;

    const TEXT: &[u8] = b"a passphrase of more than 32 characters";
    const CHEAP: Cost = Cost { memory_kib: 32, passes: 1, lanes: 1 };

    fn with(bytes: &[u8]) -> Unlocking {
        UnlockSecret::new(Locked::copy_of(bytes).unwrap()).into()
    }

    fn passphrase_slots(id: &Uuid, keys: &DataKeys, count: u8) -> Slots {
        let mut slots = Slots::default();
        for n in 0..count {
            add(&mut slots, SlotKind::Passphrase, CHEAP, &[b'a' + n; 12], keys, id);
        }
        slots
    }

    fn add(slots: &mut Slots, kind: SlotKind, cost: Cost, secret: &[u8], keys: &DataKeys, id: &Uuid) {
        slots.add(Slot::seal(kind, cost, "", 5, secret, keys, id).unwrap()).unwrap();
    }

    #[test]
    fn a_derivation_is_computed_once_and_a_random_secret_needs_none() {
        let id = Uuid::from_u128(7);
        let keys = DataKeys::generate(&id).unwrap();
        let slots = passphrase_slots(&id, &keys, 3);
        let last = with(&[b'c'; 12]);
        for _ in 0..5 {
            assert!(last.open_any(&slots, &id).unwrap() == *keys.data());
        }
        assert_eq!(last.budget().spent, 3 * CHEAP.work());
        for random in [&[0xfe; 40][..], b"not text: \0, and more than 32 bytes"] {
            let random = with(random);
            let refused = random.open_any(&slots, &id);
            assert!(matches!(refused, Err(FormatError::WrongSecret { untried: 0, .. })));
            assert_eq!(random.budget().spent, 0);
        }
    }

    #[test]
    fn slots_beyond_the_budget_are_not_tried() {
        let id = Uuid::from_u128(7);
        let keys = DataKeys::generate(&id).unwrap();
        let mut slots = passphrase_slots(&id, &keys, 5);
        let unlocking = with(&[b'e'; 12]);
        unlocking.budget().spent = BUDGET - 4 * CHEAP.work();
        let refused = unlocking.open_any(&slots, &id);
        assert!(matches!(refused, Err(FormatError::WrongSecret { untried: 1, .. })), "{refused:?}");
        assert_eq!(unlocking.budget().spent, BUDGET);
        // A repeated derivation costs nothing.
        assert!(matches!(unlocking.open(slots.get(1).unwrap(), &id), Ok(SlotOutcome::Wrong)));
        assert!(matches!(unlocking.open(slots.get(5).unwrap(), &id), Ok(SlotOutcome::Untried)));
        // A slot without Argon2id is tried even when the budget is spent.
        add(&mut slots, SlotKind::SecretFile, Cost::NONE, TEXT, &keys, &id);
        let unlocking = with(TEXT);
        unlocking.budget().spent = BUDGET;
        assert!(unlocking.open_any(&slots, &id).is_ok());
    }

    #[test]
    fn copies_share_the_budget() {
        let id = Uuid::from_u128(7);
        let keys = DataKeys::generate(&id).unwrap();
        let unlocking = with(TEXT);
        unlocking.budget().spent = BUDGET - 4 * CHEAP.work();
        unlocking.leave_budget_for(1);
        let _ = unlocking.open_any(&passphrase_slots(&id, &keys, 8), &id);
        assert_eq!(unlocking.budget().spent, BUDGET - 2 * CHEAP.work());
        unlocking.leave_budget_for(0);
        let mut slots = Slots::default();
        add(&mut slots, SlotKind::Passphrase, CHEAP, TEXT, &keys, &id);
        assert!(unlocking.open_any(&slots, &id).is_ok());
    }
}
