// SPDX-License-Identifier: GPL-2.0-or-later
//! The header: who the keyring is and how it is opened. It lies in the file twice; a copy that is
//! damaged does no harm while the other is whole.

mod authentic;
mod fields;
#[cfg(test)]
mod tests;
mod unchecked;

pub use authentic::Header;
pub use fields::{ClaimedHeader, MAGIC, VERSION};
pub use unchecked::{HeaderCopies, Unchecked, read};
