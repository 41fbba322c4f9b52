// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the files of a server's data directory without the server: which are encrypted, which master key each needs, and
//! whether a keyring really decrypts it. Files are only read, and the server may run meanwhile.
//!
//! ```ignore
//! pub fn check_datadir(datadir: &Path, keys: &dyn MasterKeys) -> Vec<FileReport>;
//! // The same in two steps, for several directories, every page, or progress:
//! pub fn find(directories: &[PathBuf]) -> DataFiles;
//! pub fn check(found: &DataFiles, keys: &dyn MasterKeys, depth: Depth, progress: &mut dyn FnMut(usize, usize)) -> Vec<FileReport>;
//! // Without a keyring, to find out which keys are needed:
//! pub fn master_keys(found: &DataFiles) -> NeededKeys;
//! ```
//!
//! A `Keyring` is a [`MasterKeys`]. A [`FileReport`] says what a file contains ([`DataFileKind`]), what was found ([`FileState`]), which key
//! it needs, which page proves it, and whether it contains unencrypted data that MySQL could encrypt.
//!
//! `info`, `page0`, `page`, `redo` and `binlog` interpret bytes and access no file. `walk` finds files by
//! their `names`, `backup` what backup tools say of them, `contents` tells what is in those of unknown names, and `read` reads them.
//! `shutdown` tells whether the redo log will be replayed. `space`, `every_page`, `clear`, `logs` and `doublewrite` judge one file, `check` judges all. `forms` counts pages without a key, `sample` only some. Nothing here
//! trusts a byte of a file. Tablespace keys are in locked memory, and decrypted pages are wiped after use.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod archive;
mod backup;
mod binlog;
mod bytes;
mod check;
mod clear;
mod contents;
mod doublewrite;
mod every_page;
mod file_report;
mod forms;
mod geometry;
mod info;
mod keys;
mod log_needs;
mod logs;
mod names;
mod needed;
#[cfg(test)]
mod old_files;
mod page;
mod page0;
mod pending;
mod read;
mod redo;
mod sample;
#[cfg(test)]
mod samples;
mod shutdown;
mod space;
#[cfg(test)]
mod tests;
mod verdict;
mod walk;
mod whole;

pub use archive::{archive_keys, is_archive};
pub use check::{check, check_and_count, check_datadir};
pub use file_report::{DataFileKind, FileReport, FileState, FormCounts, PageCounts};
pub use forms::count_forms;
pub use keys::{MasterKeys, NoKeys};
pub use log_needs::{LogNeeds, log_needs};
pub use needed::{NeededKeys, all_master_keys, master_keys};
pub use sample::{Sample, sample};
pub use shutdown::{Shutdown, shutdown};
pub use space::Depth;
pub use walk::{DataFiles, find};
pub use whole::{MissingPart, missing_parts};
