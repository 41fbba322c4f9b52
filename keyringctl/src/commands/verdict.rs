// SPDX-License-Identifier: GPL-2.0-or-later
//! What a command found.

/// How a command ended that could be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::commands) enum Verdict {
    Fine,
    NotFine,
}

impl Verdict {
    pub fn and(self, other: Verdict) -> Verdict {
        if self == Verdict::Fine { other } else { self }
    }
}
