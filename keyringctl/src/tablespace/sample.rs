// SPDX-License-Identifier: GPL-2.0-or-later
//! A look at a tablespace's file right after the server has changed its encryption. It needs no key and little time.

use super::forms::FormCounts;
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
