// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a keyring lies: files on volumes. Nothing here understands a byte of what it writes.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]
#![warn(unreachable_pub)]

pub mod deadline;
pub mod fs;
pub(crate) mod locked;
pub mod real;
pub mod replica;
pub mod vacancy;
pub mod volume;
pub mod witness;
