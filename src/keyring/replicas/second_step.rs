// SPDX-License-Identifier: GPL-2.0-or-later
//! The second step of a change, which makes it count: at the remotes first, one after the other in the order of their
//! names, then on all files side by side.
//!
//! A remote has no lock, so only there another program can come first. As long as that may happen, nothing counts on
//! the files yet, and what the first step left there is undone. All programs take the same order, so of two programs
//! that change the same remotes, the first remote lets only one go on.

use super::set::{OpenReplica, Reach, Replicas};
use crate::error::{Error, Result};
use crate::format::state::StateId;
use crate::store::deadline::{Limits, Task};

impl Replicas {
    /// Takes the second step of a change on every open copy, and removes those that fail from `open`. Returns their
    /// first error.
    ///
    /// # Errors
    /// Another program changed a copy at a remote, or too few copies are left. Then the change counts on no file, but
    /// may count at remotes; `undo` was done on all copies where the second step was not tried.
    pub(crate) fn make_count(
        &mut self,
        open: &mut Vec<OpenReplica>,
        reach: Reach,
        present: &StateId,
        step: impl Fn(&OpenReplica) -> Task<Result<()>>,
        undo: impl Fn(&OpenReplica) -> Task<Result<()>>,
    ) -> Result<Option<Error>> {
        let (mut remotes, mut files): (Vec<_>, Vec<_>) =
            std::mem::take(open).into_iter().partition(OpenReplica::is_at_remote);
        remotes.sort_by(|one, other| one.file.path().cmp(other.file.path()));
        let mut first = None;
        let mut waiting = remotes.into_iter();
        while let Some(remote) = waiting.next() {
            let mut remote = vec![remote];
            let failed = self.step(&mut remote, reach, present, &step);
            open.append(&mut remote);
            let Some(failed) = failed else { continue };
            let by_another = failed.is_by_another();
            let left = open.len() + waiting.len() + files.len();
            if by_another || left < self.needed(reach) {
                let mut untried: Vec<_> = waiting.chain(files).collect();
                self.step(&mut untried, reach, present, undo);
                return Err(if by_another { failed } else { self.too_few_error(left, Some(failed)) });
            }
            first.get_or_insert(failed);
        }
        let limits = self.limits(reach);
        let limits = Limits { enough: limits.enough.saturating_sub(open.len()), ..limits };
        let failed = self.step_within(&mut files, limits, present, step);
        open.append(&mut files);
        open.sort_by_key(|copy| copy.index);
        Ok(first.or(failed))
    }
}
