// SPDX-License-Identifier: GPL-2.0-or-later
//! Judges a doublewrite file: copies of pages as they are written to tablespaces, encrypted with the key of their
//! tablespace or in clear. The copies stay there until others are written over them.

use super::bytes::be32;
use super::file_report::{Kind, State};
use super::geometry::{DEFAULT_PAGE, Geometry, MAX_PAGE};
use super::info::SpaceKey;
use super::page::{self, Form, NUMBER, Proof, SPACE};
use super::read::Source;
use super::space::OpenSpace;
use super::verdict::Verdict;
use keyring_external::secret::{Place, Vault};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::Path;

/// Of a larger file only so many bytes are looked at. The server makes files of a few MiB.
const MOST: u64 = 256 * 1024 * 1024;
/// Numbers from here on are of temporary tablespaces.
const TEMPORARY: u32 = 0xf000_0000;
/// ... but for undo tablespaces, which lie below the data dictionary's.
const UNDO: std::ops::RangeInclusive<u32> = 0xffff_fe00..=0xffff_fff0;

/// What is known of tablespaces: the keys of those that pages in doublewrite files are of.
#[derive(Default)]
pub(super) struct Spaces {
    wanted: HashSet<u32>,
    vault: Vault,
    /// By number; several servers' files may be looked at together.
    open: HashMap<u32, Vec<(Place, Geometry)>>,
}

impl Spaces {
    /// Notes which tablespaces have encrypted pages in a doublewrite file.
    ///
    /// # Errors
    /// What the filesystem answers.
    pub fn want(&mut self, path: &Path) -> io::Result<()> {
        let source = Source::open(path)?;
        each_page(&source, path, |page| {
            if let (Form::Encrypted, Some(space)) = (page::form(page), be32(page, SPACE)) {
                self.wanted.insert(space);
            }
        })
    }

    /// Keeps the key of a tablespace that was opened, if it is needed here.
    ///
    /// # Errors
    /// When the system has no memory.
    pub fn keep(&mut self, space: &OpenSpace<'_>) -> io::Result<()> {
        if self.wanted.contains(&space.space) {
            let place = self.vault.reserve(SpaceKey::LEN)?;
            self.vault.get_mut(place).copy_from_slice(space.key.bytes());
            self.open.entry(space.space).or_default().push((place, space.geometry));
        }
        Ok(())
    }

    fn opens(&self, page: &[u8], number: u32, space: u32) -> bool {
        self.open.get(&space).into_iter().flatten().any(|(place, geometry)| {
            let key = SpaceKey::new(self.vault.get(*place));
            key.is_ok_and(|key| page::opens(page, number, space, *geometry, &key) != Proof::Fails)
        })
    }
}

/// Judges a doublewrite file. `missing` are the ids of keys that tablespaces need and the keyring does not have.
///
/// # Errors
/// What the filesystem answers.
pub(super) fn judge(
    source: &Source,
    path: &Path,
    spaces: &Spaces,
    missing: &BTreeSet<String>,
) -> io::Result<Verdict> {
    let (mut opened, mut other, mut clear, mut first) = (0u64, 0u64, 0u64, None);
    each_page(source, path, |page| {
        let (Some(number), Some(space)) = (be32(page, NUMBER), be32(page, SPACE)) else { return };
        match page::form(page) {
            Form::Encrypted if spaces.opens(page, number, space) => {
                opened += 1;
                first.get_or_insert(u64::from(number));
            }
            Form::Encrypted => other += 1,
            // What is never encrypted: page 0, the system tablespace, temporary tablespaces.
            Form::Clear if number > 0 && space > 0 && (space < TEMPORARY || UNDO.contains(&space)) => {
                clear += 1
            }
            Form::Clear | Form::Empty => {}
        }
    })?;
    let state = match (opened, other, clear) {
        (1.., ..) => State::Opened,
        (0, 1.., _) if !missing.is_empty() => State::KeyMissing,
        (.., 1..) => State::NotEncrypted,
        _ => State::Empty,
    };
    let mut verdict = Verdict::new(Kind::Doublewrite, state);
    verdict.in_clear = clear > 0;
    verdict.checked_page = first;
    if state == State::KeyMissing {
        verdict.key = missing.first().cloned();
    }
    if clear > 0 {
        verdict.note(format!(
            "{clear} pages in it are in clear; pages stay there until others are written over them"
        ));
    }
    if other > 0 {
        verdict.note(format!(
            "{other} encrypted pages in it are of tablespaces that are not here, have another key by now, or were not opened"
        ));
    }
    Ok(verdict)
}

fn each_page(source: &Source, path: &Path, mut look: impl FnMut(&[u8])) -> io::Result<()> {
    let size = page_size(path);
    let mut at = 0;
    while at < source.len().min(MOST) {
        let pages = source.read(at, MAX_PAGE.max(size))?;
        pages.chunks_exact(size).for_each(&mut look);
        at += MAX_PAGE.max(size) as u64;
    }
    Ok(())
}

/// The page size is in the file's name: `#ib_16384_0.dblwr`.
fn page_size(path: &Path) -> usize {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let size = name.split('_').nth(1).and_then(|size| size.parse().ok());
    size.filter(|size: &usize| size.is_power_of_two() && (4096..=MAX_PAGE).contains(size))
        .unwrap_or(DEFAULT_PAGE)
}
