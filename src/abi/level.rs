// SPDX-License-Identifier: GPL-2.0-or-later
//! How serious a log line is.

/// The severity of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Error,
    Warning,
    Note,
}
