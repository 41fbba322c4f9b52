// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides which keys are needed. Whatever is not known counts as needed.

use super::dates::days_since;
use super::kind::{KeyKind, KindWord};
use super::named::Named;
use crate::show::{Shown, counted};
use keyring_external::keyring::Keyring;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Whether a key is needed, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::commands) enum Need {
    /// Files name it.
    Files,
    /// It is the newest master key of its server, which wraps everything new.
    Current,
    /// It is no master key of MySQL: only its user knows whether it is needed.
    UnknownKind,
    /// The data directory of its server was not read.
    UnknownServer,
    /// It is a master key of binary logs, and no binary log was read.
    NoLogs,
    /// Nothing that was read needs it, but something could not be read.
    NotRead,
    /// Nothing needs it.
    Nothing,
}

/// A key, and what needs it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands) struct JudgedKey {
    pub id: String,
    pub user: String,
    #[serde(rename = "type")]
    pub key_type: String,
    pub kind: KindWord,
    /// When it was stored, in seconds since 1970.
    pub stored: u64,
    pub age_days: u64,
    /// When it was retired, in seconds since 1970.
    pub retired: Option<u64>,
    pub need: Need,
    #[serde(serialize_with = "crate::show::paths")]
    pub files: Vec<PathBuf>,
}

/// What is known of all keys.
#[derive(Debug)]
pub(super) struct Judgement {
    pub keys: Vec<JudgedKey>,
    /// Keys that files name and the keyring does not have.
    pub missing: BTreeMap<String, Vec<PathBuf>>,
}

/// Judges all keys of a keyring that was opened before the places were read.
pub(super) fn judge(keyring: &Keyring, named: &Named, gone: &[uuid::Uuid]) -> Judgement {
    let gone: BTreeSet<_> = gone.iter().map(|uuid| uuid.hyphenated().to_string()).collect();
    let mut newest: BTreeMap<(bool, String), u64> = BTreeMap::new();
    let mut keys = Vec::new();
    let slot = |kind: &KeyKind, uuid: &str| (matches!(kind, KeyKind::Innodb(..)), uuid.to_owned());
    keyring.for_each(|key| {
        let id = key.name.id().escape_ascii().to_string();
        let kind = KeyKind::of(&id, key.name.user());
        if let Some((uuid, number)) = kind.of_server() {
            let newest = newest.entry(slot(&kind, uuid)).or_default();
            *newest = number.max(*newest);
        }
        let judged = JudgedKey {
            files: named.keys.get(&id).filter(|_| key.name.user().is_empty()).cloned().unwrap_or_default(),
            id,
            user: key.name.user().escape_ascii().to_string(),
            key_type: key.key_type.bytes().escape_ascii().to_string(),
            kind: kind.word(),
            stored: key.created,
            age_days: days_since(key.created),
            retired: key.retired.map(|at| at.get()),
            need: Need::Nothing,
        };
        keys.push((kind, judged));
    });
    let has = |id: &String| keys.iter().any(|(_, key)| key.id == *id && key.user.is_empty());
    let missing = named.keys.iter().filter(|(id, _)| !has(id)).map(|(id, files)| (id.clone(), files.clone()));
    let missing = missing.collect();
    let judged = keys.into_iter().map(|(kind, mut key)| {
        key.need = match kind.of_server() {
            _ if !key.files.is_empty() => Need::Files,
            None => Need::UnknownKind,
            Some((uuid, number)) => {
                let is_gone = gone.contains(uuid) && !named.servers.contains(uuid);
                let is_newest = newest.get(&slot(&kind, uuid)) == Some(&number);
                match () {
                    () if !named.servers.contains(uuid) && !is_gone => Need::UnknownServer,
                    () if is_newest && !is_gone => Need::Current,
                    () if key.kind == KindWord::BinaryLogs && !named.has_logs && !is_gone => Need::NoLogs,
                    () if !named.unread.is_empty() => Need::NotRead,
                    () => Need::Nothing,
                }
            }
        };
        key
    });
    Judgement { keys: judged.collect(), missing }
}

impl JudgedKey {
    /// Why it is needed, in a few words.
    pub(in crate::commands) fn why(&self) -> String {
        match self.need {
            Need::Files => {
                let first = self.files.first().map_or_else(String::new, |file| file.shown());
                match self.files.len() {
                    1 => first,
                    n => format!("{}, such as {first}", counted(n, "file")),
                }
            }
            Need::Current => "in use: the newest of its server".to_owned(),
            Need::UnknownKind => "not known: no master key of MySQL".to_owned(),
            Need::UnknownServer => "not known: the data directory of its server was not named".to_owned(),
            Need::NoLogs => "not known: no binary or relay log was read".to_owned(),
            Need::NotRead => "not known: not everything could be read".to_owned(),
            Need::Nothing => "nothing".to_owned(),
        }
    }
}
