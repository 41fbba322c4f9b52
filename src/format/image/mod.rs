// SPDX-License-Identifier: GPL-2.0-or-later
//! A whole keyring file: sealed from keys, and opened again.

mod note;
mod open;
mod seal;
#[cfg(test)]
mod tests;

pub use note::Note;
pub use open::{Front, Opener, open_front, read_records};
pub use seal::Image;
