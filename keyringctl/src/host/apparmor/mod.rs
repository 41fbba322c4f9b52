// SPDX-License-Identifier: GPL-2.0-or-later
//! AppArmor: what a profile grants for the files of a keyring, and the rules that must be added.

mod glob;
mod parse;
mod profile;
mod rules;

pub use parse::{Include, parse};
pub use profile::{MissingAccess, PathRule, Profile};
pub use rules::{LOCAL_FILE, PROFILE_FILE, local_rules, merged};

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
