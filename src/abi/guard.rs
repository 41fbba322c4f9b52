// SPDX-License-Identifier: GPL-2.0-or-later
//! Every entry point is one call of [`guard`]: nothing unwinds into mysqld, and what a failed call returns is decided
//! here, once for each return type.

use super::level::Level;
use super::services::log;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The call failed. The reason is in the error log, or the server knows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed;

/// The return type of an entry point.
pub(super) trait Answer {
    /// What the body of a successful call returns.
    type Done;
    /// What a call returns that failed or panicked.
    const FAILURE: Self;
    /// What a successful call returns.
    fn success(done: Self::Done) -> Self;
}

impl Answer for c_int {
    type Done = ();
    const FAILURE: Self = 1;
    fn success((): ()) -> Self {
        0
    }
}

impl Answer for bool {
    type Done = ();
    const FAILURE: Self = true;
    fn success((): ()) -> Self {
        false
    }
}

impl Answer for () {
    type Done = ();
    const FAILURE: Self = ();
    fn success((): ()) -> Self {}
}

impl Answer for *const c_void {
    type Done = *const c_void;
    const FAILURE: Self = std::ptr::null();
    fn success(done: Self) -> Self {
        done
    }
}

/// Runs the body of an entry point. A panic is a failure, and the error log says so.
///
/// A panic leaves the keyring usable: its writer rewrites the whole file after a write that did not end, and its locks
/// survive.
pub(super) fn guard<A: Answer>(body: impl FnOnce() -> Result<A::Done, Failed>) -> A {
    catch(body).map_or(A::FAILURE, A::success)
}

/// As [`guard`], for the entry points that answer a question: 1 is yes. A failure is a no.
pub(super) fn guard_yes_no(body: impl FnOnce() -> bool) -> c_int {
    c_int::from(catch(|| Ok(body())) == Ok(true))
}

fn catch<R>(body: impl FnOnce() -> Result<R, Failed>) -> Result<R, Failed> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // Dropping a payload may panic again; leaking it cannot.
        std::mem::forget(payload);
        log(
            Level::Error,
            "an internal error was caught and the call failed; the keys in memory and in the file are as they were \
             before the call or after it. Please report this with the lines above.",
        );
        Err(Failed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call of each return type that succeeds, fails or panics.
    fn returned<A: Answer>(body: impl Fn() -> Result<A::Done, Failed>) -> A {
        guard(body)
    }

    #[test]
    fn a_failure_and_a_panic_are_the_failure_of_the_return_type() {
        for body in [|| Err(Failed), || panic!("on purpose")] {
            assert_eq!(returned::<c_int>(body), 1);
            assert!(returned::<bool>(body));
            returned::<()>(body);
        }
        let null = || if true { panic!("on purpose") } else { Ok(c"".as_ptr().cast()) };
        assert!(returned::<*const c_void>(null).is_null());
        assert_eq!(guard_yes_no(|| panic!("on purpose")), 0);
    }

    #[test]
    fn a_success_is_the_success_of_the_return_type() {
        assert_eq!(returned::<c_int>(|| Ok(())), 0);
        assert!(!returned::<bool>(|| Ok(())));
        assert!(!returned::<*const c_void>(|| Ok(c"".as_ptr().cast())).is_null());
        assert_eq!((guard_yes_no(|| true), guard_yes_no(|| false)), (1, 0));
    }
}
