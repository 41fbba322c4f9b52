// SPDX-License-Identifier: GPL-2.0-or-later
//! One table's way through a scratch tablespace. After each statement the server is asked how far the table is, so the same code
//! begins, continues after a kill, and puts back.

use super::passage::{Passage, inside};
use super::state::{Next, State, Whereabouts};
use super::statements::{self, Moved, Refused};
use crate::commands::encrypt::job::{Job, Step};
use crate::commands::encrypt::rewrite::definition::Definition;
use crate::commands::encrypt::rewrite::ended::{Rewritten, look_again};
use crate::commands::encrypt::rewrite::row_format;
use crate::error::{Error, Result};
use crate::server::{ScratchTablespace, is_gone};

/// More statements than any table needs, with everything that may come in between.
const LIMIT: u32 = 20;

/// How a passage ended.
pub(super) enum Ended {
    Rewritten(Rewritten),
    /// The server does not move this table in, for this reason. It is as it was.
    NotOnline(String),
}

impl From<Rewritten> for Ended {
    fn from(rewritten: Rewritten) -> Ended {
        Ended::Rewritten(rewritten)
    }
}

/// The statements until it has arrived.
impl Passage<'_> {
    /// Follows the way to its end.
    ///
    /// # Errors
    /// What the server answers if it is not about the table's definition: a lock that cannot be had, a table that is gone. The
    /// table is then outside, and the scratch tablespace is gone.
    pub(super) fn follow(&self, job: &mut Job<'_>) -> Result<Ended> {
        let before = match Definition::query(&mut job.watch, self.table) {
            Ok(before) => before,
            Err(e) => return self.without_table(job, e),
        };
        if let Step::Stopped = job.wait_for_resumption()? {
            return Ok(Rewritten::Stopped.into());
        }
        let row_format = row_format::kept(job, self.table, &before)?;
        let mut announced = vec!["TABLESPACE"];
        if before.tablespace().is_some_and(|space| space == self.name.as_str()) {
            // An earlier run moved it in, and the scratch tablespace keeps this option for it.
            announced.push("AUTOEXTEND_SIZE");
        }
        let moved = Moved { before: &before, row_format: &row_format };
        let mut by_others = Vec::new();
        let mut seen: Option<Definition> = None;
        let mut last = None;
        for _ in 0..LIMIT {
            if let Some(last @ (Next::Create | Next::In | Next::Turn)) = last
                && let Step::Stopped = job.wait_until_allowed()?
            {
                return self.stopped(job, last == Next::Create);
            }
            let now = match Definition::query(&mut job.watch, self.table) {
                Ok(now) => now,
                Err(e) => return self.without_table(job, e),
            };
            if let Some(seen) = seen.take() {
                by_others.extend(seen.changes(&now, &[]));
            }
            let next = self.state(job, &now)?.next(self.starts);
            match next {
                Next::Finished if !self.starts => return Ok(Rewritten::Done.into()),
                Next::Finished => {
                    let changes = (&before, &now, &announced[..], &by_others[..]);
                    let by_hand = job.before_by_hand;
                    return Ok(look_again(self.table, changes, self.here, self.direction, by_hand)?.into());
                }
                Next::Gone => {
                    return Ok(Rewritten::Failed(
                        "somebody else has moved it into a general tablespace meanwhile: run this again"
                            .to_owned(),
                    )
                    .into());
                }
                next => {
                    if let Some(ended) = self.step(job, next, &moved)? {
                        return Ok(ended);
                    }
                    last = Some(next);
                    if matches!(next, Next::In | Next::Out) {
                        seen = Definition::query(&mut job.watch, self.table).ok();
                    }
                }
            }
        }
        Ok(Rewritten::Failed(format!(
            "somebody else seems to move it at the same time: after {LIMIT} statements it has not arrived. {}",
            self.whereabouts()
        ))
        .into())
    }

    /// How far the table is.
    fn state(&self, job: &mut Job<'_>, definition: &Definition) -> Result<State> {
        let is_own = !definition.files.is_empty();
        let table = match definition.tablespace() {
            Some(space) if space == self.name.as_str() => Whereabouts::Inside,
            _ if definition.has_reached(self.direction) => Whereabouts::Reached,
            Some(space) if !is_own && space != "innodb_system" && space != "innodb_file_per_table" => {
                Whereabouts::Elsewhere
            }
            _ => Whereabouts::Outside,
        };
        let scratch = ScratchTablespace::look(&mut job.watch, self.name)?;
        Ok(State {
            scratch_reached: scratch.map(|scratch| self.direction.is_reached(scratch.encrypted)),
            table,
        })
    }

    /// Runs the next statement. `None`: look again.
    fn step(&self, job: &mut Job<'_>, next: Next, moved: &Moved<'_>) -> Result<Option<Ended>> {
        let done = match next {
            Next::Create => statements::create(job, self),
            Next::In => statements::move_in(job, self, moved),
            Next::Turn => statements::turn(job, self),
            Next::Out => statements::move_out(job, self, moved),
            _ => statements::drop(job, self.name),
        };
        let refused = match done {
            Ok(Step::Done) => return Ok(None),
            Ok(Step::Stopped) => {
                return self.stopped(job, matches!(next, Next::Create | Next::In)).map(Some);
            }
            Err(refused) => refused,
        };
        match (next, refused) {
            // The connection is lost: the caller connects anew, and the way is continued.
            (_, Refused::Lost(e)) => Err(e),
            (Next::In, Refused::NotOnline(why)) => {
                self.drop_quietly(job);
                Ok(Some(Ended::NotOnline(why)))
            }
            (Next::In, Refused::Locked(e)) => {
                self.drop_quietly(job);
                Err(e)
            }
            (Next::Create | Next::In, refused) => {
                self.drop_quietly(job);
                Ok(Some(Rewritten::Failed(refused.why()).into()))
            }
            (Next::Turn, refused) => self.put_back(job, moved, &refused.why()).map(Some),
            (Next::Drop, refused) => self.empty(job, &refused.why()),
            (_, refused) => {
                Ok(Some(Rewritten::Failed(format!("{}. {}", refused.why(), self.whereabouts())).into()))
            }
        }
    }

    /// The user asked to stop.
    fn stopped(&self, job: &mut Job<'_>, is_outside: bool) -> Result<Ended> {
        if is_outside {
            self.drop_quietly(job);
        } else {
            job.print_line(format_args!("LEFT    {}: {}", self.table.full_name(), self.whereabouts()));
        }
        Ok(Rewritten::Stopped.into())
    }

    /// What to say of a table that is left inside.
    fn whereabouts(&self) -> String {
        format!(
            "The table is in the scratch tablespace {}, and can be used: run this again to continue",
            self.name
        )
    }

    /// The scratch tablespace cannot be encrypted or decrypted: moves the table back into a file of its own, as it was.
    fn put_back(&self, job: &mut Job<'_>, moved: &Moved<'_>, why: &str) -> Result<Ended> {
        let back = Passage { direction: self.direction.opposite(), starts: false, ..*self };
        let returned = match statements::move_out(job, &back, moved) {
            Ok(Step::Done) => statements::drop(job, self.name),
            ended => ended,
        };
        Ok(Rewritten::Failed(match returned {
            Ok(Step::Done) => format!("{why}. It was put back, and is as it was"),
            Ok(Step::Stopped) => format!("{why}. {}", self.whereabouts()),
            Err(Refused::Lost(e)) => return Err(e),
            Err(refused) => {
                format!("{why}. It could not be put back: {}. {}", refused.why(), self.whereabouts())
            }
        })
        .into())
    }

    /// The scratch tablespace could not be dropped: moves out what somebody has created in it meanwhile. `None`: look again.
    fn empty(&self, job: &mut Job<'_>, why: &str) -> Result<Option<Ended>> {
        let failed = |why: String| Ok(Some(Rewritten::Failed(why).into()));
        let Some(scratch) = ScratchTablespace::find(&mut job.watch, self.name)? else { return Ok(None) };
        let Some((schema, name)) = scratch.tables.first() else {
            return failed(format!(
                "it is {}, but the empty scratch tablespace {} could not be dropped: {why}. Run this again",
                self.direction.done(),
                self.name,
            ));
        };
        let guest = inside(schema, name, &scratch);
        job.print_line(format_args!(
            "NOTE    {}: it is in the scratch tablespace {} too: the server puts a table there that is created like one in it. It gets a file of its own",
            guest.full_name(),
            self.name
        ));
        let passage = Passage { table: &guest, starts: false, ..*self };
        match passage.follow(job) {
            Ok(Ended::Rewritten(Rewritten::Done)) => Ok(None),
            Ok(Ended::Rewritten(Rewritten::Stopped)) => Ok(Some(Rewritten::Stopped.into())),
            Ok(Ended::Rewritten(Rewritten::Failed(why)) | Ended::NotOnline(why)) => failed(format!(
                "it is {}, but {} is in its scratch tablespace: {why}",
                self.direction.done(),
                guest.full_name()
            )),
            // It has been dropped.
            Err(e) if is_gone(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Drops the scratch tablespace. If that fails, the next run does it.
    fn drop_quietly(&self, job: &mut Job<'_>) {
        let _ = job.work.run(&statements::dropping(self.name));
    }

    /// Deals with a table that is gone: somebody has renamed it, so that another name is in the scratch tablespace, or dropped it.
    fn without_table(&self, job: &mut Job<'_>, e: Error) -> Result<Ended> {
        if !is_gone(&e) {
            return Err(e);
        }
        let Some(scratch) = ScratchTablespace::find(&mut job.watch, self.name)? else { return Err(e) };
        match scratch.tables.first() {
            Some((schema, name)) if (schema, name) != (&self.table.schema, &self.table.name) => {
                let table = inside(schema, name, &scratch);
                job.print_line(format_args!(
                    "NOTE    {}: somebody has renamed or dropped it. In its scratch tablespace is {}, which gets a file of its own",
                    self.table.full_name(),
                    table.full_name()
                ));
                let renamed = Passage { table: &table, starts: false, ..*self };
                renamed.follow(job)
            }
            Some(_) => Err(e),
            None => match statements::drop(job, self.name) {
                Ok(_) => Err(e),
                Err(Refused::Lost(e)) => Err(e),
                Err(refused) => Ok(Rewritten::Failed(format!(
                    "somebody has renamed or dropped it, and its scratch tablespace {} could not be dropped: {}. Run this again",
                    self.name,
                    refused.why()
                ))
                .into()),
            },
        }
    }
}
