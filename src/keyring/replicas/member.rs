// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy of an open keyring, and what is known of it.

use super::super::log::{Log, Severity};
use crate::format::state::StateId;
use crate::store::replica::FileReplica;

/// What is known of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// A change of this program reached it: what memory holds is durable there.
    Current,
    /// It reads as what memory holds. A failed sync before this program may have left it so, and not durably: it
    /// is written whole before anything is built on it.
    Read,
    /// It lags behind, is damaged where memory shows what counts, or holds what a failed write may have left: the
    /// next change writes it whole.
    Behind,
    /// It cannot be reached or used, for this reason.
    Out(String),
    /// Another program changed it, and this one has not taken that over: until then no key is stored.
    Changed(String),
}

impl Standing {
    /// Whether it holds what memory holds.
    pub fn is_up_to_date(&self) -> bool {
        matches!(self, Standing::Current | Standing::Read)
    }

    /// Why it is not used.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Standing::Out(why) | Standing::Changed(why) => Some(why),
            Standing::Current | Standing::Read | Standing::Behind => None,
        }
    }
}

/// Most states that are remembered of one copy.
const MOST_LEFT: usize = 24;

/// One copy.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) copy: FileReplica,
    pub(super) standing: Standing,
    /// The states in which this program may have left the file since it was last current. When the state of the
    /// keyring itself is among them, it may be there without being durable or whole.
    pub(super) left: Vec<StateId>,
    /// The state in which it was up to date for the last time, when it is not any more.
    pub(super) last_up_to_date: Option<StateId>,
    /// It was found not to be up to date, and will be reported when it is again.
    pub(super) missed: bool,
}

impl Member {
    /// A copy; `left` is the state that its front shows, when that is no proof of the rest.
    pub(crate) fn new(copy: FileReplica, standing: Standing, left: Option<StateId>) -> Self {
        let missed = !standing.is_up_to_date();
        Self { copy, standing, left: left.into_iter().collect(), last_up_to_date: None, missed }
    }

    /// The copy.
    pub(crate) fn copy(&self) -> &FileReplica {
        &self.copy
    }

    /// What is known of it.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether this program may have left the file in that state.
    pub(crate) fn may_have_left_in(&self, state: &StateId) -> bool {
        self.left.contains(state) || self.last_up_to_date.as_ref() == Some(state)
    }

    /// Whether the present state of the keyring may be there without being durable or whole.
    pub(crate) fn may_hold_unsynced(&self, present: &StateId) -> bool {
        self.left.contains(present)
    }

    /// The states in which it may be, as far as is known: the one in which it went, and what a write that failed then
    /// may have left.
    pub(crate) fn probable_states(&self) -> impl Iterator<Item = &StateId> {
        self.last_up_to_date.iter().chain(self.left.iter().take(2))
    }

    /// It is up to date no more, since the keyring was in that state.
    pub(super) fn note_last_up_to_date(&mut self, present: StateId) {
        if self.standing.is_up_to_date() {
            self.last_up_to_date = Some(present);
        }
    }

    /// The keyring went on from that state without it.
    pub(super) fn fall_behind(&mut self, state: StateId) {
        if self.standing.is_up_to_date() {
            self.last_up_to_date = Some(state);
            self.standing = Standing::Behind;
        }
    }

    /// What memory holds is durable there.
    pub(super) fn mark_current(&mut self, log: Log) {
        self.left.clear();
        self.set_standing(Standing::Current, log);
    }

    /// This program may have left the file in that state.
    pub(super) fn note_possible_state(&mut self, state: StateId) {
        if self.left.contains(&state) {
            return;
        }
        if self.left.len() >= MOST_LEFT {
            self.left.remove(0);
        }
        self.left.push(state);
    }

    /// Notes how it stands, and reports what is new of that.
    pub(super) fn set_standing(&mut self, standing: Standing, log: Log) {
        let path = self.copy.path().display();
        match (self.standing.refusal(), standing.refusal()) {
            (None, Some(why)) => {
                log(Severity::Warning, &format!("the copy {path} is out of use: {why}"));
            }
            (Some(was), Some(why)) if was != why => {
                log(Severity::Warning, &format!("the copy {path} is still out of use: {why}"));
            }
            _ if standing.is_up_to_date() && self.missed => {
                log(Severity::Note, &format!("the copy {path} is up to date again"));
            }
            _ => {}
        }
        self.missed = !standing.is_up_to_date();
        if standing.is_up_to_date() {
            self.last_up_to_date = None;
        }
        self.standing = standing;
    }
}
