// SPDX-License-Identifier: GPL-2.0-or-later
//! The operations of the component service `keyring_aes`: AES-256 under a stored key, in the modes of the server's
//! `block_encryption_mode`. The cipher's key is the SHA-256 of the stored bytes.
//!
//! As the service defines them, these modes do not authenticate. The server encrypts values of its own with them
//! (persisted variables). The keyring file uses none of this, see `format`.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a block and of an initialisation vector.
pub const BLOCK: usize = 16;
/// Most bytes of one operation: the largest packet of the server.
pub const MAX_INPUT: usize = 1 << 30;

/// Why an operation was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AesError {
    /// The input ends with part of a block, in CBC without padding or in CBC decryption.
    #[error("the input is not a multiple of 16 bytes")]
    PartialBlock,
    /// The decrypted bytes do not end in padding: the key is another one, or the input is damaged.
    #[error("the padding is wrong: the data was encrypted with another key or is damaged")]
    BadPadding,
    /// The system has no memory for the output.
    #[error("there is no memory for {0} bytes")]
    NoMemory(usize),
}

/// A mode of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Cipher block chaining.
    Cbc,
    /// Cipher feedback, one bit at a time.
    Cfb1,
    /// Cipher feedback, one byte at a time.
    Cfb8,
    /// Cipher feedback by whole blocks.
    Cfb128,
    /// Output feedback.
    Ofb,
}

impl Mode {
    /// The mode of that name, for keys of `bits` bits; only 256 are supported.
    pub fn new(name: &[u8], bits: usize) -> Option<Self> {
        if bits != 256 {
            return None;
        }
        Some(match name {
            b"cbc" => Self::Cbc,
            b"cfb1" => Self::Cfb1,
            b"cfb8" => Self::Cfb8,
            b"cfb128" => Self::Cfb128,
            b"ofb" => Self::Ofb,
            _ => return None,
        })
    }

    /// The longest output for `len` bytes.
    pub fn size(self, len: usize) -> Option<usize> {
        match self {
            Self::Cbc => (len / BLOCK).checked_add(1)?.checked_mul(BLOCK),
            _ => Some(len),
        }
    }
}

/// AES-256 under the hash of a stored key.
pub struct Cipher(Aes256);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(..)")
    }
}

impl Cipher {
    /// The cipher for a key with these stored bytes.
    pub fn new(stored: &[u8]) -> Self {
        let mut key = Sha256::digest(stored);
        let cipher = Self(Aes256::new(&key));
        key.as_mut_slice().zeroize();
        cipher
    }

    fn block(&self, block: &[u8; BLOCK]) -> [u8; BLOCK] {
        let mut out = Array::from(*block);
        self.0.encrypt_block(&mut out);
        out.into()
    }

    /// Encrypts. `padding` fills the last block of CBC; the other modes need none.
    ///
    /// # Errors
    /// [`AesError::PartialBlock`], [`AesError::NoMemory`].
    pub fn encrypt(
        &self,
        mode: Mode,
        iv: &[u8; BLOCK],
        padding: bool,
        input: &[u8],
    ) -> Result<Vec<u8>, AesError> {
        Ok(match mode {
            Mode::Cbc => {
                let (blocks, rest) = input.as_chunks::<BLOCK>();
                if !padding && !rest.is_empty() {
                    return Err(AesError::PartialBlock);
                }
                let mut out = room(input.len() + BLOCK)?;
                let mut chain = *iv;
                for block in blocks {
                    chain = self.block(&xor(&chain, block));
                    out.extend_from_slice(&chain);
                }
                if padding {
                    let mut last = [(BLOCK - rest.len()) as u8; BLOCK];
                    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                    out.extend_from_slice(&self.block(&xor(&chain, &last)));
                    last.zeroize();
                }
                out
            }
            _ => self.stream(mode, iv, input, true)?,
        })
    }

    /// Decrypts the output of [`Cipher::encrypt`].
    ///
    /// # Errors
    /// [`AesError::PartialBlock`], [`AesError::BadPadding`], [`AesError::NoMemory`].
    pub fn decrypt(
        &self,
        mode: Mode,
        iv: &[u8; BLOCK],
        padding: bool,
        input: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, AesError> {
        if mode != Mode::Cbc {
            return self.stream(mode, iv, input, false).map(Zeroizing::new);
        }
        let (blocks, rest) = input.as_chunks::<BLOCK>();
        if !rest.is_empty() || (padding && blocks.is_empty()) {
            return Err(AesError::PartialBlock);
        }
        let mut out = Zeroizing::new(room(input.len())?);
        let mut chain = iv;
        for block in blocks {
            let mut plain = Array::from(*block);
            self.0.decrypt_block(&mut plain);
            out.extend_from_slice(&xor(&plain.into(), chain));
            chain = block;
        }
        if padding {
            let pad = out.last().copied().unwrap_or(0);
            let keep = out.len().saturating_sub(usize::from(pad));
            let padded = out.get(keep..).unwrap_or_default();
            if pad == 0 || usize::from(pad) > BLOCK || padded.iter().any(|b| *b != pad) {
                return Err(AesError::BadPadding);
            }
            out.truncate(keep);
        }
        Ok(out)
    }

    /// The modes that turn the cipher into a stream: each takes some bits from the front of the encrypted register, and
    /// appends bits to the register.
    fn stream(&self, mode: Mode, iv: &[u8; BLOCK], input: &[u8], encrypt: bool) -> Result<Vec<u8>, AesError> {
        let mut register = *iv;
        let mut out = room(input.len())?;
        match mode {
            Mode::Cfb1 => out.extend(input.iter().map(|byte| {
                let mut out = 0;
                for bit in (0..8).rev() {
                    let from = byte >> bit & 1;
                    let to = from ^ self.block(&register)[0] >> 7;
                    out |= to << bit;
                    let fed = if encrypt { to } else { from };
                    register = (u128::from_be_bytes(register) << 1 | u128::from(fed)).to_be_bytes();
                }
                out
            })),
            Mode::Cfb8 => out.extend(input.iter().map(|from| {
                let to = from ^ self.block(&register)[0];
                let fed = if encrypt { to } else { *from };
                register = (u128::from_be_bytes(register) << 8 | u128::from(fed)).to_be_bytes();
                to
            })),
            Mode::Cfb128 | Mode::Ofb | Mode::Cbc => {
                for chunk in input.chunks(BLOCK) {
                    let key = self.block(&register);
                    let at = out.len();
                    out.extend(chunk.iter().zip(key).map(|(from, k)| from ^ k));
                    register = key;
                    if mode == Mode::Cfb128 {
                        let fed = if encrypt { out.get(at..).unwrap_or_default() } else { chunk };
                        register.iter_mut().zip(fed).for_each(|(to, from)| *to = *from);
                    }
                }
            }
        }
        Ok(out)
    }
}

/// An empty buffer for `len` bytes. A lack of memory must not end the server.
fn room(len: usize) -> Result<Vec<u8>, AesError> {
    let mut out = Vec::new();
    out.try_reserve_exact(len).map_err(|_| AesError::NoMemory(len))?;
    Ok(out)
}

fn xor(a: &[u8; BLOCK], b: &[u8; BLOCK]) -> [u8; BLOCK] {
    (u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    const KEY: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    const IV: &str = "000102030405060708090a0b0c0d0e0f";
    const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

    /// NIST SP 800-38A gives the cipher's key itself.
    fn nist() -> (Cipher, [u8; BLOCK]) {
        (Cipher(Aes256::new_from_slice(&bytes(KEY)).unwrap()), bytes(IV).try_into().unwrap())
    }

    #[test]
    fn the_vectors_of_nist_sp_800_38a() {
        // Appendices F.2.5, F.3.5, F.3.11, F.3.17 and F.4.5, and the decryptions that belong to them.
        let cases = [
            (
                Mode::Cbc,
                64,
                "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
                 39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
            ),
            (Mode::Cfb1, 2, "9029"),
            (Mode::Cfb8, 18, "dc1f1a8520a64db55fcc8ac554844e889700"),
            (
                Mode::Cfb128,
                64,
                "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b\
                 df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471",
            ),
            (
                Mode::Ofb,
                64,
                "dc7e84bfda79164b7ecd8486985d38604febdc6740d20b3ac88f6ad82a4fb08d\
                 71ab47a086e86eedf39d1c5bba97c4080126141d67f37be8538f5a8be740e484",
            ),
        ];
        let (cipher, iv) = nist();
        for (mode, len, encrypted) in cases {
            let plain = &bytes(PLAIN)[..len];
            let encrypted = bytes(encrypted);
            assert_eq!(cipher.encrypt(mode, &iv, false, plain).unwrap(), encrypted, "{mode:?}");
            assert_eq!(*cipher.decrypt(mode, &iv, false, &encrypted).unwrap(), plain, "{mode:?}");
        }
    }

    #[test]
    fn every_length_is_decrypted_again_and_has_the_size_that_was_told() {
        let cipher = Cipher::new(b"stored");
        let iv = [7; BLOCK];
        for mode in [Mode::Cbc, Mode::Cfb1, Mode::Cfb8, Mode::Cfb128, Mode::Ofb] {
            for len in 0..70u8 {
                let plain: Vec<u8> = (0..len).collect();
                let encrypted = cipher.encrypt(mode, &iv, true, &plain).unwrap();
                assert_eq!(Some(encrypted.len()), mode.size(plain.len()), "{mode:?}");
                assert!(len < 16 || encrypted[..16] != plain[..16]);
                assert_eq!(*cipher.decrypt(mode, &iv, true, &encrypted).unwrap(), plain, "{mode:?} {len}");
            }
        }
    }

    #[test]
    fn the_cipher_key_is_the_hash_of_the_stored_bytes() {
        let hash = bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let direct = Cipher(Aes256::new_from_slice(&hash).unwrap());
        assert_eq!(Cipher::new(b"abc").block(&[1; BLOCK]), direct.block(&[1; BLOCK]));
    }

    #[test]
    fn a_length_for_which_there_is_no_memory_is_an_error() {
        for len in [usize::MAX, isize::MAX as usize, 1 << 60] {
            assert_eq!(room(len), Err(AesError::NoMemory(len)));
        }
        assert!(room(100).unwrap().capacity() >= 100);
    }

    #[test]
    fn bad_input_is_refused() {
        let (cipher, iv) = nist();
        let partial = Err(AesError::PartialBlock);
        assert_eq!(cipher.encrypt(Mode::Cbc, &iv, false, &[0; 17]), partial);
        assert_eq!(cipher.decrypt(Mode::Cbc, &iv, true, &[0; 17]), Err(AesError::PartialBlock));
        assert_eq!(cipher.decrypt(Mode::Cbc, &iv, true, &[]), Err(AesError::PartialBlock));
        for ending in [0u8, 17, 2, 255] {
            let mut last = [1; BLOCK];
            last[15] = ending;
            let encrypted = cipher.encrypt(Mode::Cbc, &iv, false, &last).unwrap();
            assert_eq!(cipher.decrypt(Mode::Cbc, &iv, true, &encrypted), Err(AesError::BadPadding));
        }
        assert_eq!(Mode::new(b"cbc", 128), None);
        assert_eq!(Mode::new(b"CBC", 256), None);
        assert_eq!(Mode::new(b"ecb", 256), None);
        assert_eq!(Mode::Cbc.size(usize::MAX), None);
    }
}
