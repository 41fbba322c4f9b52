// SPDX-License-Identifier: GPL-2.0-or-later
//! Reports what happens to the copies.

use super::super::log::Severity;
use super::member::Standing;
use super::set::Replicas;
use crate::format::state::StateId;
use crate::store::locked::LockedReplica;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Paths whose volumes were already reported to have no locks.
static WITHOUT_LOCKS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

impl Replicas {
    /// Reports, once for each path, that the volume of an opened copy has no locks.
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

    /// Reports, once, settings that were changed so that they cannot be used, and that they can be used again. Returns
    /// what is new.
    pub(crate) fn report_settings(&mut self) -> Option<String> {
        let found: BTreeSet<String> =
            self.members.iter().filter_map(|m| m.copy.unusable_settings()).collect();
        let new: Vec<_> = found.difference(&self.unusable_settings).cloned().collect();
        for why in &new {
            (self.log)(
                Severity::Warning,
                &format!(
                    "{why}. Until this is mended, the earlier settings are used, but a restart would not reach the copies \
                     there"
                ),
            );
        }
        if found.is_empty() && !self.unusable_settings.is_empty() {
            (self.log)(Severity::Note, "the remotes file can be used again, and is");
        }
        self.unusable_settings = found;
        (!new.is_empty()).then(|| new.join("; "))
    }

    /// Records that records of a copy are missing or damaged, although its front shows the state `present`.
    pub(crate) fn report_damage(&mut self, index: usize, present: &StateId) {
        let Some(member) = self.members.get_mut(index) else { return };
        let path = member.copy.path().display();
        let message = "is damaged: some of its records are missing or cannot be read. It is written again";
        (self.log)(Severity::Warning, &format!("the copy {path} {message}"));
        // Its front must not be taken for a proof that it is whole.
        member.note_possible_state(*present);
        member.set_standing(Standing::Behind, self.log);
    }

    /// Reports copies that another program changed, after the change could not be adopted.
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
}
