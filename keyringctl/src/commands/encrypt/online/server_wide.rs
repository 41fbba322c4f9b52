// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether any table of a server goes online: what is against it is known before a run starts, or the probe finds it before the
//! run changes anything.

use super::choice::Online;
use super::way::{CopyReason, Way};
use super::{Choice, probe, safety};
use crate::commands::encrypt::direction::Direction;
use crate::commands::encrypt::job::Job;
use crate::commands::encrypt::replication::{Replication, not_started};
use crate::commands::encrypt::required;
use crate::error::Result;
use crate::server::{Inventory, Privileges, Role, Session, Table};
use std::sync::Arc;

/// What is against it on a server, for one run.
pub(in crate::commands::encrypt) struct ServerWide {
    online: Online,
    rebuild_fulltext: bool,
    why: Option<CopyReason>,
    /// The privileges that the account has not got.
    lacks: Vec<&'static str>,
    grant: Option<String>,
}

impl ServerWide {
    /// Asks the server, and changes nothing.
    ///
    /// # Errors
    /// What the server answers.
    pub(in crate::commands::encrypt) fn query(
        session: &mut Session,
        privileges: &Privileges,
        (online, direction): (Online, Direction),
        (role, replication): (&Role, &Replication),
    ) -> Result<ServerWide> {
        if online == Online::Never {
            return Ok(ServerWide {
                online,
                rebuild_fulltext: false,
                why: None,
                lacks: Vec::new(),
                grant: None,
            });
        }
        let lacks = required::lacks_for_online(session, privileges)?;
        let why = safety::why_copy(role, replication, direction, &lacks)
            .filter(|why| online == Online::Auto || !why.may_insist());
        let grant = privileges.refusal("rewriting tables while they are written to", &lacks);
        Ok(ServerWide { online, rebuild_fulltext: false, why, lacks, grant })
    }

    /// Whether full-text indexes may be dropped, and added again afterwards.
    pub(in crate::commands::encrypt) fn rebuilding_fulltext(self, rebuild_fulltext: bool) -> ServerWide {
        ServerWide { rebuild_fulltext, ..self }
    }

    /// The privileges without which the run must not start.
    pub(in crate::commands::encrypt) fn required(&self) -> &[&'static str] {
        if self.online == Online::Always { &self.lacks } else { &[] }
    }

    /// Why the run must not start.
    pub(in crate::commands::encrypt) fn refusal(&self) -> Option<String> {
        // A refusal of its own names the privileges.
        let why = self.why.filter(|why| *why != CopyReason::Privileges)?;
        (self.online == Online::Always)
            .then(|| format!("--online always is not possible: {why}. Leave it out to copy the tables"))
    }

    /// What is against it for all tables.
    pub(in crate::commands::encrypt) fn why(&self) -> Option<CopyReason> {
        self.why
    }

    /// What to say if the tables are copied because of the server.
    fn note(&self) -> Option<String> {
        let why = match (self.why?, &self.grant) {
            (CopyReason::Privileges, Some(grant)) => grant.clone(),
            (why, _) => why.to_string(),
        };
        Some(format!("All tables are copied, and their writers wait: {why}"))
    }

    /// Decides for a run which of these tables go online. If any does, the server shows first that it can do that.
    ///
    /// # Errors
    /// What the server answers; or it cannot do it, and all tables were to go online.
    pub(in crate::commands::encrypt) fn decide(
        &self,
        job: &mut Job<'_>,
        inventory: &Inventory,
        tables: &[&Table],
    ) -> Result<Arc<Choice>> {
        let ServerWide { online, rebuild_fulltext, .. } = *self;
        let choice = Choice::query((online, rebuild_fulltext), &mut job.watch, inventory)?;
        let goes = |table: &&&Table| choice.way(table, inventory) == Way::Online;
        if online == Online::Never || tables.iter().find(goes).is_none() {
            return Ok(Arc::new(choice.on_server(self.why)));
        }
        if let Some(note) = self.note() {
            job.print_line(format_args!("NOTE    {note}"));
            return Ok(Arc::new(choice.on_server(self.why)));
        }
        let Some(why) = probe::why_not(&job.watch)? else {
            return Ok(Arc::new(choice));
        };
        if online == Online::Always {
            return Err(not_started(&[format!(
                "--online always is not possible: this server cannot encrypt a table online. {why}. Leave it out to copy the tables"
            )]));
        }
        job.print_line(format_args!(
            "NOTE    All tables are copied, and their writers wait: this server cannot encrypt a table online. {why}"
        ));
        Ok(Arc::new(choice.on_server(Some(CopyReason::Server))))
    }
}
