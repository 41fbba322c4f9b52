// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at the copies, and brings them up to date.

use super::judge::Judged;
use super::state::Writer;
use crate::audit::{Event, EventKind};
use crate::error::{Error, Failure, Result};
use crate::keyring::memory::Memory;
use crate::keyring::replicas::{OpenReplica, Reach, Standing};
use crate::store::reading::FRONT_LEN;
use crate::store::tasks::side_by_side;

impl Writer {
    /// Looks at every copy and, if `to_change`, checks whether it could be changed. Writes nothing. A change
    /// by another program is recorded for the copy only if `told`, because it may yet be adopted.
    ///
    /// # Errors
    /// The first error, if no copy can be used, or if another program changed one.
    pub(crate) fn probe(&mut self, memory: &Memory, to_change: bool, told: bool) -> Result<()> {
        let present = self.lineage().state();
        let mut first_error = None;
        let mut changed = None;
        let judged: Vec<_> = self
            .copies
            .look_at_all(to_change)
            .into_iter()
            .enumerate()
            .map(|(index, reading)| reading.and_then(|r| self.judge(index, &r, memory)))
            .collect();
        let held = judged.iter().any(|j| matches!(j, Ok(Judged::Same | Judged::Ours)));
        for (index, judged) in judged.into_iter().enumerate() {
            match judged {
                Ok(Judged::Same) => {
                    // While a failed write is unresolved, only a successful write shows that the copy can be
                    // written to, and removes what follows its records.
                    if !to_change || self.attempted.is_empty() {
                        self.mark_matching(index);
                    }
                }
                Ok(Judged::Ours) => self.copies.set_standing(index, Standing::Behind),
                Ok(Judged::Ancestor(_)) if held => self.copies.set_standing(index, Standing::Behind),
                Ok(Judged::Ancestor(found)) => {
                    let e = self.older(index, found);
                    self.copies.note_error(index, &e, &present);
                    first_error.get_or_insert(e);
                }
                // Another program is changing it right now.
                Err(Error::Failure(Failure::Locked { .. })) => {}
                Err(e) if e.is_by_another() => {
                    if told {
                        self.copies.note_error(index, &e, &present);
                    }
                    changed.get_or_insert(e);
                }
                Err(e) => {
                    self.copies.note_error(index, &e, &present);
                    first_error.get_or_insert(e);
                }
            }
        }
        match (changed, first_error) {
            (Some(e), _) => Err(e),
            (None, Some(e)) if !held => Err(e),
            _ => Ok(()),
        }
    }

    /// Whether some copy is not up to date, or may hold what a failed write left.
    pub(crate) fn needs_care(&self) -> bool {
        !self.attempted.is_empty() || self.copies.members().iter().any(|m| !m.standing().is_up_to_date())
    }

    /// Reads all records of the copies that look up to date. Marks those of which some are missing or damaged as behind:
    /// memory holds what they held.
    fn find_damage(&mut self, open: &mut [OpenReplica]) {
        let present = self.lineage().state();
        let len = |o: &OpenReplica| o.file.len().saturating_sub(FRONT_LEN as u64);
        let alike = || open.iter().filter(|o| o.same);
        let rests = side_by_side(alike().map(|o| o.file.reading().rest_task(len(o))), self.limits());
        let damaged: Vec<usize> = alike()
            .zip(rests)
            .filter(|(copy, rest)| match rest {
                Ok(rest) => !self.holds_present(copy.file.reading(), rest),
                // A part of the file that the disk does not give is lost. Anything else may pass.
                Err(e) => matches!(e, Error::Failure(Failure::Io { .. })),
            })
            .map(|(copy, _)| copy.index)
            .collect();
        for copy in open.iter_mut().filter(|o| damaged.contains(&o.index)) {
            (copy.same, copy.current) = (false, false);
            self.copies.report_damage(copy.index, &present);
        }
    }

    /// Brings copies up to date that are behind or damaged, or that hold what a failed write left: all that
    /// can be reached, even if they are not enough for a change. `in_full`: first reads those that look up to date, to
    /// find damage behind their fronts.
    ///
    /// # Errors
    /// If no copy could be reached.
    pub(crate) fn bring_up_to_date(&mut self, memory: &Memory, in_full: bool) -> Result<()> {
        let mut open = self.open_copies(memory, Reach::Any)?;
        if in_full {
            self.find_damage(&mut open);
        }
        let failed_before = !self.attempted.is_empty();
        let whole = |o: &OpenReplica| o.current || o.same && !failed_before;
        if open.iter().all(whole) {
            open.iter().for_each(|o| self.mark_matching(o.index));
            return Ok(());
        }
        let Ok(bytes) = self.verified_bytes(&open, whole) else {
            return self.rewrite(open, Reach::Any, &Event::new(EventKind::Rewritten), memory.records());
        };
        open.retain(|o| !whole(o));
        let state = self.lineage().state();
        let failed = self.copies.step(&mut open, Reach::Any, &state, |o| o.file.prepare(&bytes));
        self.copies.mark_touched(&open, state, &state);
        let (second, undo) = (|o: &OpenReplica| o.file.put_in_place(), |o: &OpenReplica| o.file.abandon());
        let failed_in_place = self.copies.make_count(&mut open, Reach::Any, &state, second, undo)?;
        self.copies.mark_written(&open);
        match failed.or(failed_in_place) {
            Some(e) if open.is_empty() => Err(e),
            _ => Ok(()),
        }
    }
}
