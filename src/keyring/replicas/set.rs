// SPDX-License-Identifier: GPL-2.0-or-later
//! The copies of an open keyring together. They are opened and changed side by side, and a change as a whole has one
//! deadline.

use super::super::log::{Log, Severity};
use super::member::{Member, Standing};
use crate::error::{Error, Failure, Refusal, Result};
use crate::format::state::StateId;
use crate::store::deadline::{Limits, Task};
use crate::store::locked::LockedReplica;
use crate::store::replica::{CHANGE_WAIT, GRACE, Reading, SLOW_WAIT, side_by_side};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The paths whose volumes were reported to have no locks.
static WITHOUT_LOCKS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// How many copies a writing must reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// As many as are configured: somebody will rely on it.
    Enough,
    /// Whichever there are: they are put right, and nothing new is acknowledged.
    Any,
}

/// The copies, and how many of them a change must reach.
#[derive(Debug)]
pub(crate) struct Replicas {
    pub(super) members: Vec<Member>,
    min: usize,
    log: Log,
    /// When the change under way, with all that it waits for, must have ended.
    pub(super) until: Instant,
}

/// A copy that is open for the change under way.
#[derive(Debug)]
pub(crate) struct OpenReplica {
    /// Which one.
    pub index: usize,
    /// The file.
    pub file: LockedReplica,
    /// Whether it reads as what memory holds, to the last byte.
    pub same: bool,
    /// Whether that is durable too, so that it can be built on.
    pub current: bool,
}

impl Replicas {
    /// `min` is at least 1.
    pub(crate) fn new(members: Vec<Member>, min: usize, log: Log) -> Self {
        Self { members, min: min.max(1), log, until: Instant::now() + CHANGE_WAIT }
    }

    /// Something begins that may take so long, with all that it waits for.
    pub(crate) fn set_deadline(&mut self, limit: Duration) {
        self.until = Instant::now() + limit;
    }

    /// Where it is reported what happens to them.
    pub(crate) fn log_to(&mut self, log: Log) {
        self.log = log;
    }

    /// How much of that is left.
    pub(crate) fn time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// A copy was opened to be changed: once for each path, a volume without locks is reported.
    pub(crate) fn warn_if_unlocked(&self, file: &LockedReplica) {
        if file.is_locked() {
            return;
        }
        let mut told = WITHOUT_LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(file.path().to_owned()) {
            (self.log)(
                Severity::Warning,
                &format!(
                    "the volume of {} has no locks: two programs that change this keyring at the same time may lose \
                     a key. Let one server use it, and stop that server before you change the keyring with a tool",
                    file.path().display()
                ),
            );
        }
    }

    /// All of them, the configured order kept.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The path that the keyring is known by: the first copy's.
    pub(crate) fn path(&self) -> &Path {
        self.members.first().map_or(Path::new(""), |m| m.copy.path())
    }

    /// The path of a copy that is up to date: the first one's, unless another one counts.
    pub(crate) fn path_in_use(&self) -> &Path {
        let up_to_date = self.members.iter().find(|m| m.standing.is_up_to_date());
        up_to_date.map_or(self.path(), |m| m.copy.path())
    }

    /// Copies that are up to date, and all.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.members.iter().filter(|m| m.standing.is_up_to_date()).count(), self.members.len())
    }

    /// Whether a change of this program has reached none yet.
    pub(crate) fn none_is_current(&self) -> bool {
        !self.members.iter().any(|m| m.standing == Standing::Current)
    }

    /// Takes over what `earlier` knew: in which states this program may have left each, and how long the change under
    /// way may still take.
    pub(crate) fn inherit(&mut self, earlier: Replicas) {
        self.until = earlier.until;
        for old in earlier.members {
            let same = |m: &&mut Member| m.copy.path() == old.copy.path() && !m.standing.is_up_to_date();
            if let Some(member) = self.members.iter_mut().find(same) {
                old.left.into_iter().for_each(|state| member.note_possible_state(state));
                member.last_up_to_date = old.last_up_to_date.or(member.last_up_to_date);
                // What another program wrote there is not taken over by the copy's going away.
                if let (Standing::Changed(_), Standing::Out(_)) = (&old.standing, &member.standing) {
                    member.standing = old.standing;
                }
            }
        }
    }

    /// Takes over what is known of the copies of `earlier`, which went on from the state `was` of these to another:
    /// those that it does not have were left in that one.
    pub(crate) fn copy_from_predecessor(&mut self, earlier: &Replicas, was: StateId) {
        for member in &mut self.members {
            match earlier.members.iter().find(|old| old.copy.path() == member.copy.path()) {
                Some(old) => {
                    member.standing = old.standing.clone();
                    member.left.clone_from(&old.left);
                    member.last_up_to_date = old.last_up_to_date;
                }
                None => {
                    member.fall_behind(was);
                }
            }
        }
    }

    /// Notes how a copy stands.
    pub(crate) fn set_standing(&mut self, index: usize, standing: Standing) {
        if let Some(member) = self.members.get_mut(index) {
            member.set_standing(standing, self.log);
        }
    }

    /// Notes an error of a copy, while the keyring is in the state `present`.
    pub(crate) fn note_error(&mut self, index: usize, e: &Error, present: &StateId) {
        if let Some(member) = self.members.get_mut(index) {
            member.note_last_up_to_date(*present);
        }
        let mut others = self.members.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, m)| m);
        let keyring = others.clone().find(|m| m.standing.is_up_to_date()).or_else(|| others.next());
        let why = keyring.map_or_else(|| e.to_string(), |keyring| e.of_copy(keyring.copy.path()));
        // What another program wrote there is not taken over by the copy's going away.
        let changed = matches!(self.members.get(index).map(Member::standing), Some(Standing::Changed(_)));
        let standing = match e {
            e if e.is_by_another() => {
                // It may be taken over in a moment; else it is told then.
                if let Some(member) = self.members.get_mut(index) {
                    member.standing = Standing::Changed(why);
                }
                return;
            }
            e if changed && is_away(e) => return,
            _ => Standing::Out(why),
        };
        self.set_standing(index, standing);
    }

    /// Reports copies that another program changed, once that was not taken over.
    pub(crate) fn report_changed(&mut self) {
        let log = self.log;
        for member in &mut self.members {
            if let Standing::Changed(why) = &member.standing
                && !std::mem::replace(&mut member.missed, true)
            {
                log(
                    Severity::Warning,
                    &format!("the copy {} is out of use: {why}", member.copy.path().display()),
                );
            }
        }
    }

    /// These copies, of a keyring in the state `present`, are about to be brought to another `state`: whatever comes of
    /// it, they are to be written whole next.
    pub(crate) fn mark_touched(&mut self, open: &[OpenReplica], state: StateId, present: &StateId) {
        for copy in open {
            if let Some(member) = self.members.get_mut(copy.index) {
                member.note_last_up_to_date(*present);
                member.note_possible_state(state);
                member.standing = Standing::Behind;
            }
        }
    }

    /// A change reached these copies, and no other.
    pub(crate) fn mark_reached(&mut self, open: &[OpenReplica], replaced: StateId) {
        for (index, member) in self.members.iter_mut().enumerate() {
            if open.iter().any(|o| o.index == index) {
                member.mark_current(self.log);
            } else {
                member.fall_behind(replaced);
            }
        }
    }

    /// What memory holds was written whole to these copies.
    pub(crate) fn mark_written(&mut self, open: &[OpenReplica]) {
        for copy in open {
            if let Some(member) = self.members.get_mut(copy.index) {
                member.mark_current(self.log);
            }
        }
    }

    /// Takes a step of a change on every open copy, side by side; those that fail it drop out. The first error of those.
    pub(crate) fn step(
        &mut self,
        open: &mut Vec<OpenReplica>,
        reach: Reach,
        present: &StateId,
        step: impl Fn(&OpenReplica) -> Task<Result<()>>,
    ) -> Option<Error> {
        let done = side_by_side(open.iter().map(|o| (o.file.copy(), step(o))), self.limits(reach));
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

    /// Looks at all copies side by side, `to_change` at whether they could be changed too.
    pub(crate) fn look_at_all(&self, to_change: bool) -> Vec<Result<Reading>> {
        let looks = self.members.iter().map(|m| (&m.copy, m.copy.look_task(to_change)));
        let mut looked = side_by_side(looks, Limits::within(self.time_left()));
        self.refuse_aliases(&mut looked, |reading| reading.id);
        looked
    }

    /// Refuses a path that leads to the file of an earlier one: it can neither be locked twice nor count as two copies.
    pub(super) fn refuse_aliases<T>(&self, opened: &mut [Result<T>], id: impl Fn(&T) -> (u64, u64)) {
        let path = |i: usize| self.members.get(i).map(|m| m.copy.path().to_owned()).unwrap_or_default();
        let mut files: Vec<((u64, u64), usize)> = Vec::new();
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

    /// How long a step is waited for that is done now.
    pub(crate) fn limits(&self, reach: Reach) -> Limits {
        // Also when the time is up, a copy that works must have a chance: else it would count as one that hangs.
        let until = self.until.max(Instant::now() + GRACE);
        Limits { until, enough: self.needed(reach), slow: SLOW_WAIT }
    }

    fn needed(&self, reach: Reach) -> usize {
        match reach {
            Reach::Enough => self.min,
            Reach::Any => 1,
        }
    }

    /// Whether so many copies are enough.
    pub(crate) fn enough(&self, open: &[OpenReplica], reach: Reach) -> bool {
        open.len() >= self.needed(reach)
    }

    /// The error for too few copies: what happened to the only one, or to all.
    pub(crate) fn too_few_error(&self, open: &[OpenReplica], cause: Option<Error>) -> Error {
        match cause {
            Some(cause) if self.members.len() == 1 || cause.is_by_another() => cause,
            cause => Error::Failure(Failure::TooFewCopies {
                reachable: open.len(),
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

/// Whether an error says that the copy could not be looked at, rather than what it is.
fn is_away(e: &Error) -> bool {
    matches!(
        e,
        Error::Refusal(Refusal::Missing { .. })
            | Error::Failure(Failure::Hung { .. })
            | Error::Failure(Failure::Io { .. })
            | Error::Failure(Failure::System(_))
    )
}
