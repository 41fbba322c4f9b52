// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the copies of a keyring are stored: files on volumes. Nothing here interprets the bytes.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]
#![warn(unreachable_pub)]

pub mod deadline;
pub mod fs;
pub(crate) mod locked;
pub mod own_directory;
pub mod real;
#[cfg(feature = "remote")]
pub mod remote;
pub mod replica;
pub mod vacancy;
pub mod volume;
pub mod witness;
