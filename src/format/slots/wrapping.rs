// SPDX-License-Identifier: GPL-2.0-or-later
//! Wraps the data key in a slot, unwraps it, and wraps a renewed one.

use super::super::crypto::{
    self, DataKey, DataKeys, IV_LEN, KEY_LEN, SlotEncryption, SlotMac, TAG_LEN, TokenEncryption,
};
use super::kind::SlotKind;
use super::slot::Slot;
use crate::format::bytes::{FieldReader, FieldWriter};
use crate::format::cost::Cost;
use crate::format::error::Result;
use crate::format::layout::SLOT_NAME_LEN;
use crate::format::renewal::{Private, Public, TOKEN_LEN, Token, X25519_LEN};
use crate::secret::{Locked, UnlockSecret, random_array};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The result of trying a secret on a slot.
#[derive(Debug)]
pub enum SlotOutcome {
    /// The secret unlocks the slot, which wraps this data key.
    Key(DataKey),
    /// The slot belongs to the secret but has been altered, or somebody without the data key renewed it.
    Forged,
    /// The slot belongs to another secret, as far as can be seen.
    Wrong,
    /// Not tried, because that would exceed the limit on Argon2id.
    Untried,
}

impl Slot {
    /// Wraps the data key of the keyring `id` under `secret` (the bytes that are used for `kind`).
    ///
    /// # Errors
    /// No memory; no randomness; a cost out of bounds.
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
        let input = slot.key_material(secret)?;
        slot.public = Private::of_slot(&slot.salt, &input)?.public();
        slot.token = slot.sealed(&Token::of_slot(&slot.salt, &input)?, keys.slot_token())?;
        let wrapping = slot.own_keys(&input)?;
        slot.wrap(&wrapping, keys.data(), id)?;
        Ok(slot)
    }

    /// Wraps the data key of `new` for the secret of the slot, without having that secret. `old` are the
    /// present keys. Returns `None` if the public key of the slot is a low-order point, which no secret leads
    /// to.
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

    /// Wraps the data key of `keys` with the secret of the slot, as [`Slot::seal`] does. Returns `None` if
    /// the secret cannot be of the slot's kind.
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

    fn wrap(&mut self, keys: &SlotKeys, data: &DataKey, id: &Uuid) -> Result<()> {
        self.iv = random_array()?;
        let mut buf = Locked::copy_of(data.bytes())?;
        keys.encryption().apply(&self.iv, &mut buf)?;
        self.wrapped.iter_mut().zip(buf.iter()).for_each(|(to, from)| *to = *from);
        self.tag = keys.mac().tag(&[id.as_bytes(), &self.authenticated(&self.public)]);
        Ok(())
    }

    /// Tries a secret, given as [`Slot::key_material`]. The slot belongs to it if its public key is the one
    /// that derives from the secret, or if its tag verifies with that key instead of the stored one. It is
    /// unlocked if both are true.
    ///
    /// # Errors
    /// No memory.
    pub(in crate::format) fn open(&self, input: &[u8], id: &Uuid) -> Result<SlotOutcome> {
        let private = Private::of_slot(&self.salt, input)?;
        let public = private.public();
        let keys = match &self.renewal {
            Some(renewal) => self.agreed_keys(input, &private, renewal)?,
            None => Some(self.own_keys(input)?),
        };
        let parts: [&[u8]; 2] = [id.as_bytes(), &self.authenticated(&public)];
        let authentic = keys.as_ref().is_some_and(|keys| keys.mac().verify(&parts, &self.tag));
        let is_own = bool::from(public.ct_eq(&self.public));
        match (keys, authentic, is_own) {
            (Some(keys), true, true) => {
                let mut data_key = Locked::copy_of(&self.wrapped)?;
                keys.encryption().apply(&self.iv, &mut data_key)?;
                Ok(SlotOutcome::Key(DataKey::copy_of(&data_key)?))
            }
            (_, false, false) => Ok(SlotOutcome::Wrong),
            _ => Ok(SlotOutcome::Forged),
        }
    }

    /// The input for the key derivation: the secret, or a passphrase stretched by Argon2id.
    pub(in crate::format) fn key_material(&self, secret: &[u8]) -> Result<Locked> {
        if self.kind != SlotKind::Passphrase {
            return Ok(Locked::copy_of(secret)?);
        }
        let mut stretched = Locked::new(KEY_LEN)?;
        self.cost.stretch(secret, &self.salt, &mut stretched)?;
        Ok(stretched)
    }

    /// The keys that derive from the secret alone.
    fn own_keys(&self, input: &[u8]) -> Result<SlotKeys> {
        let info: &[u8] = match self.kind {
            SlotKind::Passphrase => b"keyring_external 1 passphrase slot",
            SlotKind::SecretFile => b"keyring_external 1 secret slot",
            SlotKind::Recovery => b"keyring_external 1 recovery slot",
            SlotKind::Custodians(_) => b"keyring_external 1 custodians slot",
        };
        let mut keys = Locked::new(2 * KEY_LEN)?;
        crypto::hkdf(&self.salt, input, info, &mut keys)?;
        Ok(SlotKeys(keys))
    }

    /// The keys that derive from the secret and the public key of a renewal. Returns `None` if that is a
    /// low-order point.
    fn agreed_keys(&self, input: &[u8], private: &Private, renewal: &Public) -> Result<Option<SlotKeys>> {
        let token = Token::of_slot(&self.salt, input)?;
        let mut keys = Locked::new(2 * KEY_LEN)?;
        let agreed = private.agree(renewal, renewal, &private.public(), &token, &self.salt, &mut keys)?;
        Ok(agreed.then_some(SlotKeys(keys)))
    }

    /// Encrypts a token for the header. Under one data key, a salt always belongs to the same token, so no
    /// keystream is used for two texts.
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
}

/// The encryption key and the MAC key of a slot.
struct SlotKeys(Locked);

impl SlotKeys {
    fn encryption(&self) -> SlotEncryption<'_> {
        SlotEncryption::new(self.0.get(..KEY_LEN).unwrap_or_default())
    }

    fn mac(&self) -> SlotMac<'_> {
        SlotMac::new(self.0.get(KEY_LEN..).unwrap_or_default())
    }
}
