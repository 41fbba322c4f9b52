// SPDX-License-Identifier: GPL-2.0-or-later
//! The audit log: who opened and changed a keyring. JSON lines, each with the hash of the line before and a MAC that only a
//! holder of the data key can compute. docs/FORMAT.md has the lines. What cannot be written is counted and told, and never
//! stops anybody.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]
#![warn(unreachable_pub)]

mod event;
mod file;
mod forward;
mod line;
mod log;
mod segments;
mod tail;
#[cfg(test)]
mod tests;
pub mod verify;

pub use event::{Event, EventKind};
pub use file::WAIT;
pub use line::{Line, hash, hex};
pub use log::{AuditLog, Of, Reports, Settings};
