// SPDX-License-Identifier: GPL-2.0-or-later
//! The redo log, whose files consist of blocks of 512 bytes.
//!
//! The first four blocks are the file's header: format, first LSN and creator; a checkpoint; the encryption information at
//! byte 48 of the third block; another checkpoint. The log has one key. The server writes the encryption information into
//! the file with the current checkpoint. Other files may have encrypted blocks and no information, or older information
//! under an earlier master key.
//! A block begins with 12 unencrypted bytes: its number, its length with a bit that means "encrypted", two more fields. The
//! rest, including the CRC-32C at its end, is encrypted in the same way as the data of a tablespace's page.
//! Source of the facts: MySQL's storage/innobase/include/log0constants.h and os0enc.cc, and files of MySQL 9.7.4.

use super::bytes::{be16, be32, be64, is_zero, part, put};
use super::info::{EncryptionInfo, NEWEST, SpaceKey, unknown_kind};
use super::page;
use zeroize::Zeroizing;

pub(super) const BLOCK: usize = 512;
/// Bytes of the header, and of the header with the first block after it.
pub(super) const HEADER: usize = 4 * BLOCK;
pub(super) const FRONT: usize = HEADER + BLOCK;
/// The first format of MySQL 8.0.30, in which files are written once, from the beginning.
const FORMAT_WRITTEN_ONCE: u32 = 6;
const MOST_FORMATS: u32 = 64;
/// The format of MariaDB from 10.8 on, and its bit for an encrypted log.
const MARIADB: u32 = u32::from_be_bytes(*b"Phys");
const MARIADB_ENCRYPTED: u32 = 0x8000_0000;

// Offsets in the header.
const START_LSN: usize = 8;
const CREATOR: usize = 16;
const CHECKPOINTS: [usize; 2] = [BLOCK, 3 * BLOCK];
const INFO: usize = 2 * BLOCK + 48;

// In a block.
pub(super) const LEN: usize = 4;
pub(super) const ENCRYPTED: u16 = 0x8000;
pub(super) const DATA: usize = 12;
pub(super) const SUM: usize = BLOCK - 4;
const MOST_BLOCKS: u64 = 0x4000_0000;

/// The header of a redo file.
#[derive(Debug)]
pub(super) struct RedoHeader {
    pub start_lsn: u64,
    pub info: Option<EncryptionInfo>,
    /// What it has that is not known here.
    pub unknown: Option<&'static str>,
    /// The newest checkpoint in it: an LSN.
    pub checkpoint: Option<u64>,
    /// Whether its blocks are written from the beginning of the file, as from 8.0.30 on. The files of older servers form a
    /// ring, in which writing may begin anywhere.
    pub written_once: bool,
    /// Whether its log has checkpoints that can be read here. Those from before 5.7.9 need no key.
    pub has_checkpoints: bool,
    /// Whether a server wrote it, which makes its files larger than what it writes into them. A backup tool does not.
    pub is_of_server: bool,
}

/// Whether a block is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BlockForm {
    /// Not written since the file was created, or left over from an earlier use of it.
    Empty,
    Clear,
    Encrypted,
}

impl RedoHeader {
    /// Parses the header; `None` for a file that is not in use yet.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(front: &[u8]) -> Result<Option<RedoHeader>, &'static str> {
        const SHORT: &str = "it is too short for a redo file";
        let block = part(front, 0, BLOCK).ok_or(SHORT)?;
        let header = part(front, 0, HEADER).ok_or(SHORT)?;
        if is_zero(block) {
            return Ok(None);
        }
        let format = be32(block, 0).ok_or(SHORT)?;
        let older = |start_lsn, unknown| RedoHeader {
            start_lsn,
            info: None,
            unknown,
            checkpoint: None,
            written_once: false,
            has_checkpoints: false,
            is_of_server: false,
        };
        if format & !MARIADB_ENCRYPTED == MARIADB {
            return Ok(Some(older(0, Some("it is a redo log of MariaDB"))));
        }
        if let Some(start_lsn) = before_5_7_9(block) {
            return Ok(Some(older(start_lsn, None)));
        }
        if !checksum_fits(block) || format > MOST_FORMATS {
            return Err("its first block has a wrong checksum");
        }
        let checkpoint = CHECKPOINTS
            .iter()
            .filter_map(|at| part(header, *at, BLOCK))
            .filter(|b| checksum_fits(b))
            .filter_map(|b| be64(b, 8));
        Ok(Some(RedoHeader {
            start_lsn: be64(block, START_LSN).ok_or(SHORT)?,
            // A server reads only the newest version in redo logs.
            info: match header.get(INFO..).filter(|info| info.starts_with(NEWEST)) {
                Some(info) => EncryptionInfo::parse(info)?,
                None => None,
            },
            unknown: unknown_kind(header.get(INFO..).unwrap_or_default()),
            checkpoint: checkpoint.max(),
            written_once: format >= FORMAT_WRITTEN_ONCE,
            has_checkpoints: true,
            is_of_server: block.get(CREATOR..).is_some_and(|creator| {
                creator.starts_with(b"MySQL ") && !creator.starts_with(b"MySQL Clone")
            }),
        }))
    }

    /// Returns the form of block `index` of the file, counted from the header's first block.
    pub(super) fn form(&self, block: &[u8], index: u64) -> BlockForm {
        let expected =
            (self.start_lsn / BLOCK as u64).wrapping_add(index).wrapping_sub(HEADER as u64 / BLOCK as u64);
        let number = u64::from(be32(block, 0).unwrap_or(0));
        if number == 0 || (self.written_once && number != expected % MOST_BLOCKS + 1) {
            return BlockForm::Empty;
        }
        match be16(block, LEN) {
            Some(len) if len & ENCRYPTED != 0 => BlockForm::Encrypted,
            _ => BlockForm::Clear,
        }
    }
}

/// Whether a block has no room for more, so that the log may go on after it.
pub(super) fn is_full(block: &[u8]) -> bool {
    be16(block, LEN).is_some_and(|len| usize::from(len & !ENCRYPTED) == BLOCK)
}

/// Returns whether a block is the one with this LSN. Older servers set the first bit of a number for the first block that
/// they write at once.
pub(super) fn is_block_of(block: &[u8], lsn: u64) -> bool {
    const FIRST_WRITTEN: u32 = 0x8000_0000;
    be32(block, 0).map(|number| u64::from(number & !FIRST_WRITTEN))
        == Some(lsn / BLOCK as u64 % MOST_BLOCKS + 1)
}

/// Returns where the block with the LSN of this checkpoint is, counted from the beginning of the first file of a log whose
/// files form a ring. Only the first file has checkpoints.
pub(super) fn ring_offset(front: &[u8], checkpoint: u64) -> Option<u64> {
    let all = CHECKPOINTS.iter().filter_map(|at| part(front, *at, BLOCK));
    all.filter(|b| checksum_fits(b)).find(|b| be64(b, 8) == Some(checkpoint)).and_then(|b| be64(b, 16))
}

/// Returns the first LSN of a file from before 5.7.9, whose header has no checksum: the number of the log, which is 0, and
/// the LSN, which is that of a block.
fn before_5_7_9(block: &[u8]) -> Option<u64> {
    const FIRST_LSN: u64 = 8192;
    let lsn = be64(block, 4)?;
    let fits = be32(block, 0)? == 0 && !checksum_fits(block) && lsn >= FIRST_LSN && lsn % BLOCK as u64 == 0;
    fits.then_some(lsn)
}

/// Returns whether a decrypted block has the right checksum, or the constant that stands for none
/// (`innodb_log_checksums = OFF`).
fn checksum_fits(block: &[u8]) -> bool {
    let stored = be32(block, SUM);
    stored == Some(page::NO_CHECKSUM) || stored == block.get(..SUM).map(crc32c::crc32c)
}

/// Decrypts a block and checks its checksum.
pub(super) fn opens(block: &[u8], key: &SpaceKey) -> bool {
    opened(block, key).is_some()
}

/// Decrypts a block; `None` if its checksum is wrong then.
pub(super) fn opened(block: &[u8], key: &SpaceKey) -> Option<Zeroizing<Vec<u8>>> {
    let mut clear = Zeroizing::new(block.to_vec());
    let len = be16(block, LEN)?;
    if block.len() != BLOCK || !clear.get_mut(DATA..).is_some_and(|data| page::decrypt(data, key)) {
        return None;
    }
    // The checksum was computed before the bit was set.
    put(&mut clear, LEN, &(len & !ENCRYPTED).to_be_bytes());
    checksum_fits(&clear).then_some(clear)
}
