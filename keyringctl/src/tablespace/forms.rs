// SPDX-License-Identifier: GPL-2.0-or-later
//! Counts the encrypted and unencrypted pages or blocks of a file by what each claims. It needs no key, so it cannot check
//! whether a key decrypts them.

use super::bytes::{be16, be32, be64, is_zero};
use super::doublewrite;
use super::file_report::{DataFileKind, FormCounts};
use super::geometry::DEFAULT_PAGE;
use super::page::{self, NUMBER, PageForm, SPACE, TYPE, TYPE_RTREE};
use super::page0;
use super::read::DataFile;
use super::redo;
use crate::readers::Readers;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often a page that a server may be writing is read, and the pause between.
const READINGS: usize = 3;
const PAUSE: Duration = Duration::from_millis(2);

/// Counts the pages of a tablespace, without its first one, or of a doublewrite file, or the blocks of a redo log file.
/// Returns `None` for other files.
///
/// # Errors
/// The file cannot be read.
pub fn count_forms(path: &Path, kind: DataFileKind) -> io::Result<Option<FormCounts>> {
    count(path, kind, &Readers::new())
}

/// Like [`count_forms`], with threads of `readers`.
///
/// # Errors
/// The file cannot be read.
pub(super) fn count(path: &Path, kind: DataFileKind, readers: &Readers) -> io::Result<Option<FormCounts>> {
    match kind {
        DataFileKind::Table | DataFileKind::General | DataFileKind::Dictionary | DataFileKind::Undo => {
            count_pages(&DataFile::open(path)?, &page::form, true, readers).map(Some)
        }
        DataFileKind::System => {
            count_pages(&DataFile::open(path)?, &form_in_system, false, readers).map(Some)
        }
        DataFileKind::Redo => count_blocks(&DataFile::open(path)?, readers).map(Some),
        DataFileKind::Doublewrite => doublewrite::count(&DataFile::open(path)?, path).map(Some),
        _ => Ok(None),
    }
}

/// What a range of pages or blocks shows.
#[derive(Default)]
struct Counted {
    forms: FormCounts,
    /// Pages to be read again.
    doubtful: Vec<u32>,
}

/// Counts pages. `checked`: whether unencrypted ones must have the right number and checksum.
fn count_pages(
    source: &DataFile,
    form: &(dyn Fn(&[u8]) -> PageForm + Sync),
    checked: bool,
    readers: &Readers,
) -> io::Result<FormCounts> {
    let front = source.read(0, DEFAULT_PAGE)?;
    let geometry = page0::geometry(&front).ok();
    let size = geometry.map_or(DEFAULT_PAGE, |g| g.physical);
    let is_whole =
        |page: &[u8], number| geometry.is_some_and(|geometry| page::is_whole(page, number, geometry));
    let ranges =
        source.each_part(readers, size, source.len(), |range: &mut Counted, at, page, _: &mut ()| {
            let number = at as u32;
            // Page 0 is never encrypted, and contains no rows.
            if at == 0 || page.len() < size {
                return Ok(());
            }
            match form(page) {
                PageForm::Clear if checked && !is_whole(page, number) => range.doubtful.push(number),
                form => range.forms.count(form),
            }
            Ok(())
        })?;
    let mut forms = sum(&ranges);
    // A page that was being written is complete another time.
    for number in ranges.iter().flat_map(|range| &range.doubtful).copied() {
        let again = || source.read(u64::from(number) * size as u64, size);
        let mut page = again()?;
        for _ in 1..READINGS {
            if form(&page) != PageForm::Clear || is_whole(&page, number) {
                break;
            }
            std::thread::sleep(PAUSE);
            page = again()?;
        }
        match form(&page) {
            PageForm::Clear if !is_whole(&page, number) => forms.damaged += 1,
            form => forms.count(form),
        }
    }
    Ok(forms)
}

/// Counts also blocks that are left over from an earlier use of the file: they are on the disk.
fn count_blocks(source: &DataFile, readers: &Readers) -> io::Result<FormCounts> {
    const FIRST: u64 = (redo::HEADER / redo::BLOCK) as u64;
    let ranges = source.each_part(
        readers,
        redo::BLOCK,
        source.len(),
        |range: &mut Counted, at, block, _: &mut ()| {
            if at < FIRST || block.len() < redo::BLOCK {
                return Ok(());
            }
            let is_encrypted = be16(block, redo::LEN).is_some_and(|len| len & redo::ENCRYPTED != 0);
            let data = block.get(redo::DATA..redo::SUM).unwrap_or_default();
            range.forms.count(match is_encrypted {
                true => PageForm::Encrypted,
                false if holds_more_than(data, 0) => PageForm::Clear,
                false => PageForm::Empty,
            });
            Ok(())
        },
    )?;
    Ok(sum(&ranges))
}

fn sum(ranges: &[Counted]) -> FormCounts {
    let mut sum = FormCounts::default();
    ranges.iter().for_each(|range| sum.add(&range.forms));
    sum
}

fn holds_more_than(bytes: &[u8], count: usize) -> bool {
    bytes.iter().filter(|byte| **byte != 0).nth(count).is_some()
}

// Types of pages that contain index entries or parts of long values.
const TYPE_INDEX: u16 = 17855;
const TYPE_CHANGE_BUFFER_FREE: u16 = 4;
const TYPES_OF_LONG_VALUES: [std::ops::RangeInclusive<u16>; 2] = [10..=13, 18..=28];
/// Where the entries of an index page begin, after its headers and its smallest and largest entry.
const ENTRIES: usize = 120;
/// This few bytes are not an entry, because an entry has a header.
const LEAST: usize = 16;
/// The end of a page: directory and trailer.
const END: usize = 16;

/// Returns the form of a page of the system tablespace. It is unencrypted only if it contains index entries or parts of
/// values; all other pages hold InnoDB's own structures.
fn form_in_system(page: &[u8]) -> PageForm {
    let kind = be16(page, TYPE).unwrap_or(0);
    let holds_data = match kind {
        TYPE_INDEX | TYPE_RTREE | TYPE_CHANGE_BUFFER_FREE => true,
        _ => TYPES_OF_LONG_VALUES.iter().any(|types| types.contains(&kind)),
    };
    // A copy of another tablespace's page, in the doublewrite buffer of servers before 8.0.20.
    let is_copy =
        be32(page, SPACE).is_some_and(|space| space != 0) && be64(page, NUMBER).is_some_and(|n| n != 0);
    let end = page.len().saturating_sub(END);
    let data = page.get(ENTRIES..end).unwrap_or_default();
    if is_zero(page) {
        PageForm::Empty
    } else if page::form(page) == PageForm::Encrypted {
        PageForm::Encrypted
    } else if (holds_data || is_copy) && holds_more_than(data, LEAST) {
        PageForm::Clear
    } else {
        PageForm::Empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tablespace::bytes::put;

    fn page(kind: u16, fill: u8) -> Vec<u8> {
        let mut page = vec![fill; DEFAULT_PAGE];
        put(&mut page, NUMBER, &[0, 0, 0, 5, 0, 0, 0, 0]);
        put(&mut page, SPACE, &[0; 4]);
        put(&mut page, TYPE, &kind.to_be_bytes());
        page
    }

    #[test]
    fn pages_of_the_system_tablespace_with_data_of_tables_are_unencrypted() {
        assert_eq!(form_in_system(&vec![0; DEFAULT_PAGE]), PageForm::Empty);
        assert_eq!(form_in_system(&page(TYPE_INDEX, b'x')), PageForm::Clear);
        assert_eq!(form_in_system(&page(TYPE_INDEX, 0)), PageForm::Empty);
        assert_eq!(form_in_system(&page(TYPE_CHANGE_BUFFER_FREE, b'x')), PageForm::Clear);
        assert_eq!(form_in_system(&page(22, b'x')), PageForm::Clear);
        // InnoDB's own structures: the transaction system, file segments.
        assert_eq!(form_in_system(&page(7, b'x')), PageForm::Empty);
        let mut copy = page(7, b'x');
        put(&mut copy, SPACE, &[0, 0, 0, 9]);
        assert_eq!(form_in_system(&copy), PageForm::Clear);
    }

    #[test]
    fn pages_and_blocks_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ibd");
        let mut clear = page(TYPE_INDEX, 1);
        put(&mut clear, NUMBER, &[0, 0, 0, 2]);
        crate::tablespace::samples::seal(&mut clear);
        let pages = [page(8, 0), page(15, 1), clear.clone(), vec![0; DEFAULT_PAGE], vec![7; DEFAULT_PAGE]];
        // Page 2 in the place of page 5.
        let pages = [&pages.concat()[..], &clear].concat();
        std::fs::write(&path, pages).unwrap();
        let wanted = FormCounts { encrypted: 1, clear: 1, empty: 1, damaged: 2 };
        assert_eq!(count_forms(&path, DataFileKind::Table).unwrap(), Some(wanted));
        assert_eq!(count_forms(&path, DataFileKind::Temporary).unwrap(), None);

        // Blocks by their form: clear (C), encrypted (E), only a header (H).
        let counted = |blocks: &str| {
            let mut log = vec![0; redo::HEADER];
            for c in blocks.chars() {
                let mut block = vec![0; redo::BLOCK];
                put(&mut block, 0, &[1; 4]);
                match c {
                    'C' => put(&mut block, redo::DATA, b"Astrid"),
                    'E' => put(&mut block, redo::LEN, &[0x80, 50]),
                    _ => put(&mut block, redo::LEN, &[0, 12]),
                }
                log.extend(block);
            }
            std::fs::write(&path, log).unwrap();
            let FormCounts { encrypted, clear, empty, .. } =
                count_forms(&path, DataFileKind::Redo).unwrap().unwrap();
            (encrypted, clear, empty)
        };
        assert_eq!(counted("CCEHE"), (2, 2, 1));
        assert_eq!(counted("EHC"), (1, 1, 1));
    }

    #[test]
    fn pages_of_a_large_file_are_counted_in_several_ranges() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut clear = page(TYPE_INDEX, 1);
        put(&mut clear, NUMBER, &[0, 0, 4, 0]);
        crate::tablespace::samples::seal(&mut clear);
        let mut pages = [page(8, 0), page(15, 1).repeat(1999)].concat();
        // The page with its number is whole; in other places it is not.
        for at in [100, 1024, 1999] {
            put(&mut pages, at * DEFAULT_PAGE, &clear);
            put(&mut pages, (at - 1) * DEFAULT_PAGE, &[0; DEFAULT_PAGE]);
        }
        std::fs::write(file.path(), pages).unwrap();
        let wanted = FormCounts { encrypted: 1999 - 6, clear: 1, empty: 3, damaged: 2 };
        assert_eq!(count_forms(file.path(), DataFileKind::Table).unwrap(), Some(wanted));
    }
}
