// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl encrypt verify` finds.

use crate::server::PlaceKind;
use serde::Serialize;
use std::path::PathBuf;

/// A reason why the check fails: one place that is unencrypted or was not checked, one setting, or another error.
#[derive(Serialize)]
pub(in crate::commands) struct VerifyFinding {
    pub kind: PlaceKind,
    pub what: String,
    pub why: String,
    pub remedy: Option<String>,
    /// The files in which it was found, if `what` is not a path.
    #[serde(serialize_with = "crate::show::paths")]
    pub files: Vec<PathBuf>,
    /// Whether the place was looked at. If not, `--accept` does not apply to it.
    pub checked: bool,
    /// Whether `--accept` excludes it from the verdict.
    pub accepted: bool,
}

impl VerifyFinding {
    pub(crate) fn new(
        kind: PlaceKind,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: Option<String>,
    ) -> VerifyFinding {
        VerifyFinding {
            kind,
            what: what.into(),
            why: why.into(),
            remedy,
            files: Vec::new(),
            checked: true,
            accepted: false,
        }
    }

    /// A place that could not be looked at, for the reason `why`.
    pub(crate) fn not_checked(
        kind: PlaceKind,
        what: impl Into<String>,
        why: impl std::fmt::Display,
        remedy: Option<String>,
    ) -> VerifyFinding {
        let why = format!("not checked: {why}");
        VerifyFinding { checked: false, ..VerifyFinding::new(kind, what, why, remedy) }
    }

    /// Accepts it if its kind is among `kinds` and it was looked at.
    pub(crate) fn accept(&mut self, kinds: &[PlaceKind]) {
        self.accepted = self.checked && kinds.contains(&self.kind);
    }
}
