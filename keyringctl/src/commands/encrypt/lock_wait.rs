// SPDX-License-Identifier: GPL-2.0-or-later
//! How long statements wait for locks on tables.

/// How long statements wait for locks, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LockWait {
    /// Those that writers are not to notice.
    pub online: u32,
    /// Others, such as a COPY, for which writers wait longer anyway.
    pub copy: u32,
}

impl LockWait {
    /// `given`: what the user wants for all.
    pub(super) fn new(given: Option<u32>) -> LockWait {
        LockWait { online: given.unwrap_or(1), copy: given.unwrap_or(10) }
    }
}

/// The statement that bounds how long later ones wait for locks.
pub(super) fn bound(seconds: u32) -> String {
    format!("SET SESSION lock_wait_timeout = {seconds}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_wait_a_second_unless_the_user_wants_otherwise() {
        assert_eq!(LockWait::new(None), LockWait { online: 1, copy: 10 });
        assert_eq!(LockWait::new(Some(30)), LockWait { online: 30, copy: 30 });
    }
}
