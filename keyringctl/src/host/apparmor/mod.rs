// SPDX-License-Identifier: GPL-2.0-or-later
//! AppArmor: what a profile grants, as far as the files of a keyring go, and the rules that it must have.

mod glob;
mod parse;
mod profile;
mod rules;

pub use parse::{Include, parse};
pub use profile::{Missing, Profile, Rule};
pub use rules::{LOCAL_FILE, PROFILE_FILE, local_rules, merged};

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
