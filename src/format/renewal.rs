// SPDX-License-Identifier: GPL-2.0-or-later
//! X25519 (RFC 7748) for unlock slots. It wraps a new data key for a slot without the secret of the slot,
//! using the public key that was derived from the secret when the slot was created.
//!
//! Anybody can read that public key and wrap something for it. Therefore a token is part of the wrapping key.
//! It can be derived from the secret of the slot, and the header holds it encrypted under the data key. So
//! only somebody who knows the data key can renew a slot.

use super::crypto;
use super::error::Result;
use crate::secret::Locked;
use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey, StaticSecret};

/// Bytes of a public key, of a private key and of a shared secret.
pub(crate) const X25519_LEN: usize = 32;

/// Bytes of a slot's renewal token.
pub(crate) const TOKEN_LEN: usize = 32;

/// A public key.
pub(crate) type Public = [u8; X25519_LEN];

/// Known to anyone who has the secret of the slot or the data key.
#[derive(Debug)]
pub(crate) struct Token(pub(super) Locked);

impl Token {
    /// Copies a token from its bytes.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn copy_of(bytes: &[u8]) -> Result<Self> {
        Ok(Self(Locked::copy_of(bytes)?))
    }

    /// Derives the token of a slot from its secret (already stretched) and salt.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn of_slot(salt: &[u8], secret: &[u8]) -> Result<Self> {
        let mut token = Locked::new(TOKEN_LEN)?;
        crypto::hkdf(salt, secret, b"keyring_external 1 slot renewal token", &mut token)?;
        Ok(Self(token))
    }
}

/// A private key: of a slot, or for a single renewal.
#[derive(Debug)]
pub(crate) struct Private(Locked);

impl Private {
    /// Derives the private key of a slot from its secret (already stretched) and salt.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn of_slot(salt: &[u8], secret: &[u8]) -> Result<Self> {
        let mut key = Locked::new(X25519_LEN)?;
        crypto::hkdf(salt, secret, b"keyring_external 1 slot private key", &mut key)?;
        Ok(Self(key))
    }

    /// Generates a private key for a single renewal.
    ///
    /// # Errors
    /// No memory or randomness.
    pub(crate) fn random() -> Result<Self> {
        Ok(Self(Locked::random(X25519_LEN)?))
    }

    fn with<R>(&self, work: impl FnOnce(&StaticSecret) -> R) -> R {
        let mut bytes = zeroize::Zeroizing::new([0; X25519_LEN]);
        bytes.iter_mut().zip(self.0.iter()).for_each(|(to, from)| *to = *from);
        // `StaticSecret` wipes its bytes when it is dropped.
        work(&StaticSecret::from(*bytes))
    }

    /// The public key that belongs to this private key.
    pub(crate) fn public(&self) -> Public {
        self.with(|key| PublicKey::from(key).to_bytes())
    }

    /// Derives `keys` from the secret shared with the owner of the public key `other`. `renewal` is the
    /// public key made for the renewal and `slot` that of the slot; `other` is one of them. `token` and
    /// `salt` are those of the slot.
    ///
    /// Returns `false` and leaves `keys` alone if `other` is a low-order point, for which the shared secret
    /// is known to everybody.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn agree(
        &self,
        other: &Public,
        renewal: &Public,
        slot: &Public,
        token: &Token,
        salt: &[u8],
        keys: &mut [u8],
    ) -> Result<bool> {
        let mut common = Locked::new(3 * X25519_LEN + TOKEN_LEN)?;
        let contributed = self.with(|key| {
            let shared = key.diffie_hellman(&PublicKey::from(*other));
            let parts = shared.as_bytes().iter().chain(renewal).chain(slot).chain(token.0.iter());
            common.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
            !bool::from(shared.as_bytes().ct_eq(&[0; X25519_LEN]))
        });
        if contributed {
            crypto::hkdf(salt, &common, b"keyring_external 1 renewed slot", keys)?;
        }
        Ok(contributed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(hex: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    /// RFC 7748, section 6.1: the crate computes what the standard says.
    #[test]
    fn public_keys_are_those_of_the_standard() {
        for (private, public) in [
            (
                "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
                "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            ),
            (
                "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
                "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
            ),
        ] {
            assert_eq!(Private(Locked::copy_of(&of(private)).unwrap()).public(), of(public));
        }
    }

    #[test]
    fn only_the_two_sides_agree() {
        let slot = Private::of_slot(&[1; 32], b"a secret").unwrap();
        let renewal = Private::random().unwrap();
        let (s, r) = (slot.public(), renewal.public());
        let token = |secret: &[u8]| Token::of_slot(&[1; 32], secret).unwrap();
        let agreed = |key: &Private, other, token: &Token, salt: &[u8]| {
            let mut keys = [0; 64];
            assert!(key.agree(other, &r, &s, token, salt, &mut keys).unwrap());
            keys
        };
        let ours = token(b"a secret");
        let keys = agreed(&renewal, &s, &ours, &[1; 32]);
        assert_eq!(agreed(&slot, &r, &ours, &[1; 32]), keys);
        assert_ne!(agreed(&slot, &r, &ours, &[2; 32]), keys);
        assert_ne!(agreed(&slot, &r, &token(b"another secret"), &[1; 32]), keys);
        let other = Private::of_slot(&[1; 32], b"another secret").unwrap();
        assert_ne!(agreed(&other, &r, &ours, &[1; 32]), keys);
        let mut keys = [0; 64];
        let low = slot.agree(&[0; 32], &[0; 32], &s, &ours, &[1; 32], &mut keys);
        assert!(!low.unwrap(), "a key of low order");
    }
}
