// SPDX-License-Identifier: GPL-2.0-or-later
//! The encryption information: the key of one tablespace or of the redo log, wrapped with a master key.
//!
//! | bytes | what |
//! |---|---|
//! | 3 | version: `lCA` (5.7.11), `lCB` (5.7.12 on), `lCC` (8.0.5 on) |
//! | 4 | number of the master key |
//! | 4 | only in some `lCA` and `lCB`: zeros, because the number then has 8 bytes |
//! | 36 | `lCB` and `lCC`: UUID of the server that made the master key |
//! | 64 | key and initialisation vector, 32 bytes each, encrypted with AES-256-ECB |
//! | 4 | CRC-32C of those 64 bytes before encryption |
//!
//! Integers are big-endian. Only 16 bytes of the initialisation vector are used.
//! Source of the facts: what MySQL's storage/innobase/os/os0enc.cc reads, and files of MySQL 9.7.4.

use super::bytes::{array, be32};
use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use keyring_external::secret::Locked;
use std::fmt;
use std::io;

/// The largest size of the information.
pub(super) const MAX_LEN: usize = 115;
/// The mark of the newest version.
pub(super) const NEWEST: &[u8] = b"lCC";
const UUID: usize = 36;
const SEALED: usize = 64;
/// Bytes of a key.
pub(super) const KEY: usize = 32;
const KEY_LEN: u32 = KEY as u32;
/// Bytes of a file with a transfer key.
pub(super) const TRANSFER_FILE: usize = 4 + KEY + SEALED;
/// Bytes of an AES block, and of an initialisation vector.
pub(super) const BLOCK: usize = 16;
/// The prefix of the ids of InnoDB's master keys.
const PREFIX: &str = "INNODBKey-";
/// The master key number 0, padded with zeros. MySQL 8.0 wraps keys with it during `--initialize`. It is in MySQL's source
/// code, so it protects nothing.
const PUBLIC: &[u8] = b"DefaultMasterKey";

/// The encryption information of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EncryptionInfo {
    number: u32,
    /// `None` in `lCA`.
    server: Option<String>,
    sealed: [u8; SEALED],
    crc: u32,
}

/// The master key that unwraps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum MasterKeyRef {
    /// The key of that id.
    Named(String),
    /// The key of that number, with a `server_id` in its id that is not known here.
    OfServerId(u32),
    /// The publicly known constant.
    Public,
}

impl EncryptionInfo {
    /// Parses it from the beginning of `bytes`; `None` if these have no known version. [`unknown_kind`] tells whether they
    /// have another.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<EncryptionInfo>, &'static str> {
        let Some((version, rest)) = bytes.split_first_chunk::<3>() else { return Ok(None) };
        let (has_server, may_be_wide) = match version {
            b"lCA" => (false, true),
            b"lCB" => (true, true),
            b"lCC" => (true, false),
            _ => return Ok(None),
        };
        let fields = || {
            let number = be32(rest, 0)?;
            let mut at = 4;
            if may_be_wide && be32(rest, at)? == 0 {
                at += 4;
            }
            let mut server = None;
            if has_server {
                server = Some(array::<UUID>(rest, at)?);
                at += UUID;
            }
            Some((number, server, array(rest, at)?, be32(rest, at + SEALED)?))
        };
        let (number, server, sealed, crc) = fields().ok_or("its encryption information is truncated")?;
        let server = match server {
            // The server may not have had a UUID yet.
            Some(_) if number == 0 => Some(String::new()),
            Some(uuid) => Some(text(&uuid).ok_or("its encryption information has no valid server UUID")?),
            None => None,
        };
        Ok(Some(EncryptionInfo { number, server, sealed, crc }))
    }

    /// Returns the master key that unwraps it.
    pub(super) fn master_key(&self) -> MasterKeyRef {
        match &self.server {
            Some(_) if self.number == 0 => MasterKeyRef::Public,
            Some(uuid) => MasterKeyRef::Named(format!("{PREFIX}{uuid}-{}", self.number)),
            None => MasterKeyRef::OfServerId(self.number),
        }
    }

    /// Unwraps the key with a master key, of which the first 32 bytes count; `None` if that is not the right one.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn open(&self, master: &[u8]) -> io::Result<Option<SpaceKey>> {
        let key = unwrap_key(&self.sealed, master)?;
        Ok(key.filter(|key| crc32c::crc32c(key) == self.crc).map(SpaceKey))
    }

    /// Unwraps the key with the constant.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn open_public(&self) -> io::Result<Option<SpaceKey>> {
        let mut constant = [0; KEY];
        constant.iter_mut().zip(PUBLIC).for_each(|(to, from)| *to = *from);
        self.open(&constant)
    }
}

/// Decrypts a key with another one, of which the first 32 bytes count; `None` if that is too short.
fn unwrap_key(sealed: &[u8; SEALED], by: &[u8]) -> io::Result<Option<Locked>> {
    let Some(by) = by.first_chunk::<KEY>() else { return Ok(None) };
    let cipher = Aes256::new(by.into());
    let mut key = Locked::copy_of(sealed)?;
    for block in key.as_chunks_mut::<BLOCK>().0 {
        cipher.decrypt_block(block.into());
    }
    Ok(Some(key))
}

impl MasterKeyRef {
    /// Returns whether the key of that id may be the one of which only the number is known.
    pub(super) fn may_be(id: &str, wanted: u32) -> bool {
        id.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).is_some_and(|(server, number)| {
            !server.is_empty() && server.bytes().all(|b| b.is_ascii_digit()) && number.parse() == Ok(wanted)
        })
    }
}

/// Returns which kind of encryption information is at the beginning of `bytes` if it is one that is not known here.
pub(super) fn unknown_kind(bytes: &[u8]) -> Option<&'static str> {
    let (mark, rest) = bytes.split_first_chunk::<3>()?;
    // In the first version, the kind of encryption is after the length of the vector and the numbers of space and page.
    let is_on = |at: usize| rest.get(at).is_some_and(|kind| *kind != 0);
    match mark {
        b"PSA" if is_on(8) => Some(PERCONA),
        b"PSB" | b"PSC" if is_on(0) => Some(PERCONA),
        b"lRK" | b"RKB" => Some(PERCONA),
        [b'l', b'C', b'D'..=b'Z'] => {
            Some("it has encryption information of a version of MySQL that is not known here")
        }
        _ => None,
    }
}

const PERCONA: &str = "it has encryption information of Percona Server (ENCRYPTION='KEYRING')";

/// Returns a UUID as text if it has the usual form.
fn text(uuid: &[u8; UUID]) -> Option<String> {
    let fits = uuid
        .iter()
        .enumerate()
        .all(|(i, c)| if matches!(i, 8 | 13 | 18 | 23) { *c == b'-' } else { c.is_ascii_hexdigit() });
    fits.then(|| uuid.iter().map(|c| char::from(*c)).collect())
}

/// The key of a tablespace or of the redo log, and its initialisation vector, in locked memory.
pub(super) struct SpaceKey(Locked);

impl SpaceKey {
    /// Bytes of key and initialisation vector.
    pub(super) const LEN: usize = SEALED;

    /// Copies both from bytes as returned by [`SpaceKey::bytes`].
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn new(bytes: &[u8]) -> io::Result<Self> {
        let mut key = Locked::new(SEALED)?;
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(Self(key))
    }

    /// Unwraps the key in a file of the form that FLUSH TABLES ... FOR EXPORT writes: the length 32, the transfer key, and
    /// key and initialisation vector encrypted with it, 32 bytes each. `None` if it has another form.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn from_transfer(file: &[u8]) -> io::Result<Option<Self>> {
        let (Some(KEY_LEN), Some(transfer), Some(sealed), TRANSFER_FILE) =
            (be32(file, 0), file.get(4..4 + KEY), array::<SEALED>(file, 4 + KEY), file.len())
        else {
            return Ok(None);
        };
        unwrap_key(&sealed, transfer).map(|key| key.map(SpaceKey))
    }

    /// Key and initialisation vector, 32 bytes each.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The cipher's key.
    pub(super) fn key(&self) -> &[u8] {
        self.0.get(..KEY).unwrap_or_default()
    }

    /// The initialisation vector of every page and block.
    pub(super) fn iv(&self) -> &[u8] {
        self.0.get(KEY..KEY + BLOCK).unwrap_or_default()
    }
}

impl fmt::Debug for SpaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpaceKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::BlockCipherEncrypt;

    const MASTER: [u8; KEY] = [9; KEY];
    const SERVER: &[u8; UUID] = b"dd687905-e7cf-11f1-848c-02fc00000001";

    /// Returns information of any version, wrapped as a server does it.
    fn sealed(version: &[u8; 3], between: &[u8], server: &[u8], master: &[u8; KEY]) -> Vec<u8> {
        let mut key: Vec<u8> = (0..SEALED as u8).collect();
        let crc = crc32c::crc32c(&key);
        let cipher = Aes256::new(master.into());
        for block in key.as_chunks_mut::<BLOCK>().0 {
            cipher.encrypt_block(block.into());
        }
        [&version[..], &7u32.to_be_bytes(), between, server, &key, &crc.to_be_bytes()].concat()
    }

    #[test]
    fn all_versions_are_read() {
        let named = MasterKeyRef::Named("INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-7".to_owned());
        for (bytes, key) in [
            (sealed(b"lCC", b"", SERVER, &MASTER), named.clone()),
            (sealed(b"lCB", b"", SERVER, &MASTER), named.clone()),
            (sealed(b"lCB", &[0; 4], SERVER, &MASTER), named),
            (sealed(b"lCA", b"", b"", &MASTER), MasterKeyRef::OfServerId(7)),
            (sealed(b"lCA", &[0; 4], b"", &MASTER), MasterKeyRef::OfServerId(7)),
        ] {
            let info = EncryptionInfo::parse(&bytes).unwrap().unwrap();
            assert_eq!(info.master_key(), key);
            let opened = info.open(&MASTER).unwrap().unwrap();
            assert!(opened.key().iter().zip(0..32).all(|(a, b)| *a == b));
            assert_eq!(opened.iv(), (32..48).collect::<Vec<u8>>());
            assert!(info.open(&[8; KEY]).unwrap().is_none());
            for len in 3..bytes.len() {
                assert!(EncryptionInfo::parse(&bytes[..len]).is_err(), "{len} bytes");
            }
        }
    }

    #[test]
    fn other_bytes_are_none_and_invalid_information_is_an_error() {
        assert_eq!(EncryptionInfo::parse(&[0; 115]), Ok(None));
        assert_eq!(EncryptionInfo::parse(b"lC"), Ok(None));
        let mut bytes = sealed(b"lCC", b"", SERVER, &MASTER);
        bytes[3 + 4 + 8] = b'x';
        assert!(EncryptionInfo::parse(&bytes).is_err());
    }

    #[test]
    fn other_kinds_are_recognised() {
        let percona = |mark: &[u8], at: usize, kind: u8| {
            let mut bytes = [mark, &[0; 100]].concat();
            bytes[at] = kind;
            unknown_kind(&bytes)
        };
        for (mark, at) in [(b"PSA", 11), (b"PSB", 3), (b"PSC", 3)] {
            assert_eq!(percona(mark, at, 1), Some(PERCONA), "{mark:?}");
            // ENCRYPTION='N' leaves information there too.
            assert_eq!(percona(mark, at, 0), None, "{mark:?}");
        }
        assert_eq!(percona(b"RKB", 50, 7), Some(PERCONA));
        assert!(unknown_kind(b"lCD").is_some());
        for none in [&b"lCC"[..], b"lCA", b"lC", &[0; 115], b"random"] {
            assert_eq!(unknown_kind(none), None);
        }
    }

    #[test]
    fn the_public_constant_is_recognised() {
        let mut constant = [0; KEY];
        constant[..16].copy_from_slice(b"DefaultMasterKey");
        let mut bytes = sealed(b"lCC", b"", &[0; UUID], &constant);
        bytes[3..7].fill(0);
        let info = EncryptionInfo::parse(&bytes).unwrap().unwrap();
        assert_eq!(info.master_key(), MasterKeyRef::Public);
        assert!(info.open_public().unwrap().is_some());
    }

    #[test]
    fn keys_of_a_server_id_are_recognised_by_their_number() {
        assert!(MasterKeyRef::may_be("INNODBKey-1-7", 7));
        for other in ["INNODBKey-1-8", "INNODBKey--7", "INNODBKey-x-7", "XBKey-1-7", "INNODBKey-1-2-7"] {
            assert!(!MasterKeyRef::may_be(other, 7), "{other}");
        }
    }
}
