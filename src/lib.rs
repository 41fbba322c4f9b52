// SPDX-License-Identifier: GPL-2.0-or-later
//! A MySQL keyring whose keys live in one encrypted file on a separate external volume.
//!
//! The library is what mysqld loads (a cdylib) and what `keyringctl` and the tests link (an rlib).
//! `docs/ARCHITECTURE.md` has the module map and the numbered invariants cited in comments as
//! "invariant N"; `docs/FORMAT.md` is the file, `docs/ABI.md` the C boundary.

// What no other package uses is pub(crate).
#![cfg_attr(not(test), deny(unreachable_pub))]

#[cfg(not(panic = "unwind"))]
compile_error!(
    "keyring_external must be built with panic = \"unwind\": a panic is caught at the C boundary, an abort would take mysqld down"
);

pub mod abi;
pub mod aes;
pub mod audit;
pub mod config;
pub mod custodians;
pub mod error;
pub mod format;
pub mod key;
pub mod keyring;
mod paper;
pub mod recovery;
pub mod secret;
pub mod store;
pub mod unlock;
