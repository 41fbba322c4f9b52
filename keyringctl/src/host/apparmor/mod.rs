// SPDX-License-Identifier: GPL-2.0-or-later
//! AppArmor: what a profile grants for the files of a keyring, and the rules that must be added.

mod glob;
mod parse;
mod profile;
mod rules;

pub use parse::{Include, parse};
pub use profile::{End, MissingAccess, PathRule, Profile};
pub use rules::{
    DIRECTORY, PROFILE_FILE, include_line, included_local_files, is_loaded, local_file, local_rules, merged,
    with_include,
};

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
