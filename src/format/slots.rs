// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots: each wraps the one data key under a secret of its own.

use super::Result;
use super::bytes::{Reader, Writer};
use super::crypto::{self, IV_LEN, KEY_LEN, TAG_LEN, Tag};
use crate::recovery::RecoveryKey;
use crate::secret::{Locked, random_array};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::fmt;
use std::io;
use uuid::Uuid;
use zeroize::Zeroize;

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

    /// As a recovery key, when it is one.
    pub fn recovery_key(&self) -> Option<RecoveryKey> {
        RecoveryKey::parse(&self.0).ok()
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

/// Argon2id's cost. All zero in slots that do not use it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, 3 passes, 4 lanes.
    pub const RECOMMENDED: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// No Argon2id.
    pub const NONE: Cost = Cost { memory_kib: 0, passes: 0, lanes: 0 };

    /// What Argon2id takes, and what a file may ask of the machine that opens it: 1 GiB, and 4 GiB over
    /// all passes.
    pub fn is_bounded(&self) -> bool {
        (1..=16).contains(&self.passes)
            && (1..=16).contains(&self.lanes)
            && (8 * self.lanes..=1 << 20).contains(&self.memory_kib)
            && u64::from(self.memory_kib) * u64::from(self.passes) <= 4 << 20
    }

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
    tag: Tag,
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
        data_key: &[u8],
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
            iv: random_array()?,
            wrapped: [0; KEY_LEN],
            tag: [0; TAG_LEN],
        };
        let keys = slot.keys(secret)?;
        let mut buf = Locked::copy_of(data_key)?;
        crypto::aes_ctr(keys.encryption(), &slot.iv, &mut buf)?;
        slot.wrapped.iter_mut().zip(buf.iter()).for_each(|(to, from)| *to = *from);
        slot.tag = crypto::mac(keys.mac(), &[id.as_bytes(), &slot.authenticated()])?;
        Ok(slot)
    }

    /// The data key, when `secret` is the one that fits.
    ///
    /// # Errors
    /// No memory. A wrong secret is `Ok(None)`.
    pub fn open(&self, secret: &[u8], id: &Uuid) -> Result<Option<Locked>> {
        let keys = self.keys(secret)?;
        if !crypto::mac_fits(keys.mac(), &[id.as_bytes(), &self.authenticated()], &self.tag)? {
            return Ok(None);
        }
        let mut data_key = Locked::copy_of(&self.wrapped)?;
        crypto::aes_ctr(keys.encryption(), &self.iv, &mut data_key)?;
        Ok(Some(data_key))
    }

    fn keys(&self, secret: &[u8]) -> Result<SlotKeys> {
        let mut stretched = Locked::new(KEY_LEN)?;
        let (secret, info): (&[u8], &[u8]) = match self.kind {
            SlotKind::Passphrase => {
                argon2id(secret, &self.salt, self.cost, &mut stretched)?;
                (&stretched, b"keyring_external 1 passphrase slot")
            }
            SlotKind::SecretFile => (secret, b"keyring_external 1 secret slot"),
            SlotKind::Recovery => (secret, b"keyring_external 1 recovery slot"),
        };
        let mut keys = Locked::new(2 * KEY_LEN)?;
        crypto::hkdf(&self.salt, secret, info, &mut keys)?;
        Ok(SlotKeys(keys))
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

/// Tries `secret` on every slot that it fits, the cheap ones first.
///
/// # Errors
/// No memory. When no slot opens: `Ok(None)`.
pub fn open_any(slots: &[Slot], secret: &UnlockSecret, id: &Uuid) -> Result<Option<Locked>> {
    let recovery = secret.recovery_key();
    let of = |kind| slots.iter().filter(move |s| s.kind == kind);
    if secret.raw().len() >= MIN_SECRET {
        for slot in of(SlotKind::SecretFile) {
            if let Some(key) = slot.open(secret.raw(), id)? {
                return Ok(Some(key));
            }
        }
    }
    if let Some(recovery) = recovery {
        for slot in of(SlotKind::Recovery) {
            if let Some(key) = slot.open(recovery.bytes(), id)? {
                return Ok(Some(key));
            }
        }
    }
    for slot in of(SlotKind::Passphrase) {
        if let Some(key) = slot.open(secret.passphrase(), id)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// The two keys of a slot.
struct SlotKeys(Locked);

impl SlotKeys {
    fn encryption(&self) -> &[u8] {
        self.0.get(..KEY_LEN).unwrap_or_default()
    }

    fn mac(&self) -> &[u8] {
        self.0.get(KEY_LEN..).unwrap_or_default()
    }
}

/// Argon2id version 0x13 without secret and associated data. The work area is wiped.
fn argon2id(passphrase: &[u8], salt: &[u8], cost: Cost, out: &mut [u8]) -> Result<()> {
    let invalid = |e: argon2::Error| io::Error::new(io::ErrorKind::InvalidInput, format!("Argon2id: {e}"));
    if !cost.is_bounded() {
        return Err(invalid(argon2::Error::MemoryTooMuch).into());
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(KEY_LEN)).map_err(invalid)?;
    let mut area: Vec<Block> = Vec::new();
    let blocks = params.block_count();
    area.try_reserve_exact(blocks).map_err(|_| {
        io::Error::new(io::ErrorKind::OutOfMemory, format!("Argon2id needs {blocks} KiB of memory"))
    })?;
    area.resize(blocks, Block::default());
    let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, out, &mut area);
    area.iter_mut().for_each(|block| block.zeroize());
    Ok(done.map_err(invalid)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const CHEAP: Cost = Cost { memory_kib: 32, passes: 1, lanes: 1 };

    #[test]
    fn slots_open_with_their_secret_only() {
        let id = Uuid::from_u128(7);
        for kind in [SlotKind::Passphrase, SlotKind::SecretFile, SlotKind::Recovery] {
            let slot = Slot::seal(kind, CHEAP, "a name", 5, b"secret", &[9; 32], &id).unwrap();
            assert_eq!(slot.open(b"secret", &id).unwrap().unwrap()[..], [9; 32]);
            assert!(slot.open(b"Secret", &id).unwrap().is_none());
            assert!(slot.open(b"secret", &Uuid::from_u128(8)).unwrap().is_none());
            assert_eq!(Slot::decode(&slot.encode()), Some(Some(slot)));
        }
    }

    #[test]
    fn every_byte_of_a_slot_counts() {
        let id = Uuid::from_u128(7);
        let slot = Slot::seal(SlotKind::SecretFile, CHEAP, "n", 5, b"secret", &[9; 32], &id).unwrap();
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

    #[test]
    fn a_cost_out_of_bounds_is_no_slot() {
        let id = Uuid::from_u128(7);
        let mut slot = Slot::seal(SlotKind::Passphrase, CHEAP, "", 5, b"secret", &[9; 32], &id).unwrap();
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
