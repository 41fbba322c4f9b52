// SPDX-License-Identifier: GPL-2.0-or-later
//! What an error is about: exit codes, and whether a keyring is worth reading again, follow from that.

use super::Error;

/// What an error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Concern {
    /// The keyring: something was found out about it.
    Keyring,
    /// The keyring, which another program may have changed: it is worth reading again.
    ChangedKeyring,
    /// What was to be done, and could not be carried out.
    Command,
}

impl Error {
    /// What it is about. Each kind is named, so that it is decided for a new one.
    pub fn concern(&self) -> Concern {
        match self {
            Error::Changed { .. } | Error::OtherKey { .. } | Error::Diverged { .. } => {
                Concern::ChangedKeyring
            }
            Error::Missing { .. }
            | Error::NotAKeyring { .. }
            | Error::Newer { .. }
            | Error::Damaged { .. }
            | Error::WrongSecret { .. }
            | Error::ForgedSlot { .. }
            | Error::SlotsUntried { .. }
            | Error::SlotNotVerified { .. }
            | Error::VerifiesNoSlot { .. }
            | Error::Foreign { .. }
            | Error::Older { .. }
            | Error::Fork { .. }
            | Error::OneFile { .. }
            | Error::DamagedNewest { .. }
            | Error::WitnessForeign { .. }
            | Error::WitnessOlder { .. }
            | Error::WitnessFork { .. }
            | Error::OtherKeyring { .. }
            | Error::NotAFile { .. }
            | Error::Exposed { .. }
            | Error::Owner { .. } => Concern::Keyring,
            Error::Key(_)
            | Error::Exists { .. }
            | Error::NoSuchKey { .. }
            | Error::ReadOnly { .. }
            | Error::SameDevice { .. }
            | Error::TooFewCopies { .. }
            | Error::Hung { .. }
            | Error::AlreadyThere { .. }
            | Error::Locked { .. }
            | Error::Unlock { .. }
            | Error::Config(_)
            | Error::Unavailable
            | Error::Retired
            | Error::NoFreeSlot
            | Error::NoSuchSlot { .. }
            | Error::LastSlot
            | Error::Server { .. }
            | Error::Io { .. }
            | Error::Internal(_)
            | Error::System(_) => Concern::Command,
        }
    }

    /// Whether it is a finding about a keyring, rather than a command that could not be carried out.
    pub fn is_about_the_keyring(&self) -> bool {
        self.concern() != Concern::Command
    }

    /// Whether another program may have changed the keyring, so that it is worth reading again.
    pub fn is_by_another(&self) -> bool {
        self.concern() == Concern::ChangedKeyring
    }
}
