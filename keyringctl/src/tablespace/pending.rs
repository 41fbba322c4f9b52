// SPDX-License-Identifier: GPL-2.0-or-later
//! Which master keys the changes in a redo log since its last checkpoint name, without any file's first page naming them.
//!
//! A change of a tablespace's encryption information is in the redo log as the bytes of that information. A server that
//! replays the log unwraps each of them, so it needs every master key that one of them names, even if a later change names
//! another.
//! Source of the facts: MySQL's storage/innobase/fsp/fsp0fsp.cc (mlog_write_string of the information) and fil0fil.cc
//! (fil_tablespace_redo_encryption), and files of MySQL 9.7.4.

use super::info::{EncryptionInfo, MasterKeyRef, NEWEST};
use super::keys::MasterKeys;
use super::read::DataFile;
use super::redo::{self, BLOCK, BlockForm, DATA, FRONT, HEADER, RedoHeader, SUM};
use super::shutdown::{NUMBERED, is_spare};
use super::verdict::{Opening, open_info};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

/// Bytes of the information that name the master key: version, number, UUID.
const NAME: usize = 3 + 4 + 36;
/// Bytes that are read at once.
const AT_ONCE: usize = 2048 * BLOCK;

/// Adds the ids of the master keys that encryption information anywhere in `bytes` names.
fn add_named(bytes: &[u8], ids: &mut BTreeSet<String>) {
    for found in bytes.windows(NAME).filter(|window| window.starts_with(NEWEST)) {
        // Only the name is looked at, so the rest may be anything.
        let padded = [found, &[0; 64 + 4]].concat();
        if let Ok(Some(info)) = EncryptionInfo::parse(&padded)
            && let MasterKeyRef::Named(id) = info.master_key()
        {
            ids.insert(id);
        }
    }
}

/// The ids of the master keys that a redo log names: in the headers of its files, and in its changes since the checkpoint,
/// as far as `keys` decrypt them. `Err` with a sentence if they do not.
///
/// # Errors
/// A file cannot be read.
pub(super) fn named_in_redo(
    files: &[PathBuf],
    keys: &dyn MasterKeys,
) -> io::Result<Result<BTreeSet<String>, &'static str>> {
    let mut ids = BTreeSet::new();
    let mut log = Vec::new();
    for path in files {
        let file = match DataFile::open(path) {
            Ok(file) => file,
            // The server removes files that it no longer needs.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_spare(path) {
            continue;
        }
        let header = match RedoHeader::parse(&file.read(0, FRONT)?) {
            Ok(Some(header)) => header,
            Ok(None) if !name.starts_with(NUMBERED) => continue,
            Err(_) if file.len() == 0 && !name.starts_with(NUMBERED) => continue,
            Ok(None) | Err(_) => return Ok(Err("a file of its redo log has no readable header")),
        };
        if header.unknown.is_some() {
            return Ok(Err("its redo log has a form that is not known here"));
        }
        if let Some(MasterKeyRef::Named(id)) = header.info.as_ref().map(EncryptionInfo::master_key) {
            ids.insert(id);
        }
        log.push((file, header));
    }
    log.sort_by_key(|(_, header)| header.start_lsn);
    let checkpoint = match log.iter().filter_map(|(_, header)| header.checkpoint).max() {
        Some(checkpoint) => checkpoint,
        None if log.iter().any(|(_, header)| header.has_checkpoints) => {
            return Ok(Err("its redo log has no readable checkpoint"));
        }
        None => 0,
    };
    if !is_whole(&log, checkpoint) {
        return Ok(Err("a file of its redo log is missing or cut short"));
    }
    let mut opened = Vec::new();
    for info in log.iter().filter_map(|(_, header)| header.info.as_ref()) {
        match open_info(info, keys)? {
            Opening::Opened(key, _) | Opening::Public(key) => opened.push(key),
            Opening::Missing(_) | Opening::Wrong(_) => {}
        }
    }
    // What a change wrote may go on in the next block.
    let mut tail: Vec<u8> = Vec::new();
    for (file, header) in &log {
        let from = match (header.written_once, checkpoint.checked_sub(header.start_lsn)) {
            (true, Some(behind)) => HEADER as u64 + behind - behind % BLOCK as u64,
            _ => HEADER as u64,
        };
        let mut at = from;
        while at < file.len() {
            let bytes = file.read(at, AT_ONCE)?;
            let mut data = std::mem::take(&mut tail);
            for (index, block) in (at / BLOCK as u64..).zip(bytes.chunks_exact(BLOCK)) {
                let clear;
                let block = match header.form(block, index) {
                    BlockForm::Empty => continue,
                    BlockForm::Clear => block,
                    BlockForm::Encrypted => match opened.iter().find_map(|key| redo::opened(block, key)) {
                        Some(bytes) => {
                            clear = bytes;
                            &clear[..]
                        }
                        None => return Ok(Err("its redo log has changes that the keyring does not decrypt")),
                    },
                };
                data.extend_from_slice(block.get(DATA..SUM).unwrap_or_default());
            }
            add_named(&data, &mut ids);
            tail = data.split_off(data.len().saturating_sub(NAME - 1));
            zeroize::Zeroize::zeroize(&mut data);
            at += AT_ONCE as u64;
        }
    }
    zeroize::Zeroize::zeroize(&mut tail);
    match log.last() {
        Some((file, header)) if goes_on(file, header)? => {
            Ok(Err("its redo log does not end in its last file: a file is missing or cut short"))
        }
        _ => Ok(Ok(ids)),
    }
}

/// Whether the files, in their order, have all that was written since the checkpoint, as far as their sizes and the LSNs in
/// their headers tell.
fn is_whole(log: &[(DataFile, RedoHeader)], checkpoint: u64) -> bool {
    if log.iter().any(|(_, header)| !header.written_once) {
        // The files of a ring have one size.
        return log.windows(2).all(|two| matches!(two, [(a, _), (b, _)] if a.len() == b.len()));
    }
    let end = |file: &DataFile, start: u64| start.saturating_add(file.len().saturating_sub(HEADER as u64));
    let mut next = None;
    for (file, header) in log {
        let (start, end) = (header.start_lsn, end(file, header.start_lsn));
        match next {
            // From before the checkpoint.
            None if end <= checkpoint => continue,
            None if start > checkpoint => return false,
            Some(next) if start > next => return false,
            _ => next = Some(end),
        }
    }
    next.is_some() || log.is_empty()
}

/// Whether the log may go on after the last of its files. A server has the next file ready before it fills one.
fn goes_on(file: &DataFile, header: &RedoHeader) -> io::Result<bool> {
    let Some(last) = (file.len() / BLOCK as u64).checked_sub(1) else { return Ok(false) };
    if !header.written_once || !header.is_of_server || last < (HEADER / BLOCK) as u64 {
        return Ok(false);
    }
    let block = file.read(last * BLOCK as u64, BLOCK)?;
    Ok(header.form(&block, last) != BlockForm::Empty && redo::is_full(&block))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_they_are_and_nothing_else_is() {
        let uuid = b"dd687905-e7cf-11f1-848c-02fc00000001";
        let name = |number: u32| [NEWEST, &number.to_be_bytes(), uuid].concat();
        let bytes =
            [&b"xlCClCC"[..], &name(7), b"lC", &name(300), b"lCC and more that is not one of these names"]
                .concat();
        let mut ids = BTreeSet::new();
        add_named(&bytes, &mut ids);
        let id = |n: u32| format!("INNODBKey-dd687905-e7cf-11f1-848c-02fc00000001-{n}");
        assert_eq!(ids, BTreeSet::from([id(7), id(300)]));
        let mut cut = BTreeSet::new();
        add_named(&bytes[..bytes.len() / 2], &mut cut);
        assert_eq!(cut, BTreeSet::from([id(7)]));
    }
}
