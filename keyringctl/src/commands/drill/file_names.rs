// SPDX-License-Identifier: GPL-2.0-or-later
//! Which tables a file may belong to.

use crate::server::{full_name, may_be_file_of};
use std::path::Path;

/// The schema's directory and the file's name without its extension.
fn parts(file: &Path) -> Option<(&str, &str)> {
    let directory = file.parent()?.file_name()?.to_str()?;
    Some((directory, file.file_stem()?.to_str()?))
}

/// Whether a file may be one of this table.
pub(super) fn is_of(file: &Path, schema: &str, table: &str) -> bool {
    parts(file).is_some_and(|(directory, stem)| may_be_file_of(directory, stem, schema, table))
}

/// The name of a file's table, as far as its name tells without a server.
pub(super) fn table_of(file: &Path) -> Option<String> {
    let (directory, stem) = parts(file)?;
    let lower = stem.to_ascii_lowercase();
    let table = lower.find("#p#").and_then(|at| stem.get(..at)).unwrap_or(stem);
    Some(full_name(&decoded(directory), &decoded(table)))
}

/// A name with the letters that the server encodes as `@` and four digits.
fn decoded(name: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let code = rest.strip_prefix('@').and_then(|digits| digits.get(..4));
        if let Some(unit) = code.and_then(|digits| u16::from_str_radix(digits, 16).ok()) {
            units.push(unit);
            rest = rest.get(5..).unwrap_or_default();
        } else {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_a_file_is_named() {
        let name = |file: &str| table_of(Path::new(file)).unwrap();
        assert_eq!(name("/d/clinic/patient.ibd"), "clinic.patient");
        assert_eq!(name("/d/clinic/visit#p#p1.ibd"), "clinic.visit");
        assert_eq!(decoded("bio@002dbank@"), "bio-bank@");
        assert!(is_of(Path::new("/d/bio@002dbank/a#p#p1.ibd"), "bio-bank", "a"));
        assert!(!is_of(Path::new("/d/clinic/patient.ibd"), "clinic", "patients"));
    }
}
