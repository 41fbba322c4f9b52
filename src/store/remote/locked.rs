// SPDX-License-Identifier: GPL-2.0-or-later
//! The steps of changing a copy at a remote. There is no lock: the head is replaced only if it still is the one that
//! was read, so of two programs that change a copy at once, one is told that the other was faster.

use super::cleanup::is_over;
use super::folder::{Folder, GATHERED, several, step_end};
use super::head::{Head, Piece, PieceName, Present};
use super::objects::{MAX_OBJECT, Trouble};
use super::replace::{Replaced, now};
use crate::error::{Error, Result};
use crate::store::locked::Locked;
use crate::store::reading::{FRONT_LEN, Reading};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// From this number of pieces on, a copy is written whole instead of appended to, which joins them. Records of keys of
/// 16 KiB are too large to be gathered, so each is a piece; the list of this many has 80 KiB, a third of an object.
const MANY_PIECES: usize = 4096;

/// What the first step of a change left for the second.
#[derive(Debug)]
struct Prepared {
    /// The next head. The commit slot is not in it yet.
    next: Head,
    /// The pieces that it is the first to name.
    new: Vec<PieceName>,
    /// The last piece, if the next head does not name it any more.
    superseded: Option<PieceName>,
    /// What is remembered of the next head.
    tail: Option<(PieceName, Arc<[u8]>)>,
    /// The new piece and its bytes, if it is put together with the head.
    unput: Option<(PieceName, Arc<[u8]>)>,
}

#[derive(Debug)]
struct State {
    present: Present,
    prepared: Option<Prepared>,
}

/// A copy that is about to be changed.
#[derive(Debug)]
pub(super) struct LockedRemote {
    folder: Arc<Folder>,
    state: Mutex<State>,
}

fn random() -> io::Result<u64> {
    crate::secret::random_array().map(u64::from_le_bytes)
}

/// The whole file `bytes` as pieces, each with its bytes.
pub(super) fn cut(base: u64, bytes: &[u8]) -> io::Result<Vec<(Piece, &[u8])>> {
    let rest = bytes.get(FRONT_LEN..).unwrap_or_default();
    let piece = |bytes: &[u8]| -> io::Result<Piece> {
        Ok(Piece { name: PieceName { base, random: random()? }, len: bytes.len() as u32 })
    };
    rest.chunks(MAX_OBJECT).map(|bytes| Ok((piece(bytes)?, bytes))).collect()
}

impl Folder {
    /// Puts pieces, several at once. If that fails, those that were put are removed if possible.
    pub(super) fn put_pieces(&self, pieces: &[(Piece, &[u8])], until: Instant) -> Result<()> {
        let put = several(pieces, |(piece, bytes)| self.put_piece(piece.name, bytes, until));
        put.map(drop).map_err(|trouble| {
            let names: Vec<_> = pieces.iter().map(|(piece, _)| piece.name).collect();
            self.take_back(&names, until);
            self.error("write to", trouble)
        })
    }

    /// Removes pieces that no head names or will name. A put whose answer was lost may still be carried out, so they are
    /// also remembered.
    pub(super) fn take_back(&self, names: &[PieceName], until: Instant) {
        self.discard(names.iter().copied());
        // They do not count, whether they exist or not.
        let _ = self.delete(names, until);
    }
}

impl LockedRemote {
    pub(super) fn new(folder: Arc<Folder>, present: Present) -> Self {
        Self { folder, state: Mutex::new(State { present, prepared: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, doing: &'static str) -> impl Fn(io::Error) -> Error + '_ {
        move |e| Error::io(doing, self.folder.path(), e)
    }

    /// A step that does not fit what the copy is. The writer never asks for one.
    fn misfit(&self) -> Error {
        self.io("change")(io::Error::other("an internal error: the step does not fit what was read"))
    }

    /// The last piece of `head` with `record` added, if both are small and the bytes are at hand.
    fn gathered(&self, head: &Head, record: &[u8]) -> Option<(PieceName, Vec<u8>)> {
        let last = head.pieces.last()?;
        let remembered = self.folder.remembered();
        let (name, bytes) = remembered.tail.as_ref()?;
        let fits =
            *name == last.name && bytes.len() == last.len as usize && bytes.len() + record.len() <= GATHERED;
        fits.then(|| (*name, [bytes, record].concat()))
    }

    /// What the copy is with a record after its last one: the head as it is, what comes next, and the piece that is to be
    /// put.
    fn with_record(&self, offset: u64, record: &[u8]) -> Result<(Head, Prepared, Piece)> {
        let head = self.state().present.head.clone();
        let head = head.filter(|head| head.file_len() == offset && !record.is_empty());
        let head = head.ok_or_else(|| self.misfit())?;
        let mut next = head.clone();
        let name = PieceName { base: head.sequence, random: random().map_err(self.io("write to"))? };
        let (superseded, bytes) = match self.gathered(&head, record) {
            Some((last, bytes)) => {
                next.pieces.pop();
                (Some(last), bytes)
            }
            None if record.len() <= MAX_OBJECT => (None, record.to_vec()),
            None => return Err(self.misfit()),
        };
        let piece = Piece { name, len: bytes.len() as u32 };
        next.pieces.push(piece);
        next.sequence = head.sequence + 1;
        let bytes: Arc<[u8]> = bytes.into();
        let tail = (bytes.len() <= GATHERED).then(|| (name, Arc::clone(&bytes)));
        let unput = Some((name, bytes));
        Ok((head, Prepared { next, new: vec![name], superseded, tail, unput }, piece))
    }

    /// Does `work`. If there is much to delete, deletes it meanwhile.
    fn tidy_beside<T>(&self, head: &Head, until: Instant, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let folder = &self.folder;
        if !folder.is_untidy() {
            return work();
        }
        std::thread::scope(|scope| {
            let tidy = || folder.tidy(head, until);
            // If no thread can be started, the pieces are deleted another time.
            let _ = std::thread::Builder::new().name("keyring-io".to_owned()).spawn_scoped(scope, tidy);
            work()
        })
    }

    /// Removes what the first step wrote. The second step was not tried, so no head names it.
    fn undo(&self, until: Instant) -> Result<()> {
        let prepared = self.state().prepared.take();
        if let Some(Prepared { new, .. }) = prepared {
            self.folder.take_back(&new, step_end(until));
        }
        Ok(())
    }

    /// Replaces the head by one that `change` makes from what was prepared. Returns it, and the head that it replaced.
    fn replace(
        &self,
        doing: &'static str,
        until: Instant,
        change: impl FnOnce(&mut Head) -> bool,
    ) -> Result<(Head, Option<Head>)> {
        let (present, prepared) = {
            let mut state = self.state();
            (state.present.clone(), state.prepared.take())
        };
        let Prepared { mut next, new, superseded, tail, unput } = prepared.ok_or_else(|| self.misfit())?;
        if !change(&mut next) {
            self.folder.take_back(&new, until);
            return Err(self.misfit());
        }
        next.written = now();
        let piece = unput.as_ref().map(|(name, bytes)| (*name, &bytes[..]));
        let replaced = self.folder.replace(&present, &next, piece, until);
        if !matches!(replaced, Replaced::Done(_)) {
            // Whether they count is decided when they are deleted, by the head of then.
            self.folder.discard(new.iter().copied());
        }
        match replaced {
            Replaced::Done(version) => {
                self.folder.discard(superseded);
                self.folder.remembered().tail = tail;
                let now = Present { head: Some(next.clone()), version };
                self.folder.remembered().present = Some(now.clone());
                self.state().present = now;
                Ok((next, present.head))
            }
            Replaced::Not(trouble, now) => {
                self.delete_over(now.head.as_ref(), &new, until);
                self.state().present = now;
                Err(self.folder.error(doing, trouble))
            }
            // If an answer was lost, it may have been done before the other program read the head.
            Replaced::Another(now) => {
                self.delete_over(now.as_ref(), &new, until);
                Err(self.folder.changed())
            }
            Replaced::Unknown(trouble) => Err(self.folder.error(doing, maybe(trouble))),
        }
    }

    /// Deletes those of `new` that cannot count any more, if they are many; few are deleted later.
    fn delete_over(&self, now: Option<&Head>, new: &[PieceName], until: Instant) {
        let Some(head) = now else { return };
        let over: Vec<_> = new.iter().copied().filter(|name| is_over(head, *name)).collect();
        let _ = self.folder.delete(&over, until);
    }
}

/// The trouble of a change that may have been made.
pub(super) fn maybe(trouble: Trouble) -> Trouble {
    let told = format!("{}. The change may have been made all the same", trouble.told);
    Trouble { may_have_happened: true, told, ..trouble }
}

impl Locked for LockedRemote {
    fn is_locked(&self) -> bool {
        true
    }

    fn claim(&self, until: Instant) -> Result<()> {
        let present = self.state().present.clone();
        // A damaged head is replaced, not kept.
        let Some(next) = present.head.as_ref().map(Head::with_next_sequence) else { return Ok(()) };
        match self.folder.replace(&present, &next, None, step_end(until)) {
            Replaced::Done(version) => {
                *self.state() = State { present: Present { head: Some(next), version }, prepared: None };
                Ok(())
            }
            Replaced::Not(trouble, now) => {
                self.state().present = now;
                Err(self.folder.error("write to", trouble))
            }
            Replaced::Another(_) => Err(self.folder.changed()),
            Replaced::Unknown(trouble) => Err(self.folder.error("write to", trouble)),
        }
    }

    fn takes_records(&self) -> bool {
        self.state().present.head.as_ref().is_none_or(|head| head.pieces.len() < MANY_PIECES)
    }

    fn read_again(&self, until: Instant) -> Result<Reading> {
        let (reading, present) = self.folder.read(step_end(until))?;
        *self.state() = State { present, prepared: None };
        Ok(reading)
    }

    fn append(&self, offset: u64, record: &[u8], until: Instant) -> Result<()> {
        let until = step_end(until);
        let (head, prepared, piece) = self.with_record(offset, record)?;
        let bytes = prepared.unput.as_ref().map(|(_, bytes)| &bytes[..]).unwrap_or_default();
        self.tidy_beside(&head, until, || self.folder.put_pieces(&[(piece, bytes)], until))?;
        self.state().prepared = Some(Prepared { unput: None, ..prepared });
        Ok(())
    }

    fn append_and_commit(
        &self,
        offset: u64,
        record: &[u8],
        slot_at: u64,
        slot: &[u8],
        until: Instant,
    ) -> Result<()> {
        let until = step_end(until);
        let (head, prepared, _) = self.with_record(offset, record)?;
        self.state().prepared = Some(prepared);
        let replace = || self.replace("write to", until, |next| next.set_slot(slot_at, slot));
        self.tidy_beside(&head, until, replace).map(drop)
    }

    fn write_commit(&self, offset: u64, slot: &[u8], until: Instant) -> Result<()> {
        self.replace("write to", step_end(until), |next| next.set_slot(offset, slot)).map(drop)
    }

    fn truncate(&self, _len: u64, until: Instant) -> Result<()> {
        self.undo(until)
    }

    fn prepare(&self, bytes: &Arc<[u8]>, until: Instant) -> Result<()> {
        let until = step_end(until);
        let present = self.state().present.clone();
        let found = self.folder.list(until).map_err(|trouble| self.folder.error("write to", trouble))?;
        let (base, replica) = match &present.head {
            Some(head) => (head.sequence, head.replica),
            // Where the sequence of a damaged head is not known, that of the pieces is.
            None => {
                let newest = found.iter().map(|name| name.base).max().unwrap_or_default();
                (newest, crate::secret::random_array().map_err(self.io("write to"))?)
            }
        };
        let next = Head::next_sequence(base, found.into_iter())
            .and_then(|sequence| Head::of_front(bytes.get(..FRONT_LEN)?, replica, sequence));
        let mut next = next.ok_or_else(|| self.misfit())?;
        let pieces = cut(base, bytes).map_err(self.io("write to"))?;
        self.folder.put_pieces(&pieces, until)?;
        next.pieces = pieces.iter().map(|(piece, _)| *piece).collect();
        let new = next.pieces.iter().map(|piece| piece.name).collect();
        let last = pieces.last().filter(|(piece, _)| piece.len as usize <= GATHERED);
        let tail = last.map(|(piece, bytes)| (piece.name, Arc::from(*bytes)));
        self.state().prepared = Some(Prepared { next, new, superseded: None, tail, unput: None });
        Ok(())
    }

    fn abandon(&self, until: Instant) -> Result<()> {
        self.undo(until)
    }

    fn put_in_place(&self, until: Instant) -> Result<()> {
        let until = step_end(until);
        let (head, before) = self.replace("replace", until, |_| true)?;
        // A list may not show yet what was put a moment ago.
        self.folder.discard(before.iter().flat_map(|head| &head.pieces).map(|piece| piece.name));
        self.folder.clean(&head, until).map_err(|trouble| {
            let told = format!(
                "the new version is in place, but what it replaced could not be deleted: {}",
                trouble.told
            );
            self.folder.error("replace", Trouble { told, ..trouble })
        })
    }
}
