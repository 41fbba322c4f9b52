// SPDX-License-Identifier: GPL-2.0-or-later
//! When a change must have ended.

use super::writer::Writer;
use crate::store::tasks::CHANGE_WAIT;
use std::cell::Cell;
use std::time::Instant;

/// When a change must have ended, whatever it waits for and however often it is repeated: [`CHANGE_WAIT`] after it first
/// had the writer for itself.
#[derive(Default)]
pub(super) struct Until(Cell<Option<Instant>>);

impl Until {
    /// Call this as soon as the writer is locked.
    pub(super) fn limit(&self, writer: &mut Writer) {
        writer.end_by(self.get());
    }

    pub(super) fn get(&self) -> Instant {
        let until = self.0.get().unwrap_or_else(|| Instant::now() + CHANGE_WAIT);
        self.0.set(Some(until));
        until
    }
}
