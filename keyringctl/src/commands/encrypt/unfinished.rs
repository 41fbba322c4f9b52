// SPDX-License-Identifier: GPL-2.0-or-later
//! What an interrupted run has left in scratch tablespaces, and how it is put back: the table gets a file of its own with the
//! encryption that the scratch tablespace has, and the scratch tablespace is dropped.

use super::direction::Direction;
use super::job::{Job, Step};
use super::online;
use super::rewrite::Rewritten;
use super::room::{self, TemporaryFiles};
use super::scope::Scope;
use super::tables::{self, Tables};
use crate::error::{Error, Result, ServerError};
use crate::server::{
    DatadirAccess, Inventory, Obstacle, ScratchName, Table, TableLocation, Tablespace, TablespaceKind,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// MySQL's error for a tablespace that does not exist.
const NO_SUCH_TABLESPACE: u16 = 3510;

/// A scratch tablespace that an interrupted run has left.
pub(super) struct Unfinished<'i> {
    pub space: &'i Tablespace,
    pub name: ScratchName,
    /// The tables in it, the one that it was created for first.
    pub tables: Vec<&'i Table>,
}

impl<'i> Unfinished<'i> {
    /// All that a server has.
    pub(super) fn all(inventory: &'i Inventory) -> Vec<Unfinished<'i>> {
        let spaces = inventory.tablespaces.iter().filter(|space| space.kind == TablespaceKind::Scratch);
        spaces.filter_map(|space| Unfinished::of(space, inventory)).collect()
    }

    /// Those that a run of this scope takes up.
    pub(super) fn of_scope(inventory: &'i Inventory, scope: &Scope<'_>) -> Vec<Unfinished<'i>> {
        let mut all = Unfinished::all(inventory);
        all.retain(|left| scope.takes_up(&left.name, inventory));
        all
    }

    fn of(space: &'i Tablespace, inventory: &'i Inventory) -> Option<Unfinished<'i>> {
        let is_in_it =
            |table: &&Table| matches!(&table.place, TableLocation::Scratch(name) if *name == space.name);
        let name = ScratchName::parse(&space.name)?;
        let mut tables: Vec<_> = inventory.tables.iter().filter(is_in_it).collect();
        tables.sort_by_key(|table| !name.is_for(&table.schema, &table.name));
        Some(Unfinished { space, name, tables })
    }

    /// Why this server must not take it up, and what to do. `None`: it can.
    pub(super) fn obstacle(&self, inventory: &Inventory) -> Option<String> {
        self.space.obstacle(inventory).map(|Obstacle { why, remedy }| format!("{why}. To do: {remedy}"))
    }

    /// Why there is too little room to move its tables into files of their own. `None`: there is enough, or this program cannot
    /// see it.
    pub(super) fn too_little(&self, here: &DatadirAccess, temporary: &TemporaryFiles) -> Option<String> {
        // The server only estimates the size of a table in it. One table after the other moves out.
        let of_file = |table: &&Table| Table { bytes: self.space.bytes, ..(*table).clone() };
        let table = self.tables.first().map(of_file)?;
        room::too_little(&table, here).or_else(|| temporary.too_little(&table, here))
    }

    /// The names of the tables in it.
    pub(super) fn names(&self) -> String {
        self.tables.iter().map(|table| table.full_name()).collect::<Vec<_>>().join(", ")
    }

    /// The encryption that it has, in a word.
    pub(super) fn state(&self) -> &'static str {
        if self.space.encrypted { "encrypted" } else { "unencrypted" }
    }

    /// What it is called where it is shown.
    pub(super) fn shown(&self) -> String {
        format!("scratch tablespace {}", self.name)
    }
}

/// What a run of `encrypt apply` was asked for.
pub(super) struct How<'a> {
    pub scope: Scope<'a>,
    pub here: &'a DatadirAccess,
    pub direction: Direction,
    pub jobs: usize,
}

/// Completes, before anything else, what an interrupted run has left of what this run was asked for. Returns what the server
/// has then. `None`: the user asked to stop.
pub(super) fn take_up(job: &mut Job<'_>, inventory: Inventory, how: &How<'_>) -> Result<Option<Inventory>> {
    if Unfinished::all(&inventory).is_empty() {
        return Ok(Some(inventory));
    }
    if let Step::Stopped = job.wait_for_resumption()? {
        return Ok(None);
    }
    let inventory = Inventory::query(&mut job.watch)?;
    warn_of_resumptions(job, &inventory)?;
    if let Step::Stopped = drop_empty(job, &inventory, &how.scope)? {
        return Ok(None);
    }
    let is_half_done = |table: &&Table| {
        matches!(table.place, TableLocation::Scratch(_)) && obstacle(&inventory, table).is_none()
    };
    let mut half_done: Vec<_> = how.scope.tables(&inventory).into_iter().filter(is_half_done).collect();
    // Whichever table of a scratch tablespace is taken up, the others follow it.
    let mut begun = BTreeSet::new();
    half_done.retain(|table| match &table.place {
        TableLocation::Scratch(name) => begun.insert(name.clone()),
        _ => true,
    });
    let How { here, direction, jobs, .. } = *how;
    let with = Tables { here, direction, jobs, foreign_keys: &inventory.foreign_keys };
    if let Step::Stopped = tables::apply(job, &half_done, &with)? {
        return Ok(None);
    }
    Inventory::query(&mut job.watch).map(Some)
}

/// Why a run cannot rewrite a table, as far as the server says so beforehand.
pub(super) fn obstacle(inventory: &Inventory, table: &Table) -> Option<Obstacle> {
    inventory.unfinished(table).or_else(|| table.obstacle(inventory.before_by_hand))
}

/// Drops the empty scratch tablespaces that a run was asked for. The tables in others are taken up as tables.
fn drop_empty(job: &mut Job<'_>, inventory: &Inventory, scope: &Scope<'_>) -> Result<Step> {
    for left in Unfinished::of_scope(inventory, scope).iter().filter(|left| left.tables.is_empty()) {
        match left.obstacle(inventory) {
            Some(why) => job.record_failed(&left.shown(), &why),
            None => {
                if let Step::Stopped = drop_one(job, left)? {
                    return Ok(Step::Stopped);
                }
            }
        }
    }
    Ok(Step::Done)
}

/// Says what to do about those that the server has completed after a crash and written to its binary log.
///
/// # Errors
/// The connection is lost.
pub(super) fn warn_of_resumptions(job: &mut Job<'_>, inventory: &Inventory) -> Result<()> {
    Unfinished::all(inventory).iter().try_for_each(|left| online::warn_of_resumption(job, &left.name))
}

/// Puts its tables back into files of their own, if there are any in it, and drops it. Records how that ended.
pub(super) fn put_back(job: &mut Job<'_>, left: &Unfinished<'_>, here: &DatadirAccess) -> Result<Step> {
    let Some(table) = left.tables.first() else { return drop_one(job, left) };
    let (what, began) = (table.full_name(), Instant::now());
    if let Some(why) = left.too_little(here, &job.online.temporary) {
        job.record_failed(&what, &format!("{why}. It stays in the {}, and can be used", left.shown()));
        return Ok(Step::Done);
    }
    loop {
        match online::put_back(job, table, &left.name, left.space.encrypted, here) {
            Ok(Rewritten::Stopped) => return Ok(Step::Stopped),
            Ok(Rewritten::Failed(why)) => job.record_failed(&what, &why),
            Ok(Rewritten::Done) => {
                let done = format!("{what} put back into a file of its own, {}", left.state());
                job.record_done(&done, table.bytes, began.elapsed());
            }
            Err(e) => match job.after_loss(&what, e)? {
                // The server was restarted: what was interrupted is continued.
                None => continue,
                Some(e) => job.note_failure(&what, e)?,
            },
        }
        return Ok(Step::Done);
    }
}

fn drop_one(job: &mut Job<'_>, left: &Unfinished<'_>) -> Result<Step> {
    let what = left.shown();
    let statement = format!("DROP TABLESPACE {}", left.name.quoted());
    let mut attempt = 1;
    loop {
        let ended = online::in_binary_log(job, &left.name, |job| job.carry_out(&what, &statement, 0));
        match ended {
            Ok(Step::Stopped) => return Ok(Step::Stopped),
            // One that does not exist was dropped before the connection was lost, or by somebody else.
            Ok(Step::Done) | Err(Error::Server(ServerError { code: NO_SUCH_TABLESPACE, .. })) => {
                job.record_done(&format!("{what} dropped"), 0, Duration::ZERO);
            }
            Err(e) if job.should_retry(&e, &mut attempt) => continue,
            Err(e) => match job.after_loss(&what, e)? {
                None => continue,
                Some(e) => job.note_failure(&what, e)?,
            },
        }
        return Ok(Step::Done);
    }
}
