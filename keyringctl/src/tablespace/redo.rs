// SPDX-License-Identifier: GPL-2.0-or-later
//! The redo log: files of blocks of 512 bytes.
//!
//! The first four blocks are the file's header: format, first LSN, creator; a checkpoint; the encryption information at
//! byte 48 of the third; another checkpoint. The log has one key. The server writes its information into the file that
//! holds the checkpoint of the time, so that the other files may have encrypted blocks and no information, or an older one
//! under a master key of before.
//! A block begins with 12 bytes in clear: its number, the bytes in it with a bit that says "encrypted", two more fields.
//! The rest, its CRC-32C at the end included, is encrypted as the data of a tablespace's page is.
//! Source of the facts: MySQL's storage/innobase/include/log0constants.h and os0enc.cc, and files of MySQL 9.7.4.

use super::bytes::{be16, be32, be64, is_zero, part, put};
use super::info::{Info, NEWEST, SpaceKey};
use super::page;
use zeroize::Zeroizing;

pub(super) const BLOCK: usize = 512;
/// Bytes of the header, and of the header with the first block behind it.
pub(super) const HEADER: usize = 4 * BLOCK;
pub(super) const FRONT: usize = HEADER + BLOCK;
/// The first format of MySQL 8.0.30, in which files are written once, from the beginning.
const FORMAT_WRITTEN_ONCE: u32 = 6;
const MOST_FORMATS: u32 = 64;

// Offsets in the header.
const START_LSN: usize = 8;
const CHECKPOINTS: [usize; 2] = [BLOCK, 3 * BLOCK];
const INFO: usize = 2 * BLOCK + 48;

// In a block.
pub(super) const LEN: usize = 4;
pub(super) const ENCRYPTED: u16 = 0x8000;
pub(super) const DATA: usize = 12;
pub(super) const SUM: usize = BLOCK - 4;
const MOST_BLOCKS: u64 = 0x4000_0000;

/// What the header of a redo file says.
#[derive(Debug)]
pub(super) struct Header {
    pub start_lsn: u64,
    pub info: Option<Info>,
    /// The newest checkpoint in it: an LSN.
    pub checkpoint: Option<u64>,
    written_once: bool,
}

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Not written since the file was made, or left over from an earlier use of it.
    Empty,
    Clear,
    Encrypted,
}

impl Header {
    /// Reads the header; `None` of a file that is not in use yet.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(front: &[u8]) -> Result<Option<Header>, &'static str> {
        const SHORT: &str = "it is too short for a redo file";
        let block = part(front, 0, BLOCK).ok_or(SHORT)?;
        let header = part(front, 0, HEADER).ok_or(SHORT)?;
        if is_zero(block) {
            return Ok(None);
        }
        let format = be32(block, 0).ok_or(SHORT)?;
        if !sums(block) || format > MOST_FORMATS {
            return Err("its first block has a wrong checksum");
        }
        let checkpoint = CHECKPOINTS
            .iter()
            .filter_map(|at| part(header, *at, BLOCK))
            .filter(|b| sums(b))
            .filter_map(|b| be64(b, 8));
        Ok(Some(Header {
            start_lsn: be64(block, START_LSN).ok_or(SHORT)?,
            // Of redo logs a server reads the newest version only.
            info: match header.get(INFO..).filter(|info| info.starts_with(NEWEST)) {
                Some(info) => Info::parse(info)?,
                None => None,
            },
            checkpoint: checkpoint.max(),
            written_once: format >= FORMAT_WRITTEN_ONCE,
        }))
    }

    /// What the block `index` of the file is; the header's blocks are counted.
    pub fn form(&self, block: &[u8], index: u64) -> Form {
        let expected =
            (self.start_lsn / BLOCK as u64).wrapping_add(index).wrapping_sub(HEADER as u64 / BLOCK as u64);
        let number = u64::from(be32(block, 0).unwrap_or(0));
        if number == 0 || (self.written_once && number != expected % MOST_BLOCKS + 1) {
            return Form::Empty;
        }
        match be16(block, LEN) {
            Some(len) if len & ENCRYPTED != 0 => Form::Encrypted,
            _ => Form::Clear,
        }
    }
}

/// Whether a block in clear has its checksum, or the constant that stands for none (`innodb_log_checksums = OFF`).
fn sums(block: &[u8]) -> bool {
    let stored = be32(block, SUM);
    stored == Some(page::NO_CHECKSUM) || stored == block.get(..SUM).map(crc32c::crc32c)
}

/// Decrypts a block and looks at its checksum.
pub(super) fn opens(block: &[u8], key: &SpaceKey) -> bool {
    let mut clear = Zeroizing::new(block.to_vec());
    let Some(len) = be16(block, LEN) else { return false };
    if block.len() != BLOCK || !clear.get_mut(DATA..).is_some_and(|data| page::decrypt(data, key)) {
        return false;
    }
    // The checksum was made before the bit was set.
    put(&mut clear, LEN, &(len & !ENCRYPTED).to_be_bytes());
    sums(&clear)
}
