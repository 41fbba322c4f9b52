// SPDX-License-Identifier: GPL-2.0-or-later
//! An unlock secret, and how it is tried on the slots.

use super::crypto::DataKey;
use super::slots::{Opened, Slot, SlotKind, kinds};
use super::{FormatError, Result};
use crate::recovery::RecoveryKey;
use crate::secret::Locked;
use uuid::Uuid;

/// Fewest bytes of a random secret.
pub const MIN_SECRET: usize = 32;

/// What an unlock source yielded.
#[derive(Debug)]
pub struct UnlockSecret(Locked);

impl UnlockSecret {
    /// Takes the bytes as they were read.
    pub fn new(bytes: Locked) -> Self {
        Self(bytes)
    }

    /// The same secret once more.
    ///
    /// # Errors
    /// No memory.
    pub fn again(&self) -> Result<Self> {
        Ok(Self(Locked::copy_of(&self.0)?))
    }

    /// Byte for byte, as a secret file is used.
    pub fn raw(&self) -> &[u8] {
        &self.0
    }

    /// As a passphrase is used: without one line ending at the end.
    pub fn passphrase(&self) -> &[u8] {
        let line = self.0.strip_suffix(b"\n").unwrap_or(&self.0);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// The bytes that slots of this kind are opened with; `None` when it can open none.
    pub(super) fn for_kind(&self, kind: SlotKind) -> Result<Option<Locked>> {
        let bytes = match kind {
            SlotKind::Passphrase => Locked::copy_of(self.passphrase())?,
            SlotKind::SecretFile if self.raw().len() >= MIN_SECRET => Locked::copy_of(self.raw())?,
            SlotKind::SecretFile => return Ok(None),
            SlotKind::Recovery => match RecoveryKey::parse(&self.0) {
                Ok(key) => Locked::copy_of(key.bytes())?,
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(bytes))
    }

    /// Whether it is text as a person types it. Such a secret is stretched like a passphrase, however
    /// long it is.
    pub fn is_text(&self) -> bool {
        let typed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
        std::str::from_utf8(&self.0).is_ok_and(|t| t.chars().all(typed))
    }
}

/// A secret in use.
#[derive(Debug)]
pub struct Unlocking {
    secret: UnlockSecret,
}

impl Unlocking {
    /// Begins an opening.
    pub fn new(secret: UnlockSecret) -> Self {
        Self { secret }
    }

    /// The secret.
    pub fn secret(&self) -> &UnlockSecret {
        &self.secret
    }

    /// Tries every slot that the secret fits, the cheap kinds first.
    ///
    /// # Errors
    /// [`FormatError::ForgedSlot`] when a slot was made for the secret and is not as it was made;
    /// [`FormatError::WrongSecret`] when none was; no memory.
    pub fn open_any(&self, slots: &[Slot], id: &Uuid) -> Result<DataKey> {
        let mut forged = None;
        for kind in [SlotKind::SecretFile, SlotKind::Recovery, SlotKind::Passphrase] {
            for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| slot.kind == kind) {
                match self.open(slot, id)? {
                    Opened::Key(key) => return Ok(key),
                    Opened::Forged => drop(forged.get_or_insert((index, slot))),
                    Opened::Wrong => {}
                }
            }
        }
        Err(match forged {
            Some((index, slot)) => FormatError::ForgedSlot { number: index + 1, name: slot.name.clone() },
            None => FormatError::WrongSecret { slots: kinds(slots) },
        })
    }

    /// Tries one slot.
    ///
    /// # Errors
    /// No memory.
    pub fn open(&self, slot: &Slot, id: &Uuid) -> Result<Opened> {
        let Some(bytes) = self.secret.for_kind(slot.kind)? else { return Ok(Opened::Wrong) };
        slot.open(&slot.input(&bytes)?, id)
    }
}

impl From<UnlockSecret> for Unlocking {
    fn from(secret: UnlockSecret) -> Self {
        Self::new(secret)
    }
}
