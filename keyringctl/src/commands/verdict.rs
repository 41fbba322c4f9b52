// SPDX-License-Identifier: GPL-2.0-or-later
//! The result of a command.

/// The result of a command that ran to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands) enum Verdict {
    Fine,
    NotFine,
}

impl Verdict {
    pub(super) fn and(self, other: Verdict) -> Verdict {
        if self == Verdict::Fine { other } else { self }
    }
}
