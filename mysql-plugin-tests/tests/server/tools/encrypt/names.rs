// SPDX-License-Identifier: GPL-2.0-or-later
//! Searches files for the planted names.

use memchr::memmem;
pub use mysql_plugin_tests::biobank::files_with_names;
use mysql_plugin_tests::biobank::{MARK, PLANTED, planted};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Returns the numbers of the planted names that are unencrypted in the files below a directory.
pub fn names_in(dir: &Path) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    for path in files_with_names(dir) {
        // A log that has been purged meanwhile.
        let Ok(bytes) = fs::read(path) else { continue };
        for at in memmem::find_iter(&bytes, MARK) {
            let mut missing = (1..=PLANTED).filter(|number| !found.contains(number));
            let is_there = |number: &u64| {
                let name = planted(*number);
                let start = name.find(MARK).and_then(|before| at.checked_sub(before));
                start.and_then(|start| bytes.get(start..start + name.len())) == Some(name.as_bytes())
            };
            if let Some(number) = missing.find(is_there) {
                found.insert(number);
            }
        }
        if found.len() as u64 == PLANTED {
            break;
        }
    }
    found
}
