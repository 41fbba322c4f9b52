// SPDX-License-Identifier: GPL-2.0-or-later
//! How an opening treats the witness.

/// What to do if the witness knows another keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Refuse the keyring.
    Witness,
    /// Use it: the administrator just named this keyring, so another keyring than the witness knows is
    /// intended.
    Administrator,
}
