// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots: each wraps the one data key under a secret of its own.

use super::bytes::{FieldReader, FieldWriter};
use super::cost::Cost;
use super::crypto::{
    self, DataKey, DataKeys, IV_LEN, KEY_LEN, SlotEncryption, SlotMac, TAG_LEN, Tag, TokenEncryption,
};
use super::error::Result;
use super::renewal::{Private, Public, TOKEN_LEN, Token, X25519_LEN};
use crate::recovery::RecoveryKey;
use crate::secret::{Locked, MIN_SECRET, UnlockSecret, random_array};
use std::fmt;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Slots of a header.
pub(crate) const SLOT_COUNT: usize = 8;
/// Bytes of one slot.
pub const SLOT_LEN: usize = 256;
/// Longest name of a slot in bytes.
pub(crate) const SLOT_NAME_LEN: usize = 55;
/// Bytes of a slot's salt.
pub(crate) const SALT_LEN: usize = 32;

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

    /// The bytes of `secret` that slots of this kind are opened with; `None` when it can open none.
    pub(super) fn bytes_of(self, secret: &UnlockSecret) -> Result<Option<Locked>> {
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
    /// Whether a slot of this kind may have this cost.
    fn fits(&self, kind: SlotKind) -> bool {
        if kind == SlotKind::Passphrase { self.is_bounded() } else { *self == Cost::NONE }
    }
}

/// What trying a secret on a slot came to.
#[derive(Debug)]
pub enum SlotOutcome {
    /// It wraps this data key.
    Key(DataKey),
    /// It was made for this secret, but is not as it was made, or was not renewed by a holder of the data key.
    Forged,
    /// It was made for another secret, as far as can be told.
    Wrong,
    /// Trying it would cost more Argon2id than one opening may.
    Untried,
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
    pub(super) salt: [u8; SALT_LEN],
    iv: [u8; IV_LEN],
    wrapped: [u8; KEY_LEN],
    /// The public key that the data key was last wrapped with, when that was done without the secret.
    renewal: Option<Public>,
    /// What the data key is wrapped for when the secret is not at hand.
    public: Public,
    tag: Tag,
    /// The renewal token, encrypted under the data key. Lies in the header, not in the slot's own bytes.
    pub(super) token: [u8; TOKEN_LEN],
}

impl Slot {
    /// Wraps the data key of the keyring `id` under `secret` (the bytes that fit `kind`).
    ///
    /// # Errors
    /// No memory, no randomness, or a cost out of bounds.
    pub fn seal(
        kind: SlotKind,
        cost: Cost,
        name: &str,
        created: u64,
        secret: &[u8],
        keys: &DataKeys,
        id: &Uuid,
    ) -> Result<Self> {
        let mut slot = Slot {
            kind,
            cost: if kind == SlotKind::Passphrase { cost } else { Cost::NONE },
            created,
            name: FieldReader(&FieldWriter::with_capacity(64).text(name, SLOT_NAME_LEN).0)
                .text(SLOT_NAME_LEN)
                .unwrap_or_default(),
            salt: random_array()?,
            iv: [0; IV_LEN],
            wrapped: [0; KEY_LEN],
            renewal: None,
            public: [0; X25519_LEN],
            tag: [0; TAG_LEN],
            token: [0; TOKEN_LEN],
        };
        let input = slot.input(secret)?;
        slot.public = Private::of_slot(&slot.salt, &input)?.public();
        slot.token = slot.sealed(&Token::of_slot(&slot.salt, &input)?, keys.slot_token())?;
        let wrapping = slot.own_keys(&input)?;
        slot.wrap(&wrapping, keys.data(), id)?;
        Ok(slot)
    }

    /// Wraps the data key of `new` for whoever has the slot's secret, without that; `old` are the keys until now.
    /// `None` when the slot's public key is one that anybody could agree with, which no secret leads to.
    ///
    /// # Errors
    /// No memory or randomness.
    pub fn renew(&self, old: &DataKeys, new: &DataKeys, id: &Uuid) -> Result<Option<Self>> {
        let token = Token::copy_of(&self.token)?;
        let token = self.opened(token, old.slot_token())?;
        let private = Private::random()?;
        let renewal = private.public();
        let mut slot = Slot { renewal: Some(renewal), ..self.clone() };
        let mut keys = Locked::new(2 * KEY_LEN)?;
        if !private.agree(&self.public, &renewal, &self.public, &token, &self.salt, &mut keys)? {
            return Ok(None);
        }
        slot.token = slot.sealed(&token, new.slot_token())?;
        slot.wrap(&SlotKeys(keys), new.data(), id)?;
        Ok(Some(slot))
    }

    /// Wraps the data key of `keys` with the slot's secret, as [`Slot::seal`] does. `None` when the secret cannot be
    /// one of this kind.
    ///
    /// # Errors
    /// No memory or randomness.
    pub(crate) fn renew_with(
        &self,
        secret: &UnlockSecret,
        keys: &DataKeys,
        id: &Uuid,
    ) -> Result<Option<Self>> {
        let Some(bytes) = self.kind.bytes_of(secret)? else { return Ok(None) };
        Slot::seal(self.kind, self.cost, &self.name, self.created, &bytes, keys, id).map(Some)
    }

    /// Whether the data key was last wrapped by the slot's public key, without its secret.
    pub fn follows_by_public_key(&self) -> bool {
        self.renewal.is_some()
    }

    fn wrap(&mut self, keys: &SlotKeys, data: &DataKey, id: &Uuid) -> Result<()> {
        self.iv = random_array()?;
        let mut buf = Locked::copy_of(data.bytes())?;
        keys.encryption().apply(&self.iv, &mut buf)?;
        self.wrapped.iter_mut().zip(buf.iter()).for_each(|(to, from)| *to = *from);
        self.tag = keys.mac().tag(&[id.as_bytes(), &self.authenticated(&self.public)])?;
        Ok(())
    }

    /// Tries a secret, as [`Slot::input`] has it. The slot was made for it when its public key is the one that the
    /// secret leads to, or when its tag verifies with that key in the public key's place. It opens when both are so.
    ///
    /// # Errors
    /// No memory.
    pub(super) fn open(&self, input: &[u8], id: &Uuid) -> Result<SlotOutcome> {
        let private = Private::of_slot(&self.salt, input)?;
        let public = private.public();
        let keys = match &self.renewal {
            Some(renewal) => self.agreed_keys(input, &private, renewal)?,
            None => Some(self.own_keys(input)?),
        };
        let parts: [&[u8]; 2] = [id.as_bytes(), &self.authenticated(&public)];
        let authentic = keys.as_ref().map(|keys| keys.mac().fits(&parts, &self.tag)).transpose()?;
        let is_own = bool::from(public.ct_eq(&self.public));
        match (keys, authentic.unwrap_or_default(), is_own) {
            (Some(keys), true, true) => {
                let mut data_key = Locked::copy_of(&self.wrapped)?;
                keys.encryption().apply(&self.iv, &mut data_key)?;
                Ok(SlotOutcome::Key(DataKey::copy_of(&data_key)?))
            }
            (_, false, false) => Ok(SlotOutcome::Wrong),
            _ => Ok(SlotOutcome::Forged),
        }
    }

    /// The secret as the keys are derived from it: a passphrase is stretched first.
    pub(super) fn input(&self, secret: &[u8]) -> Result<Locked> {
        if self.kind != SlotKind::Passphrase {
            return Ok(Locked::copy_of(secret)?);
        }
        let mut stretched = Locked::new(KEY_LEN)?;
        self.cost.stretch(secret, &self.salt, &mut stretched)?;
        Ok(stretched)
    }

    /// The keys that the secret alone leads to.
    fn own_keys(&self, input: &[u8]) -> Result<SlotKeys> {
        let info: &[u8] = match self.kind {
            SlotKind::Passphrase => b"keyring_external 1 passphrase slot",
            SlotKind::SecretFile => b"keyring_external 1 secret slot",
            SlotKind::Recovery => b"keyring_external 1 recovery slot",
        };
        let mut keys = Locked::new(2 * KEY_LEN)?;
        crypto::hkdf(&self.salt, input, info, &mut keys)?;
        Ok(SlotKeys(keys))
    }

    /// The keys that the secret and a renewal's public key lead to; `None` when that is one of low order.
    fn agreed_keys(&self, input: &[u8], private: &Private, renewal: &Public) -> Result<Option<SlotKeys>> {
        let token = Token::of_slot(&self.salt, input)?;
        let mut keys = Locked::new(2 * KEY_LEN)?;
        let agreed = private.agree(renewal, renewal, &private.public(), &token, &self.salt, &mut keys)?;
        Ok(agreed.then_some(SlotKeys(keys)))
    }

    /// The token as it lies in the header. Under one data key a salt always stands for the same token, so that no
    /// keystream is used for two.
    fn sealed(&self, token: &Token, key: TokenEncryption<'_>) -> Result<[u8; TOKEN_LEN]> {
        let token = self.opened(Token::copy_of(&token.0)?, key)?;
        let mut sealed = [0; TOKEN_LEN];
        sealed.iter_mut().zip(token.0.iter()).for_each(|(to, from)| *to = *from);
        Ok(sealed)
    }

    /// Encrypts or decrypts a token.
    fn opened(&self, mut token: Token, key: TokenEncryption<'_>) -> Result<Token> {
        let mut iv = [0; IV_LEN];
        iv.iter_mut().zip(self.salt).for_each(|(to, from)| *to = from);
        key.apply(&iv, &mut token.0)?;
        Ok(token)
    }

    /// The slot's bytes up to its tag, with a public key.
    fn authenticated(&self, public: &Public) -> Vec<u8> {
        let mut w = FieldWriter::with_capacity(SLOT_LEN);
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
            .put(public);
        w.0
    }

    /// The slot as it lies in the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.authenticated(&self.public);
        bytes.extend_from_slice(&self.tag);
        bytes
    }

    /// Reads a slot: `Some(None)` for an unused one, `None` when it cannot be a slot. Nothing but the
    /// bounds of the cost is checked here; [`Slot::open`] authenticates.
    pub fn decode(bytes: &[u8]) -> Option<Option<Self>> {
        if bytes.iter().all(|b| *b == 0) {
            return Some(None);
        }
        let mut r = FieldReader(bytes);
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
            renewal: Some(r.array()?).filter(|renewal| *renewal != [0; X25519_LEN]),
            public: r.array()?,
            tag: r.array()?,
            token: [0; TOKEN_LEN],
        };
        // Re-encoding shows whether reserved bytes were set.
        (cost.fits(kind) && slot.encode() == bytes).then_some(Some(slot))
    }
}

/// The kinds of slots, as messages name them.
pub(super) fn kinds(slots: &[Slot]) -> String {
    let kinds: Vec<_> = slots.iter().map(|s| s.kind.to_string()).collect();
    if kinds.is_empty() { "none at all".to_owned() } else { kinds.join(", ") }
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

    const KINDS: [SlotKind; 3] = [SlotKind::Passphrase, SlotKind::SecretFile, SlotKind::Recovery];

    fn id() -> Uuid {
        Uuid::from_u128(7)
    }

    fn keys(byte: u8) -> DataKeys {
        DataKeys::derive(&DataKey::copy_of(&[byte; KEY_LEN]).unwrap(), &id()).unwrap()
    }

    fn sealed(kind: SlotKind) -> Slot {
        Slot::seal(kind, CHEAP, "a name", 5, b"secret", &keys(9), &id()).unwrap()
    }

    fn open(slot: &Slot, secret: &[u8], id: &Uuid) -> SlotOutcome {
        slot.open(&slot.input(secret).unwrap(), id).unwrap()
    }

    fn opens_to(slot: &Slot, byte: u8) -> bool {
        matches!(open(slot, b"secret", &id()), SlotOutcome::Key(key) if key == *keys(byte).data())
    }

    #[test]
    fn slots_open_with_their_secret_only() {
        for kind in KINDS {
            let slot = sealed(kind);
            assert!(opens_to(&slot, 9));
            assert!(matches!(open(&slot, b"Secret", &id()), SlotOutcome::Wrong));
            assert!(matches!(open(&slot, b"secret", &Uuid::from_u128(8)), SlotOutcome::Forged));
            assert_eq!(Slot::decode(&slot.encode()), Some(Some(Slot { token: [0; TOKEN_LEN], ..slot })));
        }
    }

    #[test]
    fn a_renewed_slot_opens_with_the_same_secret_to_the_new_key() {
        for kind in KINDS {
            let slot = sealed(kind);
            let once = slot.renew(&keys(9), &keys(8), &id()).unwrap().unwrap();
            let twice = once.renew(&keys(8), &keys(7), &id()).unwrap().unwrap();
            assert!(opens_to(&once, 8));
            assert!(opens_to(&twice, 7));
            assert!(matches!(open(&twice, b"Secret", &id()), SlotOutcome::Wrong));
            assert!(matches!(open(&twice, b"secret", &Uuid::from_u128(8)), SlotOutcome::Forged));
            let read = Slot { token: [0; TOKEN_LEN], ..twice.clone() };
            assert_eq!(Slot::decode(&twice.encode()), Some(Some(read)));
            assert_eq!((twice.kind, &twice.name, twice.created), (kind, &slot.name, 5));
            assert!(twice.follows_by_public_key() && !slot.follows_by_public_key());
        }
    }

    #[test]
    fn a_planted_public_key_does_not_open_before_or_after_a_renewal() {
        for kind in KINDS {
            let slot = sealed(kind);
            let planted = Slot { public: Private::random().unwrap().public(), ..slot.clone() };
            assert!(matches!(open(&planted, b"secret", &id()), SlotOutcome::Forged));
            // The slot wraps the new data key for somebody else, and nothing in it comes from the secret any more.
            let followed = planted.renew(&keys(9), &keys(8), &id()).unwrap().unwrap();
            assert!(matches!(open(&followed, b"secret", &id()), SlotOutcome::Wrong));
            // The same in the place of a genuine slot that was renewed.
            let renewed = slot.renew(&keys(9), &keys(8), &id()).unwrap().unwrap();
            let planted = Slot { public: planted.public, ..renewed };
            assert!(matches!(open(&planted, b"secret", &id()), SlotOutcome::Forged));
            let low = Slot { public: [0; X25519_LEN], ..slot };
            assert!(matches!(open(&low, b"secret", &id()), SlotOutcome::Forged));
            assert!(low.renew(&keys(9), &keys(8), &id()).unwrap().is_none());
        }
    }

    #[test]
    fn only_who_knows_the_data_key_renews_a_slot() {
        for kind in KINDS {
            let slot = sealed(kind);
            let forged = slot.renew(&keys(1), &keys(8), &id()).unwrap().unwrap();
            assert!(matches!(open(&forged, b"secret", &id()), SlotOutcome::Forged));
        }
    }

    #[test]
    fn every_byte_of_a_slot_counts() {
        let slot = sealed(SlotKind::SecretFile);
        for slot in [slot.renew(&keys(9), &keys(9), &id()).unwrap().unwrap(), slot] {
            let bytes = slot.encode();
            assert_eq!(bytes.len(), SLOT_LEN);
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                if let Some(Some(slot)) = Slot::decode(&changed) {
                    let opened = open(&slot, b"secret", &id());
                    // All but the salt, which the secret is of no use without.
                    let forged = !(24..24 + SALT_LEN).contains(&at);
                    assert_eq!(matches!(opened, SlotOutcome::Forged), forged, "byte {at}: {opened:?}");
                    assert_eq!(matches!(opened, SlotOutcome::Wrong), !forged, "byte {at}: {opened:?}");
                }
            }
        }
    }

    #[test]
    fn a_cost_out_of_bounds_is_no_slot() {
        let mut slot = sealed(SlotKind::Passphrase);
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
            assert!(slot.input(b"secret").is_err());
        }
        assert!(Cost::RECOMMENDED.is_bounded());
        assert!(Cost { memory_kib: 8, passes: 1, lanes: 1 }.is_bounded());
        slot.kind = SlotKind::SecretFile;
        slot.cost = CHEAP;
        assert_eq!(Slot::decode(&slot.encode()), None);
        assert_eq!(Slot::decode(&[0; SLOT_LEN]), Some(None));
    }
}
