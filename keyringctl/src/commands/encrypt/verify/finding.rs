// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl encrypt verify` finds.

use crate::server::Kind;
use serde::Serialize;

/// A reason why the check fails.
#[derive(Serialize)]
pub(in crate::commands) struct Finding {
    pub kind: Kind,
    pub what: String,
    pub why: String,
    pub remedy: Option<String>,
    /// Whether `--accept` excludes it from the verdict.
    pub accepted: bool,
}

impl Finding {
    pub fn new(
        kind: Kind,
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: Option<String>,
    ) -> Finding {
        Finding { kind, what: what.into(), why: why.into(), remedy, accepted: false }
    }
}
