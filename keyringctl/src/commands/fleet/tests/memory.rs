// SPDX-License-Identifier: GPL-2.0-or-later
//! An engine whose objects are in memory.

use super::super::compare;
use super::super::entry::Entry;
use super::super::survey::survey;
use super::NOW;
use keyring_external::store::remote::objects::{Answer, Cause, Object, Objects, Put, Trouble, Version};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// An engine that can be read only.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) objects: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Names that the list leaves out.
    pub(super) unlisted: Vec<String>,
    /// Names that the list has besides: those of objects that were deleted with their history kept.
    pub(super) deleted: Vec<String>,
    /// Prefixes that cannot be read.
    pub(super) closed: Vec<String>,
}

impl Objects for Memory {
    fn get(&self, name: &str, _until: Instant) -> Answer<Option<Object>> {
        if self.closed.iter().any(|prefix| name.starts_with(prefix)) {
            return Err(Trouble::not_done(Cause::NotAllowed, "the engine refuses it"));
        }
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(name).map(|bytes| Object { bytes: bytes.clone(), version: Version("1".to_owned()) }))
    }

    fn put(&self, _: &str, _: &[u8], _: Option<&Version>, _: Instant) -> Answer<Put> {
        panic!("a fleet is only looked at");
    }

    fn list(&self, folder: &str, _until: Instant) -> Answer<Vec<String>> {
        let objects = self.objects.lock().unwrap();
        let is_in = |name: &&String| folder.is_empty() || name.starts_with(&format!("{folder}/"));
        let all = objects.keys().filter(|name| !self.unlisted.contains(name)).chain(&self.deleted);
        Ok(all.filter(is_in).cloned().collect())
    }

    fn delete(&self, _: &[String], _: Instant) -> Answer<()> {
        panic!("a fleet is only looked at");
    }
}

impl Memory {
    pub(super) fn set(&self, name: &str, bytes: Vec<u8>) {
        self.objects.lock().unwrap().insert(name.to_owned(), bytes);
    }

    pub(super) fn remove(&self, name: &str) {
        self.objects.lock().unwrap().remove(name).expect(name);
    }

    pub(super) fn look(&self) -> Vec<Entry> {
        let until = Instant::now() + Duration::from_secs(60);
        survey("b", self, "", until, &|_, _| ()).unwrap()
    }

    pub(super) fn compared(&self, stale: Option<u64>) -> Vec<Entry> {
        let mut entries = self.look();
        compare::all(&mut entries, stale, NOW);
        entries
    }
}
