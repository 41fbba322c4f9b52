// SPDX-License-Identifier: GPL-2.0-or-later
//! Nothing unwinds into mysqld.

use super::services::{Level, log};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; when it panics, says so in the error log and answers `on_panic`.
///
/// What a panic may have left behind is the keyring's own business: its writer writes the file whole
/// after a write that did not end, and its locks survive.
pub(super) fn guard<R>(on_panic: R, body: impl FnOnce() -> R) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(answer) => answer,
        Err(payload) => {
            // Dropping a payload may panic again; leaking it cannot.
            std::mem::forget(payload);
            log(
                Level::Error,
                "an internal error was caught and the call failed; the keys in memory and in the file are as before \
                 or after it. Please report this with the lines above.",
            );
            on_panic
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_failure_value() {
        assert_eq!(guard(7, || if true { panic!("on purpose") } else { 1 }), 7);
        assert_eq!(guard(7, || 1), 1);
    }
}
