// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the statements that end what an interrupted run has begun are written to the binary log. They are exactly if those
//! before them were, whatever the next run is asked for: so that is said, or refused, beforehand.

use super::half_done;
use super::online::fulltext;
use super::replication::Replication;
use super::scope::Scope;
use super::unfinished::Unfinished;
use crate::error::Result;
use crate::server::{Inventory, KEPT_INDEXES, Role, ScratchName, Session, Table};

/// What an interrupted run has left.
pub(super) struct LeftOver {
    /// What it is, and of which table.
    what: String,
    /// The table that it was begun for. `None`: it is gone.
    table: Option<String>,
    is_logged: bool,
    pub name: ScratchName,
}

impl LeftOver {
    /// All that a run takes up.
    ///
    /// # Errors
    /// What the server answers.
    pub(super) fn all(
        session: &mut Session,
        inventory: &Inventory,
        scope: &Scope<'_>,
    ) -> Result<Vec<LeftOver>> {
        let of = |name: &ScratchName| half_done::table_of(name, inventory).map(Table::full_name);
        let taken_up = Unfinished::of_scope(inventory, scope)
            .into_iter()
            .filter(|left| left.obstacle(inventory).is_none());
        let spaces = taken_up.map(|left| LeftOver {
            what: match left.tables.len() {
                1 => format!("the table {} in the {}", left.names(), left.shown()),
                2.. => format!("the tables {} in the {}", left.names(), left.shown()),
                0 => format!("the empty {}", left.shown()),
            },
            table: left.tables.first().map(|table| table.full_name()).or_else(|| of(&left.name)),
            is_logged: left.name.is_logged(),
            name: left.name,
        });
        let mut all: Vec<_> = spaces.collect();
        // Logged ones of a replica are its source's.
        let kept = fulltext::saved(session)?.into_iter().filter(|name| scope.takes_up(name, inventory));
        all.extend(kept.filter(|name| !(name.is_logged() && inventory.at_work.receives)).map(|name| {
            let table = of(&name);
            let of = table.as_deref().unwrap_or("a table that is gone");
            LeftOver {
                what: format!("the full-text indexes of {of}, kept in {KEPT_INDEXES}.{name}"),
                is_logged: name.is_logged(),
                table,
                name,
            }
        }));
        // A server without a binary log writes nothing, whatever the name says.
        let log: Option<i64> = session.first("SELECT @@GLOBAL.log_bin")?;
        Ok(if log == Some(1) { all } else { Vec::new() })
    }

    /// Says what it is, and what its end means for other servers.
    pub(super) fn describe(&self) -> String {
        let log = if self.is_logged {
            "are written to the binary log, like those before, so replicas repeat them"
        } else {
            "are not written to the binary log, like those before, so no replica gets them"
        };
        format!("An interrupted run has left {}. The statements that end it {log}", self.what)
    }

    /// Why a run that promises to write nothing to the binary log must not end it.
    fn refusal(&self, role: &Role) -> String {
        let own = self
            .table
            .as_ref()
            .filter(|_| !role.receives())
            .map(|table| format!("run keyringctl encrypt apply with --only {} --replicate, or ", table));
        format!(
            "an interrupted run has left {}. Its statements are in the binary log, so those that end it must be too, or replicas stop; but this run writes none. To do first: {}run keyringctl encrypt cleanup. The replicas repeat the statements of both: if the tablespace is encrypted, each needs a keyring",
            self.what,
            own.unwrap_or_default()
        )
    }
}

/// Returns why a run that writes nothing to the binary log must not start: it would have to.
pub(super) fn refusals(all: &[LeftOver], replication: &Replication, role: &Role) -> Vec<String> {
    let skips = replication.skips_binary_log(role);
    all.iter().filter(|left| skips && left.is_logged).map(|left| left.refusal(role)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_writes_nothing_to_the_binary_log_does_not_end_what_is_in_it() {
        let left = |is_logged| LeftOver {
            what: "the table d.t in it".to_owned(),
            table: Some("d.t".to_owned()),
            is_logged,
            name: ScratchName::new(true, is_logged, ("d", "t"), 1),
        };
        let both = [left(true), left(false)];
        let why = refusals(&both, &Replication::only_here(), &Role::default());
        assert!(why.len() == 1 && why[0].contains("--only d.t --replicate"), "{why:?}");
        assert_eq!(refusals(&both, &Replication::default(), &Role::default()), [""; 0]);
        assert!(both[0].describe().contains("replicas repeat") && both[1].describe().contains("no replica"));
    }
}
