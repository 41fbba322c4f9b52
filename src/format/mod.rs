// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring file, as docs/FORMAT.md describes it: bytes to types and back. Nothing here touches a file,
//! and nothing trusts a byte before it is authenticated (invariant 3).
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]
#![warn(unreachable_pub)]

pub mod audit_key;
mod bytes;
pub mod commit;
pub mod cost;
pub mod crypto;
mod error;
pub mod header;
pub mod image;
pub mod layout;
pub mod log_note;
pub mod records;
mod renewal;
pub mod slots;
pub mod state;
pub mod unlocking;
pub mod witness;

pub use error::{FormatError, Result};
