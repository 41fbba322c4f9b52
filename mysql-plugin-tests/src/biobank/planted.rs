// SPDX-License-Identifier: GPL-2.0-or-later
//! The names that are planted among the people, to be looked for in files.

use crate::rig::files_with;
use std::path::{Path, PathBuf};

/// How many planted names there are.
pub const PLANTED: u64 = 1000;
/// Every planted name holds this, and nothing else does.
pub const MARK: &str = "Quennar";

/// The planted name with that number, from 1 on.
pub fn planted(number: u64) -> String {
    const GIVEN: [&str; 10] =
        ["Astrid", "Birger", "Cecilia", "Dag", "Elin", "Folke", "Greta", "Halvar", "Ingrid", "Jon"];
    const MIDDLE: [&str; 10] = ["vik", "stad", "lund", "mark", "dal", "fors", "berg", "holm", "ås", "ryd"];
    const END: [&str; 10] = ["en", "sson", "sdotter", "ell", "ius", "man", "gren", "quist", "ström", "by"];
    let digit = |place: u64| (number / place % 10) as usize;
    // Ten times ten times ten: each number has its own name.
    format!("{} {MARK}{}{}", GIVEN[digit(1)], MIDDLE[digit(10)], END[digit(100)])
}

/// Returns the files below a directory that contain the part that all planted names, and only they, have in common. Full-text
/// indexes contain it in lower case.
pub fn files_with_names(dir: &Path) -> Vec<PathBuf> {
    files_with(&[dir], &[MARK.into(), MARK.to_lowercase().into_bytes()])
}
