// SPDX-License-Identifier: GPL-2.0-or-later
//! Judges all files of data directories.

use super::contents::{self, Contents};
use super::doublewrite::{self, SpaceKeys};
use super::file_report::{DataFileKind, FileReport, FileState, FormCounts};
use super::forms;
use super::info::{SpaceKey, TRANSFER_FILE};
use super::keys::MasterKeys;
use super::logs::{self, judge_binlog, judge_redo};
use super::names::{UNPREPARED, is_wrapped};
use super::read::DataFile;
use super::space::{self, Depth, How};
use super::verdict::FileVerdict;
use super::walk::{DataFiles, find};
use crate::readers::Readers;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// The most readings of a file that a server may be writing to. It is read again until two readings agree.
const READINGS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Checks all files below a data directory. Decrypts one page of each tablespace. A file or directory that cannot be read is
/// reported as [`FileState::Unreadable`].
pub fn check_datadir(datadir: &Path, keys: &dyn MasterKeys) -> Vec<FileReport> {
    check(&find(&[datadir.to_owned()]), keys, Depth::OnePage, &mut |_, _| {})
}

/// What is needed to judge any file.
struct Checker<'a> {
    found: &'a DataFiles,
    keys: &'a dyn MasterKeys,
    depth: Depth,
    /// The files of each redo log, by their directory.
    redo: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// All changes up to this LSN are in the tablespaces' files.
    flushed: u64,
    spaces: Mutex<SpaceKeys>,
    readers: Readers,
    /// Whether the pages of each file are counted.
    counting: bool,
}

/// The report on a file, and the number of its pages by their form if these were counted.
type Checked = (FileReport, io::Result<FormCounts>);

/// Checks files. Calls `progress` with the number of files done, and of all files.
pub fn check(
    found: &DataFiles,
    keys: &dyn MasterKeys,
    depth: Depth,
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<FileReport> {
    let checked = check_all(found, keys, (depth, false), progress);
    checked.into_iter().map(|(report, _)| report).collect()
}

/// Checks files as [`check`] does with one page of each, and also reads all of them to count their pages, as
/// [`count_forms`](super::count_forms) does. Those of files that could not be checked are not counted.
pub fn check_and_count(
    found: &DataFiles,
    keys: &dyn MasterKeys,
) -> Vec<(FileReport, io::Result<FormCounts>)> {
    check_all(found, keys, (Depth::OnePage, true), &mut |_, _| {})
}

fn check_all(
    found: &DataFiles,
    keys: &dyn MasterKeys,
    (depth, counting): (Depth, bool),
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<Checked> {
    let mut redo: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    let mut spaces = SpaceKeys::default();
    for (path, kind) in &found.files {
        match kind {
            DataFileKind::Redo => redo.entry(directory(path)).or_default().push(path.clone()),
            // An unreadable file is reported when it is judged.
            DataFileKind::Doublewrite => drop(spaces.want(path)),
            _ => {}
        }
    }
    let flushed = flushed(&redo);
    let check = Checker {
        found,
        keys,
        depth,
        redo,
        flushed,
        spaces: Mutex::new(spaces),
        readers: Readers::new(),
        counting,
    };
    let (late, first): (Vec<_>, Vec<_>) = (0..found.files.len())
        .partition(|i| found.files.get(*i).is_some_and(|f| f.1 == DataFileKind::Doublewrite));
    let mut done = 0;
    let mut advance = |n: usize| {
        done += n;
        progress(done, found.files.len());
    };
    let mut reports = check.in_threads(&first, &mut advance);
    let missing: BTreeSet<String> = reports
        .values()
        .map(|(report, _)| report)
        .filter(|r| r.state == FileState::KeyMissing)
        .filter_map(|r| r.key.clone())
        .collect();
    for i in late {
        let report = found.files.get(i).and_then(|(path, kind)| {
            report(path, *kind, || {
                let spaces = check.spaces.lock().unwrap_or_else(PoisonError::into_inner);
                doublewrite::judge(&DataFile::open(path)?, path, &spaces, &missing).map(Some)
            })
        });
        reports.extend(report.map(|r| (i, check.count(r))));
        advance(1);
    }
    let unreadable = found.unreadable.iter().map(|(path, e)| unreadable(path, DataFileKind::Directory, e));
    let others = found.not_checked.iter().map(|(path, why)| not_checked(path, why));
    let unread = unreadable.chain(others).map(|report| (report, Ok(FormCounts::default())));
    reports.into_values().chain(unread).collect()
}

/// Returns up to which LSN all changes are in the tablespaces: the checkpoint of the redo log, or everything without a log.
fn flushed(redo: &BTreeMap<PathBuf, Vec<PathBuf>>) -> u64 {
    redo.values().map(|files| logs::checkpoint(files).unwrap_or(0)).min().unwrap_or(u64::MAX)
}

fn directory(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

impl Checker<'_> {
    /// Judges the files with these indices.
    fn in_threads(&self, indices: &[usize], advance: &mut dyn FnMut(usize)) -> BTreeMap<usize, Checked> {
        let mut reports = BTreeMap::new();
        let judge = |n: usize| {
            let index = *indices.get(n)?;
            let (path, kind) = self.found.files.get(index)?;
            Some((index, self.count(self.report(path, *kind)?)))
        };
        self.readers.each(indices.len(), &judge, &mut |_, report| {
            reports.extend(report);
            advance(1);
        });
        reports
    }

    /// Counts the pages of a file that was checked, if they are wanted.
    fn count(&self, report: FileReport) -> Checked {
        let was_read = !matches!(report.state, FileState::Unreadable | FileState::NotChecked);
        let forms = match self.counting && was_read {
            true => forms::count(&report.path, report.kind, &self.readers),
            false => Ok(None),
        };
        (report, forms.map(Option::unwrap_or_default))
    }

    fn report(&self, path: &Path, kind: DataFileKind) -> Option<FileReport> {
        report(path, kind, || {
            let mut verdict = self.judge(path, kind)?;
            for _ in 1..READINGS {
                let Some((before, true)) =
                    verdict.as_ref().map(|(v, fresh)| (v, v.state.is_failure() && *fresh))
                else {
                    break;
                };
                std::thread::sleep(PAUSE);
                let again = self.judge(path, kind)?;
                let agree =
                    again.as_ref().is_some_and(|(v, _)| v.seen == before.seen && v.state == before.state);
                verdict = again;
                if agree {
                    break;
                }
            }
            Ok(verdict.map(|(verdict, _)| verdict))
        })
    }

    fn judge_space(&self, source: &DataFile, path: &Path, kind: DataFileKind) -> io::Result<FileVerdict> {
        let mut kept = Ok(());
        let how = How {
            keys: self.keys,
            transfer_key: &|| transfer_key(path),
            depth: self.depth,
            flushed: self.flushed,
            readers: &self.readers,
        };
        let verdict = space::judge(source, kind, &how, &mut |space| {
            let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
            kept = spaces.keep(&space);
        })?;
        kept?;
        Ok(verdict)
    }

    /// Judges a file whose name does not tell what it contains.
    fn judge_contents(&self, source: &DataFile, path: &Path) -> io::Result<FileVerdict> {
        let kind = DataFileKind::Other;
        // A file of the system tablespace may begin with pages that were never written.
        let Some(start) = contents::start(source)? else {
            return Ok(FileVerdict::new(kind, FileState::Empty));
        };
        let front = source.read(start, contents::FRONT)?;
        match Contents::of(&front) {
            _ if start > 0 && contents::is_further_system_page(&front) => {
                Ok(FileVerdict::new(DataFileKind::System, FileState::NotEncrypted))
            }
            _ if start > 0 => Ok(FileVerdict::not_checked(kind, UNKNOWN)),
            Contents::Keyring => Ok(FileVerdict::new(kind, FileState::Empty)),
            Contents::Data(DataFileKind::BinaryLog) => {
                let log = judge_binlog(source, self.keys)?;
                Ok(log.unwrap_or_else(|| FileVerdict::not_checked(kind, UNKNOWN)))
            }
            Contents::Data(kind) => self.judge_space(source, path, kind),
            Contents::Unknown => Ok(FileVerdict::not_checked(kind, UNKNOWN)),
        }
    }

    /// Judges a file once, and returns whether a server may be writing to it.
    fn judge(&self, path: &Path, kind: DataFileKind) -> io::Result<Option<(FileVerdict, bool)>> {
        let source = DataFile::open(path)?;
        let verdict = match kind {
            DataFileKind::Redo => {
                let files = self.redo.get(&directory(path)).map(Vec::as_slice).unwrap_or_default();
                Some(of_backup(path, judge_redo(&source, files, self.keys)?))
            }
            DataFileKind::BinaryLog => Some(match judge_binlog(&source, self.keys)? {
                Some(verdict) => verdict,
                None => self.judge_contents(&source, path)?,
            }),
            DataFileKind::OtherEngine => judge_other(&source),
            DataFileKind::TransferKey => {
                let mut verdict = FileVerdict::new(kind, FileState::NotEncrypted);
                verdict.in_clear = true;
                verdict.note(
                    "it decrypts the exported table without a keyring: delete it after the table has been imported",
                );
                Some(verdict)
            }
            DataFileKind::TextLog => Some(judge_text_log(&source, path)?),
            DataFileKind::Other => Some(self.judge_contents(&source, path)?),
            DataFileKind::Doublewrite | DataFileKind::Directory => None,
            DataFileKind::Table
            | DataFileKind::General
            | DataFileKind::Dictionary
            | DataFileKind::Undo
            | DataFileKind::System
            | DataFileKind::Temporary => Some(self.judge_space(&source, path, kind)?),
        };
        Ok(verdict.map(|verdict| (verdict, source.may_change())))
    }
}

const UNKNOWN: &str = "neither its name nor its contents are those of a file that MySQL writes";

/// Corrects the verdict on the log of a backup that is not prepared: XtraBackup writes it in a form like that of the server.
fn of_backup(path: &Path, verdict: FileVerdict) -> FileVerdict {
    if path.ends_with("xtrabackup_logfile") && verdict.state == FileState::Damaged {
        return FileVerdict::not_checked(verdict.kind, UNPREPARED);
    }
    verdict
}

/// Judges a file that is named like a text log.
fn judge_text_log(source: &DataFile, path: &Path) -> io::Result<FileVerdict> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_text = is_wrapped(&name) || contents::is_text(&source.read(0, contents::FRONT)?);
    Ok(match (source.len(), is_text) {
        (0, _) => FileVerdict::new(DataFileKind::TextLog, FileState::Empty),
        (_, true) => FileVerdict::new(DataFileKind::TextLog, FileState::NotEncrypted),
        (_, false) => {
            FileVerdict::not_checked(DataFileKind::Other, "it is named like a text log, but it is not text")
        }
    })
}

/// Reads the transfer key beside an exported table: `t.cfp` beside `t.ibd`.
fn transfer_key(table: &Path) -> io::Result<Option<SpaceKey>> {
    match DataFile::open(&table.with_extension("cfp")) {
        Ok(file) => SpaceKey::from_transfer(&Zeroizing::new(file.read(0, TRANSFER_FILE)?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Judges a table of another engine, which contains no data if the file is empty.
fn judge_other(source: &DataFile) -> Option<FileVerdict> {
    let state = if source.len() == 0 { FileState::Empty } else { FileState::NotEncrypted };
    let mut verdict = FileVerdict::new(DataFileKind::OtherEngine, state);
    verdict.in_clear = source.len() > 0;
    Some(verdict)
}

/// Returns the report on a file; `None` if it no longer exists or turns out not to be of its kind.
fn report(
    path: &Path,
    kind: DataFileKind,
    judge: impl FnOnce() -> io::Result<Option<FileVerdict>>,
) -> Option<FileReport> {
    match judge() {
        Ok(verdict) => verdict.map(|v| FileReport {
            path: path.to_owned(),
            kind: v.kind,
            state: v.state,
            key: v.key,
            checked_page: v.checked_page,
            by_transfer_key: v.by_transfer_key,
            in_clear: v.in_clear,
            pages: v.pages,
            notes: v.notes,
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => Some(unreadable(path, kind, &e)),
    }
}

fn unreadable(path: &Path, kind: DataFileKind, e: &io::Error) -> FileReport {
    let why = format!("{e}. Run this as root or as the user that mysqld runs as");
    FileReport::not_judged(path.to_owned(), kind, FileState::Unreadable, &why)
}

fn not_checked(path: &Path, why: &str) -> FileReport {
    FileReport::not_judged(path.to_owned(), DataFileKind::Other, FileState::NotChecked, why)
}
