// SPDX-License-Identifier: GPL-2.0-or-later
//! The value of `early-plugin-load`: a list of plugins. mysqld loads only what the last line with that option names.

use super::Way;

/// The entries of a list, such as `audit.so` or `audit=audit.so`. mysqld separates them at semicolons and colons.
pub fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split([';', ':']).map(str::trim).filter(|entry| !entry.is_empty())
}

/// The library of an entry.
pub fn library(entry: &str) -> &str {
    entry.rsplit('=').next().unwrap_or(entry).trim()
}

/// Whether a list names our plugin.
pub fn names_ours(list: &str) -> bool {
    entries(list).any(|entry| library(entry) == Way::Plugin.library())
}

/// The entries of `list` whose libraries are not in `other`.
pub fn missing_from<'l>(list: &'l str, other: &str) -> Vec<&'l str> {
    let is_there = |entry: &&str| entries(other).any(|o| library(o) == library(entry));
    entries(list).filter(|entry| !is_there(entry)).collect()
}

/// Whether a library is another keyring, by its name. `keyring_udf` is not a keyring.
pub fn is_other_keyring(library: &str) -> bool {
    library.contains("keyring") && !library.contains("keyring_external") && !library.contains("keyring_udf")
}

/// The list that loads our plugin and what the others load, except for other keyrings. `own` stays as it is. Otherwise our
/// plugin comes first: mysqld loads nothing that follows a library that it cannot load.
pub fn merged(own: &str, others: &str) -> String {
    let base = [own, others].into_iter().find(|list| names_ours(list)).unwrap_or_default();
    let mut all: Vec<&str> = entries(base).collect();
    if all.is_empty() {
        all.push(Way::Plugin.library());
    }
    for list in [own, others] {
        for entry in entries(list) {
            if !all.iter().any(|a| library(a) == library(entry)) {
                all.push(entry);
            }
        }
    }
    all.retain(|entry| !is_other_keyring(library(entry)));
    all.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_plugin_is_added_to_what_others_load() {
        for (own, others, expected) in [
            ("", "", "keyring_external.so"),
            ("", "audit.so", "keyring_external.so;audit.so"),
            ("", " a=audit.so : b.so ;", "keyring_external.so;a=audit.so;b.so"),
            ("", "audit.so;keyring_external.so", "audit.so;keyring_external.so"),
            ("audit.so;keyring_external.so", "", "audit.so;keyring_external.so"),
            ("keyring_external.so", "audit.so", "keyring_external.so;audit.so"),
            ("x.so;keyring_external.so", "audit=audit.so;x.so", "x.so;keyring_external.so;audit=audit.so"),
            ("", "keyring_file.so;my_keyring_udf.so", "keyring_external.so;my_keyring_udf.so"),
            ("", "my_keyring_external.so", "keyring_external.so;my_keyring_external.so"),
        ] {
            assert_eq!(merged(own, others), expected, "{own} and {others}");
        }
    }

    #[test]
    fn a_library_is_the_same_under_any_name() {
        assert_eq!(missing_from("a=audit.so;b.so", "audit.so;keyring_external.so"), ["b.so"]);
        assert!(names_ours("x.so;k=keyring_external.so") && !names_ours("my_keyring_external.so"));
        assert!(!names_ours("component_keyring_external.so"));
    }
}
