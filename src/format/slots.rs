// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots: each wraps the one data key under a secret of its own.

use super::Result;
use super::bytes::{Reader, Writer};
pub use super::cost::Cost;
use super::crypto::{self, DataKey, IV_LEN, KEY_LEN, SlotEncryption, SlotMac, TAG_LEN, Tag};
use super::renewal::{Private, Public, X25519_LEN};
use crate::recovery::RecoveryKey;
use crate::secret::{Locked, random_array};
use std::fmt;
use uuid::Uuid;

/// What an unlock source yielded.
#[derive(Debug)]
pub struct UnlockSecret(Locked);

impl UnlockSecret {
    /// Takes the bytes as they were read.
    pub fn new(bytes: Locked) -> Self {
        Self(bytes)
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

    /// Hands the bytes that slots of this kind are opened with to `work`; `None` when it can open none.
    fn for_kind<R>(
        &self,
        kind: SlotKind,
        work: impl FnOnce(&[u8]) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        match kind {
            SlotKind::Passphrase => work(self.passphrase()),
            SlotKind::SecretFile if self.raw().len() >= MIN_SECRET => work(self.raw()),
            SlotKind::SecretFile => Ok(None),
            SlotKind::Recovery => match RecoveryKey::parse(&self.0) {
                Ok(key) => work(key.bytes()),
                Err(_) => Ok(None),
            },
        }
    }

    /// Whether it is text as a person types it. Such a secret is stretched like a passphrase, however
    /// long it is.
    pub fn is_text(&self) -> bool {
        let typed = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
        std::str::from_utf8(&self.0).is_ok_and(|t| t.chars().all(typed))
    }
}

/// Slots of a header.
pub const SLOT_COUNT: usize = 8;
/// Bytes of one slot.
pub const SLOT_LEN: usize = 256;
/// Longest name of a slot in bytes.
pub const SLOT_NAME_LEN: usize = 63;
/// Fewest bytes of a random secret.
pub const MIN_SECRET: usize = 32;

/// Which secret opens a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// A passphrase, stretched by Argon2id (RFC 9106).
    Passphrase,
    /// At least [`MIN_SECRET`] random bytes, through HKDF (RFC 5869).
    SecretFile,
    /// A [`crate::recovery::RecoveryKey`], through HKDF.
    Recovery,
}

impl SlotKind {
    fn code(self) -> u8 {
        match self {
            SlotKind::Passphrase => 1,
            SlotKind::SecretFile => 2,
            SlotKind::Recovery => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Passphrase, Self::SecretFile, Self::Recovery].into_iter().find(|k| k.code() == code)
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
    /// Whether a slot of this kind may have this cost.
    fn fits(&self, kind: SlotKind) -> bool {
        if kind == SlotKind::Passphrase { self.is_bounded() } else { *self == Cost::NONE }
    }
}

/// One unlock slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Which secret opens it.
    pub kind: SlotKind,
    /// Argon2id's cost.
    pub cost: Cost,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// A name for people, at most [`SLOT_NAME_LEN`] bytes.
    pub name: String,
    salt: [u8; 32],
    iv: [u8; IV_LEN],
    wrapped: [u8; KEY_LEN],
    /// The public key that the data key was last wrapped with, when that was done without the secret.
    renewal: Option<Public>,
    tag: Tag,
    /// What [`Slot::renew`] needs. Lies in the header, not in the slot's own bytes.
    pub(super) public: Option<Public>,
}

impl Slot {
    /// Wraps `data_key` of the keyring `id` under `secret` (the bytes that fit `kind`).
    ///
    /// # Errors
    /// No memory, no randomness, or a cost out of bounds.
    pub fn seal(
        kind: SlotKind,
        cost: Cost,
        name: &str,
        created: u64,
        secret: &[u8],
        data_key: &DataKey,
        id: &Uuid,
    ) -> Result<Self> {
        let mut slot = Slot {
            kind,
            cost: if kind == SlotKind::Passphrase { cost } else { Cost::NONE },
            created,
            name: Reader(&Writer::with_capacity(64).text(name, SLOT_NAME_LEN).0)
                .text(SLOT_NAME_LEN)
                .unwrap_or_default(),
            salt: random_array()?,
            iv: [0; IV_LEN],
            wrapped: [0; KEY_LEN],
            renewal: None,
            tag: [0; TAG_LEN],
            public: None,
        };
        let input = slot.input(secret)?;
        slot.public = Some(Private::of_slot(&slot.salt, &input)?.public());
        if let Some(keys) = slot.keys(&input)? {
            slot.wrap(&keys, data_key, id)?;
        }
        Ok(slot)
    }

    /// Wraps another data key for whoever has the slot's secret, without that. `None` when the slot has no
    /// public key.
    ///
    /// # Errors
    /// No memory or randomness.
    pub fn renew(&self, data_key: &DataKey, id: &Uuid) -> Result<Option<Self>> {
        let Some(public) = &self.public else { return Ok(None) };
        let private = Private::random()?;
        let renewal = private.public();
        let mut slot = Slot { renewal: Some(renewal), ..self.clone() };
        let mut keys = Locked::new(2 * KEY_LEN)?;
        if !private.agree(public, &renewal, public, &self.salt, &mut keys)? {
            return Ok(None);
        }
        slot.wrap(&SlotKeys(keys), data_key, id)?;
        Ok(Some(slot))
    }

    /// Wraps another data key with the secret, as [`Slot::seal`] does. `None` when it is not this slot's.
    ///
    /// # Errors
    /// No memory or randomness.
    pub fn renew_with(&self, secret: &UnlockSecret, data_key: &DataKey, id: &Uuid) -> Result<Option<Self>> {
        secret.for_kind(self.kind, |bytes| {
            if self.open(bytes, id)?.is_none() {
                return Ok(None);
            }
            Slot::seal(self.kind, self.cost, &self.name, self.created, bytes, data_key, id).map(Some)
        })
    }

    fn wrap(&mut self, keys: &SlotKeys, data_key: &DataKey, id: &Uuid) -> Result<()> {
        self.iv = random_array()?;
        let mut buf = Locked::copy_of(data_key.bytes())?;
        keys.encryption().apply(&self.iv, &mut buf)?;
        self.wrapped.iter_mut().zip(buf.iter()).for_each(|(to, from)| *to = *from);
        self.tag = keys.mac().tag(&[id.as_bytes(), &self.authenticated()])?;
        Ok(())
    }

    /// The data key, when `secret` is the one that fits.
    ///
    /// # Errors
    /// No memory. A wrong secret is `Ok(None)`.
    pub fn open(&self, secret: &[u8], id: &Uuid) -> Result<Option<DataKey>> {
        let Some(keys) = self.keys(&self.input(secret)?)? else { return Ok(None) };
        if !keys.mac().fits(&[id.as_bytes(), &self.authenticated()], &self.tag)? {
            return Ok(None);
        }
        let mut data_key = Locked::copy_of(&self.wrapped)?;
        keys.encryption().apply(&self.iv, &mut data_key)?;
        DataKey::copy_of(&data_key).map(Some)
    }

    /// The secret as the keys are derived from it: a passphrase is stretched first.
    fn input(&self, secret: &[u8]) -> Result<Locked> {
        if self.kind != SlotKind::Passphrase {
            return Ok(Locked::copy_of(secret)?);
        }
        let mut stretched = Locked::new(KEY_LEN)?;
        self.cost.stretch(secret, &self.salt, &mut stretched)?;
        Ok(stretched)
    }

    /// The keys that wrap the data key; `None` when the slot names a public key that is none.
    fn keys(&self, input: &[u8]) -> Result<Option<SlotKeys>> {
        let mut keys = Locked::new(2 * KEY_LEN)?;
        if let Some(renewal) = &self.renewal {
            let private = Private::of_slot(&self.salt, input)?;
            let agreed = private.agree(renewal, renewal, &private.public(), &self.salt, &mut keys)?;
            return Ok(agreed.then_some(SlotKeys(keys)));
        }
        let info: &[u8] = match self.kind {
            SlotKind::Passphrase => b"keyring_external 1 passphrase slot",
            SlotKind::SecretFile => b"keyring_external 1 secret slot",
            SlotKind::Recovery => b"keyring_external 1 recovery slot",
        };
        crypto::hkdf(&self.salt, input, info, &mut keys)?;
        Ok(Some(SlotKeys(keys)))
    }

    /// The slot's bytes up to its tag.
    fn authenticated(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(SLOT_LEN);
        w.put(&[self.kind.code(), 0, 0, 0])
            .put(&self.cost.memory_kib.to_le_bytes())
            .put(&self.cost.passes.to_le_bytes())
            .put(&self.cost.lanes.to_le_bytes())
            .put(&self.created.to_le_bytes())
            .put(&self.salt)
            .put(&self.iv)
            .put(&self.wrapped)
            .text(&self.name, SLOT_NAME_LEN)
            .put(&self.renewal.unwrap_or_default())
            .pad_to(SLOT_LEN - TAG_LEN);
        w.0
    }

    /// The slot as it lies in the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.authenticated();
        bytes.extend_from_slice(&self.tag);
        bytes
    }

    /// Reads a slot: `Some(None)` for an unused one, `None` when it cannot be a slot. Nothing but the
    /// bounds of the cost is checked here; [`Slot::open`] authenticates.
    pub fn decode(bytes: &[u8]) -> Option<Option<Self>> {
        if bytes.iter().all(|b| *b == 0) {
            return Some(None);
        }
        let mut r = Reader(bytes);
        let kind = SlotKind::from_code(r.u8()?)?;
        r.array::<3>()?;
        let cost = Cost { memory_kib: r.u32()?, passes: r.u32()?, lanes: r.u32()? };
        let slot = Slot {
            kind,
            cost,
            created: r.u64()?,
            salt: r.array()?,
            iv: r.array()?,
            wrapped: r.array()?,
            name: r.text(SLOT_NAME_LEN)?,
            renewal: public(r.array()?),
            public: None,
            tag: {
                let used = bytes.len() - r.0.len();
                r.take((SLOT_LEN - TAG_LEN).checked_sub(used)?)?;
                r.array()?
            },
        };
        // Re-encoding shows whether reserved bytes were set.
        (cost.fits(kind) && slot.encode() == bytes).then_some(Some(slot))
    }
}

/// A public key as it lies in a file: all zero is none.
pub(super) fn public(bytes: [u8; X25519_LEN]) -> Option<Public> {
    (bytes != [0; X25519_LEN]).then_some(bytes)
}

/// Tries `secret` on every slot that it fits, the cheap ones first.
///
/// # Errors
/// No memory. When no slot opens: `Ok(None)`.
pub fn open_any(slots: &[Slot], secret: &UnlockSecret, id: &Uuid) -> Result<Option<DataKey>> {
    for kind in [SlotKind::SecretFile, SlotKind::Recovery, SlotKind::Passphrase] {
        for slot in slots.iter().filter(|slot| slot.kind == kind) {
            if let Some(key) = secret.for_kind(kind, |bytes| slot.open(bytes, id))? {
                return Ok(Some(key));
            }
        }
    }
    Ok(None)
}

/// The two keys of a slot.
struct SlotKeys(Locked);

impl SlotKeys {
    fn encryption(&self) -> SlotEncryption<'_> {
        SlotEncryption::new(self.0.get(..KEY_LEN).unwrap_or_default())
    }

    fn mac(&self) -> SlotMac<'_> {
        SlotMac::new(self.0.get(KEY_LEN..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const CHEAP: Cost = Cost { memory_kib: 32, passes: 1, lanes: 1 };

    fn key(byte: u8) -> DataKey {
        DataKey::copy_of(&[byte; KEY_LEN]).unwrap()
    }

    #[test]
    fn slots_open_with_their_secret_only() {
        let id = Uuid::from_u128(7);
        for kind in [SlotKind::Passphrase, SlotKind::SecretFile, SlotKind::Recovery] {
            let slot = Slot::seal(kind, CHEAP, "a name", 5, b"secret", &key(9), &id).unwrap();
            assert_eq!(slot.open(b"secret", &id).unwrap().unwrap(), key(9));
            assert!(slot.open(b"Secret", &id).unwrap().is_none());
            assert!(slot.open(b"secret", &Uuid::from_u128(8)).unwrap().is_none());
            assert_eq!(Slot::decode(&slot.encode()), Some(Some(Slot { public: None, ..slot })));
        }
    }

    #[test]
    fn a_renewed_slot_opens_with_the_same_secret_to_the_new_key() {
        let id = Uuid::from_u128(7);
        for kind in [SlotKind::Passphrase, SlotKind::SecretFile, SlotKind::Recovery] {
            let slot = Slot::seal(kind, CHEAP, "a name", 5, b"secret", &key(9), &id).unwrap();
            let once = slot.renew(&key(8), &id).unwrap().unwrap();
            let twice = once.renew(&key(7), &id).unwrap().unwrap();
            assert_eq!(once.open(b"secret", &id).unwrap().unwrap(), key(8));
            assert_eq!(twice.open(b"secret", &id).unwrap().unwrap(), key(7));
            assert!(twice.open(b"Secret", &id).unwrap().is_none());
            assert!(twice.open(b"secret", &Uuid::from_u128(8)).unwrap().is_none());
            assert_eq!(Slot::decode(&twice.encode()), Some(Some(Slot { public: None, ..twice.clone() })));
            assert_eq!((twice.kind, &twice.name, twice.created), (kind, &slot.name, 5));
            let none = Slot { public: None, ..slot };
            assert!(none.renew(&key(8), &id).unwrap().is_none());
        }
    }

    #[test]
    fn every_byte_of_a_slot_counts() {
        let id = Uuid::from_u128(7);
        let slot = Slot::seal(SlotKind::SecretFile, CHEAP, "n", 5, b"secret", &key(9), &id).unwrap();
        for slot in [slot.renew(&key(9), &id).unwrap().unwrap(), slot] {
            let bytes = slot.encode();
            assert_eq!(bytes.len(), SLOT_LEN);
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                let opened = match Slot::decode(&changed) {
                    Some(Some(s)) => s.open(b"secret", &id).unwrap(),
                    _ => None,
                };
                assert!(opened.is_none(), "byte {at}");
            }
        }
    }

    #[test]
    fn a_cost_out_of_bounds_is_no_slot() {
        let id = Uuid::from_u128(7);
        let mut slot = Slot::seal(SlotKind::Passphrase, CHEAP, "", 5, b"secret", &key(9), &id).unwrap();
        for cost in [
            Cost { memory_kib: u32::MAX, passes: 1, lanes: 1 },
            Cost { memory_kib: 1 << 20, passes: 5, lanes: 1 },
            Cost { memory_kib: 64, passes: 17, lanes: 1 },
            Cost { memory_kib: 256, passes: 1, lanes: 17 },
            Cost { memory_kib: 64, passes: 0, lanes: 1 },
            Cost { memory_kib: 64, passes: 1, lanes: 0 },
            Cost { memory_kib: 7, passes: 1, lanes: 1 },
            Cost { memory_kib: 16, passes: 1, lanes: 3 },
            Cost { memory_kib: 0, passes: 1, lanes: 0x2000_0000 },
            Cost::NONE,
        ] {
            slot.cost = cost;
            assert_eq!(Slot::decode(&slot.encode()), None);
            assert!(slot.open(b"secret", &id).is_err());
        }
        assert!(Cost::RECOMMENDED.is_bounded());
        assert!(Cost { memory_kib: 8, passes: 1, lanes: 1 }.is_bounded());
        slot.kind = SlotKind::SecretFile;
        slot.cost = CHEAP;
        assert_eq!(Slot::decode(&slot.encode()), None);
        assert_eq!(Slot::decode(&[0; SLOT_LEN]), Some(None));
    }
}
