// SPDX-License-Identifier: GPL-2.0-or-later
//! A step that is left after `encrypt apply`, as it is looked at: it has no state of its own.

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The steps, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::commands::encrypt) enum StepId {
    /// Places that `encrypt apply` encrypts.
    Apply,
    /// Places that statements of the administrator encrypt or empty.
    Statements,
    /// Settings that a start needs from its beginning.
    OptionFile,
    /// The same settings, as SET PERSIST stored them.
    ResetPersist,
    /// Old pages and blocks in undo tablespaces and the redo log.
    UndoAndRedo,
    /// Unencrypted binary logs.
    BinaryLogs,
    /// Old pages in the doublewrite files.
    Doublewrite,
    /// A start with the settings of the option file.
    Restart,
    /// A backup of the keyring with its new keys.
    KeyringBackup,
    /// Old entries and rows in the system tablespace.
    SystemTablespace,
    /// Blocks of deleted files.
    FreeSpace,
    /// Dumps and backups from before.
    OldBackups,
    /// The proof.
    Verify,
}

const NAMES: [(StepId, &str); 13] = [
    (StepId::Apply, "apply"),
    (StepId::Statements, "statements"),
    (StepId::OptionFile, "option-file"),
    (StepId::ResetPersist, "reset-persist"),
    (StepId::UndoAndRedo, "undo-and-redo"),
    (StepId::BinaryLogs, "binary-logs"),
    (StepId::Doublewrite, "doublewrite"),
    (StepId::Restart, "restart"),
    (StepId::KeyringBackup, "keyring-backup"),
    (StepId::SystemTablespace, "system-tablespace"),
    (StepId::FreeSpace, "free-space"),
    (StepId::OldBackups, "old-backups"),
    (StepId::Verify, "verify"),
];

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(NAMES.iter().find(|(id, _)| id == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for StepId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text).map(|(id, _)| *id);
        found.ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(_, name)| *name).collect();
            let near = similar::get_close_matches(text, &names, 1, 0.5);
            let near = near.first().map(|name| format!(" Did you mean {name}?")).unwrap_or_default();
            format!("{text:?} is not a step.{near} The steps are: {}", names.join(", "))
        })
    }
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands::encrypt) enum StepState {
    /// Nothing is left.
    Done,
    /// It is left.
    ToDo,
    /// It is left, and this program cannot do it here.
    NotHere,
    /// It could not be looked at.
    NotChecked,
    /// Nobody but a person can do it, and nothing shows whether it was done.
    ByHand,
}

impl StepState {
    fn word(self) -> &'static str {
        match self {
            StepState::Done => "done",
            StepState::ToDo => "TO DO",
            StepState::NotHere => "NOT HERE",
            StepState::NotChecked => "NOT CHECKED",
            StepState::ByHand => "by hand",
        }
    }
}

/// Who does it, and how.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands::encrypt) enum Action {
    /// There is nothing to do.
    Nothing,
    /// `keyringctl encrypt finish`, in this way.
    Finish(String),
    /// The administrator, with these commands or in this way.
    Administrator(Vec<String>),
}

/// A step.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands::encrypt) struct Step {
    pub id: StepId,
    /// What it is about.
    pub what: &'static str,
    pub state: StepState,
    /// What was found.
    pub why: String,
    pub action: Action,
    /// The step that must be done before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<StepId>,
}

impl Step {
    pub(super) fn new(id: StepId, state: StepState, why: impl Into<String>, action: Action) -> Step {
        let what = match id {
            StepId::Apply => "what apply encrypts",
            StepId::Statements => "what needs statements of yours",
            StepId::OptionFile => "settings in the option file",
            StepId::ResetPersist => "SET PERSIST values of them",
            StepId::UndoAndRedo => "undo tablespaces and redo log",
            StepId::BinaryLogs => "old binary logs",
            StepId::Doublewrite => "doublewrite files",
            StepId::Restart => "start with these settings",
            StepId::KeyringBackup => "backup of the keyring",
            StepId::SystemTablespace => "old rows in ibdata1",
            StepId::FreeSpace => "blocks of deleted files",
            StepId::OldBackups => "old dumps and backups",
            StepId::Verify => "proof by encrypt verify",
        };
        Step { id, what, state, why: why.into(), action, after: None }
    }

    pub(super) fn done(id: StepId, why: impl Into<String>) -> Step {
        Step::new(id, StepState::Done, why, Action::Nothing)
    }

    pub(super) fn to_do(id: StepId, why: impl Into<String>, how: impl Into<String>) -> Step {
        Step::new(id, StepState::ToDo, why, Action::Finish(how.into()))
    }

    pub(super) fn not_checked(id: StepId, why: impl Into<String>, remedy: impl Into<String>) -> Step {
        Step::new(id, StepState::NotChecked, why, Action::Administrator(vec![remedy.into()]))
    }

    /// Names the step that must be done before, unless nothing is to do.
    pub(super) fn after(self, id: StepId) -> Step {
        let is_left = self.state != StepState::Done;
        Step { after: is_left.then_some(id), ..self }
    }

    /// Whether something is left that this program or the administrator can see done.
    pub(in crate::commands::encrypt) fn is_left(&self) -> bool {
        !matches!(self.state, StepState::Done | StepState::ByHand)
    }

    /// Whether `encrypt finish` would do it.
    pub(super) fn is_for_finish(&self) -> bool {
        self.state == StepState::ToDo && matches!(self.action, Action::Finish(_))
    }

    /// The step in lines: what was found, and what to do.
    pub(in crate::commands::encrypt) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:<11}  {}: {}", self.state.word(), self.id, self.why)];
        if self.state == StepState::Done {
            return lines;
        }
        match &self.action {
            Action::Nothing => {}
            Action::Finish(how) => lines.push(format!("{:<13}finish {how}", "")),
            Action::Administrator(ways) => {
                lines.extend(ways.iter().map(|way| format!("{:<13}{way}", "")));
            }
        }
        if let Some(after) = self.after {
            lines.push(format!("{:<13}after {after}", ""));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_does_not_exist_is_refused_with_the_nearest_one() {
        for (id, name) in NAMES {
            assert_eq!((name.parse(), id.to_string().as_str()), (Ok(id), name));
        }
        let refused = "double-write".parse::<StepId>().unwrap_err();
        assert!(
            refused.starts_with("\"double-write\" is not a step. Did you mean doublewrite? "),
            "{refused}"
        );
        assert!(!"xyz".parse::<StepId>().unwrap_err().contains("Did you mean"));
    }
}
