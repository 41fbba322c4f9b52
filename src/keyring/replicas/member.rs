// SPDX-License-Identifier: GPL-2.0-or-later
//! One copy of an open keyring, and what is known of it.

use super::super::log::{Log, Severity};
use crate::format::state::StateId;
use crate::store::replica::Replica;
use std::sync::Arc;

/// What is known of a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// A change of this program reached it: it holds durably what memory holds.
    Current,
    /// It was read and matches memory. An earlier failed sync may have left it so, without being durable. It
    /// is rewritten before anything is appended to it.
    Read,
    /// It is behind, or damaged while memory has everything it held, or may hold what a failed write left.
    /// The next change rewrites it.
    Behind,
    /// It cannot be reached or used, for this reason.
    Out(String),
    /// Another program changed it, and this one has not adopted the change. Until then, no key is stored.
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

/// Maximum number of states that are remembered of one copy.
const MAX_POSSIBLE_STATES: usize = 24;

/// One copy.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) copy: Arc<dyn Replica>,
    pub(super) standing: Standing,
    /// The states in which this program may have left the file since it was last current. If the present
    /// state is among them, the file may show it without being durable or complete.
    pub(super) possible_states: Vec<StateId>,
    /// The last state in which it was up to date, if it no longer is.
    pub(super) last_up_to_date: Option<StateId>,
    /// Whether it was found not to be up to date, so that its return is reported.
    pub(super) missed: bool,
}

impl Member {
    /// Describes a copy. `shown` is the state that its front shows, if that does not prove the rest of the
    /// file.
    pub(crate) fn new(copy: Arc<dyn Replica>, standing: Standing, shown: Option<StateId>) -> Self {
        let missed = !standing.is_up_to_date();
        Self { copy, standing, possible_states: shown.into_iter().collect(), last_up_to_date: None, missed }
    }

    /// The copy.
    pub(crate) fn copy(&self) -> &Arc<dyn Replica> {
        &self.copy
    }

    /// What is known of it.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether this program may have left the file in that state.
    pub(crate) fn may_have_left_in(&self, state: &StateId) -> bool {
        self.possible_states.contains(state) || self.last_up_to_date.as_ref() == Some(state)
    }

    /// Whether the file may show the present state without being durable or complete.
    pub(crate) fn may_hold_unsynced(&self, present: &StateId) -> bool {
        self.possible_states.contains(present)
    }

    /// The states in which the copy may be, as far as is known: the last one in which it was up to date, and
    /// what a write that failed then may have left.
    pub(crate) fn probable_states(&self) -> impl Iterator<Item = &StateId> {
        self.last_up_to_date.iter().chain(self.possible_states.iter().take(2))
    }

    /// Records `present` as the last state in which the copy was up to date, if it still is.
    pub(super) fn note_last_up_to_date(&mut self, present: StateId) {
        if self.standing.is_up_to_date() {
            self.last_up_to_date = Some(present);
        }
    }

    /// Marks the copy as behind if it was up to date, and records the state in which the keyring left it.
    pub(super) fn fall_behind(&mut self, state: StateId) {
        if self.standing.is_up_to_date() {
            self.last_up_to_date = Some(state);
            self.standing = Standing::Behind;
        }
    }

    /// Marks the copy as holding durably what memory holds.
    pub(super) fn mark_current(&mut self, log: Log) {
        self.possible_states.clear();
        self.set_standing(Standing::Current, log);
    }

    /// Records that this program may have left the file in that state.
    pub(super) fn note_possible_state(&mut self, state: StateId) {
        if self.possible_states.contains(&state) {
            return;
        }
        if self.possible_states.len() >= MAX_POSSIBLE_STATES {
            self.possible_states.remove(0);
        }
        self.possible_states.push(state);
    }

    /// Sets the standing, and reports a change of it.
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
