// SPDX-License-Identifier: GPL-2.0-or-later
//! A whole keyring file: made from keys, or read back into them.

mod note;
mod open;
mod seal;
#[cfg(test)]
mod tests;

pub use note::Note;
pub use open::{Front, Opener, open_front, read_records};
pub use seal::Image;
