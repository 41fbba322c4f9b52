// SPDX-License-Identifier: GPL-2.0-or-later
//! Files of other keyrings: bytes to keys, and for one of them keys to bytes. Pure: no file is touched
//! here, no byte is trusted, and key bytes lie in locked memory only (invariant 6).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod compare;
pub mod component_keyring_file;
mod fault;
mod format;
pub mod keyring_file;
mod keys;
pub mod percona;
mod read;
#[cfg(test)]
mod samples;

pub use fault::{Fault, Result};
pub use format::Format;
pub use keys::{Key, Keys};

/// Most bytes of a file that is read: a million keys of 32 bytes, 8000 of the longest.
pub const MAX_FILE: u64 = 256 * 1024 * 1024;
