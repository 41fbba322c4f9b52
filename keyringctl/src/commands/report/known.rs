// SPDX-License-Identifier: GPL-2.0-or-later
//! Facts that may be unknown.

use serde::Serialize;

/// Why nothing of the server's files is known.
pub(super) const ELSEWHERE: &str =
    "the data directory is not on this machine: run keyringctl report on the server";

/// A value that was measured, or why it was not.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands::report) enum Known<T> {
    Measured(T),
    NotMeasured(String),
}

impl<T> Known<T> {
    pub(super) fn measured(&self) -> Option<&T> {
        if let Known::Measured(value) = self { Some(value) } else { None }
    }

    pub(super) fn why_not(&self) -> Option<&str> {
        if let Known::NotMeasured(why) = self { Some(why) } else { None }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Known<T> {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(|e| Known::NotMeasured(e.to_string()), Known::Measured)
    }
}
