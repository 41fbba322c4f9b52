// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the pages of a tablespace that is not encrypted.

use super::bytes::be32;
use super::file_report::DataFileKind;
use super::page::{self, PageForm};
use super::page0::Page0;
use super::read::DataFile;
use super::verdict::FileVerdict;
use crate::readers::Readers;
use std::io;

/// The search stops after this many pages that cannot be decrypted.
pub(super) const MOST_BAD: usize = 4;

/// Checks all pages of an unencrypted tablespace. Encrypted ones can be left over, unused, from before it was decrypted.
pub(super) fn check(
    source: &DataFile,
    page0: &Page0,
    limit: u32,
    readers: &Readers,
    verdict: &mut FileVerdict,
) -> io::Result<()> {
    let size = page0.geometry.physical;
    let copies = match verdict.kind {
        DataFileKind::System => doublewrite_buffer(source, size)?,
        _ => [0..0, 0..0],
    };
    let is_fine = |page: &[u8], number| {
        page::form(page) != PageForm::Clear || page::is_whole(page, number, page0.geometry)
    };
    #[derive(Default)]
    struct Broken {
        pages: Vec<u32>,
        seen: u32,
    }
    let ranges = source.each_part(
        readers,
        size,
        u64::from(limit) * size as u64,
        |range: &mut Broken, at, page, _: &mut ()| {
            let number = at as u32;
            if page.len() < size
                || copies.iter().any(|copies| copies.contains(&number))
                || is_fine(page, number)
            {
                return Ok(());
            }
            // A page that was being written is complete the second time.
            let again = source.read(at * size as u64, size)?;
            if !is_fine(&again, number) {
                range.seen = crc32c::crc32c_append(range.seen, &again);
                if range.pages.len() < MOST_BAD {
                    range.pages.push(number);
                }
            }
            Ok(())
        },
    )?;
    ranges.iter().for_each(|range| verdict.saw(&range.seen.to_be_bytes()));
    let broken: Vec<_> = ranges.iter().flat_map(|range| &range.pages).take(MOST_BAD).copied().collect();
    if !broken.is_empty() {
        verdict.broken_pages(&broken);
    }
    Ok(())
}

/// Returns the pages of the system tablespace that hold copies of other pages: the doublewrite buffer of servers before
/// 8.0.20. Page 5 says where its two blocks are, each of 1 MiB or 64 pages.
/// Source of the facts: MySQL's trx0types.h.
fn doublewrite_buffer(source: &DataFile, size: usize) -> io::Result<[std::ops::Range<u32>; 2]> {
    const PAGE: u64 = 5;
    const FROM_END: usize = 200;
    const MAGIC: u32 = 536_853_855;
    let page = source.read(PAGE * size as u64, size)?;
    let field = |at| be32(&page, size - FROM_END + at).unwrap_or(0);
    let pages = (1024 * 1024 / size).max(64) as u32;
    let block = |at| match field(10) {
        MAGIC => field(at)..field(at).saturating_add(pages),
        _ => 0..0,
    };
    Ok([block(14), block(18)])
}
