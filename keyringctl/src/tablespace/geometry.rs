// SPDX-License-Identifier: GPL-2.0-or-later
//! The sizes of a tablespace's pages.

/// The largest page.
pub(super) const MAX_PAGE: usize = 64 * 1024;
/// The page size that flags do not record.
pub(super) const DEFAULT_PAGE: usize = 16 * 1024;

/// Where in page 0 the extent descriptors begin.
const DESCRIPTORS: usize = 150;

/// The sizes of a tablespace's pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Geometry {
    /// Bytes of a page in memory.
    pub logical: usize,
    /// Bytes of a page in the file; with ROW_FORMAT=COMPRESSED, possibly fewer.
    pub physical: usize,
    /// Whether pages are compressed by ROW_FORMAT=COMPRESSED and have a different checksum.
    pub zip: bool,
}

impl Geometry {
    /// Decodes a tablespace's flags; `None` if no tablespace has such flags.
    pub(super) fn from_flags(flags: u32) -> Option<Geometry> {
        // Bits above 14 are not used.
        if flags >> 15 != 0 {
            return None;
        }
        // 0 is the default, n is 512 bytes doubled n times.
        let size = |code: u32| (code > 0).then(|| 512usize << code);
        let logical = size(flags >> 6 & 0xf).unwrap_or(DEFAULT_PAGE);
        let zip = size(flags >> 1 & 0xf);
        let physical = zip.unwrap_or(logical);
        let smallest = if zip.is_some() { 1024 } else { 4096 };
        let largest = if zip.is_some() { DEFAULT_PAGE.min(logical) } else { MAX_PAGE };
        let sizes = (4096..=MAX_PAGE).contains(&logical) && (smallest..=largest).contains(&physical);
        sizes.then_some(Geometry { logical, physical, zip: zip.is_some() })
    }

    /// Returns the offset of the encryption information in page 0.
    pub(super) fn info_at(self) -> usize {
        // One extent descriptor covers 1 MiB, but at least 64 pages.
        let extent = (1024 * 1024 / self.logical).max(64);
        // A descriptor has 24 bytes, and two bits for each page.
        let descriptor = 24 + extent / 4;
        DESCRIPTORS + descriptor * (self.physical / extent)
    }
}
