// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line of this run, for messages.

use crate::show::Shown;

/// Returns the command line of this run, quoted for a shell.
pub(super) fn command_line() -> String {
    let args = std::env::args_os().skip(1).map(|arg| arg.shown());
    std::iter::once("keyringctl".to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}
