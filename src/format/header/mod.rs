// SPDX-License-Identifier: GPL-2.0-or-later
//! The header: identity of the keyring and how it is unlocked. The file holds two copies of it, so that
//! damage to one of them does no harm.

mod authentic;
mod fields;
#[cfg(test)]
mod tests;
mod unchecked;

pub use authentic::Header;
pub use fields::{ClaimedHeader, MAGIC, VERSION};
pub use unchecked::{HeaderCopies, Unchecked, read};
