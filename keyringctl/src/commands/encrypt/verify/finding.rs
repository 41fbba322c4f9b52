// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl encrypt verify` finds.

use crate::server::PlaceKind;
use serde::Serialize;

/// A reason why the check fails.
#[derive(Serialize)]
pub(in crate::commands) struct VerifyFinding {
    pub kind: PlaceKind,
    pub what: String,
    pub why: String,
    pub remedy: Option<String>,
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
        VerifyFinding { kind, what: what.into(), why: why.into(), remedy, accepted: false }
    }
}
