// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the server was shut down cleanly, or runs. If not, its redo log has changes that are not in the other files, and
//! may need master keys that no file names yet.
//!
//! A clean shutdown writes a checkpoint at the end of the redo log, and its LSN into the first page of the system
//! tablespace. A server that starts replays the log if these differ, or if the log goes on after the checkpoint.
//! InnoDB locks its system tablespace while it runs.
//! Source of the facts: MySQL's storage/innobase/include/fil0types.h, log0constants.h and log0recv.cc, and files of MySQL
//! 9.7.4 after a clean shutdown, after a fast one (innodb_fast_shutdown = 2), after SIGKILL, and in use.

use super::backup::LOG;
use super::bytes::{be16, be32, be64};
use super::file_report::DataFileKind;
use super::read::DataFile;
use super::redo::{self, BLOCK, RedoHeader};
use super::walk::DataFiles;
use rustix::process::{Flock, FlockType, fcntl_getlk};
use std::fs::File;
use std::path::{Path, PathBuf};

// Offsets in page 0 of a tablespace.
const PAGE_NUMBER: usize = 4;
const FLUSHED: usize = 26;
const SPACE: usize = 34;
const FRONT: usize = SPACE + 4;

/// What the names of redo files begin with that are written once.
pub(super) const NUMBERED: &str = "#ib_redo";

/// How the server left its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// The redo log has nothing that the other files lack.
    Clean,
    /// The next start replays the redo log: the server was killed, or shut down with `innodb_fast_shutdown = 2`, or these
    /// are a copy that was taken while it ran.
    Unclean,
    /// It runs.
    Running {
        /// The file that it has locked.
        locked: PathBuf,
        /// The number of its process, if that can be seen.
        process: Option<i32>,
    },
    /// There is no redo log, or no system tablespace.
    Unknown,
}

/// Finds out how the server of a data directory left the files that were found below it, or else in other directories.
pub fn shutdown(datadir: &Path, found: &DataFiles) -> Shutdown {
    let of = |kind| files_of(datadir, found, kind);
    let (system, mut redo) = (of(DataFileKind::System), of(DataFileKind::Redo));
    // In the order of their numbers.
    redo.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    if let Some(running) = system.iter().find_map(|path| lock_of(path)) {
        return running;
    }
    if redo.iter().any(|path| path.ends_with(LOG)) {
        return Shutdown::Unclean;
    }
    let Some(flushed) = system.iter().find_map(|path| flushed(path)) else { return Shutdown::Unknown };
    let logs: Vec<_> = redo.iter().filter_map(|path| Log::read(path)).collect();
    let Some(checkpoint) = logs.iter().filter_map(|log| log.header.checkpoint).max() else {
        return Shutdown::Unknown;
    };
    if flushed != checkpoint || goes_on_after(checkpoint, &logs) {
        return Shutdown::Unclean;
    }
    Shutdown::Clean
}

/// Whether it is a spare file of a redo log, which a server that starts removes.
pub(super) fn is_spare(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(NUMBERED) && name.ends_with("_tmp")
}

/// The files of a kind that were found below a data directory, or else in other directories. Without spare ones.
pub(super) fn files_of(datadir: &Path, found: &DataFiles, kind: DataFileKind) -> Vec<PathBuf> {
    let all =
        found.files.iter().filter(|(path, k)| *k == kind && !is_spare(path)).map(|(path, _)| path.clone());
    let (below, elsewhere): (Vec<_>, Vec<_>) = all.partition(|path| path.starts_with(datadir));
    if below.is_empty() { elsewhere } else { below }
}

/// The lock of a running server.
fn lock_of(path: &Path) -> Option<Shutdown> {
    let file = File::open(path).ok()?;
    // Any lock on any part of the file conflicts with this one. A filesystem that does not support locks has none.
    let held = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
    Some(Shutdown::Running {
        locked: path.to_owned(),
        process: held.pid.map(|pid| pid.as_raw_nonzero().get()),
    })
}

/// The LSN of the last clean shutdown, if this is the first file of the system tablespace.
fn flushed(path: &Path) -> Option<u64> {
    let front = DataFile::open(path).ok()?.read(0, FRONT).ok()?;
    let is_first = be32(&front, PAGE_NUMBER)? == 0 && be32(&front, SPACE)? == 0;
    be64(&front, FLUSHED).filter(|_| is_first)
}

/// A file of the redo log.
struct Log {
    file: DataFile,
    front: Vec<u8>,
    header: RedoHeader,
}

impl Log {
    fn read(path: &Path) -> Option<Log> {
        let file = DataFile::open(path).ok()?;
        let front = file.read(0, redo::FRONT).ok()?;
        let header = RedoHeader::parse(&front).ok()??;
        Some(Log { file, front, header })
    }

    /// Where the block with this LSN is in this file.
    fn place(&self, lsn: u64) -> Option<u64> {
        let at = (redo::HEADER as u64).checked_add(lsn.checked_sub(self.header.start_lsn)?)?;
        Some(at - at % BLOCK as u64).filter(|at| self.header.written_once && *at < self.file.len())
    }
}

/// Whether the log has anything after the checkpoint.
fn goes_on_after(checkpoint: u64, logs: &[Log]) -> bool {
    let block = match logs.iter().find_map(|log| Some((log, log.place(checkpoint)?))) {
        Some((log, at)) => log.file.read(at, BLOCK).ok(),
        // The files of older servers form a ring. The checkpoint says where in it.
        None => logs.iter().find_map(|log| {
            let offset = redo::ring_offset(&log.front, checkpoint)?;
            let (file, at) = (offset.checked_div(log.file.len())?, offset.checked_rem(log.file.len())?);
            let log = logs.get(usize::try_from(file).ok()?)?;
            log.file.read(at - at % BLOCK as u64, BLOCK).ok()
        }),
    };
    // Without the block with the checkpoint, a file is missing or cut short.
    let Some(block) = block.filter(|block| block.len() == BLOCK) else { return true };
    // A block with another number is left over from an earlier use of the file.
    let used = be16(&block, redo::LEN).map(|len| u64::from(len & !redo::ENCRYPTED));
    redo::is_block_of(&block, checkpoint) && used.is_some_and(|used| used > checkpoint % BLOCK as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tablespace::find;
    use std::fs;

    /// A file of a redo log that begins at LSN 8192 and has used `used` bytes of the block with the checkpoint.
    fn log(format: u32, checkpoint: u64, used: u64) -> Vec<u8> {
        let mut log = vec![0; redo::HEADER + 8 * BLOCK];
        let mut put = |at: usize, field: &[u8]| log[at..at + field.len()].copy_from_slice(field);
        put(0, &format.to_be_bytes());
        put(8, &8192_u64.to_be_bytes());
        let at = redo::HEADER + (checkpoint - 8192) as usize;
        put(BLOCK + 8, &checkpoint.to_be_bytes());
        put(BLOCK + 16, &(at as u64).to_be_bytes());
        for block in [0, BLOCK, 3 * BLOCK] {
            put(block + BLOCK - 4, &0xdead_beef_u32.to_be_bytes());
        }
        let at = at / BLOCK * BLOCK;
        put(at, &((checkpoint / BLOCK as u64) as u32 + 1).to_be_bytes());
        put(at + redo::LEN, &(used as u16 | redo::ENCRYPTED).to_be_bytes());
        log
    }

    fn left(flushed: u64, name: &str, log: &[u8]) -> Shutdown {
        let dir = tempfile::tempdir().unwrap();
        let mut page = vec![0; 16384];
        page[FLUSHED..FLUSHED + 8].copy_from_slice(&flushed.to_be_bytes());
        fs::write(dir.path().join("ibdata1"), page).unwrap();
        fs::create_dir(dir.path().join("#innodb_redo")).unwrap();
        fs::write(dir.path().join(name), log).unwrap();
        shutdown(dir.path(), &find(&[dir.path().to_owned()]))
    }

    #[test]
    fn a_shutdown_was_clean_if_the_log_ends_at_the_checkpoint_that_the_system_tablespace_names() {
        const CHECKPOINT: u64 = 8192 + 3 * 512 + 168;
        for (format, name) in [(6, "#innodb_redo/#ib_redo7"), (4, "ib_logfile0")] {
            let of = |flushed, used| left(flushed, name, &log(format, CHECKPOINT, used));
            assert_eq!(of(CHECKPOINT, 168), Shutdown::Clean, "{name}");
            // Killed soon after the start, before the next checkpoint.
            assert_eq!(of(CHECKPOINT, 169), Shutdown::Unclean, "{name}");
            assert_eq!(of(CHECKPOINT, 512), Shutdown::Unclean, "{name}");
            // Killed later.
            assert_eq!(of(8192, 168), Shutdown::Unclean, "{name}");
        }
        let unknown = left(CHECKPOINT, "ib_logfile0", &[0; 4096]);
        assert_eq!(unknown, Shutdown::Unknown, "no redo log");
        let unprepared = left(CHECKPOINT, "xtrabackup_logfile", &log(4, CHECKPOINT, 168));
        assert_eq!(unprepared, Shutdown::Unclean, "a backup that is not prepared");
    }
}
