// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for secrets (invariant 6): locked in RAM, excluded from core dumps, wiped before it is released.
#![warn(unreachable_pub)]

mod locked;
mod random;
mod unlock;
mod vault;

pub use locked::Locked;
pub(crate) use locked::{lock_again, lock_failure_to_report};
pub use random::{fill_random, random_array};
pub use unlock::{MIN_SECRET, UnlockSecret};
pub use vault::{Vault, VaultPlace};
