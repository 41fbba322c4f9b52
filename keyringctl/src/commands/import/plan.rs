// SPDX-License-Identifier: GPL-2.0-or-later
//! The plan of an import: what happens to each key.

use crate::legacy::compare::same;
use crate::legacy::{Key, LegacyKeys};
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::Keyring;
use serde_json::{Value, json};

/// What happens to a key.
pub(in crate::commands) enum Fate<'a> {
    /// It is imported.
    New(NameRef<'a>, KeyType),
    /// The keyring already holds it, with the same type and bytes.
    Present,
    /// It cannot be imported. Then no key is.
    Refused(String),
}

impl Fate<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::New(..) => "import",
            Self::Present => "present",
            Self::Refused(_) => "refused",
        }
    }
}

/// A key and what happens to it.
pub(in crate::commands) struct PlannedKey<'a> {
    pub key: Key<'a>,
    pub fate: Fate<'a>,
}

impl PlannedKey<'_> {
    /// Why the key is refused.
    pub(super) fn why(&self) -> &str {
        if let Fate::Refused(why) = &self.fate { why } else { "" }
    }
}

/// What happens to all keys, ordered by user and id.
pub(in crate::commands) struct ImportPlan<'a> {
    pub rows: Vec<PlannedKey<'a>>,
}

impl<'a> ImportPlan<'a> {
    pub(super) fn new(source: &'a LegacyKeys, keyring: &Keyring) -> Self {
        Self { rows: source.iter().map(|key| PlannedKey { key, fate: fate(&key, keyring) }).collect() }
    }

    pub(super) fn refused(&self) -> impl Iterator<Item = &PlannedKey<'a>> {
        self.rows.iter().filter(|row| matches!(row.fate, Fate::Refused(_)))
    }

    /// The names that are valid in this kind of keyring.
    pub(super) fn names(&self) -> impl Iterator<Item = NameRef<'a>> {
        self.rows.iter().filter_map(|row| NameRef::new(row.key.id, row.key.user).ok())
    }

    pub(super) fn cells(&self) -> Vec<Vec<String>> {
        let row = |row: &PlannedKey<'_>| {
            let to_do = match &row.fate {
                Fate::Refused(why) => format!("refused: {why}"),
                fate => fate.name().to_owned(),
            };
            vec![
                text(row.key.id),
                text(row.key.user),
                text(row.key.key_type),
                row.key.data.len().to_string(),
                to_do,
            ]
        };
        self.rows.iter().map(row).collect()
    }

    pub(super) fn json(&self) -> Vec<Value> {
        let row = |row: &PlannedKey<'_>| {
            let mut about = key_json(&row.key);
            if let Some(members) = about.as_object_mut() {
                members.insert("action".to_owned(), row.fate.name().into());
                if let Fate::Refused(why) = &row.fate {
                    members.insert("why".to_owned(), why.as_str().into());
                }
            }
            about
        };
        self.rows.iter().map(row).collect()
    }
}

fn fate<'a>(key: &Key<'a>, keyring: &Keyring) -> Fate<'a> {
    let (name, key_type) = match key.check() {
        Ok(checked) => checked,
        Err(e) => return Fate::Refused(format!("{e}: a keyring of keyring_external cannot hold this key")),
    };
    match keyring.fetch(&name, |there| same(key, there.key_type.bytes(), there.data)) {
        None => Fate::New(name, key_type),
        Some(true) => Fate::Present,
        Some(false) => Fate::Refused(
            "the keyring has another key of this name, which was not changed: find out which of the two the data needs \
             (see `keyringctl list`)"
                .to_owned(),
        ),
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A key as JSON, without its bytes.
pub(in crate::commands) fn key_json(key: &Key<'_>) -> Value {
    json!({ "id": text(key.id), "user": text(key.user), "type": text(key.key_type), "length": key.data.len() })
}

/// A name as JSON.
pub(in crate::commands) fn name_json(name: &NameRef<'_>) -> Value {
    json!({ "id": text(name.id()), "user": text(name.user()) })
}
