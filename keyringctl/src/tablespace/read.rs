// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads parts of a file that a server may be writing to.

use crate::readers::{PIECE, Readers, read_at};
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A file that was written within this time may still be changing.
const FRESH: Duration = Duration::from_secs(10);

/// An open file.
pub(super) struct DataFile {
    file: File,
    len: u64,
    modified: Option<SystemTime>,
}

impl DataFile {
    /// Opens a file, which must not be a symbolic link.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<DataFile> {
        // A file in memory has a name there, which is a link.
        let nofollow = match path.starts_with("/proc/self/fd") {
            true => rustix::fs::OFlags::empty(),
            false => rustix::fs::OFlags::NOFOLLOW,
        };
        let flags = nofollow | rustix::fs::OFlags::NONBLOCK;
        let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path)?;
        let meta = file.metadata()?;
        Ok(DataFile { file, len: meta.len(), modified: meta.modified().ok() })
    }

    /// The file's size when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads `len` bytes at `at`, or as many as there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let got = read_at(&self.file, at, &mut bytes)?;
        bytes.truncate(got);
        Ok(bytes)
    }

    /// Calls `look` with each part of `size` bytes up to `until`, by its number, in several threads. The last part may be
    /// incomplete. `look` also gets what its thread keeps. Returns what it made of consecutive ranges of parts, in their
    /// order.
    ///
    /// # Errors
    /// The file cannot be read, or `look` failed.
    pub(super) fn each_part<S: Default, T: Default + Send>(
        &self,
        readers: &Readers,
        size: usize,
        until: u64,
        look: impl Fn(&mut T, u64, &[u8], &mut S) -> io::Result<()> + Sync,
    ) -> io::Result<Vec<T>> {
        readers.ranges(&self.file, until.min(self.len), |range, buffer, kept: &mut S| {
            let mut seen = T::default();
            for at in range.clone().step_by(PIECE) {
                let most = usize::try_from(range.end - at).unwrap_or(PIECE).min(buffer.len());
                let piece = buffer.get_mut(..most).unwrap_or_default();
                let got = read_at(&self.file, at, piece)?;
                let parts = piece.get(..got).unwrap_or_default().chunks(size);
                for (number, part) in (at / size as u64..).zip(parts) {
                    look(&mut seen, number, part, kept)?;
                }
            }
            Ok(seen)
        })
    }

    /// Whether a server may be writing to it.
    pub(super) fn may_change(&self) -> bool {
        let age = self.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.is_none_or(|age| age < FRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_file_that_is_truncated_meanwhile_are_those_that_are_left() {
        const PART: usize = 4096;
        let file = tempfile::NamedTempFile::new().unwrap();
        let parts = |number: u64| (0..number).flat_map(|n| [n as u8; PART]).collect::<Vec<_>>();
        std::fs::write(file.path(), parts(5000)).unwrap();
        let source = DataFile::open(file.path()).unwrap();
        let numbers = |until: u64| {
            let look = |seen: &mut Vec<(u64, usize)>, number: u64, part: &[u8], _: &mut ()| {
                assert!(part.iter().all(|byte| *byte == number as u8), "{number}");
                seen.push((number, part.len()));
                Ok(())
            };
            source.each_part(&Readers::new(), PART, until, look).unwrap().concat()
        };
        let whole = |parts: u64| (0..parts).map(|n| (n, PART)).collect::<Vec<_>>();
        // Several ranges, in order; no more than is asked for, and no more than there was.
        assert_eq!(numbers(u64::MAX), whole(5000));
        assert_eq!(numbers(3001 * PART as u64), whole(3001));
        std::fs::write(file.path(), parts(6000)).unwrap();
        assert_eq!(numbers(u64::MAX), whole(5000));
        file.as_file().set_len(2500 * PART as u64 + 7).unwrap();
        assert_eq!(numbers(u64::MAX), [whole(2500), vec![(2500, 7)]].concat());
    }
}
