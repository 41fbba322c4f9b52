// SPDX-License-Identifier: GPL-2.0-or-later
//! Judges a file of the redo log, and a binary or relay log.

use super::binlog::{self, LogStart};
use super::file_report::{DataFileKind, FileState};
use super::info::SpaceKey;
use super::keys::MasterKeys;
use super::read::DataFile;
use super::redo::{self, BLOCK, BlockForm, RedoHeader};
use super::verdict::{FileVerdict, Opening, open_info};
use std::io;
use std::path::{Path, PathBuf};

/// How many blocks of a redo file are checked, spread over the file.
const BLOCKS: u64 = 64;
/// How many blocks are read at once if all are read.
const AT_ONCE: usize = 2048;

/// Returns the newest checkpoint of a redo log, an LSN.
pub(super) fn checkpoint(files: &[PathBuf]) -> Option<u64> {
    let of_file = |path: &PathBuf| {
        let front = DataFile::open(path).ok()?.read(0, redo::FRONT).ok()?;
        RedoHeader::parse(&front).ok()??.checkpoint
    };
    files.iter().filter_map(of_file).max()
}

/// Judges a file of the redo log. `files` are all files of that log, including this one.
///
/// # Errors
/// The file cannot be read.
pub(super) fn judge_redo(
    source: &DataFile,
    files: &[PathBuf],
    keys: &dyn MasterKeys,
) -> io::Result<FileVerdict> {
    let kind = DataFileKind::Redo;
    if source.len() == 0 {
        return Ok(FileVerdict::new(kind, FileState::Empty));
    }
    let front = source.read(0, redo::FRONT)?;
    let header = match RedoHeader::parse(&front) {
        Ok(Some(header)) => header,
        Ok(None) => return Ok(FileVerdict::new(kind, FileState::Empty)),
        Err(why) => {
            let mut verdict = FileVerdict::damaged(kind, why);
            verdict.saw(&front);
            return Ok(verdict);
        }
    };
    if let Some(what) = header.unknown {
        return Ok(FileVerdict::not_checked(kind, what));
    }
    let current = current(files)?;
    let is_current = current.as_ref().is_some_and(|c| c.start_lsn == header.start_lsn);
    let blocks = sample(source, &header)?;
    let in_clear = blocks.iter().any(|(_, form, _)| *form == BlockForm::Clear);
    let encrypted = || blocks.iter().filter(|(_, form, _)| *form == BlockForm::Encrypted);
    let mut verdict = FileVerdict::new(kind, FileState::Opened);
    verdict.in_clear = in_clear;
    verdict.saw(&front);
    if encrypted().next().is_none() && !(is_current && header.info.is_some()) {
        verdict.state = if in_clear { FileState::NotEncrypted } else { FileState::Empty };
        return Ok(verdict);
    }
    if in_clear {
        verdict.note("some of its blocks are unencrypted, from before the redo log was encrypted");
    }
    // The log's key is in the file with the checkpoint; an older file may have an older key.
    let infos = [current.and_then(|c| c.info), header.info];
    let mut faults = Vec::new();
    for info in infos.iter().flatten() {
        let (state, id) = match open_info(info, keys)? {
            Opening::Opened(key, id) => match open_blocks(encrypted(), &key) {
                (checked, true) => {
                    verdict.key = Some(id);
                    verdict.checked_page = checked;
                    return Ok(verdict);
                }
                (_, false) => (FileState::Damaged, id),
            },
            Opening::Public(_) => {
                verdict.in_clear = true;
                (FileState::NotEncrypted, String::new())
            }
            Opening::Missing(id) => (FileState::KeyMissing, id),
            Opening::Wrong(id) => (FileState::WrongKey, id),
        };
        faults.push((state, id));
    }
    // Blocks with a different key are damage only if no key is missing.
    let fault = faults.iter().find(|(state, _)| *state != FileState::Damaged).or(faults.first());
    verdict.state = fault.map_or(FileState::Damaged, |(state, _)| *state);
    verdict.key = fault.map(|(_, id)| id.clone()).filter(|id| !id.is_empty());
    match (verdict.state, fault) {
        (FileState::Damaged, Some(_)) => verdict.note("the log's key does not decrypt its encrypted blocks"),
        (FileState::Damaged, None) => {
            verdict.note("it has encrypted blocks, but no file of the log contains their key")
        }
        _ => {}
    }
    blocks.iter().for_each(|(.., block)| verdict.saw(block));
    Ok(verdict)
}

/// A block with its number in the file.
type NumberedBlock = (u64, BlockForm, Vec<u8>);

/// Reads blocks with content, spread over a file.
fn sample(source: &DataFile, header: &RedoHeader) -> io::Result<Vec<NumberedBlock>> {
    let all = source.len() / BLOCK as u64;
    let first = (redo::HEADER / BLOCK) as u64;
    let mut blocks: Vec<NumberedBlock> = Vec::new();
    for step in 0..BLOCKS {
        let index = first + step * all.saturating_sub(first) / BLOCKS;
        let block = source.read(index * BLOCK as u64, BLOCK)?;
        let form = header.form(&block, index);
        if blocks.last().is_none_or(|(last, ..)| *last < index) && form != BlockForm::Empty {
            blocks.push((index, form, block));
        }
    }
    if blocks.is_empty() && !header.written_once {
        // Writing may have begun anywhere, and ended soon.
        for index in (first..all).step_by(AT_ONCE) {
            let bytes = source.read(index * BLOCK as u64, AT_ONCE * BLOCK)?;
            let numbered = (index..).zip(bytes.chunks_exact(BLOCK));
            let forms = numbered.map(|(index, block)| (index, header.form(block, index), block));
            blocks.extend(
                forms
                    .filter(|(_, form, _)| *form != BlockForm::Empty)
                    .map(|(index, form, block)| (index, form, block.to_vec())),
            );
            if blocks.len() as u64 >= BLOCKS {
                break;
            }
        }
    }
    Ok(blocks)
}

/// Returns the first block that a key decrypts, and whether the key fits: it decrypts a block, or there is no block.
fn open_blocks<'a>(blocks: impl Iterator<Item = &'a NumberedBlock>, key: &SpaceKey) -> (Option<u64>, bool) {
    let mut none = true;
    for (index, _, block) in blocks {
        none = false;
        if redo::opens(block, key) {
            return (Some(*index), true);
        }
    }
    (None, none)
}

/// Returns the header from which the server takes the log's key: that of the file with the newest checkpoint, or in logs
/// from before 8.0.30 that of the first file.
fn current(files: &[PathBuf]) -> io::Result<Option<RedoHeader>> {
    let mut headers = Vec::new();
    for file in files {
        if let Some((len, front)) = none_if_missing(read_front(file))?
            && let Ok(Some(header)) = RedoHeader::parse(&front)
        {
            headers.push((len, header));
        }
    }
    let checkpoint = headers.iter().filter_map(|(_, header)| header.checkpoint).max();
    let holds = |(len, header): &(u64, RedoHeader)| {
        let bytes = len.saturating_sub(redo::HEADER as u64);
        checkpoint.and_then(|lsn| lsn.checked_sub(header.start_lsn)).is_some_and(|offset| offset < bytes)
    };
    let at = headers.iter().position(|h| holds(h) && h.1.info.is_some());
    let at = at.or_else(|| headers.iter().position(|(_, header)| header.info.is_some()));
    Ok(at.map(|at| headers.swap_remove(at).1))
}

fn read_front(file: &Path) -> io::Result<(u64, Vec<u8>)> {
    let source = DataFile::open(file)?;
    Ok((source.len(), source.read(0, redo::FRONT)?))
}

fn none_if_missing<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// Judges a file that is named like a binary log; `None` if it is not one.
///
/// # Errors
/// The file cannot be read.
pub(super) fn judge_binlog(source: &DataFile, keys: &dyn MasterKeys) -> io::Result<Option<FileVerdict>> {
    let kind = DataFileKind::BinaryLog;
    let front = source.read(0, binlog::FRONT)?;
    let mut verdict = match LogStart::parse(&front) {
        Ok(LogStart::Other) => return Ok(None),
        Ok(LogStart::Clear) => {
            let mut verdict = FileVerdict::new(kind, FileState::NotEncrypted);
            verdict.in_clear = true;
            verdict
        }
        Ok(LogStart::Encrypted(header)) => {
            let mut opened = Ok(None);
            let exists = keys.with_key(header.key, &mut |master| opened = header.opens(master));
            let mut verdict = match opened? {
                _ if !exists => FileVerdict::new(kind, FileState::KeyMissing),
                Some(true) => FileVerdict::new(kind, FileState::Opened),
                Some(false) => FileVerdict::new(kind, FileState::WrongKey),
                None => FileVerdict::damaged(kind, "it is truncated after its encryption header"),
            };
            verdict.key = Some(header.key.to_owned());
            verdict.checked_page = (verdict.state == FileState::Opened).then_some(0);
            verdict
        }
        Err(why) => FileVerdict::damaged(kind, why),
    };
    verdict.saw(&front);
    Ok(Some(verdict))
}
