// SPDX-License-Identifier: GPL-2.0-or-later
//! A prefix where a copy can be created, and a copy that was created.

use super::folder::{Folder, Pauses, step_end};
use super::head::{Head, PieceName, REPLICA_LEN, is_mark, mark};
use super::locked::{cut, maybe};
use super::objects::{Cause, Put, Trouble, Version};
use super::replace::now;
use crate::error::{BadRequest, Error, Result};
use crate::store::reading::FRONT_LEN;
use crate::store::vacancy::{Created, Vacant};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// A prefix with a mark, or without a head and without pieces.
#[derive(Debug)]
pub(super) struct VacantRemote(Arc<Folder>);

/// A copy that was created.
#[derive(Debug)]
struct CreatedRemote {
    folder: Arc<Folder>,
    head: Head,
}

impl Folder {
    fn already_there(&self) -> Error {
        BadRequest::AlreadyThere { path: self.path().to_owned() }.into()
    }

    /// Puts the head of a new copy, unless there is one. A mark is replaced under its version. A put whose answer was
    /// lost is repeated: it cannot happen twice.
    fn put_new_head(&self, head: &Head, until: Instant) -> Result<()> {
        let take_back = || self.take_back(&names(head), until);
        let failed = |trouble: Trouble| {
            let unsure = trouble.may_have_happened;
            if !unsure {
                take_back();
            }
            self.error("create", if unsure { maybe(trouble) } else { trouble })
        };
        let bytes = head.encode().ok_or_else(|| self.error("create", super::replace::too_large()))?;
        let mut pauses = Pauses::until(until);
        let mut unsure: Option<Trouble> = None;
        let mut mark: Option<Version> = None;
        loop {
            let trouble = match self.put_head(&bytes, mark.as_ref(), until) {
                Ok(Put::Done(_)) => return Ok(()),
                Ok(Put::Conflict) => match self.get_head_or_mark(until) {
                    Ok(Some(there)) if is_mark(&there.bytes) => {
                        mark = Some(there.version);
                        busy()
                    }
                    Ok(Some(there)) => match Head::decode(&there.bytes) {
                        // It is this one, or one that another program has put in its place already.
                        Some(now) if now.replica == head.replica => return Ok(()),
                        Some(_) => {
                            take_back();
                            return Err(self.already_there());
                        }
                        None => return Err(self.already_there()),
                    },
                    Ok(None) => {
                        mark = None;
                        busy()
                    }
                    Err(trouble) => Trouble { may_have_happened: true, ..trouble },
                },
                Err(trouble) => trouble,
            };
            if !trouble.may_have_happened && unsure.is_none() {
                return Err(failed(trouble));
            }
            let first = unsure.get_or_insert(Trouble { may_have_happened: true, ..trouble });
            if !pauses.wait() {
                return Err(failed(first.clone()));
            }
        }
    }

    /// Replaces the head of a copy that was created by a mark, if it still is the same. Returns whether that is done.
    fn take_head_back(&self, head: &Head, until: Instant) -> bool {
        let Ok(random) = crate::secret::random_array() else { return false };
        let mark = mark(random);
        let mut pauses = Pauses::until(until);
        loop {
            match self.get_head_or_mark(until) {
                Ok(Some(there)) if there.bytes == mark => return true,
                Ok(Some(there)) if Head::decode(&there.bytes).as_ref() == Some(head) => {
                    match self.put_head(&mark, Some(&there.version), until) {
                        Ok(Put::Done(_)) => return true,
                        Err(trouble) if !trouble.may_have_happened => return false,
                        Ok(Put::Conflict) | Err(_) => {}
                    }
                }
                Ok(_) => return false,
                Err(_) => {}
            }
            if !pauses.wait() {
                return false;
            }
        }
    }
}

fn names(head: &Head) -> Vec<PieceName> {
    head.pieces.iter().map(|piece| piece.name).collect()
}

fn busy() -> Trouble {
    Trouble::unknown(Cause::Unwell, "the remote is busy: try again")
}

impl VacantRemote {
    /// Checks that no copy is at the prefix, nor what is left of one: with a new head, the pieces would be deleted, and the
    /// old head would be of no use any more.
    pub(super) fn find(folder: Arc<Folder>, until: Instant) -> Result<Self> {
        let failed = |trouble| folder.error("look at", trouble);
        let has_head = || folder.get_head(until).map(|head| head.is_some()).map_err(failed);
        match folder.get_head_or_mark(until).map_err(failed)? {
            // What lies beside a mark is what could not be deleted when a creation was taken back.
            Some(there) if is_mark(&there.bytes) => return Ok(Self(folder)),
            Some(_) => return Err(folder.already_there()),
            None => {}
        }
        let pieces = folder.list(until).map_err(failed)?;
        for piece in &pieces {
            // A list may show what was deleted a moment ago.
            if folder.has_piece(*piece, until).map_err(failed)? {
                // Another program may have created a copy meanwhile.
                if has_head()? {
                    return Err(folder.already_there());
                }
                let (path, first) = (folder.path().to_owned(), piece.to_string());
                return Err(BadRequest::PiecesWithoutHead { path, pieces: pieces.len(), first }.into());
            }
        }
        Ok(Self(folder))
    }
}

impl Vacant for VacantRemote {
    fn create(&self, bytes: &[u8], until: Instant) -> Result<Arc<dyn Created>> {
        let until = step_end(until);
        let folder = &self.0;
        let io = |e: io::Error| Error::io("create", folder.path(), e);
        // Another program may be creating a copy here. The sequence goes on above its pieces, so that they are removed when
        // the new copy is first written whole.
        let found = folder.list(until).map_err(|trouble| folder.error("create", trouble))?;
        let replica: [u8; REPLICA_LEN] = crate::secret::random_array().map_err(io)?;
        let head = Head::next_sequence(0, found.into_iter())
            .and_then(|sequence| Head::of_front(bytes.get(..FRONT_LEN)?, replica, sequence));
        let mut head = head.ok_or_else(|| io(io::ErrorKind::InvalidData.into()))?;
        let pieces = cut(0, bytes).map_err(io)?;
        folder.put_pieces(&pieces, until)?;
        head.pieces = pieces.iter().map(|(piece, _)| *piece).collect();
        head.written = now();
        folder.put_new_head(&head, until)?;
        Ok(Arc::new(CreatedRemote { folder: Arc::clone(folder), head }))
    }
}

impl Created for CreatedRemote {
    /// The head is not deleted: whoever deletes can name no version, and may take along what another program has stored
    /// in between, even long after the call.
    fn remove(&self, until: Instant) {
        let until = step_end(until);
        if self.folder.take_head_back(&self.head, until) {
            self.folder.take_back(&names(&self.head), until);
        }
    }
}
