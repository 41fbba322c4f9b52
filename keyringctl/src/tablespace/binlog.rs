// SPDX-License-Identifier: GPL-2.0-or-later
//! Binary logs and relay logs.
//!
//! An encrypted one begins with a header of 512 bytes: `fd 62 69 6e`, the version 1, then fields of a type byte and a value
//! until type 0. Type 1 is the id of a master key, with a length byte before it. Type 2 is the file's password of 32 bytes,
//! encrypted with AES-256-CBC under the master key. Type 3 is the initialisation vector of 16 bytes for that. The complete
//! ordinary file follows, encrypted with AES-256-CTR. Its key is the first 32 bytes of the SHA-512 of the password; its
//! initialisation vector is the next 8 bytes and a counter from 0.
//! Source of the facts: MySQL's sql/rpl_log_encryption.h, stream_cipher.cc, and files of MySQL 9.7.4.

use super::bytes::{array, part};
use super::info::{BLOCK, KEY};
use aes::Aes256;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit, StreamCipher};
use keyring_external::secret::Locked;
use sha2::{Digest, Sha512};
use std::io;
use zeroize::Zeroize;

const CLEAR: &[u8] = b"\xfebin";
const ENCRYPTED: &[u8] = b"\xfdbin";
/// Bytes of the header of an encrypted file.
const HEADER: usize = 512;
/// Bytes of the ordinary file that are checked: its mark and the beginning of its first event.
const LOOK: usize = 25;
/// Bytes at the beginning of a file that are needed.
pub(super) const FRONT: usize = HEADER + LOOK;
/// The type of the first event of every file, which describes the format, and the format's version.
const FORMAT_DESCRIPTION: u8 = 15;
const BINLOG_VERSION: u16 = 4;

/// What the beginning of a file shows.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum LogStart<'a> {
    /// It is not a binary log.
    Other,
    Clear,
    Encrypted(EncryptedLog<'a>),
}

/// The header of an encrypted file.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct EncryptedLog<'a> {
    /// The id of the master key.
    pub key: &'a str,
    password: [u8; KEY],
    iv: [u8; BLOCK],
    look: &'a [u8],
}

impl<'a> LogStart<'a> {
    /// Parses the beginning of a file.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(front: &'a [u8]) -> Result<LogStart<'a>, &'static str> {
        if front.starts_with(CLEAR) {
            return Ok(LogStart::Clear);
        }
        let Some(rest) = front.strip_prefix(ENCRYPTED) else { return Ok(LogStart::Other) };
        let header = part(front, 0, HEADER).ok_or("its encryption header is truncated")?;
        match rest.first() {
            Some(1) => {}
            _ => return Err("its encryption header has an unknown version"),
        }
        let fields = || {
            let (mut key, mut password, mut iv) = (None, None, None);
            let mut at = ENCRYPTED.len() + 1;
            loop {
                let field = *header.get(at)?;
                at += 1;
                match field {
                    0 => break,
                    1 => {
                        let len = usize::from(*header.get(at)?);
                        key = Some(part(header, at + 1, len)?);
                        at += 1 + len;
                    }
                    2 => {
                        password = Some(array(header, at)?);
                        at += KEY;
                    }
                    3 => {
                        iv = Some(array(header, at)?);
                        at += BLOCK;
                    }
                    _ => return None,
                }
            }
            let key = std::str::from_utf8(key?).ok().filter(|key| !key.is_empty())?;
            let look = front.get(HEADER..).unwrap_or_default();
            Some(EncryptedLog { key, password: password?, iv: iv?, look })
        };
        fields().map(LogStart::Encrypted).ok_or("its encryption header is invalid")
    }
}

impl EncryptedLog<'_> {
    /// Returns whether a master key decrypts the file, so that it begins like a binary log. `None` if the file is too short
    /// to tell.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn opens(&self, master: &[u8]) -> io::Result<Option<bool>> {
        let Some(look) = self.look.first_chunk::<LOOK>() else { return Ok(None) };
        let mut password = Locked::copy_of(&self.password)?;
        let Ok(cbc) = cbc::Decryptor::<Aes256>::new_from_slices(master, &self.iv) else {
            return Ok(Some(false));
        };
        if cbc.decrypt_padded::<NoPadding>(&mut password).is_err() {
            return Ok(Some(false));
        }
        let mut hash = Sha512::digest(&*password);
        let key = Locked::copy_of(&hash)?;
        hash.as_mut_slice().zeroize();
        let mut counter = [0; BLOCK];
        counter.iter_mut().zip(key.get(KEY..KEY + 8).unwrap_or_default()).for_each(|(to, from)| *to = *from);
        let Ok(mut ctr) =
            ctr::Ctr64BE::<Aes256>::new_from_slices(key.get(..KEY).unwrap_or_default(), &counter)
        else {
            return Ok(Some(false));
        };
        let mut clear = *look;
        ctr.apply_keystream(&mut clear);
        let version = array(&clear, 23).map(u16::from_le_bytes);
        let opens = clear.starts_with(CLEAR)
            && clear.get(8) == Some(&FORMAT_DESCRIPTION)
            && version == Some(BINLOG_VERSION);
        Ok(Some(opens))
    }
}
