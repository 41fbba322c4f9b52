// SPDX-License-Identifier: GPL-2.0-or-later
//! The options of `encrypt finish`, and what its steps share.

use super::step::StepId;
use crate::commands::consent::{Consent, Plan};
use crate::commands::encrypt::server;
use crate::commands::encrypt::stop::StopSignal;
use crate::commands::output::Output;
use crate::commands::{secret, site};
use crate::error::Result;
use crate::server::{PlaceKind, Session};
use std::path::PathBuf;

/// What is said of a step if the answer to its question was no.
pub(super) const DECLINED: &str = "the answer was no";
/// What is said of a step that was interrupted.
pub(super) const INTERRUPTED: &str = "interrupted";

/// Do what is left after apply, step by step: option file, restart, doublewrite files, binary logs, backup, proof
///
/// Shows a checklist and does its steps in order; asks before each step that is hard to take back. It keeps no state of its
/// own: stop it with Ctrl-C at any time, and run it again to continue. Run it on the server, as root. Exits with 0 when
/// nothing is left and encrypt verify finds no unencrypted data. Steps `by hand` are listed only.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt finish --dry-run\n  \
    keyringctl encrypt finish --backup /mnt/safe/keys/2026-11-24.keyring\n  \
    keyringctl encrypt finish --yes --restart-command 'service mysql restart'")]
pub(in crate::commands::encrypt) struct Args {
    /// Do only this step: option-file, reset-persist, undo-and-redo, binary-logs, doublewrite, restart, keyring-backup or
    /// verify; or look only at this one, which a person does: apply, statements, system-tablespace, free-space or old-backups
    /// (repeatable)
    #[arg(long, value_name = "STEP")]
    pub(super) only: Vec<StepId>,
    /// Leave this step out (repeatable)
    #[arg(long, value_name = "STEP", conflicts_with = "only")]
    pub(super) skip: Vec<StepId>,
    /// Command that restarts the server, or starts it if it is stopped, on a host without systemd. It need not return
    #[arg(long, value_name = "COMMAND")]
    pub(super) restart_command: Option<String>,
    /// Seconds to wait until the server is back, from the moment at which it is started or restarted
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(super) restart_wait: u64,
    /// Back up the keyring to this file, in a directory of mode 0700
    #[arg(long, value_name = "FILE")]
    pub(super) backup: Option<PathBuf>,
    /// Accept unencrypted data of this kind, as encrypt verify does; old rows in ibdata1 are always accepted (repeatable)
    #[arg(long, value_name = "KIND")]
    pub(super) accept: Vec<PlaceKind>,
    /// Skip the canary of encrypt verify
    #[arg(long)]
    pub(super) no_canary: bool,
    #[command(flatten)]
    pub(super) consent: Consent,
    #[command(flatten)]
    pub(super) secret: secret::Args,
    #[command(flatten)]
    pub(super) server: server::Args,
    #[command(flatten)]
    pub(super) site: site::Args,
}

impl Args {
    /// Whether steps were chosen, so that others may be left.
    pub(super) fn is_selection(&self) -> bool {
        !self.only.is_empty() || !self.skip.is_empty()
    }

    /// Whether a step was chosen.
    pub(super) fn selects(&self, id: StepId) -> bool {
        (self.only.is_empty() || self.only.contains(&id)) && !self.skip.contains(&id)
    }
}

/// A run, with what all steps use.
pub(super) struct Run<'a> {
    pub args: &'a Args,
    pub session: Session,
    pub out: &'a mut Output,
    pub stop: StopSignal,
    pub interrupted: bool,
    /// Whether the server was restarted in this run.
    pub restarted: bool,
    /// Whether the server is known not to answer, so that nothing more can be looked at.
    pub is_down: bool,
    /// What kept steps from being done.
    pub failed: Vec<(StepId, String)>,
}

impl Run<'_> {
    /// Prints a line at once.
    pub(super) fn say(&mut self, line: impl std::fmt::Display) {
        self.out.line(line);
        self.out.flush_text();
    }

    /// Asks whether to do this.
    pub(super) fn agreed(&mut self, plan: &Plan) -> Result<bool> {
        self.args.consent.agree(plan, self.out)
    }
}
