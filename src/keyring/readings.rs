// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the fronts of a keyring's copies side by side.

use super::log::{Log, Severity};
use crate::config::{RemoteName, is_remote};
use crate::error::{Refusal, Result};
use crate::format::state::StateId;
use crate::store::deadline::Limits;
use crate::store::locked::LockedReplica;
use crate::store::places::Places;
use crate::store::reading::Reading;
use crate::store::tasks::side_by_side;
use std::path::{Path, PathBuf};

/// Reads copies that are locked, through the descriptors that hold the locks. Where locks are mandatory, only
/// these descriptors can read. Copies that could not be locked are read without a lock.
pub(super) fn read_locked(
    places: &Places,
    paths: &[PathBuf],
    locked: &[Result<LockedReplica>],
    limits: Limits,
) -> Result<Vec<Result<Reading>>> {
    let copies = places.replicas(paths)?;
    let all = copies.iter().zip(locked).map(|(copy, locked)| match locked {
        Ok(locked) => locked.read_again(),
        Err(_) => copy.read_task(),
    });
    Ok(side_by_side(all, limits))
}

/// Whether two copies are at one remote.
fn share_remote(one: &Path, other: &Path) -> bool {
    let remote =
        |path: &Path| RemoteName::parse(path).ok().filter(|_| is_remote(path)).map(|name| name.remote);
    remote(one).is_some_and(|remote_of_one| remote(other) == Some(remote_of_one))
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
        places: &Places,
        paths: &'a [PathBuf],
        min_copies: usize,
        limits: Limits,
        unacknowledged: &'a [StateId],
    ) -> Result<Self> {
        let copies = places.replicas(paths)?;
        let all = copies.iter().map(|copy| copy.read_task());
        let readings = side_by_side(all, limits);
        Ok(Self { paths, readings, min_copies, limits, unacknowledged })
    }

    /// Refuses two names of one copy, and warns if two copies are on one filesystem or at one remote.
    pub(super) fn check_apart(&self, log: Log) -> Result<()> {
        let read = |i: usize| self.readings.get(i).and_then(|r| r.as_ref().ok());
        for (i, path) in self.paths.iter().enumerate() {
            let others = self.paths.iter().enumerate().skip(i + 1);
            let both = others.filter_map(|(j, other)| Some((other, read(i)?, read(j)?)));
            for (other, this, that) in both {
                if this.id == that.id {
                    return Err(Refusal::OneFile { path: path.clone(), other: other.clone() }.into());
                }
                if share_remote(path, other) {
                    log(
                        Severity::Warning,
                        &format!(
                            "the copies {} and {} are at one remote: when it fails, both are lost. Put one of them on \
                             a volume or at another remote",
                            path.display(),
                            other.display()
                        ),
                    );
                }
                if this.id.shares_filesystem(&that.id) {
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
