// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the fronts of a keyring's copies side by side.

use super::log::{Log, Severity};
use crate::error::{Refusal, Result};
use crate::format::state::StateId;
use crate::store::deadline::Limits;
use crate::store::file::fs::Fs;
use crate::store::file::locked::LockedReplica;
use crate::store::file::replica::{FileReplica, Reading, side_by_side};
use std::path::PathBuf;
use std::sync::Arc;

/// Reads copies that are locked, through the descriptors that hold the locks. Where locks are mandatory, only
/// these descriptors can read. Copies that could not be locked are read without a lock.
pub(super) fn read_locked(
    fs: &Arc<dyn Fs>,
    paths: &[PathBuf],
    locked: &[Result<LockedReplica>],
    limits: Limits,
) -> Vec<Result<Reading>> {
    let copies: Vec<_> = paths.iter().map(|path| FileReplica::new(Arc::clone(fs), path)).collect();
    let all = copies.iter().zip(locked).map(|(copy, locked)| match locked {
        Ok(file) => (copy, file.read_again()),
        Err(_) => (copy, copy.read_task()),
    });
    side_by_side(all, limits)
}

/// Copies whose fronts were read.
pub(super) struct Readings<'a> {
    pub(super) paths: &'a [PathBuf],
    pub(super) readings: Vec<Result<Reading>>,
    pub(super) min_copies: usize,
    /// How long the copies are waited for.
    pub(super) limits: Limits,
    /// States that failed writes of this program may have left. A copy in one of them does not count.
    pub(super) unacknowledged: &'a [StateId],
}

impl<'a> Readings<'a> {
    /// Reads the copies at `paths` side by side.
    pub(super) fn all(
        fs: &Arc<dyn Fs>,
        paths: &'a [PathBuf],
        min_copies: usize,
        limits: Limits,
        unacknowledged: &'a [StateId],
    ) -> Self {
        let copies: Vec<_> = paths.iter().map(|path| FileReplica::new(Arc::clone(fs), path)).collect();
        let all = copies.iter().map(|copy| (copy, copy.read_task()));
        let readings = side_by_side(all, limits);
        Self { paths, readings, min_copies, limits, unacknowledged }
    }

    /// Refuses two names of one file, and warns if two copies are on one filesystem.
    pub(super) fn check_apart(&self, log: Log) -> Result<()> {
        let read = |i: usize| self.readings.get(i).and_then(|r| r.as_ref().ok());
        for (i, path) in self.paths.iter().enumerate() {
            let others = self.paths.iter().enumerate().skip(i + 1);
            let both = others.filter_map(|(j, other)| Some((other, read(i)?, read(j)?)));
            for (other, this, that) in both {
                if this.id == that.id {
                    return Err(Refusal::OneFile { path: path.clone(), other: other.clone() }.into());
                }
                if this.id.0 == that.id.0 {
                    log(
                        Severity::Warning,
                        &format!(
                            "the copies {} and {} are on one filesystem: when it fails, both are lost. Put one of \
                             them on another volume",
                            path.display(),
                            other.display()
                        ),
                    );
                }
            }
        }
        Ok(())
    }
}
