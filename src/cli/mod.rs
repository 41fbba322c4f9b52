// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl`.
use std::process::ExitCode;

/// Runs `keyringctl`.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
