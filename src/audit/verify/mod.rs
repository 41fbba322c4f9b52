// SPDX-License-Identifier: GPL-2.0-or-later
//! Verifies a log: which lines were changed, are missing or were moved. Pure: bytes in, findings out.

mod finding;
mod input;
mod order;
mod status;
#[cfg(test)]
mod tests;
mod unproven;
mod whole;

pub use finding::{Finding, Place, Trouble};
pub use input::Known;
pub use whole::{Bound, Counts, Verification, verify};
