// SPDX-License-Identifier: GPL-2.0-or-later
//! The fronts of a keyring's copies, read side by side.

use super::log::{Log, Severity};
use crate::error::{Refusal, Result};
use crate::format::state::StateId;
use crate::store::deadline::Limits;
use crate::store::fs::Fs;
use crate::store::locked::LockedReplica;
use crate::store::replica::{FileReplica, Reading, side_by_side};
use std::path::PathBuf;
use std::sync::Arc;

/// What copies that are locked hold, read through the descriptors that hold the locks: where locks are mandatory, no
/// other can read. Copies that could not be locked are tried without.
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

/// Copies that were read as far as their fronts.
pub(super) struct Readings<'a> {
    pub(super) paths: &'a [PathBuf],
    pub(super) readings: Vec<Result<Reading>>,
    pub(super) min_copies: usize,
    /// How long the copies are waited for.
    pub(super) limits: Limits,
    /// States that failed writes of this program may have left: none of them counts.
    pub(super) unacknowledged: &'a [StateId],
}

impl<'a> Readings<'a> {
    /// Reads the copies at `paths`, side by side.
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

    /// Refuses one file under two names; warns of copies that one disk takes with it.
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
