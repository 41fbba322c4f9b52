// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a keyring in use reports what happens to its copies.

/// How serious a report is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Somebody must act.
    Warning,
    /// For information.
    Note,
}

/// Writes a report to the server's error log, or to standard error.
pub type Log = fn(Severity, &str);

/// A [`Log`] that discards all reports.
pub(super) fn silent(_: Severity, _: &str) {}
