// SPDX-License-Identifier: GPL-2.0-or-later
//! The kinds of unlock slots.

use crate::custodians::{self, Custodians};
use crate::format::cost::Cost;
use crate::format::error::Result;
use crate::recovery::RecoveryKey;
use crate::secret::{Locked, MIN_SECRET, UnlockSecret};
use std::fmt;

/// The kind of secret that unlocks a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotKind {
    /// A passphrase, stretched by Argon2id (RFC 9106).
    Passphrase,
    /// At least [`MIN_SECRET`] random bytes, used through HKDF (RFC 5869).
    SecretFile,
    /// A [`RecoveryKey`], used through HKDF.
    Recovery,
    /// A secret in shares, as many as its custodians are needed for, used through HKDF.
    Custodians(Custodians),
}

impl SlotKind {
    pub(in crate::format) fn code(self) -> u8 {
        match self {
            SlotKind::Passphrase => 1,
            SlotKind::SecretFile => 2,
            SlotKind::Recovery => 3,
            SlotKind::Custodians(_) => 4,
        }
    }

    /// The first four bytes of a slot.
    pub(super) fn encode(self) -> [u8; 4] {
        match self {
            SlotKind::Custodians(of) => [self.code(), of.threshold(), of.shares(), 0],
            _ => [self.code(), 0, 0, 0],
        }
    }

    /// The kind that these bytes stand for. Bytes that do not matter for it may have any value.
    pub(super) fn decode([code, threshold, shares, _]: [u8; 4]) -> Option<Self> {
        match code {
            4 => Custodians::new(threshold, shares).map(Self::Custodians),
            _ => [Self::Passphrase, Self::SecretFile, Self::Recovery].into_iter().find(|k| k.code() == code),
        }
    }

    /// Its name in JSON documents.
    pub fn name(self) -> &'static str {
        match self {
            SlotKind::Passphrase => "passphrase",
            SlotKind::SecretFile => "secret_file",
            SlotKind::Recovery => "recovery",
            SlotKind::Custodians(_) => "custodians",
        }
    }

    /// Whether its secret is kept on paper, for the day on which the unlock secret is lost.
    pub fn is_for_recovery(self) -> bool {
        matches!(self, SlotKind::Recovery | SlotKind::Custodians(_))
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
            SlotKind::Custodians(of) => return Ok(custodians::secret_of(secret.raw(), of)?),
        };
        Ok(Some(bytes))
    }
}

impl fmt::Display for SlotKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotKind::Passphrase => f.write_str("passphrase"),
            SlotKind::SecretFile => f.write_str("secret file"),
            SlotKind::Recovery => f.write_str("recovery key"),
            SlotKind::Custodians(of) => write!(f, "custodians {of}"),
        }
    }
}

impl serde::Serialize for SlotKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Cost {
    /// Whether a slot of this kind can have this cost.
    pub(super) fn fits(&self, kind: SlotKind) -> bool {
        if kind == SlotKind::Passphrase { self.is_bounded() } else { *self == Cost::NONE }
    }
}
