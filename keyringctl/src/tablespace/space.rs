// SPDX-License-Identifier: GPL-2.0-or-later
//! Judges one tablespace: checks its first page, unwraps its key, and decrypts pages with it.

use super::bytes::be32;
use super::clear::{self, MOST_BAD};
use super::every_page::{NO_CHECKSUM, Space};
use super::file_report::{DataFileKind, FileState};
use super::geometry::{Geometry, MAX_PAGE};
use super::info::SpaceKey;
use super::keys::MasterKeys;
use super::page::{self, PageForm, PageRoom, Proof};
use super::page0::{self, Conversion, FRONT, Page0};
use super::read::DataFile;
use super::verdict::{FileVerdict, Opening, open_info};
use crate::readers::Readers;
use crate::show::counted;
use std::io;

/// How much of each file is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Depth {
    /// The header and one decrypted page, so the time does not depend on file sizes.
    #[default]
    OnePage,
    /// Every page decrypted.
    EveryPage,
}

/// Bytes that are read first: page 0 with the default size.
const FIRST: usize = 16 * 1024;
/// How many pages are checked to find an encrypted one: `NEAR` at the beginning, then `SPREAD` over the whole file.
const NEAR: u32 = 40;
const SPREAD: u32 = 64;

/// A tablespace whose key is known, for copies of its pages in other files.
pub(super) struct OpenSpace<'a> {
    pub space: u32,
    pub geometry: Geometry,
    pub key: &'a SpaceKey,
}

/// How a tablespace is opened.
pub(super) struct How<'a> {
    pub keys: &'a dyn MasterKeys,
    /// Reads the transfer key beside it, if it has one.
    pub transfer_key: &'a dyn Fn() -> io::Result<Option<SpaceKey>>,
    pub depth: Depth,
    /// All changes up to this LSN are in the tablespaces' files.
    pub flushed: u64,
    /// Threads that help with large files.
    pub readers: &'a Readers,
}

/// Judges a tablespace and passes its key to `opened`.
///
/// # Errors
/// The file cannot be read.
pub(super) fn judge(
    source: &DataFile,
    kind: DataFileKind,
    how: &How<'_>,
    opened: &mut dyn FnMut(OpenSpace<'_>),
) -> io::Result<FileVerdict> {
    let mut front = source.read(0, FIRST)?;
    if kind == DataFileKind::Temporary && (front.len() < FRONT || page::form(&front) == PageForm::Empty) {
        return Ok(FileVerdict::new(kind, FileState::Empty));
    }
    if kind == DataFileKind::System && !front.is_empty() && page::form(&front) == PageForm::Empty {
        // A further file that has not been used yet.
        return Ok(FileVerdict::new(kind, FileState::Empty));
    }
    if kind == DataFileKind::System && be32(&front, page::NUMBER).is_some_and(|number| number > 0) {
        // Only the first file of the system tablespace has a header.
        return Ok(FileVerdict::new(kind, FileState::NotEncrypted));
    }
    if front.is_empty() {
        return Ok(FileVerdict::damaged(kind, "it is empty"));
    }
    if page::form(&front) == PageForm::Empty {
        return Ok(FileVerdict::damaged(kind, "its first page is empty"));
    }
    if let Ok(geometry) = page0::geometry(&front)
        && geometry.physical > front.len()
    {
        front = source.read(0, geometry.physical)?;
    }
    let mut verdict = match Page0::parse(&front, kind != DataFileKind::Temporary) {
        Ok(page0) => judge_page0(source, &page0, kind, how, opened)?,
        Err(_) if page0::is_mariadb(&source.read(0, MAX_PAGE)?) => {
            FileVerdict::not_checked(kind, "it is a tablespace of MariaDB")
        }
        Err(why) => FileVerdict::damaged(kind, why),
    };
    verdict.saw(&front);
    Ok(verdict)
}

fn judge_page0(
    source: &DataFile,
    page0: &Page0,
    kind: DataFileKind,
    how: &How<'_>,
    opened: &mut dyn FnMut(OpenSpace<'_>),
) -> io::Result<FileVerdict> {
    let kind = if kind == DataFileKind::Table && page0.shared { DataFileKind::General } else { kind };
    let pages = source.len() / page0.geometry.physical as u64;
    let fixed_size = !matches!(kind, DataFileKind::System | DataFileKind::Temporary);
    if fixed_size && pages < u64::from(page0.size) {
        let why = format!("it is truncated: it has {pages} of {}", counted(page0.size as usize, "page"));
        return Ok(FileVerdict::damaged(kind, why));
    }
    if page0.new {
        let mut verdict = FileVerdict::new(kind, FileState::Empty);
        verdict.note("it is new: its contents are still in the server's memory and redo log");
        return Ok(verdict);
    }
    if let Some(what) = page0.unknown {
        return Ok(FileVerdict::not_checked(kind, what));
    }
    let Some(info) = &page0.info else {
        if page0.encrypted {
            return Ok(FileVerdict::damaged(
                kind,
                "it claims to be encrypted, but contains no encryption information",
            ));
        }
        let mut verdict = FileVerdict::new(kind, FileState::NotEncrypted);
        verdict.in_clear = fixed_size;
        if how.depth == Depth::EveryPage && kind != DataFileKind::Temporary {
            clear::check(source, page0, limit(page0, pages), how.readers, &mut verdict)?;
        }
        return Ok(verdict);
    };
    let mut verdict = FileVerdict::new(kind, FileState::Opened);
    let key = match open_info(info, how.keys)? {
        Opening::Opened(key, id) => {
            verdict.key = Some(id);
            key
        }
        Opening::Public(key) => {
            verdict.state = FileState::NotEncrypted;
            verdict.in_clear = true;
            verdict.note(
                "its key is wrapped with a constant from MySQL's source code: start the server once with its keyring",
            );
            key
        }
        Opening::Missing(id) => {
            verdict.state = FileState::KeyMissing;
            verdict.key = Some(id);
            return open_by_transfer_key(source, page0, pages, how, verdict);
        }
        Opening::Wrong(id) => {
            verdict.state = FileState::WrongKey;
            verdict.key = Some(id);
            if page0.sum == page::Checksum::None {
                verdict.note("its first page has no checksum, so it may be damaged instead");
            }
            return open_by_transfer_key(source, page0, pages, how, verdict);
        }
    };
    let space = Space { source, page0, key: &key, limit: limit(page0, pages) };
    space.prove_to(how, &mut verdict)?;
    if fixed_size && page0.lsn <= how.flushed {
        space.check_first(&mut verdict)?;
    }
    match page0.change {
        Conversion::None => {}
        Conversion::Encrypting(done) => {
            verdict.in_clear = true;
            verdict.note(format!(
                "it is being encrypted: page {done} is done, and the server continues at its next start"
            ));
        }
        Conversion::Decrypting(done) => {
            verdict.in_clear = true;
            verdict.note(format!("it is being decrypted: page {done} is done"));
        }
    }
    if verdict.state == FileState::Opened || verdict.state == FileState::NotEncrypted {
        opened(OpenSpace { space: page0.space, geometry: page0.geometry, key: &key });
    }
    Ok(verdict)
}

/// Returns the number of pages that may be in use.
fn limit(page0: &Page0, pages: u64) -> u32 {
    pages.min(u64::from(page0.size.max(1))).min(u64::from(u32::MAX)) as u32
}

/// Opens a tablespace that the keyring does not open with the transfer key beside it. `verdict` is that on the keyring.
fn open_by_transfer_key(
    source: &DataFile,
    page0: &Page0,
    pages: u64,
    how: &How<'_>,
    mut verdict: FileVerdict,
) -> io::Result<FileVerdict> {
    let Some(key) = (how.transfer_key)()? else { return Ok(verdict) };
    let mut opened = FileVerdict::new(verdict.kind, FileState::Opened);
    Space { source, page0, key: &key, limit: limit(page0, pages) }.prove_to(how, &mut opened)?;
    if opened.checked_page.is_none() {
        verdict.note("nor does the transfer key in the .cfp file beside it decrypt it");
        return Ok(verdict);
    }
    opened.key = verdict.key;
    opened.by_transfer_key = true;
    opened.note("opened with the transfer key in the .cfp file beside it, not with the keyring: a server reads it after ALTER TABLE ... IMPORT TABLESPACE");
    Ok(opened)
}

impl Space<'_> {
    fn prove_to(&self, how: &How<'_>, verdict: &mut FileVerdict) -> io::Result<()> {
        match how.depth {
            Depth::OnePage => self.prove(verdict),
            Depth::EveryPage => self.prove_all(how.readers, verdict),
        }
    }

    /// Looks for one encrypted page and decrypts it.
    fn prove(&self, verdict: &mut FileVerdict) -> io::Result<()> {
        let size = self.page0.geometry.physical;
        let used = if self.page0.free_limit > 0 { self.limit.min(self.page0.free_limit) } else { self.limit };
        // Begin with the first pages of tables; pages 1 and 2 describe the tablespace.
        let near = [4, 3].into_iter().chain(5..NEAR).chain([2, 1]);
        let spread = (0..SPREAD).map(|i| NEAR + (u64::from(i) * u64::from(used) / u64::from(SPREAD)) as u32);
        let (mut bad, mut broken): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        let (mut clear, mut checked, mut unproved) = (0, 0, 0);
        let mut room = PageRoom::default();
        for number in near.chain(spread).filter(|number| *number < used) {
            let page = self.source.read(u64::from(number) * size as u64, size)?;
            checked += 1;
            let proof = match page::form(&page) {
                PageForm::Empty => continue,
                PageForm::Clear if page::is_whole(&page, number, self.page0.geometry) => {
                    clear += 1;
                    continue;
                }
                PageForm::Clear => {
                    verdict.saw(&page);
                    broken.push(number);
                    if broken.len() >= MOST_BAD {
                        break;
                    }
                    continue;
                }
                PageForm::Encrypted => self.opens(&page, number, &mut room),
            };
            match proof {
                Proof::Opens => drop(verdict.checked_page.get_or_insert(u64::from(number))),
                Proof::NoChecksum => unproved += 1,
                Proof::Fails => {
                    verdict.saw(&page);
                    bad.push(number);
                    if bad.len() >= MOST_BAD {
                        break;
                    }
                }
            }
            // A table is encrypted as a whole. Other tablespaces may be encrypted in place, page by page.
            if verdict.kind == DataFileKind::Table && proof != Proof::Fails {
                break;
            }
        }
        if clear > 0 {
            verdict.in_clear = true;
            verdict.note(format!("{clear} of {checked} checked pages are unencrypted"));
        }
        if !broken.is_empty() {
            verdict.broken_pages(&broken);
        }
        match (&bad[..], verdict.checked_page) {
            ([], Some(_)) => {}
            ([], None) if !broken.is_empty() => {}
            ([], None) if unproved > 0 => verdict.note(NO_CHECKSUM),
            ([], None) => verdict.note(format!("none of the {checked} checked pages is encrypted")),
            (bad, good) => verdict.bad_pages(bad, good),
        }
        Ok(())
    }

    /// Checks that the pages are there which the server writes when it creates a tablespace.
    fn check_first(&self, verdict: &mut FileVerdict) -> io::Result<()> {
        let size = self.page0.geometry.physical;
        let used = self.limit.min(self.page0.free_limit);
        for number in (1..=2).filter(|number| *number < used) {
            let page = self.source.read(u64::from(number) * size as u64, size)?;
            if page::form(&page) == PageForm::Empty {
                verdict.state = FileState::Damaged;
                verdict.note(format!(
                    "its page {number} is empty, which no tablespace's is: it was lost or overwritten"
                ));
                return Ok(());
            }
        }
        Ok(())
    }
}
