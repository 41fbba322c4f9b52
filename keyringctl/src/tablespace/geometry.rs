// SPDX-License-Identifier: GPL-2.0-or-later
//! The sizes of a tablespace's pages.

/// The largest page.
pub(super) const MAX_PAGE: usize = 64 * 1024;
/// The page size that is not written down.
pub(super) const DEFAULT_PAGE: usize = 16 * 1024;

/// Where in page 0 the extent descriptors begin.
const DESCRIPTORS: usize = 150;

/// The sizes of a tablespace's pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Geometry {
    /// Bytes of a page in memory.
    pub logical: usize,
    /// Bytes of a page in the file: with ROW_FORMAT=COMPRESSED they may be fewer.
    pub physical: usize,
    /// Whether pages are compressed by ROW_FORMAT=COMPRESSED: these have another checksum.
    pub zip: bool,
}

impl Geometry {
    /// From the tablespace's flags; `None` when no tablespace has such flags.
    pub fn from_flags(flags: u32) -> Option<Geometry> {
        // Above bit 14 there is nothing.
        if flags >> 15 != 0 {
            return None;
        }
        // 0 stands for the default, n for 512 bytes doubled n times.
        let size = |code: u32| (code > 0).then(|| 512usize << code);
        let logical = size(flags >> 6 & 0xf).unwrap_or(DEFAULT_PAGE);
        let zip = size(flags >> 1 & 0xf);
        let physical = zip.unwrap_or(logical);
        let smallest = if zip.is_some() { 1024 } else { 4096 };
        let largest = if zip.is_some() { DEFAULT_PAGE.min(logical) } else { MAX_PAGE };
        let sizes = (4096..=MAX_PAGE).contains(&logical) && (smallest..=largest).contains(&physical);
        sizes.then_some(Geometry { logical, physical, zip: zip.is_some() })
    }

    /// Where in page 0 the encryption information begins.
    pub fn info_at(self) -> usize {
        // Pages that one extent descriptor speaks of: 1 MiB of them, but at least 64.
        let extent = (1024 * 1024 / self.logical).max(64);
        // A descriptor has 24 bytes and two bits for each page.
        let descriptor = 24 + extent / 4;
        DESCRIPTORS + descriptor * (self.physical / extent)
    }
}
