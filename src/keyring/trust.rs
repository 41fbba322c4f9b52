// SPDX-License-Identifier: GPL-2.0-or-later
//! How much an opening believes the witness.

/// What of the witness is asked for when a keyring is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Refuse what the witness contradicts.
    Witness,
    /// The administrator named this keyring just now: another one than the witness knows is meant.
    Administrator,
}
