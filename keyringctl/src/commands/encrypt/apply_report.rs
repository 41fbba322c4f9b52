// SPDX-License-Identifier: GPL-2.0-or-later
//! What a run of `encrypt apply` has done and left.

use super::finish::Step;
use crate::server::Tally;
use serde::Serialize;

/// The result of a run. Its JSON is that of `encrypt apply`.
#[derive(Default, Serialize)]
pub(super) struct ApplyReport {
    /// Statements of applications that fail from now on.
    pub warnings: Vec<String>,
    pub done: Vec<DoneStep>,
    pub failed: Vec<FailedStep>,
    pub interrupted: bool,
    /// What was requested and is still unencrypted (with `--undo`, still encrypted).
    pub left: Vec<String>,
    /// What could not be looked at, and why.
    pub not_checked: Vec<FailedStep>,
    /// What is left in any case, as `encrypt finish` does it.
    pub checklist: Vec<Step>,
    /// What this run left to do besides.
    pub next_steps: Vec<String>,
    /// What the run has done.
    pub summary: Summary,
    /// How many places are in each state now; with `--only`, of the selected tables.
    pub tally: Tally,
    /// Whether some of what is left is for another run, not for the administrator.
    #[serde(skip)]
    pub is_for_apply: bool,
    /// The places and settings that are not encrypted or set because `--skip` left them out.
    pub left_out: Vec<String>,
    /// How many of them are settings.
    #[serde(skip)]
    pub left_out_settings: usize,
    /// How many settings are left to the administrator.
    #[serde(skip)]
    pub to_set: usize,
}

/// What a run has done.
#[derive(Default, Serialize)]
pub(super) struct Summary {
    /// Tables that were encrypted or decrypted.
    pub tables: usize,
    /// The size of these tables, and of tablespaces.
    pub bytes: u64,
    /// How long the run took, with its waits.
    pub seconds: f64,
}

impl ApplyReport {
    /// Whether everything requested was done.
    pub(super) fn is_fine(&self) -> bool {
        !self.interrupted && self.failed.is_empty() && self.left.is_empty() && self.not_checked.is_empty()
    }
}

#[derive(Serialize)]
pub(super) struct DoneStep {
    pub what: String,
    pub bytes: u64,
    pub seconds: f64,
    /// The long statements of the step, in their order.
    pub statements: Vec<StatementTime>,
}

/// How long a statement took.
#[derive(Serialize)]
pub(super) struct StatementTime {
    pub statement: String,
    pub seconds: f64,
}

#[derive(Serialize)]
pub(super) struct FailedStep {
    pub what: String,
    pub why: String,
    /// Whether it fails again until the administrator has done what `why` says.
    #[serde(skip)]
    pub by_hand: bool,
}
