// SPDX-License-Identifier: GPL-2.0-or-later
//! Page 0 of a tablespace: page sizes and the encryption information.
//!
//! The first 38 bytes are the same as in every page. The tablespace's header of 112 bytes and an array of extent
//! descriptors follow, whose length depends on the page size. Then come the encryption information in a field of 115 bytes,
//! 8 bytes about the tablespace's dictionary, and 5 bytes with the progress of an encryption in place: the operation
//! (1 encrypts, 2 decrypts) and the last completed page. Page 0 itself is never encrypted.
//! Source of the facts: MySQL's storage/innobase/include/fsp0fsp.h and fsp0types.h, and files of MySQL 9.7.4.

use super::bytes::{be16, be32, be64, is_zero, part};
use super::geometry::Geometry;
use super::info::{EncryptionInfo, MAX_LEN, unknown_kind};
use super::page::{self, Checksum, PageForm};

/// Bytes of page 0 that include the page size.
pub(super) const FRONT: usize = FLAGS + 4;
// Offsets in page 0.
const HEADER_SPACE: usize = 38;
const SIZE: usize = 46;
const FREE_LIMIT: usize = 50;
const FLAGS: usize = 54;

/// Offset from the encryption information to the progress of an encryption in place.
const CHANGE: usize = MAX_LEN + 8;

/// The type of page 0 before it is first written in full. Later it is 8, but in a file that was created by a server before
/// 5.1.48, it may be anything.
const TYPE_ALLOCATED: u16 = 0;

/// An encryption or decryption in place that was not complete when page 0 was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Conversion {
    None,
    /// It is encrypted up to this page.
    Encrypting(u32),
    /// It is decrypted up to this page.
    Decrypting(u32),
}

/// The contents of page 0.
#[derive(Debug)]
pub(super) struct Page0 {
    pub space: u32,
    pub geometry: Geometry,
    /// The number of pages of the tablespace.
    pub size: u32,
    /// Pages from this one on have never been used.
    pub free_limit: u32,
    /// Whether it is in the state before the file has content, with only page sizes and flags. The contents of the
    /// tablespace are then in the server's memory and in the redo log.
    pub new: bool,
    /// Whether the flags say that it is encrypted. Undo tablespaces may be encrypted without that flag.
    pub encrypted: bool,
    /// Whether it may contain several tables.
    pub shared: bool,
    pub info: Option<EncryptionInfo>,
    /// What it has that is not known here.
    pub unknown: Option<&'static str>,
    pub change: Conversion,
    pub sum: Checksum,
    /// The LSN of its newest change.
    pub lsn: u64,
}

/// Returns the page sizes from the first [`FRONT`] bytes.
///
/// # Errors
/// Says what is wrong with them.
pub(super) fn geometry(front: &[u8]) -> Result<Geometry, &'static str> {
    let flags = be32(front, FLAGS).ok_or("it is too short for a tablespace")?;
    Geometry::from_flags(flags).ok_or("its first page has an impossible page size")
}

/// Whether it is the first page of a tablespace of MariaDB, from 10.5 on: its flags have another meaning, and every page ends
/// with a CRC-32C of all that is before it. Source of the facts: MariaDB's fsp0types.h and buf0checksum.
pub(super) fn is_mariadb(front: &[u8]) -> bool {
    const MARK: u32 = 0x10;
    let check = || {
        let flags = be32(front, FLAGS).filter(|flags| flags & MARK != 0)?;
        let page = front.get(..512 << (flags & 0xf))?;
        let end = page.len().checked_sub(4)?;
        Some(crc32c::crc32c(page.get(..end)?) == be32(page, end)?)
    };
    check().unwrap_or(false)
}

/// Returns the number of pages of the system tablespace and their size, from the first [`FRONT`] bytes of its first file.
pub(super) fn size_of_system(front: &[u8]) -> Option<(u32, usize)> {
    let is_first = be32(front, page::SPACE)? == 0 && be32(front, page::NUMBER)? == 0;
    let geometry = geometry(front).ok().filter(|_| is_first)?;
    Some((be32(front, SIZE)?, geometry.physical))
}

impl Page0 {
    /// Parses a complete page 0. `checked`: whether it must have the right checksum.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn parse(page: &[u8], checked: bool) -> Result<Page0, &'static str> {
        const SHORT: &str = "its first page is truncated";
        let geometry = geometry(page)?;
        let page = part(page, 0, geometry.physical).ok_or(SHORT)?;
        let field = |at| be32(page, at).ok_or(SHORT);
        let space = field(page::SPACE)?;
        let sum = page::sum(page, geometry.zip);
        let kind = be16(page, page::TYPE).ok_or(SHORT)?;
        if checked && sum == Checksum::Bad {
            return Err("its first page has a wrong checksum");
        }
        let size = field(SIZE)?;
        let new = kind == TYPE_ALLOCATED && size == 0;
        if page::form(page) == PageForm::Encrypted || field(page::NUMBER)? != 0 {
            return Err("it does not begin with a tablespace's first page");
        }
        if field(HEADER_SPACE)? != space {
            return Err("its first page has two different tablespace numbers");
        }
        let at = geometry.info_at();
        let info_bytes = page.get(at..).unwrap_or_default();
        let info = EncryptionInfo::parse(info_bytes)?;
        let flags = field(FLAGS)?;
        let encrypted = flags >> 13 & 1 == 1;
        let unclear = encrypted && info.is_none() && !info_bytes.get(..MAX_LEN).is_none_or(is_zero);
        let unknown = unknown_kind(info_bytes)
            .or(unclear.then_some("it has encryption information of a kind that is not known here"));
        let done = be32(page, at + CHANGE + 1).unwrap_or(0);
        let change = match page.get(at + CHANGE) {
            Some(1) => Conversion::Encrypting(done),
            Some(2) => Conversion::Decrypting(done),
            _ => Conversion::None,
        };
        Ok(Page0 {
            space,
            geometry,
            size,
            free_limit: field(FREE_LIMIT)?,
            new,
            encrypted,
            shared: flags >> 11 & 1 == 1,
            info,
            unknown,
            change,
            sum,
            lsn: be64(page, page::LSN).ok_or(SHORT)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(logical_code: u32, zip_code: u32) -> u32 {
        logical_code << 6 | zip_code << 1
    }

    #[test]
    fn sizes_and_places_are_those_of_real_files() {
        // Read off files of MySQL 9.7.4: tests in mysql-plugin-tests/server/verify_datadir.rs.
        for (logical_code, zip_code, logical, physical, at) in [
            (0, 0, 16384, 16384, 10390),
            (5, 0, 16384, 16384, 10390),
            (3, 0, 4096, 4096, 1558),
            (4, 0, 8192, 8192, 3734),
            (6, 0, 32768, 32768, 20630),
            (7, 0, 65536, 65536, 41110),
            (0, 4, 16384, 8192, 5270),
            (0, 3, 16384, 4096, 2710),
            (0, 1, 16384, 1024, 790),
            (0, 5, 16384, 16384, 10390),
            (4, 3, 8192, 4096, 1942),
        ] {
            let geometry = Geometry::from_flags(flags(logical_code, zip_code)).unwrap();
            assert_eq!(geometry, Geometry { logical, physical, zip: zip_code > 0 });
            assert_eq!(geometry.info_at(), at, "{geometry:?}");
            assert!(at + CHANGE + 5 <= physical, "{geometry:?}");
        }
    }

    #[test]
    fn impossible_flags_are_refused_and_none_panics() {
        for (logical_code, zip_code) in [(1, 0), (2, 0), (8, 0), (15, 0), (3, 5), (0, 6), (7, 7), (0, 15)] {
            assert_eq!(
                Geometry::from_flags(flags(logical_code, zip_code)),
                None,
                "{logical_code} {zip_code}"
            );
        }
        assert_eq!(Geometry::from_flags(1 << 15), None);
        for flags in 0..=0xffff {
            if let Some(geometry) = Geometry::from_flags(flags) {
                assert!(geometry.info_at() + CHANGE + 5 <= geometry.physical);
            }
        }
    }
}
