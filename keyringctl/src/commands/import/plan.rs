// SPDX-License-Identifier: GPL-2.0-or-later
//! What an import does with each key.

use crate::legacy::compare::same;
use crate::legacy::{Key, Keys};
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::Keyring;
use serde_json::{Value, json};

/// What happens to a key.
pub(in crate::commands) enum Fate<'a> {
    /// It is imported.
    New(NameRef<'a>, KeyType),
    /// It is there already, with the same type and bytes.
    Present,
    /// It cannot be imported, and with it none.
    Refused(String),
}

impl Fate<'_> {
    pub fn name(&self) -> &'static str {
        match self {
            Self::New(..) => "import",
            Self::Present => "present",
            Self::Refused(_) => "refused",
        }
    }
}

/// A key and what happens to it.
pub(in crate::commands) struct Row<'a> {
    pub key: Key<'a>,
    pub fate: Fate<'a>,
}

impl Row<'_> {
    /// Why it is refused.
    pub fn why(&self) -> &str {
        if let Fate::Refused(why) = &self.fate { why } else { "" }
    }
}

/// What happens to all keys, ordered by user and id.
pub(in crate::commands) struct Plan<'a> {
    pub rows: Vec<Row<'a>>,
}

impl<'a> Plan<'a> {
    pub fn new(source: &'a Keys, keyring: &Keyring) -> Self {
        Self { rows: source.iter().map(|key| Row { key, fate: fate(&key, keyring) }).collect() }
    }

    pub fn refused(&self) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(|row| matches!(row.fate, Fate::Refused(_)))
    }

    /// The names that can be names here.
    pub fn names(&self) -> impl Iterator<Item = NameRef<'a>> {
        self.rows.iter().filter_map(|row| NameRef::new(row.key.id, row.key.user).ok())
    }

    pub fn cells(&self) -> Vec<Vec<String>> {
        let row = |row: &Row<'_>| {
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

    pub fn json(&self) -> Vec<Value> {
        let row = |row: &Row<'_>| {
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
        Err(e) => return Fate::Refused(format!("{e}: a keyring of keyring_external cannot hold it")),
    };
    match keyring.fetch(&name, |there| same(key, there.key_type.bytes(), there.data)) {
        None => Fate::New(name, key_type),
        Some(true) => Fate::Present,
        Some(false) => Fate::Refused(
            "the keyring has another key of that name, which was left as it is: find out with `keyringctl list` which \
             of the two the data needs"
                .to_owned(),
        ),
    }
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A key without its bytes.
pub(in crate::commands) fn key_json(key: &Key<'_>) -> Value {
    json!({ "id": text(key.id), "user": text(key.user), "type": text(key.key_type), "length": key.data.len() })
}

/// A name.
pub(in crate::commands) fn name_json(name: &NameRef<'_>) -> Value {
    json!({ "id": text(name.id()), "user": text(name.user()) })
}
