// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares two files of a keyring, and finds names that differ here but not in the other keyring.

use super::keys::{Key, LegacyKeys};
use keyring_external::key::{KeyName, NameRef};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// The differences between two files.
#[derive(Debug, Default)]
pub struct Difference<'a> {
    /// Keys that only the first file has.
    pub only_first: Vec<Key<'a>>,
    /// Keys that only the second file has.
    pub only_second: Vec<Key<'a>>,
    /// Keys that have a different type or different bytes in the second file.
    pub other: Vec<Key<'a>>,
}

impl<'a> Difference<'a> {
    /// Compares two files.
    pub fn between(first: &'a LegacyKeys, second: &'a LegacyKeys) -> Self {
        let mut found = Self::default();
        for key in first.iter() {
            match second.get(key.id, key.user) {
                None => found.only_first.push(key),
                Some(other) if !same(&key, other.key_type, other.data) => found.other.push(key),
                Some(_) => {}
            }
        }
        found.only_second.extend(second.iter().filter(|key| first.get(key.id, key.user).is_none()));
        found
    }

    /// Whether the second file has anything that the first does not.
    pub fn second_has_more(&self) -> bool {
        !self.only_second.is_empty() || !self.other.is_empty()
    }
}

/// Whether a key has this type and these bytes.
pub fn same(key: &Key<'_>, key_type: &[u8], data: &[u8]) -> bool {
    key.key_type == key_type && key.data.ct_eq(data).into()
}

/// Groups of names that keyring_file treats as the same: it compares id and user as a single text, ignoring case.
/// Returns only groups with a name from `new`.
pub fn near_duplicates<'a>(
    new: impl Iterator<Item = NameRef<'a>>,
    there: impl Iterator<Item = NameRef<'a>>,
) -> Vec<Vec<KeyName>> {
    let mut groups: BTreeMap<Vec<u8>, (bool, Vec<KeyName>)> = BTreeMap::new();
    for (is_new, name) in new.map(|name| (true, name)).chain(there.map(|name| (false, name))) {
        let (any_new, group) = groups.entry(folded(&name)).or_default();
        *any_new |= is_new;
        let name = name.to_owned();
        if !group.contains(&name) {
            group.push(name);
        }
    }
    groups
        .into_values()
        .filter(|(any_new, group)| *any_new && group.len() > 1)
        .map(|(_, group)| group)
        .collect()
}

fn folded(name: &NameRef<'_>) -> Vec<u8> {
    let text = [name.id(), name.user()].concat();
    match String::from_utf8(text) {
        Ok(text) => text.to_lowercase().into_bytes(),
        Err(e) => e.into_bytes().to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{component_keyring_file as json, samples};
    use super::*;

    fn keys(all: &[(&str, &str, &str)]) -> LegacyKeys {
        let all: Vec<samples::Sample> = all
            .iter()
            .map(|(id, key_type, data)| (vec![], (*id).into(), (*key_type).into(), (*data).into()))
            .collect();
        let (file, len) = json::write(|put| samples::each(&all, put)).unwrap();
        json::read(&file[..len]).unwrap()
    }

    fn names(keys: &[Key<'_>]) -> Vec<String> {
        keys.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn differences_are_listed_by_name() {
        let first = keys(&[("a", "AES", "1"), ("b", "AES", "2"), ("c", "AES", "3"), ("d", "AES", "4")]);
        let second = keys(&[("b", "AES", "2"), ("c", "AES", "x"), ("d", "RSA", "4"), ("e", "AES", "5")]);
        let found = Difference::between(&first, &second);
        assert_eq!(names(&found.only_first), ["'a'"]);
        assert_eq!(names(&found.only_second), ["'e'"]);
        assert_eq!(names(&found.other), ["'c'", "'d'"]);
        assert!(found.second_has_more());
        let fewer = keys(&[("a", "AES", "1")]);
        assert!(!Difference::between(&first, &fewer).second_has_more());
        assert!(Difference::between(&fewer, &first).second_has_more());
    }

    #[test]
    fn names_that_differ_by_case_or_by_where_the_user_begins_are_found() {
        let name =
            |id: &'static str, user: &'static str| NameRef::new(id.as_bytes(), user.as_bytes()).unwrap();
        let new = || [name("Key1", ""), name("ab", "c"), name("other", "")].into_iter();
        let there = [name("KEY1", ""), name("Key1", ""), name("a", "BC"), name("x", ""), name("X", "")];
        let found = near_duplicates(new(), there.into_iter());
        let names: Vec<Vec<String>> =
            found.iter().map(|group| group.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(names, [vec!["'ab' of user 'c'", "'a' of user 'BC'"], vec!["'Key1'", "'KEY1'"]]);
        assert!(near_duplicates(new(), std::iter::empty()).is_empty());
    }
}
