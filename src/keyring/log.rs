// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a keyring in use reports what happens to its copies.

/// How much something matters that is reported while a keyring is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// Somebody must act.
    Warning,
    /// For the record.
    Note,
}

/// Where reports go: the server's error log, or standard error.
pub type Log = fn(Severity, &str);

/// Reports nothing.
pub(super) fn silent(_: Severity, _: &str) {}
