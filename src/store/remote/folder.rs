// SPDX-License-Identifier: GPL-2.0-or-later
//! The objects of one copy: those below its prefix, and what this program remembers of them.

use super::head::{HEAD, Head, PIECES, Piece, PieceName, Present, is_mark};
use super::objects::{Answer, Cause, Now, Object, Objects, Put, Trouble, Version};
use crate::error::{Error, Failure, Refusal};
use crate::store::deadline::REMOTE_STACK;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum length of a piece that gathers records.
pub(super) const GATHERED: usize = 32 * 1024;
/// How many requests for pieces are under way at once.
const AT_ONCE: usize = 8;
/// How long a step takes at most.
const STEP_WAIT: Duration = Duration::from_secs(10);
/// The first pause before a request is repeated; each later one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// When a step ends that begins now and may take until `until`.
pub(super) fn step_end(until: Instant) -> Instant {
    until.min(Instant::now() + STEP_WAIT)
}

/// Pauses between attempts, which end with the time for them.
pub(super) struct Pauses {
    next: Duration,
    until: Instant,
}

impl Pauses {
    pub(super) fn until(until: Instant) -> Self {
        Self { next: FIRST_PAUSE, until }
    }

    /// Waits. Returns whether there is time for another attempt.
    pub(super) fn wait(&mut self) -> bool {
        if Instant::now() + self.next >= self.until {
            return false;
        }
        std::thread::sleep(self.next);
        self.next = (2 * self.next).min(LAST_PAUSE);
        true
    }
}

/// What a program remembers of a copy between its changes. It is never needed, and it is trusted only as far as the head
/// names the same pieces.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// The bytes of the last piece, so that a record can be gathered with it.
    pub(super) tail: Option<(PieceName, Arc<[u8]>)>,
    /// The head that was read or put last. An engine need not send it again as long as it still is that one.
    pub(super) present: Option<Present>,
    /// Pieces that count no more, or never did. They are deleted when the head allows it.
    pub(super) garbage: Vec<PieceName>,
}

/// The objects of one copy.
#[derive(Debug)]
pub(super) struct Folder {
    objects: Arc<dyn Objects>,
    path: PathBuf,
    prefix: String,
    remembered: Mutex<Remembered>,
}

impl Folder {
    pub(super) fn new(objects: Arc<dyn Objects>, path: &Path, prefix: &str) -> Self {
        let remembered = Mutex::new(Remembered::default());
        Self { objects, path: path.to_owned(), prefix: prefix.to_owned(), remembered }
    }

    /// The name of the copy, for messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// As [`Objects::unusable_settings`].
    pub(super) fn unusable_settings(&self) -> Option<String> {
        self.objects.unusable_settings()
    }

    pub(super) fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the last piece of a copy whose bytes behind the front are `rest`.
    pub(super) fn remember_tail(&self, head: &Head, rest: &[u8]) {
        let Some(last) = head.pieces.last().filter(|last| last.len as usize <= GATHERED) else { return };
        if let Some(bytes) = rest.len().checked_sub(last.len as usize).and_then(|at| rest.get(at..)) {
            self.remembered().tail = Some((last.name, bytes.into()));
        }
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// The head. A mark in its place is none.
    pub(super) fn get_head(&self, until: Instant) -> Answer<Option<Object>> {
        Ok(self.get_head_or_mark(until)?.filter(|object| !is_mark(&object.bytes)))
    }

    pub(super) fn get_head_or_mark(&self, until: Instant) -> Answer<Option<Object>> {
        self.objects.get(&self.full(HEAD), until)
    }

    /// The head, for a program that has the version `known` of it.
    pub(super) fn get_head_if_changed(&self, known: &Version, until: Instant) -> Answer<Now> {
        Ok(match self.objects.get_if_changed(&self.full(HEAD), known, until)? {
            Now::Object(Some(object)) if is_mark(&object.bytes) => Now::Object(None),
            now => now,
        })
    }

    pub(super) fn put_head(&self, bytes: &[u8], was: Option<&Version>, until: Instant) -> Answer<Put> {
        self.objects.put(&self.full(HEAD), bytes, was, until)
    }

    /// Puts a piece and the head that is the first to name it, in one step and durably. `None` if the engine has no such
    /// step; then nothing was done.
    pub(super) fn put_together(
        &self,
        name: PieceName,
        piece: &[u8],
        head: &[u8],
        was: &Version,
        until: Instant,
    ) -> Answer<Option<Put>> {
        self.objects.put_with((&self.full(&name.to_string()), piece), &self.full(HEAD), head, was, until)
    }

    /// Puts a piece, durably. Its name is new, and nobody but this program knows it, so it does not matter whether an
    /// attempt whose answer was lost is carried out.
    pub(super) fn put_piece(&self, name: PieceName, bytes: &[u8], until: Instant) -> Answer<()> {
        let full = self.full(&name.to_string());
        let mut pauses = Pauses::until(until);
        loop {
            match self.objects.put(&full, bytes, None, until) {
                Ok(Put::Done(_)) => return Ok(()),
                Ok(Put::Conflict) => match self.objects.get(&full, until)? {
                    Some(there) if there.bytes == bytes => return Ok(()),
                    Some(_) => {
                        let told = format!("object {full} is not what was just written to it");
                        return Err(Trouble::not_done(Cause::NotTheEngine, told));
                    }
                    None if pauses.wait() => {}
                    None => {
                        let told = format!("object {full} exists and does not");
                        return Err(Trouble::not_done(Cause::NotTheEngine, told));
                    }
                },
                // An engine without room has none a moment later either.
                Err(trouble)
                    if trouble.may_have_happened && trouble.cause != Cause::Full && pauses.wait() => {}
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// The pieces that exist, whether they count or not.
    pub(super) fn list(&self, until: Instant) -> Answer<Vec<PieceName>> {
        let below = format!("{}/", self.prefix);
        let names = self.objects.list(&self.full(PIECES), until)?;
        Ok(names.iter().filter_map(|name| PieceName::parse(name.strip_prefix(&below)?)).collect())
    }

    /// Whether a piece exists.
    pub(super) fn has_piece(&self, name: PieceName, until: Instant) -> Answer<bool> {
        Ok(self.objects.get(&self.full(&name.to_string()), until)?.is_some())
    }

    pub(super) fn delete(&self, names: &[PieceName], until: Instant) -> Answer<()> {
        if names.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = names.iter().map(|name| self.full(&name.to_string())).collect();
        self.objects.delete(&names, until)
    }

    /// Reads pieces until there are `most` bytes, or none are left.
    pub(super) fn fetch(&self, pieces: &[Piece], most: u64, until: Instant) -> Answer<Fetched> {
        let mut before = 0;
        let needed = pieces.iter().take_while(|piece| {
            let needed = before < most;
            before += u64::from(piece.len);
            needed
        });
        let needed: Vec<_> = needed.copied().collect();
        let got = several(&needed, |piece| {
            let object = self.objects.get(&self.full(&piece.name.to_string()), until)?;
            Ok(object.filter(|o| o.bytes.len() == piece.len as usize).map(|o| o.bytes))
        })?;
        let mut bytes = Vec::new();
        for piece in got {
            match piece {
                Some(piece) => bytes.extend_from_slice(&piece),
                None => return Ok(Fetched { bytes, complete: false }),
            }
        }
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(Fetched { bytes, complete: true })
    }

    /// The error for a step that did not succeed.
    pub(super) fn error(&self, doing: &'static str, trouble: Trouble) -> Error {
        let Trouble { told, .. } = trouble;
        Failure::Remote { doing, path: self.path.clone(), why: told }.into()
    }

    /// The error for a head that is not the one that was read.
    pub(super) fn changed(&self) -> Error {
        let detail = "it was replaced while this program changed it".to_owned();
        Refusal::Changed { path: self.path.clone(), detail }.into()
    }
}

/// Pieces that were read.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    /// Whether these are all bytes. Otherwise they end before a piece that does not exist, or has another length.
    pub(super) complete: bool,
}

/// Does `work` with all `items`, several at once. Returns the results in the same order, or the first trouble.
pub(super) fn several<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Answer<R> + Sync,
) -> Answer<Vec<R>> {
    if let [one] = items {
        return work(one).map(|done| vec![done]);
    }
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let worker = || {
        let mut done = Vec::new();
        while failed.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            match work(item) {
                Ok(result) => done.push((index, result)),
                Err(trouble) => {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
                }
            }
        }
        done
    };
    let processors = std::thread::available_parallelism().map_or(AT_ONCE, NonZeroUsize::get);
    let others = AT_ONCE.min(items.len()).min(4 * processors).saturating_sub(1);
    let mut done = std::thread::scope(|scope| {
        let start = || {
            let builder = std::thread::Builder::new().name("keyring-io".to_owned()).stack_size(REMOTE_STACK);
            builder.spawn_scoped(scope, worker).ok()
        };
        // This thread works too, so it does not matter how many others could be started.
        let threads: Vec<_> = (0..others).map_while(|_| start()).collect();
        let mut done = worker();
        for thread in threads {
            match thread.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    if let Some(trouble) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(trouble);
    }
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
