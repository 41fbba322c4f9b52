// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the copies of a keyring are stored: files on volumes. Nothing here interprets the bytes.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]
#![warn(unreachable_pub)]

pub mod deadline;
pub mod file;
#[cfg(feature = "remote")]
pub mod remote;
pub mod witness;
