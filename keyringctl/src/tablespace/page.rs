// SPDX-License-Identifier: GPL-2.0-or-later
//! A page of a tablespace: its checksum, and how to decrypt and decompress it.
//!
//! A page begins with 38 bytes that are not encrypted: checksum, number, the newest change's log sequence number (LSN),
//! type, 8 bytes with various uses, and the tablespace's number. The rest is encrypted with AES-256-CBC. If its length is
//! not a multiple of 16 bytes, the last 32 bytes are encrypted once more, so that every byte is encrypted. The type says
//! that the page is encrypted; the original type is among the 8 bytes.
//! Source of the facts: MySQL's os0enc.cc, fil0types.h, page0zip.cc, buf0checksum, and files of MySQL 9.7.4.

use super::bytes::{be16, be32, be64, is_zero, part, put};
use super::geometry::Geometry;
use super::info::{BLOCK, SpaceKey};
use aes::Aes256;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use std::io::Read;
use zeroize::Zeroizing;

// Offsets in a page.
const CHECKSUM: usize = 0;
pub(super) const NUMBER: usize = 4;
pub(super) const LSN: usize = 16;
pub(super) const TYPE: usize = 24;
const VARIOUS: usize = 26;
const ALGORITHM: usize = 27;
const OLD_TYPE: usize = 28;
const OLD_LEN: usize = 30;
const COMPRESSED_LEN: usize = 32;
pub(super) const SPACE: usize = 34;
const DATA: usize = 38;
/// Bytes of the end of a page: the checksum again, and the lower half of the LSN.
const END: usize = 8;

// Types of encrypted pages.
const TYPE_COMPRESSED: u16 = 14;
const TYPE_ENCRYPTED: u16 = 15;
const TYPE_COMPRESSED_ENCRYPTED: u16 = 16;
const TYPE_ENCRYPTED_RTREE: u16 = 17;
/// The type of an unencrypted page of an R-tree.
pub(super) const TYPE_RTREE: u16 = 17854;

/// The constant in place of a checksum if `innodb_checksum_algorithm` is `none`.
pub(super) const NO_CHECKSUM: u32 = 0xdead_beef;

/// The kind of checksum of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Checksum {
    /// CRC-32C.
    Crc32,
    /// InnoDB's own, from before 5.7.
    Innodb,
    /// The constant that stands for no checksum.
    None,
    /// The checksum is wrong.
    Bad,
}

/// Whether a page is encrypted, according to its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PageForm {
    /// Never written.
    Empty,
    Clear,
    Encrypted,
}

pub(super) fn form(page: &[u8]) -> PageForm {
    match be16(page, TYPE) {
        Some(TYPE_ENCRYPTED | TYPE_COMPRESSED_ENCRYPTED | TYPE_ENCRYPTED_RTREE) => PageForm::Encrypted,
        _ if is_zero(page) => PageForm::Empty,
        _ => PageForm::Clear,
    }
}

/// Returns the kind of checksum of a decrypted page.
pub(super) fn sum(page: &[u8], zip: bool) -> Checksum {
    let found = if zip { zip_sum(page) } else { plain_sum(page) };
    found.unwrap_or(Checksum::Bad)
}

/// Checks a page of ROW_FORMAT=COMPRESSED. Its checksum leaves out what changes without the page being rewritten.
fn zip_sum(page: &[u8]) -> Option<Checksum> {
    let stored = be32(page, CHECKSUM)?;
    let parts = [page.get(NUMBER..LSN)?, page.get(TYPE..VARIOUS)?, page.get(SPACE..)?];
    let crc = parts.iter().fold(0, |crc, part| crc ^ crc32c::crc32c(part));
    let adler = || {
        // Begins with 0, not with 1 as usual.
        let mut adler = adler2::Adler32::from_checksum(0);
        parts.iter().for_each(|part| adler.write_slice(part));
        adler.checksum()
    };
    Some(match stored {
        _ if stored == crc => Checksum::Crc32,
        _ if stored == adler() => Checksum::Innodb,
        NO_CHECKSUM => Checksum::None,
        _ => return None,
    })
}

fn plain_sum(page: &[u8]) -> Option<Checksum> {
    let end = page.len().checked_sub(END)?;
    let stored = [be32(page, CHECKSUM)?, be32(page, end)?];
    // A page that was only partly written begins and ends with different LSNs.
    if be32(page, LSN + 4)? != be32(page, end + 4)? {
        return None;
    }
    let (header, data) = (page.get(NUMBER..VARIOUS)?, page.get(DATA..end)?);
    let crc = crc32c::crc32c(header) ^ crc32c::crc32c(data);
    if stored == [crc, crc] {
        return Some(Checksum::Crc32);
    }
    if stored == [NO_CHECKSUM, NO_CHECKSUM] {
        return Some(Checksum::None);
    }
    let new = fold(header).wrapping_add(fold(data));
    let old = fold(page.get(..VARIOUS)?);
    if stored == [0, 0] && be64(page, LSN)? == 0 {
        // Only a page that was never written looks so, and it has no content.
        return None;
    }
    // The first servers stored 0 at the beginning, and the upper half of the LSN at the end.
    let [first, last] = stored;
    if (first == new || first == 0) && (last == old || last == be32(page, LSN)?) {
        return Some(Checksum::Innodb);
    }
    let swapped = crc_of_swapped(page, NUMBER..VARIOUS)? ^ crc_of_swapped(page, DATA..end)?;
    (stored == [swapped, swapped]).then_some(Checksum::Crc32)
}

/// Computes the CRC-32C as MySQL 5.6 did on big-endian processors: of each 8 bytes at a multiple of 8 in the page, in reverse
/// order. The bytes before the first and after the last of these are in their own order.
fn crc_of_swapped(page: &[u8], part: std::ops::Range<usize>) -> Option<u32> {
    const WORD: usize = 8;
    let words = part.start.next_multiple_of(WORD)..part.end / WORD * WORD;
    let crc = crc32c::crc32c(page.get(part.start..words.start)?);
    let crc = page.get(words.clone())?.as_chunks::<WORD>().0.iter().fold(crc, |crc, word| {
        let mut word = *word;
        word.reverse();
        crc32c::crc32c_append(crc, &word)
    });
    Some(crc32c::crc32c_append(crc, page.get(words.end..part.end)?))
}

/// Whether an unencrypted page is as it was written: it has the given number, and its checksum is right.
pub(super) fn is_whole(page: &[u8], number: u32, geometry: Geometry) -> bool {
    let Some(page) = part(page, 0, geometry.physical) else { return false };
    if be32(page, NUMBER) != Some(number) {
        return false;
    }
    // The checksum of a page that was compressed to leave a hole is that of the whole page.
    let whole =
        || decompress(page, geometry.logical).is_some_and(|whole| sum(&whole, false) != Checksum::Bad);
    sum(page, geometry.zip) != Checksum::Bad || be16(page, TYPE) == Some(TYPE_COMPRESSED) && whole()
}

/// Computes InnoDB's own hash of bytes.
fn fold(bytes: &[u8]) -> u32 {
    const MASK: u32 = 1_463_735_687;
    const MASK2: u32 = 1_653_893_711;
    bytes.iter().fold(0, |sum: u32, byte| {
        let byte = u32::from(*byte);
        ((((sum ^ byte ^ MASK2) << 8).wrapping_add(sum)) ^ MASK).wrapping_add(byte)
    })
}

/// Whether a page was decrypted with the right key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// Its checksum is right.
    Opens,
    /// The page cannot show it: ROW_FORMAT=COMPRESSED without checksums.
    NoChecksum,
    /// The key is wrong, or the page is damaged.
    Fails,
}

/// Room for a decrypted page, which is used for one page after another. It is somebody's data, so it is wiped at the end.
#[derive(Default)]
pub(super) struct PageRoom(Zeroizing<Vec<u8>>);

impl PageRoom {
    fn copy(&mut self, page: &[u8]) -> &mut [u8] {
        if self.0.len() < page.len() {
            self.0 = Zeroizing::new(vec![0; page.len()]);
        }
        let copy = self.0.get_mut(..page.len()).unwrap_or_default();
        copy.copy_from_slice(page);
        copy
    }
}

/// Decrypts a page and checks its checksum. The page must have the given number and tablespace.
pub(super) fn opens(
    page: &[u8],
    number: u32,
    space: u32,
    geometry: Geometry,
    key: &SpaceKey,
    room: &mut PageRoom,
) -> Proof {
    let Some(page) = part(page, 0, geometry.physical) else { return Proof::Fails };
    if be32(page, NUMBER) != Some(number) || be32(page, SPACE) != Some(space) {
        return Proof::Fails;
    }
    let sum = match be16(page, TYPE) {
        Some(TYPE_COMPRESSED_ENCRYPTED) => encrypted_lens(page)
            .find_map(|len| {
                let clear = room.copy(page);
                put(clear, TYPE, &TYPE_COMPRESSED.to_be_bytes());
                let decrypted = clear.get_mut(DATA..len).is_some_and(|data| decrypt(data, key));
                let whole = decrypted.then(|| decompress(clear, geometry.logical)).flatten()?;
                Some(sum(&whole, false)).filter(|sum| *sum != Checksum::Bad)
            })
            .unwrap_or(Checksum::Bad),
        Some(kind @ (TYPE_ENCRYPTED | TYPE_ENCRYPTED_RTREE)) => {
            let clear = room.copy(page);
            if !clear.get_mut(DATA..).is_some_and(|data| decrypt(data, key)) {
                return Proof::Fails;
            }
            let old = if kind == TYPE_ENCRYPTED_RTREE {
                TYPE_RTREE
            } else {
                be16(page, OLD_TYPE).unwrap_or_default()
            };
            put(clear, TYPE, &old.to_be_bytes());
            sum(clear, geometry.zip)
        }
        _ => Checksum::Bad,
    };
    match sum {
        Checksum::Crc32 | Checksum::Innodb => Proof::Opens,
        // The encrypted end of the page contains the constant and the LSN, which prove the key.
        Checksum::None if !geometry.zip => Proof::Opens,
        Checksum::None => Proof::NoChecksum,
        Checksum::Bad => Proof::Fails,
    }
}

/// Decrypts the encrypted part of a page, or of a block of the redo log.
pub(super) fn decrypt(data: &mut [u8], key: &SpaceKey) -> bool {
    let whole = data.len() / BLOCK * BLOCK;
    let cbc = || cbc::Decryptor::<Aes256>::new_from_slices(key.key(), key.iv()).ok();
    let cbc_part = |data: &mut [u8]| cbc().is_some_and(|cbc| cbc.decrypt_padded::<NoPadding>(data).is_ok());
    let mut done = true;
    if whole < data.len() {
        let last = data.len().saturating_sub(2 * BLOCK);
        done = data.get_mut(last..).is_some_and(cbc_part);
    }
    done && data.get_mut(..whole).is_some_and(cbc_part)
}

/// Returns the possible lengths of the encrypted part of a compressed page: the compressed length, but at least two blocks.
/// Older servers rounded it up to the filesystem's block size and did not record that.
fn encrypted_lens(page: &[u8]) -> impl Iterator<Item = usize> {
    let len = usize::from(be16(page, COMPRESSED_LEN).unwrap_or_default()) + DATA;
    let most = page.len();
    [1, 4096, 512, 1024, 2048, 8192, 16384, 32768, 65536]
        .into_iter()
        .map(move |block| len.next_multiple_of(block).max(DATA + 2 * BLOCK))
        .filter(move |len| *len <= most)
}

/// Decompresses a page that InnoDB compressed to leave a hole in the file (COMPRESSION=...).
fn decompress(page: &[u8], logical: usize) -> Option<Zeroizing<Vec<u8>>> {
    const ZLIB: u8 = 1;
    const LZ4: u8 = 2;
    let data = part(page, DATA, usize::from(be16(page, COMPRESSED_LEN)?))?;
    let len = usize::from(be16(page, OLD_LEN)?);
    if len + DATA != logical {
        return None;
    }
    let mut whole = Zeroizing::new(page.get(..DATA)?.to_vec());
    whole.resize(logical, 0);
    let room = whole.get_mut(DATA..)?;
    match *page.get(ALGORITHM)? {
        ZLIB => flate2::read::ZlibDecoder::new(data).read_exact(room).ok()?,
        LZ4 => (lz4_flex::block::decompress_into(data, room).ok()? == len).then_some(())?,
        _ => return None,
    }
    put(&mut whole, TYPE, &be16(page, OLD_TYPE)?.to_be_bytes());
    put(&mut whole, VARIOUS, &[0; 8]);
    Some(whole)
}
