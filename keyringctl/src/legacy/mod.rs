// SPDX-License-Identifier: GPL-2.0-or-later
//! Formats of other keyrings: parses bytes into keys, and for one format also writes keys as bytes. This module opens no
//! files, trusts no byte, and keeps key bytes in locked memory only (invariant 6).
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
pub use keys::{Key, LegacyKeys};

/// Largest file that is read: enough for a million keys of 32 bytes, or 8000 of the longest.
pub const MAX_FILE: u64 = 256 * 1024 * 1024;
