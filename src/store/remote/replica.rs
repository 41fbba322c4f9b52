// SPDX-License-Identifier: GPL-2.0-or-later
//! A copy at a remote: how it is read. How it is changed is in [`super::locked`].

use super::folder::{Folder, Pauses, step_end};
use super::head::{HEAD_LEN, Head, Present, REPLICA_LEN, front_of_damaged};
use super::locked::LockedRemote;
use super::objects::{Cause, Now, Object, Objects, Trouble};
use super::vacancy::VacantRemote;
use crate::error::{Error, Refusal, Result};
use crate::store::deadline::Place;
use crate::store::locked::{LockAttempt, LockedReplica};
use crate::store::reading::{CopyId, FRONT_LEN, Reading, Rest};
use crate::store::replica::Replica;
use crate::store::tasks::PROBE_WAIT;
use crate::store::vacancy::Vacancy;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Up to this length, pieces are read together with the head, so that a copy that another program replaces meanwhile is
/// read again from the beginning. The head is not authenticated at that point, so there must be a limit.
const READ_AT_ONCE: u64 = 32 << 20;
/// How often reading begins again because another program replaced what was being read.
const TRIES: usize = 8;

/// A copy of a keyring at a remote.
#[derive(Clone, Debug)]
pub struct RemoteReplica(Arc<Folder>);

impl RemoteReplica {
    /// The copy whose objects are below `prefix` of an engine. Messages call it `path`.
    pub fn new(objects: Arc<dyn Objects>, path: &Path, prefix: &str) -> Self {
        Self(Arc::new(Folder::new(objects, path, prefix)))
    }
}

/// What stands behind the front of a copy.
#[derive(Debug)]
struct RemoteRest {
    folder: Arc<Folder>,
    present: Present,
    /// The first bytes, if they were read already.
    read: Option<Vec<u8>>,
}

impl Rest for RemoteRest {
    fn read(&self, most: u64, until: Instant) -> Result<Vec<u8>> {
        let most_here = usize::try_from(most).unwrap_or(usize::MAX);
        if let Some(read) = &self.read {
            return Ok(read.get(..most_here).unwrap_or(read).to_vec());
        }
        let Some(head) = &self.present.head else { return Ok(Vec::new()) };
        let until = step_end(until);
        let failed = |trouble| self.folder.error("read", trouble);
        let fetched = self.folder.fetch(&head.pieces, most, until).map_err(failed)?;
        if !fetched.complete {
            let now = self.folder.get_head(until).map_err(failed)?;
            if now.is_none_or(|now| now.version != self.present.version) {
                return Err(failed(replaced_meanwhile()));
            }
        }
        Ok(fetched.bytes)
    }
}

fn replaced_meanwhile() -> Trouble {
    Trouble::not_done(Cause::Unwell, "another program replaced it meanwhile: try again")
}

impl Folder {
    fn missing(&self) -> Error {
        let found = "the remote answers, but has no keyring under this name".to_owned();
        Refusal::Missing { path: self.path().to_owned(), found }.into()
    }

    fn head_object(&self, doing: &'static str, until: Instant) -> Result<Object> {
        let head = self.get_head(until).map_err(|trouble| self.error(doing, trouble))?;
        head.ok_or_else(|| self.missing())
    }

    /// The head as it is now, and the copy with its front. What is behind the front is read when it is asked for.
    pub(super) fn open(self: &Arc<Self>, doing: &'static str, until: Instant) -> Result<(Reading, Present)> {
        let object = self.head_object(doing, until)?;
        let present = Present { head: Head::decode(&object.bytes), version: object.version.clone() };
        Ok((self.reading(&present, &object.bytes, None), present))
    }

    /// As [`Folder::open`], to change the copy. If the head is the one that this program read or put last, the engine need
    /// not send it.
    fn open_to_change(self: &Arc<Self>, until: Instant) -> Result<(Reading, Present)> {
        let known = self.remembered().present.clone();
        let now = match &known {
            Some(known) => self.get_head_if_changed(&known.version, until),
            None => self.get_head(until).map(Now::Object),
        };
        let object = match (now.map_err(|trouble| self.error("read", trouble))?, known) {
            (Now::Same, Some(Present { head: Some(head), version })) => {
                let present = Present { head: Some(head), version };
                return Ok((self.reading(&present, &[], None), present));
            }
            (Now::Same, _) => self.head_object("read", until)?,
            (Now::Object(object), _) => object.ok_or_else(|| self.missing())?,
        };
        let present = Present { head: Head::decode(&object.bytes), version: object.version.clone() };
        self.remembered().present = present.head.is_some().then(|| present.clone());
        Ok((self.reading(&present, &object.bytes, None), present))
    }

    /// The copy whose head is `present`. `bytes` are those of the head, which are needed if it is damaged.
    fn reading(self: &Arc<Self>, present: &Present, bytes: &[u8], read: Option<Vec<u8>>) -> Reading {
        let (id, front, len) = match &present.head {
            Some(head) => (head.replica, head.front(), head.file_len()),
            None => {
                let front = front_of_damaged(bytes);
                let len = front.0.len() as u64;
                (id_of_damaged(bytes), front, len)
            }
        };
        let rest = RemoteRest { folder: Arc::clone(self), present: present.clone(), read };
        Reading::new(self.path(), CopyId::Remote(id), front, len, Arc::new(rest))
    }

    /// Reads the copy, its pieces too unless they are very many. If another program replaces them meanwhile, begins
    /// again.
    pub(super) fn read(self: &Arc<Self>, until: Instant) -> Result<(Reading, Present)> {
        let failed = |trouble| self.error("read", trouble);
        let mut pauses = Pauses::until(until);
        let mut object = self.head_object("read", until)?;
        for _ in 0..TRIES {
            let present = Present { head: Head::decode(&object.bytes), version: object.version.clone() };
            let few = |head: &&Head| head.file_len() - FRONT_LEN as u64 <= READ_AT_ONCE;
            let Some(head) = present.head.as_ref().filter(few) else {
                return Ok((self.reading(&present, &object.bytes, None), present));
            };
            let fetched = self.fetch(&head.pieces, READ_AT_ONCE, until).map_err(failed)?;
            if fetched.complete {
                self.remember_tail(head, &fetched.bytes);
                return Ok((self.reading(&present, &object.bytes, Some(fetched.bytes)), present));
            }
            let now = self.head_object("read", until)?;
            if now.version == object.version {
                // A piece is missing or has another length. What is authentic ends before it.
                return Ok((self.reading(&present, &object.bytes, Some(fetched.bytes)), present));
            }
            object = now;
            if !pauses.wait() {
                break;
            }
        }
        Err(failed(replaced_meanwhile()))
    }
}

/// The identity in a damaged head, if that can be told. It must not be that of another copy.
fn id_of_damaged(bytes: &[u8]) -> [u8; REPLICA_LEN] {
    let at = HEAD_LEN - REPLICA_LEN - 20;
    let claimed = bytes.get(at..).and_then(|rest| rest.first_chunk::<REPLICA_LEN>());
    claimed.copied().or_else(|| crate::secret::random_array().ok()).unwrap_or_default()
}

impl Replica for RemoteReplica {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn place(&self) -> Place {
        Place::Remote
    }

    fn unusable_settings(&self) -> Option<String> {
        self.0.unusable_settings()
    }

    fn is_there(&self, until: Instant) -> Result<bool> {
        let head = self.0.get_head(step_end(until)).map_err(|trouble| self.0.error("look at", trouble))?;
        Ok(head.is_some())
    }

    fn has_leftover(&self, _until: Instant) -> Result<bool> {
        Ok(false)
    }

    fn missing_error(&self, _until: Instant) -> Error {
        self.0.missing()
    }

    fn check_place(&self, _private: bool, _datadir: Option<&Path>, _until: Instant) -> Result<()> {
        Ok(())
    }

    fn check_room(&self, _until: Instant) -> Result<()> {
        // No engine tells without administrators' rights. A full one says so when it is written to.
        Ok(())
    }

    fn read(&self, until: Instant) -> Result<Reading> {
        self.0.read(step_end(until)).map(|(reading, _)| reading)
    }

    fn look(&self, _to_change: bool, until: Instant) -> Result<Reading> {
        let until = until.min(Instant::now() + PROBE_WAIT);
        self.0.open("look at", until).map(|(reading, _)| reading)
    }

    fn try_lock(&self, until: Instant) -> Result<LockAttempt> {
        let (reading, present) = self.0.open_to_change(step_end(until))?;
        let locked = LockedRemote::new(Arc::clone(&self.0), present);
        Ok(LockAttempt::Locked(LockedReplica::new(reading, Arc::new(locked))))
    }

    fn vacancy(&self, until: Instant) -> Result<Vacancy> {
        let vacant = VacantRemote::find(Arc::clone(&self.0), step_end(until))?;
        Ok(Vacancy::new(self.path(), Place::Remote, Arc::new(vacant)))
    }
}
