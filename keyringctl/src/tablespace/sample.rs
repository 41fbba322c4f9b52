// SPDX-License-Identifier: GPL-2.0-or-later
//! A look at a tablespace's file right after the server has changed its encryption. It needs no key and little time.

use super::file_report::FormCounts;
use super::geometry::DEFAULT_PAGE;
use super::page;
use super::page0::{self, Conversion, Page0};
use super::read::DataFile;
use std::io;
use std::path::Path;

/// The number of pages that are read.
const PAGES: u64 = 64;

/// What a part of a tablespace's pages shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// An encryption or decryption in place is not complete.
    pub converting: bool,
    /// The pages that were read, without the first.
    pub forms: FormCounts,
}

/// Reads pages from all over a tablespace's file. The server may still have to write some of them; those count as empty.
///
/// # Errors
/// The file cannot be read.
pub fn sample(path: &Path) -> io::Result<Sample> {
    let source = DataFile::open(path)?;
    let front = source.read(0, DEFAULT_PAGE)?;
    let size = page0::geometry(&front).map_or(DEFAULT_PAGE, |g| g.physical);
    let first = source.read(0, size)?;
    let converting = Page0::parse(&first, false).is_ok_and(|page| page.change != Conversion::None);
    let mut forms = FormCounts::default();
    let all = source.len() / size as u64;
    // The first pages hold the roots of indexes; the rest is sampled.
    let near = 1..all.min(PAGES / 2);
    let far = (PAGES / 2..PAGES).map(|i| i * all / PAGES).filter(|at| *at >= near.end);
    for at in near.clone().chain(far) {
        let bytes = source.read(at * size as u64, size)?;
        if bytes.len() == size {
            forms.count(page::form(&bytes));
        }
    }
    Ok(Sample { converting, forms })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: u16 = 17855;
    const ENCRYPTED: u16 = 15;

    fn page(kind: u16) -> Vec<u8> {
        let mut page = vec![0; DEFAULT_PAGE];
        page[page::TYPE..page::TYPE + 2].copy_from_slice(&kind.to_be_bytes());
        page[DEFAULT_PAGE / 2] = 7;
        page
    }

    #[test]
    fn an_unencrypted_page_is_seen_among_encrypted_ones() {
        let file = |pages: &[Vec<u8>]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), pages.concat()).unwrap();
            let sampled = sample(file.path()).unwrap();
            assert!(!sampled.converting);
            let FormCounts { encrypted, clear, empty, .. } = sampled.forms;
            (encrypted, clear, empty)
        };
        let mut pages = vec![page(8), page(ENCRYPTED), vec![0; DEFAULT_PAGE]];
        assert_eq!(file(&pages), (1, 0, 1));
        pages.push(page(INDEX));
        assert_eq!(file(&pages), (1, 1, 1));
        assert_eq!(file(&pages[..1]), (0, 0, 0));
        // Of a large file, only some are read.
        let pages: Vec<_> = std::iter::repeat_with(|| page(ENCRYPTED)).take(500).collect();
        let (encrypted, ..) = file(&pages);
        assert!((PAGES / 2..=PAGES).contains(&encrypted), "{encrypted}");
        assert!(sample(Path::new("/nowhere/t.ibd")).is_err());
    }
}
