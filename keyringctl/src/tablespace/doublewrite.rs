// SPDX-License-Identifier: GPL-2.0-or-later
//! Judges a doublewrite file. It contains copies of pages in the form in which they are written to tablespaces: unencrypted,
//! or encrypted with the tablespace's key. They remain until other pages overwrite them.

use super::bytes::be32;
use super::file_report::{DataFileKind, FileState, FormCounts};
use super::geometry::{DEFAULT_PAGE, Geometry, MAX_PAGE};
use super::info::SpaceKey;
use super::page::{self, NUMBER, PageForm, PageRoom, Proof, SPACE};
use super::read::DataFile;
use super::space::OpenSpace;
use super::verdict::FileVerdict;
use keyring_external::secret::{Vault, VaultPlace};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::Path;

/// Only this many bytes of a larger file are read. The server creates files of a few MiB.
const MOST: u64 = 256 * 1024 * 1024;
/// Tablespaces with numbers from here on are temporary,
const TEMPORARY: u32 = 0xf000_0000;
/// except these, which are undo tablespaces.
const UNDO: std::ops::RangeInclusive<u32> = 0xffff_fe00..=0xffff_fff0;

/// The keys of tablespaces with pages in doublewrite files.
#[derive(Default)]
pub(super) struct SpaceKeys {
    wanted: HashSet<u32>,
    vault: Vault,
    /// By number, of which several servers may have the same.
    open: HashMap<u32, Vec<(VaultPlace, Geometry)>>,
}

impl SpaceKeys {
    /// Records which tablespaces have encrypted pages in a doublewrite file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn want(&mut self, path: &Path) -> io::Result<()> {
        let source = DataFile::open(path)?;
        each_page(&source, path, |page| {
            if let (PageForm::Encrypted, Some(space)) = (page::form(page), be32(page, SPACE)) {
                self.wanted.insert(space);
            }
        })
    }

    /// Keeps the key of a tablespace if it is needed here.
    ///
    /// # Errors
    /// The system has no memory.
    pub(super) fn keep(&mut self, space: &OpenSpace<'_>) -> io::Result<()> {
        if self.wanted.contains(&space.space) {
            let place = self.vault.reserve(SpaceKey::LEN)?;
            self.vault.get_mut(place).copy_from_slice(space.key.bytes());
            self.open.entry(space.space).or_default().push((place, space.geometry));
        }
        Ok(())
    }

    fn opens(&self, page: &[u8], number: u32, space: u32, room: &mut PageRoom) -> bool {
        self.open.get(&space).into_iter().flatten().any(|(place, geometry)| {
            let key = SpaceKey::new(self.vault.get(*place));
            key.is_ok_and(|key| page::opens(page, number, space, *geometry, &key, room) != Proof::Fails)
        })
    }
}

/// Judges a doublewrite file. `missing` are the ids of keys that tablespaces need and the keyring does not have.
///
/// # Errors
/// The file cannot be read.
pub(super) fn judge(
    source: &DataFile,
    path: &Path,
    spaces: &SpaceKeys,
    missing: &BTreeSet<String>,
) -> io::Result<FileVerdict> {
    let (mut opened, mut other, mut clear, mut first) = (0u64, 0u64, 0u64, None);
    let mut room = PageRoom::default();
    each_page(source, path, |page| {
        let (Some(number), Some(space)) = (be32(page, NUMBER), be32(page, SPACE)) else { return };
        match page::form(page) {
            PageForm::Encrypted if spaces.opens(page, number, space, &mut room) => {
                opened += 1;
                first.get_or_insert(u64::from(number));
            }
            PageForm::Encrypted => other += 1,
            PageForm::Clear if can_be_encrypted(number, space) => clear += 1,
            PageForm::Clear | PageForm::Empty => {}
        }
    })?;
    let state = match (opened, other, clear) {
        (1.., ..) => FileState::Opened,
        (0, 1.., _) if !missing.is_empty() => FileState::KeyMissing,
        (.., 1..) => FileState::NotEncrypted,
        _ => FileState::Empty,
    };
    let mut verdict = FileVerdict::new(DataFileKind::Doublewrite, state);
    verdict.in_clear = clear > 0;
    verdict.checked_page = first;
    if state == FileState::KeyMissing {
        verdict.key = missing.first().cloned();
    }
    if clear > 0 {
        verdict.note(format!(
            "{clear} of its pages are unencrypted; they remain until other pages overwrite them"
        ));
    }
    if other > 0 {
        verdict.note(format!(
            "{other} of its encrypted pages belong to tablespaces that were not found, have a new key, or could not be decrypted"
        ));
    }
    Ok(verdict)
}

/// Whether MySQL encrypts such a page. Page 0, the system tablespace and temporary tablespaces are never encrypted.
fn can_be_encrypted(number: u32, space: u32) -> bool {
    number > 0 && space > 0 && (space < TEMPORARY || UNDO.contains(&space))
}

/// Counts the pages of a doublewrite file by their form. Unencrypted pages that MySQL never encrypts count as empty.
///
/// # Errors
/// The file cannot be read.
pub(super) fn count(source: &DataFile, path: &Path) -> io::Result<FormCounts> {
    let mut forms = FormCounts::default();
    each_page(source, path, |page| {
        let (Some(number), Some(space)) = (be32(page, NUMBER), be32(page, SPACE)) else { return };
        forms.count(match page::form(page) {
            PageForm::Clear if !can_be_encrypted(number, space) => PageForm::Empty,
            form => form,
        });
    })?;
    Ok(forms)
}

fn each_page(source: &DataFile, path: &Path, mut look: impl FnMut(&[u8])) -> io::Result<()> {
    let size = page_size(path);
    let mut at = 0;
    while at < source.len().min(MOST) {
        let pages = source.read(at, MAX_PAGE.max(size))?;
        pages.chunks_exact(size).for_each(&mut look);
        at += MAX_PAGE.max(size) as u64;
    }
    Ok(())
}

/// Returns the page size from the file's name: `#ib_16384_0.dblwr`.
fn page_size(path: &Path) -> usize {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let size = name.split('_').nth(1).and_then(|size| size.parse().ok());
    size.filter(|size: &usize| size.is_power_of_two() && (4096..=MAX_PAGE).contains(size))
        .unwrap_or(DEFAULT_PAGE)
}
