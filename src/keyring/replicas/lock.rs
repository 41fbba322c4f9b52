// SPDX-License-Identifier: GPL-2.0-or-later
//! Locks all copies for a change, so that two programs never wait for each other forever.

use super::set::{Reach, Replicas};
use crate::error::{BadRequest, Error, Result};
use crate::store::deadline::{GRACE, Limits};
use crate::store::locked::{LockAttempt, LockedReplica};
use crate::store::tasks::side_by_side;
use std::time::{Duration, Instant};

/// How long to wait for one lock while others are held.
const HOLD_WAIT: Duration = Duration::from_secs(2);

/// A random pause of a few milliseconds, so that two programs do not collide again and again.
fn pause() -> Duration {
    let random = crate::secret::random_array::<1>().map_or(7, |[byte]| byte);
    Duration::from_micros(500 + 50 * u64::from(random))
}

impl Replicas {
    /// Opens and locks all copies that can be reached. If another program has locked a copy, it is changing
    /// that copy: wait for it, and never skip the copy.
    ///
    /// # Errors
    /// [`Failure::Locked`](crate::error::Failure::Locked).
    pub(crate) fn lock(&self) -> Result<Vec<Result<LockedReplica>>> {
        let began = Instant::now();
        loop {
            let mut tried = self.open_side_by_side();
            self.refuse_aliases(&mut tried, LockAttempt::id);
            let Some(held) = tried.iter().position(|t| matches!(t, Ok(LockAttempt::Held(_)))) else {
                return Ok(tried.into_iter().map(only_locked).collect());
            };
            let held = self
                .members
                .get(held)
                .map(|m| m.copy.clone())
                .ok_or(Error::BadRequest(BadRequest::Unavailable))?;
            let order = in_order(&tried);
            // Release all locks here, because another program may hold one of them and wait for the others.
            let errors = tried.into_iter().map(Result::err).collect();
            if let Some(open) = self.lock_in_turn(&order, errors) {
                return Ok(open);
            }
            if Instant::now() >= self.until {
                return Err(Error::locked(held.path(), began.elapsed()));
            }
            std::thread::sleep(pause());
        }
    }

    fn open_side_by_side(&self) -> Vec<Result<LockAttempt>> {
        let opened = self.members.iter().map(|m| m.copy.lock_task(None));
        side_by_side(opened, self.limits(Reach::Enough))
    }

    /// Locks one copy after the other, in the order that all programs on this host use, without those that
    /// had `errors`. Returns `None` if one lock was not available in time. Then perhaps a program on another
    /// host, where the order differs, holds it and waits for one of these.
    fn lock_in_turn(
        &self,
        order: &[usize],
        errors: Vec<Option<Error>>,
    ) -> Option<Vec<Result<LockedReplica>>> {
        let mut open: Vec<_> = errors
            .into_iter()
            .map(|e| Err(e.unwrap_or(Error::BadRequest(BadRequest::Unavailable))))
            .collect();
        for index in order {
            let (Some(member), Some(place)) = (self.members.get(*index), open.get_mut(*index)) else {
                continue;
            };
            let wait = self.time_left().min(HOLD_WAIT);
            let work = member.copy.lock_task(Some(Instant::now() + wait));
            let opened = side_by_side([work], Limits::within(wait + GRACE)).pop();
            *place = match opened.unwrap_or(Err(Error::BadRequest(BadRequest::Unavailable))) {
                Ok(LockAttempt::Locked(file)) => Ok(file),
                Ok(LockAttempt::Held(_)) => return None,
                Err(e) => Err(e),
            };
        }
        Some(open)
    }
}

/// The copies that could be opened, in the order in which every program on this host locks them.
fn in_order(tried: &[Result<LockAttempt>]) -> Vec<usize> {
    let mut order: Vec<_> =
        tried.iter().enumerate().filter_map(|(i, t)| Some((t.as_ref().ok()?.id(), i))).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}

fn only_locked(opened: Result<LockAttempt>) -> Result<LockedReplica> {
    match opened? {
        LockAttempt::Locked(file) => Ok(file),
        LockAttempt::Held(_) => Err(Error::BadRequest(BadRequest::Unavailable)),
    }
}
