// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots. Each wraps the data key under a secret of its own.

mod kind;
mod numbered;
mod slot;
#[cfg(test)]
mod tests;
mod wrapping;

pub use kind::SlotKind;
pub use numbered::Slots;
pub use slot::Slot;
pub use wrapping::SlotOutcome;
