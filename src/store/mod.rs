// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the copies of a keyring are stored: files on volumes, and objects at a remote. Nothing here interprets the bytes.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]
#![warn(unreachable_pub)]

pub mod deadline;
pub mod file;
pub(crate) mod locked;
pub mod places;
pub mod reading;
#[cfg(feature = "remote")]
pub mod remote;
pub mod replica;
pub mod tasks;
pub mod vacancy;
pub mod witness;
