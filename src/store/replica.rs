// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy of a keyring, wherever it lies.

use super::deadline::{GRACE, Place, Task};
use super::locked::LockAttempt;
use super::reading::Reading;
use super::tasks::{self, CHANGE_WAIT, LOCK_STEP, PROBE_WAIT};
use super::vacancy::Vacancy;
use crate::error::{Error, Failure, Result};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One copy of a keyring: what an implementation must be able to do.
///
/// `until` is when a call should have ended. A volume may hang for longer; then the thread of the call is left behind.
/// A remote must not: it returns an error by then, so that nothing of it outlives the call. The methods run in a thread
/// of their own, several of them side by side.
///
/// A copy that cannot be reached is [`Failure::Io`], [`Failure::Remote`] or
/// [`Refusal::Missing`](crate::error::Refusal::Missing), never another error: those say something about what the copy
/// holds.
pub trait Replica: Send + Sync + Debug {
    /// The path of the copy, as it was configured. Messages show it.
    fn path(&self) -> &Path;

    /// Where the copy lies.
    fn place(&self) -> Place;

    /// Why the copy is reached with earlier settings than those that are configured now, which cannot be used. Only a
    /// remote has settings that may change.
    fn unusable_settings(&self) -> Option<String> {
        None
    }

    /// Whether something may be at the path: `false` only if it is certain that there is nothing.
    ///
    /// # Errors
    /// The same as `true` to the callers. Reading the copy shows the error.
    fn is_there(&self, until: Instant) -> Result<bool>;

    /// Whether an interrupted write may have left something beside the path, which may be the keyring. A remote has
    /// none: what counts is replaced in one step.
    ///
    /// # Errors
    /// The same as `true` to the callers.
    fn has_leftover(&self, until: Instant) -> Result<bool>;

    /// The error for a path at which [`Replica::is_there`] found nothing. It describes what is there instead, if that
    /// helps.
    fn missing_error(&self, until: Instant) -> Error;

    /// Checks the place of a file: not on the filesystem of the data directory `datadir`, and, if `private`, in a
    /// directory that others can neither read nor change. Of a remote, the settings are checked, and the network is not
    /// used.
    ///
    /// # Errors
    /// A rule that is broken; I/O errors.
    fn check_place(&self, private: bool, datadir: Option<&Path>, until: Instant) -> Result<()>;

    /// Checks whether a change could be made now, as far as that can be known without making one.
    ///
    /// # Errors
    /// The volume is mounted read-only or has no space for a second version; I/O errors.
    fn check_room(&self, until: Instant) -> Result<()>;

    /// Checks that the path can be that of a keyring (a regular file, no link, private, in a private directory), opens
    /// the copy and reads its front.
    ///
    /// # Errors
    /// A rule that is broken; [`Refusal::Missing`](crate::error::Refusal::Missing); [`Failure::Locked`] where a lock also
    /// prevents reading; I/O errors.
    fn read(&self, until: Instant) -> Result<Reading>;

    /// Reads the front for a status query, without the checks of [`Replica::read`]. If `to_change`, also does
    /// [`Replica::check_room`].
    ///
    /// # Errors
    /// As [`Replica::read`] and [`Replica::check_room`].
    fn look(&self, to_change: bool, until: Instant) -> Result<Reading>;

    /// Opens and locks the copy, checks that it is still the one at the path, and reads its front through what holds the
    /// lock. Does not wait for another program.
    ///
    /// # Errors
    /// [`Refusal::Missing`](crate::error::Refusal::Missing); I/O errors.
    fn try_lock(&self, until: Instant) -> Result<LockAttempt>;

    /// Checks that this path is free for a new copy. Called first, before anything that decides whether the copy belongs
    /// there.
    ///
    /// # Errors
    /// [`BadRequest::AlreadyThere`](crate::error::BadRequest::AlreadyThere);
    /// [`Refusal::Missing`](crate::error::Refusal::Missing) if the directory does not exist; I/O errors.
    fn vacancy(&self, until: Instant) -> Result<Vacancy>;
}

/// What programs call: each method ends in bounded time, whatever the copy does.
impl dyn Replica {
    /// A task on this copy, to be run side by side with those on others.
    pub(crate) fn task<T: Send + 'static>(
        self: &Arc<Self>,
        step: impl FnOnce(&dyn Replica, Instant) -> Result<T> + Send + 'static,
    ) -> Task<Result<T>> {
        let copy = Arc::clone(self);
        Task::new(self.path(), self.place(), move |until| step(copy.as_ref(), until))
    }

    /// Does one step on this copy, for at most `limit`.
    ///
    /// # Errors
    /// That of the step; [`Failure::Hung`].
    pub fn within<T: Send + 'static>(
        self: &Arc<Self>,
        limit: Duration,
        step: impl FnOnce(&dyn Replica, Instant) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        tasks::run(self.task(step), limit)
    }

    /// As [`Replica::read`]. Where a lock also prevents reading, waits for the lock.
    ///
    /// # Errors
    /// As [`Replica::read`]; [`Failure::Hung`].
    pub fn open_to_read(self: &Arc<Self>) -> Result<Reading> {
        tasks::run(self.read_task(), CHANGE_WAIT + GRACE)
    }

    /// As `open_to_read`, as a task.
    pub(crate) fn read_task(self: &Arc<Self>) -> Task<Result<Reading>> {
        let locked_until = Instant::now() + CHANGE_WAIT;
        self.task(move |copy, until| {
            loop {
                match copy.read(until) {
                    Err(Error::Failure(Failure::Locked { .. })) if Instant::now() < locked_until => {
                        std::thread::sleep(LOCK_STEP)
                    }
                    done => return done,
                }
            }
        })
    }

    /// As [`Replica::is_there`]; `true` if that cannot be told.
    pub fn may_be_there(self: &Arc<Self>) -> bool {
        tasks::run(self.presence_task(), PROBE_WAIT).unwrap_or(true)
    }

    /// As [`Replica::is_there`], as a task.
    pub(crate) fn presence_task(self: &Arc<Self>) -> Task<Result<bool>> {
        self.task(|copy, until| copy.is_there(until))
    }

    /// As [`Replica::has_leftover`]; `true` if that cannot be told.
    pub(crate) fn may_have_leftover(self: &Arc<Self>) -> bool {
        self.within(PROBE_WAIT, |copy, until| copy.has_leftover(until)).unwrap_or(true)
    }

    /// As [`Replica::missing_error`].
    pub(crate) fn why_missing(self: &Arc<Self>) -> Error {
        self.within(PROBE_WAIT, |copy, until| Ok(copy.missing_error(until))).unwrap_or_else(|e| e)
    }

    /// As [`Replica::check_place`].
    ///
    /// # Errors
    /// As [`Replica::check_place`]; [`Failure::Hung`].
    pub fn check_its_place(self: &Arc<Self>, private: bool, datadir: Option<&Path>) -> Result<()> {
        let datadir = datadir.map(Path::to_owned);
        self.within(CHANGE_WAIT, move |copy, until| copy.check_place(private, datadir.as_deref(), until))
    }

    /// As [`Replica::check_room`].
    ///
    /// # Errors
    /// As [`Replica::check_room`]; [`Failure::Hung`].
    pub fn check_its_room(self: &Arc<Self>) -> Result<()> {
        self.within(PROBE_WAIT, |copy, until| copy.check_room(until))
    }

    /// As [`Replica::look`], as a task.
    pub(crate) fn look_task(self: &Arc<Self>, to_change: bool) -> Task<Result<Reading>> {
        self.task(move |copy, until| copy.look(to_change, until))
    }

    /// As [`Replica::try_lock`], as a task. If another program holds the lock, waits for it until `locked_until`, or not
    /// at all if that is `None`.
    pub(crate) fn lock_task(self: &Arc<Self>, locked_until: Option<Instant>) -> Task<Result<LockAttempt>> {
        self.task(move |copy, until| {
            loop {
                let attempt = copy.try_lock(until)?;
                let waits = locked_until.is_some_and(|until| Instant::now() < until);
                if matches!(attempt, LockAttempt::Locked(_)) || !waits {
                    return Ok(attempt);
                }
                std::thread::sleep(LOCK_STEP);
            }
        })
    }

    /// As [`Replica::vacancy`]. On a volume that hangs, it waits: see [`Vacancy`].
    ///
    /// # Errors
    /// As [`Replica::vacancy`].
    pub fn find_vacant(self: &Arc<Self>) -> Result<Vacancy> {
        match self.place() {
            Place::Volume => self.vacancy(Instant::now() + CHANGE_WAIT),
            Place::Remote => self.within(CHANGE_WAIT, |copy, until| copy.vacancy(until)),
        }
    }
}
