// SPDX-License-Identifier: GPL-2.0-or-later
//! The kinds of unlock slots.

use crate::format::cost::Cost;
use crate::format::error::Result;
use crate::recovery::RecoveryKey;
use crate::secret::{Locked, MIN_SECRET, UnlockSecret};
use std::fmt;

/// The kind of secret that unlocks a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// A passphrase, stretched by Argon2id (RFC 9106).
    Passphrase,
    /// At least [`MIN_SECRET`] random bytes, used through HKDF (RFC 5869).
    SecretFile,
    /// A [`RecoveryKey`], used through HKDF.
    Recovery,
}

impl SlotKind {
    pub(super) fn code(self) -> u8 {
        match self {
            SlotKind::Passphrase => 1,
            SlotKind::SecretFile => 2,
            SlotKind::Recovery => 3,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::Passphrase, Self::SecretFile, Self::Recovery].into_iter().find(|k| k.code() == code)
    }

    /// The bytes of `secret` that are used for slots of this kind. Returns `None` if it cannot be a secret of
    /// this kind.
    pub(in crate::format) fn bytes_of(self, secret: &UnlockSecret) -> Result<Option<Locked>> {
        let bytes = match self {
            SlotKind::Passphrase if secret.is_text() => Locked::copy_of(secret.passphrase())?,
            SlotKind::SecretFile if secret.raw().len() >= MIN_SECRET => Locked::copy_of(secret.raw())?,
            SlotKind::Passphrase | SlotKind::SecretFile => return Ok(None),
            SlotKind::Recovery => match RecoveryKey::parse(secret.raw()) {
                Ok(key) => Locked::copy_of(key.bytes())?,
                Err(_) => return Ok(None),
            },
        };
        Ok(Some(bytes))
    }
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SlotKind::Passphrase => "passphrase",
            SlotKind::SecretFile => "secret file",
            SlotKind::Recovery => "recovery key",
        })
    }
}

impl Cost {
    /// Whether a slot of this kind can have this cost.
    pub(super) fn fits(&self, kind: SlotKind) -> bool {
        if kind == SlotKind::Passphrase { self.is_bounded() } else { *self == Cost::NONE }
    }
}
