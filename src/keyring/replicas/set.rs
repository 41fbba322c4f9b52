// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies of an open keyring together. They are opened and changed side by side, and a change as a whole
//! has one deadline.

use super::super::log::Log;
use super::member::{Member, Standing};
use crate::error::{Error, Failure, Refusal, Result};
use crate::format::state::StateId;
use crate::store::deadline::{GRACE, Limits, Place, Task};
use crate::store::locked::LockedReplica;
use crate::store::reading::{CopyId, Reading};
use crate::store::tasks::{CHANGE_WAIT, SLOW_WAIT, side_by_side};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many copies a write must reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// As many as are configured, because somebody will rely on it.
    Enough,
    /// Any number: copies are brought up to date, and nothing new is acknowledged.
    Any,
}

/// The copies, and how many of them a change must reach.
#[derive(Debug)]
pub(crate) struct Replicas {
    pub(super) members: Vec<Member>,
    min: usize,
    pub(super) log: Log,
    /// What was reported of settings that cannot be used.
    pub(super) unusable_settings: BTreeSet<String>,
    /// When the operation in progress must have ended, including all waiting.
    pub(super) until: Instant,
}

/// A copy that is locked for the change in progress.
#[derive(Debug)]
pub(crate) struct OpenReplica {
    /// Index of the copy.
    pub index: usize,
    /// The locked file.
    pub file: LockedReplica,
    /// Whether it matches memory to the last byte.
    pub same: bool,
    /// Whether that is durable too, so that records can be appended.
    pub current: bool,
}

impl OpenReplica {
    /// Whether the copy is at a remote.
    pub(crate) fn is_at_remote(&self) -> bool {
        self.file.id().place() == Place::Remote
    }
}

impl Replicas {
    /// A `min` of 0 counts as 1.
    pub(crate) fn new(members: Vec<Member>, min: usize, log: Log) -> Self {
        Self {
            members,
            min: min.max(1),
            log,
            unusable_settings: BTreeSet::new(),
            until: Instant::now() + CHANGE_WAIT,
        }
    }

    /// Starts an operation that must end, including all waiting, within `limit`.
    pub(crate) fn set_deadline(&mut self, limit: Duration) {
        self.until = Instant::now() + limit;
    }

    /// The operation that goes on must end, including all waiting, by then.
    pub(crate) fn end_by(&mut self, until: Instant) {
        self.until = until;
    }

    /// Sets where reports about the copies go.
    pub(crate) fn log_to(&mut self, log: Log) {
        self.log = log;
    }

    /// Time left for the operation in progress.
    pub(crate) fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// All copies, in the configured order.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The path that messages use for the keyring: that of the first copy.
    pub(crate) fn path(&self) -> &Path {
        self.members.first().map_or(Path::new(""), |m| m.copy.path())
    }

    /// The path of the first copy that is up to date, or that of the first copy if none is.
    pub(crate) fn path_in_use(&self) -> &Path {
        let up_to_date = self.members.iter().find(|m| m.standing.is_up_to_date());
        up_to_date.map_or(self.path(), |m| m.copy.path())
    }

    /// Number of copies that are up to date, and number of all copies.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.members.iter().filter(|m| m.standing.is_up_to_date()).count(), self.members.len())
    }

    /// Whether no change of this program has reached a copy yet.
    pub(crate) fn none_is_current(&self) -> bool {
        !self.members.iter().any(|m| m.standing == Standing::Current)
    }

    /// Keeps what `earlier` knew: the states in which this program may have left each copy, and the deadline
    /// of the operation in progress.
    pub(crate) fn inherit(&mut self, earlier: Replicas) {
        self.until = earlier.until;
        self.unusable_settings = earlier.unusable_settings;
        for old in earlier.members {
            let same = |m: &&mut Member| m.copy.path() == old.copy.path() && !m.standing.is_up_to_date();
            if let Some(member) = self.members.iter_mut().find(same) {
                old.possible_states.into_iter().for_each(|state| member.note_possible_state(state));
                member.last_up_to_date = old.last_up_to_date.or(member.last_up_to_date);
                // Another program's change is not adopted only because the copy went away.
                if let (Standing::Changed(_), Standing::Out(_)) = (&old.standing, &member.standing) {
                    member.standing = old.standing;
                }
            }
        }
    }

    /// Copies what is known of the copies of `earlier`, which are in a later state than `was`, the state of
    /// these. Copies that `earlier` does not have were left in `was`.
    pub(crate) fn copy_from_predecessor(&mut self, earlier: &Replicas, was: StateId) {
        for member in &mut self.members {
            match earlier.members.iter().find(|old| old.copy.path() == member.copy.path()) {
                Some(old) => {
                    member.standing = old.standing.clone();
                    member.possible_states.clone_from(&old.possible_states);
                    member.last_up_to_date = old.last_up_to_date;
                }
                None => {
                    member.fall_behind(was);
                }
            }
        }
    }

    /// Sets the standing of a copy.
    pub(crate) fn set_standing(&mut self, index: usize, standing: Standing) {
        if let Some(member) = self.members.get_mut(index) {
            member.set_standing(standing, self.log);
        }
    }

    /// Records an error of a copy while the keyring is in the state `present`.
    pub(crate) fn note_error(&mut self, index: usize, e: &Error, present: &StateId) {
        if let Some(member) = self.members.get_mut(index) {
            member.note_last_up_to_date(*present);
        }
        let mut others = self.members.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, m)| m);
        let keyring = others.clone().find(|m| m.standing.is_up_to_date()).or_else(|| others.next());
        let why = keyring.map_or_else(|| e.to_string(), |keyring| e.of_copy(keyring.copy.path()));
        // Another program's change is not adopted only because the copy went away.
        let changed = matches!(self.members.get(index).map(Member::standing), Some(Standing::Changed(_)));
        let standing = match e {
            e if e.is_by_another() => {
                // It may be adopted in a moment. If not, it is reported then.
                if let Some(member) = self.members.get_mut(index) {
                    member.standing = Standing::Changed(why);
                }
                return;
            }
            e if changed && e.is_away() => return,
            _ => Standing::Out(why),
        };
        self.set_standing(index, standing);
    }

    /// Records that these copies are about to be brought from the state `present` to `state`. Until that
    /// succeeds, the next change must rewrite them.
    pub(crate) fn mark_touched(&mut self, open: &[OpenReplica], state: StateId, present: &StateId) {
        for copy in open {
            if let Some(member) = self.members.get_mut(copy.index) {
                member.note_last_up_to_date(*present);
                member.note_possible_state(state);
                member.standing = Standing::Behind;
            }
        }
    }

    /// Records that a change reached exactly these copies.
    pub(crate) fn mark_reached(&mut self, open: &[OpenReplica], replaced: StateId) {
        for (index, member) in self.members.iter_mut().enumerate() {
            if open.iter().any(|o| o.index == index) {
                member.mark_current(self.log);
            } else {
                member.fall_behind(replaced);
            }
        }
    }

    /// Records that these copies were rewritten with what memory holds.
    pub(crate) fn mark_written(&mut self, open: &[OpenReplica]) {
        for copy in open {
            if let Some(member) = self.members.get_mut(copy.index) {
                member.mark_current(self.log);
            }
        }
    }

    /// Takes a step of a change on every open copy, side by side. Removes those that fail from `open`, and
    /// returns their first error. The step that makes a change count is [`Replicas::make_count`].
    pub(crate) fn step(
        &mut self,
        open: &mut Vec<OpenReplica>,
        reach: Reach,
        present: &StateId,
        step: impl Fn(&OpenReplica) -> Task<Result<()>>,
    ) -> Option<Error> {
        self.step_within(open, self.limits(reach), present, step)
    }

    /// As [`Replicas::step`], with these limits.
    pub(super) fn step_within(
        &mut self,
        open: &mut Vec<OpenReplica>,
        limits: Limits,
        present: &StateId,
        step: impl Fn(&OpenReplica) -> Task<Result<()>>,
    ) -> Option<Error> {
        let done = side_by_side(open.iter().map(step), limits);
        let mut first = None;
        let mut done = done.into_iter();
        open.retain(|copy| match done.next() {
            Some(Ok(())) => true,
            Some(Err(e)) => {
                self.note_error(copy.index, &e, present);
                first.get_or_insert(e);
                false
            }
            None => false,
        });
        first
    }

    /// Reads the fronts of all copies side by side. If `to_change`, also checks whether they could be
    /// changed.
    pub(crate) fn look_at_all(&self, to_change: bool) -> Vec<Result<Reading>> {
        let looks = self.members.iter().map(|m| m.copy.look_task(to_change));
        let mut looked = side_by_side(looks, Limits::within(self.time_left()));
        self.refuse_aliases(&mut looked, |reading| reading.id);
        looked
    }

    /// Refuses a path that leads to the same file as an earlier one: it can be neither locked twice nor
    /// counted as two copies.
    pub(super) fn refuse_aliases<T>(&self, opened: &mut [Result<T>], id: impl Fn(&T) -> CopyId) {
        let path = |i: usize| self.members.get(i).map(|m| m.copy.path().to_owned()).unwrap_or_default();
        let mut files: Vec<(CopyId, usize)> = Vec::new();
        for (index, opened) in opened.iter_mut().enumerate() {
            let Ok(file) = opened.as_ref().map(&id) else { continue };
            match files.iter().find(|(other, _)| *other == file) {
                Some((_, first)) => {
                    *opened =
                        Err(Error::Refusal(Refusal::OneFile { path: path(index), other: path(*first) }));
                }
                None => files.push((file, index)),
            }
        }
    }

    /// How long to wait for a step that starts now.
    pub(crate) fn limits(&self, reach: Reach) -> Limits {
        // Even when the time is up, give a working copy a chance. Otherwise it would count as hung.
        let until = self.until.max(Instant::now() + GRACE);
        Limits { until, enough: self.needed(reach), slow: SLOW_WAIT }
    }

    pub(super) fn needed(&self, reach: Reach) -> usize {
        match reach {
            Reach::Enough => self.min,
            Reach::Any => 1,
        }
    }

    /// Whether these copies are enough.
    pub(crate) fn enough(&self, open: &[OpenReplica], reach: Reach) -> bool {
        open.len() >= self.needed(reach)
    }

    /// The error for too few copies, of which `reachable` can be written: the error of the only copy, or a summary of all.
    pub(crate) fn too_few_error(&self, reachable: usize, cause: Option<Error>) -> Error {
        match cause {
            Some(cause) if self.members.len() == 1 || cause.is_by_another() => cause,
            cause => Error::Failure(Failure::TooFewCopies {
                reachable,
                needed: self.min,
                why: {
                    let all: Vec<_> = self.members.iter().filter_map(|m| m.standing.refusal()).collect();
                    if all.is_empty() {
                        cause.map(|e| e.to_string()).unwrap_or_default()
                    } else {
                        all.join("; ")
                    }
                },
            }),
        }
    }
}
