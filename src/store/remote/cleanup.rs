// SPDX-License-Identifier: GPL-2.0-or-later
//! Deletes pieces that do not count.
//!
//! A head names pieces of the head before it, and pieces whose base is the sequence of the head before it. So once a
//! head of sequence N was in place, no later head can newly name a piece with a base below N. Such a piece that the head
//! does not name will never count again, and deleting it is safe at any later time, however slow the cleaner is.

use super::folder::{Folder, Pauses};
use super::head::{Head, PieceName};
use super::objects::{Answer, Trouble};
use std::time::{Duration, Instant};

/// How many pieces that do not count are deleted in one go.
const BULK: usize = 16;
/// How many pieces are remembered to be deleted.
const MOST: usize = 1024;
/// How long deleting may take at most beside a store, so that it never holds one up for longer.
const TIDY_WAIT: Duration = Duration::from_secs(2);
/// How often deleting is tried.
const TRIES: usize = 3;

/// Whether the piece counts neither with this head nor with a later one.
pub(super) fn is_over(head: &Head, name: PieceName) -> bool {
    name.base < head.sequence && !head.names(name)
}

impl Folder {
    /// Remembers pieces that count no more, or never did.
    pub(super) fn discard(&self, names: impl IntoIterator<Item = PieceName>) {
        let mut remembered = self.remembered();
        remembered.garbage.extend(names);
        let over = remembered.garbage.len().saturating_sub(MOST);
        remembered.garbage.drain(..over);
    }

    /// Whether [`Folder::tidy`] may have something to delete.
    pub(super) fn is_untidy(&self) -> bool {
        self.remembered().garbage.len() >= BULK
    }

    /// Deletes remembered pieces that do not count, if there are enough of them. What cannot be deleted now, is later.
    pub(super) fn tidy(&self, head: &Head, until: Instant) {
        let over: Vec<_> = {
            let mut remembered = self.remembered();
            remembered.garbage.retain(|name| !head.names(*name));
            remembered.garbage.iter().copied().filter(|name| is_over(head, *name)).collect()
        };
        let until = until.min(Instant::now() + TIDY_WAIT);
        if over.len() >= BULK && self.delete(&over, until).is_ok() {
            self.remembered().garbage.retain(|name| !over.contains(name));
        }
    }

    /// Deletes every piece that counts neither with `head`, which was put in place, nor with a later one: what a list
    /// shows, and what is known besides.
    pub(super) fn clean(&self, head: &Head, until: Instant) -> Answer<()> {
        let mut pauses = Pauses::until(until);
        let attempt = || {
            let mut over = self.list(until)?;
            over.extend_from_slice(&self.remembered().garbage);
            over.retain(|name| is_over(head, *name));
            over.sort();
            over.dedup();
            self.delete(&over, until)?;
            self.remembered().garbage.retain(|name| !over.contains(name));
            Ok(())
        };
        let mut done: Answer<()> = attempt();
        for _ in 1..TRIES {
            if done.is_ok() || !pauses.wait() {
                break;
            }
            done = attempt();
        }
        done.map_err(|trouble| Trouble { may_have_happened: true, ..trouble })
    }
}
