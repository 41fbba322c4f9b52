// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots: each wraps the one data key under a secret of its own.

mod kind;
mod slot;
#[cfg(test)]
mod tests;
mod wrapping;

pub use kind::SlotKind;
pub(super) use slot::kinds;
pub(crate) use slot::{SALT_LEN, SLOT_COUNT};
pub use slot::{SLOT_LEN, Slot};
pub use wrapping::SlotOutcome;
