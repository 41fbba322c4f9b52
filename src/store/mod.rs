// SPDX-License-Identifier: GPL-2.0-or-later
//! Where a keyring lies: files on volumes. Nothing here understands a byte of what it writes.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod change;
pub mod copy;
pub mod deadline;
pub mod fs;
pub mod real;
pub mod vacancy;
pub mod volume;
pub mod witness;
