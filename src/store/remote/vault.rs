// SPDX-License-Identifier: GPL-2.0-or-later
//! Objects in a KV version 2 mount of HashiCorp Vault or OpenBao: one secret for each object, with the bytes in base64
//! in one field. A put names the version that it replaces (check-and-set), so the mount's own order decides.
//!
//! Standby nodes may answer reads from what they have received so far (OpenBao from 2.5 on, Vault Enterprise's
//! performance standby nodes). A head is therefore read from a node that says in the same moment that it is the active
//! one, and so is a piece that a standby node does not have. A piece never changes: one that is found is right.

mod access;
mod answers;
mod examine;
mod node;
mod nodes;
mod refusal;
mod session;

use super::http::Client;
use super::objects::{Answer, Cause, Object, Objects, Put, Trouble, Version};
use super::remotes::VaultSettings;
use access::{Access, Ask};
use answers::{Found, found, listed, number, put_body, put_version};
use refusal::is_conflict;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long to wait before a node is asked again that has not got the latest changes, or until an election is over.
const PAUSE: Duration = Duration::from_millis(50);

/// A KV version 2 mount.
pub struct Vault {
    access: Access,
    mount: String,
    /// The mount was seen to be KV version 2.
    checked: AtomicBool,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({:?}, mount {})", self.access, self.mount)
    }
}

impl Vault {
    /// A mount that is first asked when an object is. `client` knows the endpoints, `settings` the rest.
    pub fn new(client: Client, settings: VaultSettings) -> Self {
        let VaultSettings { mount, namespace, login } = settings;
        Self { access: Access::new(client, namespace, login), mount, checked: AtomicBool::new(false) }
    }

    /// Where the mount answers: `/v1/MOUNT/WHAT/NAME`.
    fn path(&self, what: &str, name: &str) -> String {
        format!("/v1/{}/{what}/{name}", self.mount)
    }

    /// Reads an object. `sure`: as it is at the active node.
    fn read(&self, name: &str, mut sure: bool, until: Instant) -> Answer<Found> {
        let read = Ask::reading("GET", self.path("data", name));
        loop {
            let active = if sure { Some(self.access.active(until)?) } else { None };
            let response = self.access.ask(&read, until)?;
            let from_active = active.is_some_and(|endpoint| endpoint == response.endpoint);
            match found(response.status, &response.body) {
                Found::Other(why) => {
                    return Err(
                        response.not_done(Cause::NotTheEngine, format!("{}: {why}", self.shown(name)))
                    );
                }
                Found::Foreign(why) => {
                    let told = format!(
                        "{}: {why}. If it is needed, copy it elsewhere. Then delete it here: bao kv delete -mount={} {name}",
                        self.shown(name),
                        self.mount
                    );
                    return Err(response.not_done(Cause::NotTheEngine, told));
                }
                object @ Found::Object(..) if from_active || !sure => return Ok(object),
                nothing @ Found::Nothing(_) if from_active => return Ok(nothing),
                // What is not at a standby node may be at the active one. Or another node became active meanwhile.
                _ if sure => self.pause(until)?,
                _ => sure = true,
            }
        }
    }

    fn pause(&self, until: Instant) -> Answer<()> {
        if until.saturating_duration_since(Instant::now()) <= PAUSE {
            let told = format!("the active node of {:?} changed again and again", self.access);
            return Err(Trouble::not_done(Cause::NoMajority, told));
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }

    /// How messages name an object.
    fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.mount)
    }

    /// Lets the mount keep one version of a head, and refuse a put that names none: what was removed from a keyring must
    /// not stay in a version of its head. Credentials that do not allow that are not an error, `doctor` tells.
    fn keep_one_version(&self, name: &str, until: Instant) {
        let set = Ask::changing("POST", self.path("metadata", name))
            .body(br#"{"max_versions":1,"cas_required":true}"#.to_vec());
        // The put that follows tells what is wrong with the engine, if something is.
        let _ = self.access.ask(&set, until);
    }

    /// Makes sure that the mount is KV version 2, if the engine tells: version 1 takes each put, whatever is there.
    fn check_mount(&self, until: Instant) -> Answer<()> {
        if self.checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let ask = Ask::reading("GET", format!("/v1/sys/internal/ui/mounts/{}", self.mount));
        let response = self.access.ask_with_token(&ask, until)?;
        if response.status == 403 {
            // The engine does not tell whether the mount exists. The put says it, afterwards.
            self.checked.store(true, Ordering::Relaxed);
            return Ok(());
        }
        match answers::mount(&response.body) {
            Some(mount) if mount.is_kv2() => {
                self.checked.store(true, Ordering::Relaxed);
                Ok(())
            }
            Some(mount) => Err(response.not_done(Cause::NotTheEngine, mount.refused(&self.mount))),
            None => Ok(()),
        }
    }
}

/// Whether an object is the head of a keyring.
fn is_head(name: &str) -> bool {
    name == "head" || name.ends_with("/head")
}

/// Whether an object is never replaced.
fn is_piece(name: &str) -> bool {
    name.contains("/pieces/")
}

impl Objects for Vault {
    fn get(&self, name: &str, until: Instant) -> Answer<Option<Object>> {
        match self.read(name, !is_piece(name), until)? {
            Found::Object(bytes, version) => Ok(Some(Object { bytes, version })),
            _ => self.check_mount(until).map(|()| None),
        }
    }

    fn put(&self, name: &str, bytes: &[u8], was: Option<&Version>, until: Instant) -> Answer<Put> {
        let mut cas = match was {
            None => 0,
            Some(version) => number(version).ok_or_else(|| {
                Trouble::not_done(
                    Cause::NotTheEngine,
                    format!("{} has no version {}", self.shown(name), version.0),
                )
            })?,
        };
        self.check_mount(until).map_err(access::before)?;
        if was.is_none() && is_head(name) {
            self.keep_one_version(name, until);
        }
        loop {
            let put = Ask::changing("POST", self.path("data", name)).body(put_body(bytes, cas));
            let response = self.access.ask(&put, until)?;
            if !is_conflict(response.status, &response.body) {
                if response.status == 404 {
                    return Err(response
                        .not_done(Cause::NotTheEngine, "takes no put there: is the mount KV version 2?"));
                }
                return put_version(&response.body).map(Put::Done).ok_or_else(|| {
                    response.unknown(
                        Cause::NotTheEngine,
                        "answers a put without a version: is the mount KV version 2?",
                    )
                });
            }
            if response.sent_before {
                return Ok(Put::Conflict);
            }
            // A standby node compares with what it has, and an object may have been deleted with its history kept.
            match (self.read(name, true, until).map_err(access::before)?, was) {
                (Found::Nothing(last), None) => cas = last,
                (Found::Object(_, now), Some(was)) if now == *was => {}
                _ => return Ok(Put::Conflict),
            }
            self.pause(until)?;
        }
    }

    fn list(&self, folder: &str, until: Instant) -> Answer<Vec<String>> {
        let mut names = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let response =
                self.access.ask(&Ask::reading("GET", self.path("metadata", &below) + "?list=true"), until)?;
            if response.status == 404 {
                continue;
            }
            let entries = listed(&response.body)
                .ok_or_else(|| response.not_done(Cause::NotTheEngine, "answers a list without names"))?;
            for entry in entries {
                let (name, is_folder) = match entry.strip_suffix('/') {
                    Some(name) => (name, true),
                    None => (entry.as_str(), false),
                };
                // Nothing else is an object's.
                if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                {
                    continue;
                }
                let found = format!("{below}{name}");
                if is_folder { folders.push(found) } else { names.push(found) }
            }
        }
        Ok(names)
    }

    fn delete(&self, names: &[String], until: Instant) -> Answer<()> {
        for name in names {
            self.access.ask(&Ask::changing("DELETE", self.path("metadata", name)), until)?;
        }
        Ok(())
    }
}
