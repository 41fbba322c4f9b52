// SPDX-License-Identifier: GPL-2.0-or-later
//! A prefix where a copy can be created, and a copy that was created.

use super::folder::{Folder, Pauses, step_end};
use super::head::{Head, REPLICA_LEN};
use super::locked::{cut, maybe};
use super::objects::{Put, Trouble};
use super::replace::now;
use crate::error::{BadRequest, Error, Result};
use crate::store::reading::FRONT_LEN;
use crate::store::vacancy::{Created, Vacant};
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// A prefix without a head.
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

    /// Puts the head of a new copy, unless there is one. A put whose answer was lost is repeated: it cannot happen twice.
    fn put_new_head(&self, head: &Head, until: Instant) -> Result<()> {
        let failed = |trouble: Trouble| {
            let unsure = trouble.may_have_happened;
            if !unsure {
                self.take_back(&head.pieces.iter().map(|piece| piece.name).collect::<Vec<_>>(), until);
            }
            self.error("create", if unsure { maybe(trouble) } else { trouble })
        };
        let bytes = head.encode().ok_or_else(|| self.error("create", super::replace::too_large()))?;
        let mut pauses = Pauses::until(until);
        let mut unsure: Option<Trouble> = None;
        loop {
            let trouble = match self.put_head(&bytes, None, until) {
                Ok(Put::Done(_)) => return Ok(()),
                Ok(Put::Conflict) => match self.get_head(until) {
                    Ok(Some(there)) if there.bytes == bytes => return Ok(()),
                    Ok(Some(_)) => {
                        self.take_back(
                            &head.pieces.iter().map(|piece| piece.name).collect::<Vec<_>>(),
                            until,
                        );
                        return Err(self.already_there());
                    }
                    Ok(None) => {
                        Trouble::unknown(super::objects::Cause::Unwell, "the remote is busy: try again")
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
}

impl VacantRemote {
    /// Checks that no copy is at the prefix.
    pub(super) fn find(folder: Arc<Folder>, until: Instant) -> Result<Self> {
        match folder.get_head(until) {
            Ok(None) => Ok(Self(folder)),
            Ok(Some(_)) => Err(folder.already_there()),
            Err(trouble) => Err(folder.error("look at", trouble)),
        }
    }
}

impl Vacant for VacantRemote {
    fn create(&self, bytes: &[u8], until: Instant) -> Result<Arc<dyn Created>> {
        let until = step_end(until);
        let folder = &self.0;
        let io = |e: io::Error| Error::io("create", folder.path(), e);
        // Pieces without a head may be left from an earlier copy. The sequence goes on above theirs, so that they are
        // removed when the new copy is first written whole.
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
    fn remove(&self, until: Instant) {
        let until = step_end(until);
        let there = |until| self.folder.get_head(until).map(|object| object.map(|o| Head::decode(&o.bytes)));
        let ours = there(until).is_ok_and(|head| head.flatten().is_some_and(|head| head == self.head));
        if ours && self.folder.delete_head(until).is_ok() && there(until).is_ok_and(|head| head.is_none()) {
            self.folder.take_back(&self.head.pieces.iter().map(|p| p.name).collect::<Vec<_>>(), until);
        }
    }
}
