// SPDX-License-Identifier: GPL-2.0-or-later
//! Decrypts every page of a tablespace, with several threads if it is large.

use super::clear::MOST_BAD;
use super::file_report::PageCounts;
use super::info::SpaceKey;
use super::page::{self, PageForm, PageRoom, Proof};
use super::page0::Page0;
use super::read::DataFile;
use super::verdict::FileVerdict;
use crate::readers::Readers;
use std::io;

pub(super) const NO_CHECKSUM: &str =
    "its pages have no checksums to show whether they were decrypted correctly";

/// A tablespace with the key from its header.
pub(super) struct Space<'a> {
    pub source: &'a DataFile,
    pub page0: &'a Page0,
    pub key: &'a SpaceKey,
    /// The number of pages.
    pub limit: u32,
}

impl Space<'_> {
    pub(super) fn opens(&self, page: &[u8], number: u32, room: &mut PageRoom) -> Proof {
        page::opens(page, number, self.page0.space, self.page0.geometry, self.key, room)
    }

    /// Decrypts all pages.
    pub(super) fn prove_all(&self, readers: &Readers, verdict: &mut FileVerdict) -> io::Result<()> {
        let size = self.page0.geometry.physical;
        let until = u64::from(self.limit) * size as u64;
        let ranges =
            self.source.each_part(readers, size, until, |range: &mut Proved, number, page, room| {
                // Page 0 is never encrypted.
                if number == 0 { Ok(()) } else { self.prove_page(number as u32, page, range, room) }
            })?;
        let mut counts = PageCounts::default();
        let (mut bad, mut broken) = (Vec::new(), Vec::new());
        for range in ranges {
            counts.add(&range.counts);
            bad.extend(range.bad);
            broken.extend(range.broken);
            verdict.checked_page = verdict.checked_page.or(range.first);
            verdict.saw(&range.seen.to_be_bytes());
        }
        bad.truncate(MOST_BAD);
        broken.truncate(MOST_BAD);
        if counts.without_checksum > 0 {
            verdict.note(NO_CHECKSUM);
        }
        verdict.in_clear |= counts.clear > 0;
        if counts.clear > 0 {
            verdict.note(format!("{} of its pages are unencrypted", counts.clear));
        }
        if !broken.is_empty() {
            verdict.broken_pages(&broken);
        }
        if !bad.is_empty() {
            verdict.bad_pages(&bad, verdict.checked_page);
        }
        verdict.pages = Some(counts);
        Ok(())
    }

    fn prove_page(
        &self,
        number: u32,
        page: &[u8],
        range: &mut Proved,
        room: &mut PageRoom,
    ) -> io::Result<()> {
        let size = self.page0.geometry.physical;
        let again = || self.source.read(u64::from(number) * size as u64, size);
        let is_whole = |page: &[u8]| page::is_whole(page, number, self.page0.geometry);
        let proof = match page::form(page) {
            PageForm::Empty => {
                range.counts.empty += 1;
                return Ok(());
            }
            PageForm::Clear if is_whole(page) => {
                range.counts.clear += 1;
                return Ok(());
            }
            PageForm::Clear => {
                let page = again()?;
                match page::form(&page) {
                    PageForm::Clear if is_whole(&page) => {
                        range.counts.clear += 1;
                        return Ok(());
                    }
                    PageForm::Encrypted => self.opens(&page, number, room),
                    _ => {
                        range.saw_damaged(&page);
                        if range.broken.len() < MOST_BAD {
                            range.broken.push(number);
                        }
                        return Ok(());
                    }
                }
            }
            PageForm::Encrypted => match self.opens(page, number, room) {
                // A page that was being written is complete the second time.
                Proof::Fails => self.opens(&again()?, number, room),
                proof => proof,
            },
        };
        match proof {
            Proof::Opens => {
                range.counts.encrypted += 1;
                range.first.get_or_insert(u64::from(number));
            }
            Proof::NoChecksum => range.counts.without_checksum += 1,
            Proof::Fails => {
                range.saw_damaged(page);
                if range.bad.len() < MOST_BAD {
                    range.bad.push(number);
                }
            }
        }
        Ok(())
    }
}

/// What the pages of a range show.
#[derive(Default)]
struct Proved {
    counts: PageCounts,
    /// The first pages that the key does not decrypt, and the first unencrypted ones that are damaged.
    bad: Vec<u32>,
    broken: Vec<u32>,
    /// The first page that the key decrypts.
    first: Option<u64>,
    /// A checksum of damaged pages.
    seen: u32,
}

impl Proved {
    fn saw_damaged(&mut self, page: &[u8]) {
        self.counts.damaged += 1;
        self.seen = crc32c::crc32c_append(self.seen, page);
    }
}

#[cfg(test)]
mod tests {
    use crate::tablespace::bytes::put;
    use crate::tablespace::samples::{PAGE, SampleKeys, seal, table};
    use crate::tablespace::tests::Dir;
    use crate::tablespace::{Depth, FileState, PageCounts};

    #[test]
    fn pages_of_a_large_tablespace_are_judged_in_their_order() {
        // Of several ranges, which several threads check.
        const PAGES: usize = 10_000;
        let mut file = table();
        file.resize(PAGES * PAGE, 0);
        put(&mut file, 46, &(PAGES as u32).to_be_bytes());
        seal(&mut file[..PAGE]);
        let encrypted = file[4 * PAGE..5 * PAGE].to_vec();
        // The page in places that are not its own, and unencrypted pages that are damaged, from the end to the beginning.
        for (first, page) in [(9_990, &encrypted[..]), (9_989, &[7; PAGE])] {
            (0..9).map(|i| first - i * 1000).for_each(|at| put(&mut file, at * PAGE, page));
        }
        let report = Dir::with("t.ibd", &file).check(&SampleKeys::all(), Depth::EveryPage).remove(0);
        assert_eq!((report.state, report.checked_page), (FileState::Damaged, Some(1)), "{report:?}");
        let counts = PageCounts {
            encrypted: 3,
            empty: PAGES as u64 - 1 - 3 - 18,
            damaged: 18,
            ..PageCounts::default()
        };
        assert_eq!(report.pages, Some(counts));
        let notes = report.notes.join("\n");
        assert!(notes.contains("for example 1989, 2989, 3989, 4989: they are not encrypted"), "{notes}");
        assert!(notes.contains("for example 1990, 2990, 3990, 4990; its key is right"), "{notes}");
    }
}
