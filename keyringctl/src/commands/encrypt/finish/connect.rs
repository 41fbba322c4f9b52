// SPDX-License-Identifier: GPL-2.0-or-later
//! Connects to the server. One that is stopped, as after a run that was killed between its stop and its start, is started.

use super::context::Args;
use super::way::Way;
use crate::commands::consent::{Decision, Effect, Plan};
use crate::commands::encrypt::stop::StopSignal;
use crate::commands::output::Output;
use crate::error::{Error, Result};
use crate::server::Session;
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether the server is up.
const POLL: Duration = Duration::from_millis(500);

/// Connects; offers to start a server that does not answer on its socket. `None`: this is a dry run, and it is stopped.
///
/// # Errors
/// It cannot be connected to, nor started.
pub(super) fn connect(args: &Args, stop: &mut StopSignal, out: &mut Output) -> Result<Option<Session>> {
    let error = match args.server.connect() {
        Err(Error::Server(e)) if e.silent && e.code == 0 => Error::Server(e),
        done => return done.map(Some),
    };
    let site = args.site.look().ok();
    let way = Way::to_start(args.restart_command.as_deref(), site.as_ref());
    let (Some(way), true) = (way, args.server.options()?.is_by_socket()) else {
        return Err(Error::Usage(format!(
            "{error}. If it is stopped, start it and run the same command again; with --restart-command COMMAND, finish \
             starts it"
        )));
    };
    out.line(error);
    let mut plan = Plan::new("Start the server?");
    plan.effect(Effect::new("the server", "does not answer", format!("started, by {}", way.starting())));
    if args.consent.ask(&plan, out)? == Decision::DryRun {
        return Ok(None);
    }
    out.line(format_args!("Starting the server: {}", way.starting()));
    out.flush_text();
    let not_started = |why: &str| {
        let how = way.how_to_start(site.as_ref());
        Error::Usage(format!(
            "the server is not up: {why}. See its error log; {how}, then run the same command again"
        ))
    };
    let mut launch = way.start().map_err(|why| not_started(&why))?;
    let began = Instant::now();
    loop {
        let failed = launch.failure();
        let why = match args.server.connect() {
            Err(Error::Server(e)) if e.silent || e.code != 0 => e.to_string(),
            done => return done.map(Some),
        };
        if let Some(failed) = failed {
            return Err(not_started(&failed));
        }
        if began.elapsed() >= Duration::from_secs(args.restart_wait) {
            return Err(not_started(&format!("it did not answer within {} s ({why})", args.restart_wait)));
        }
        if stop.is_requested() {
            return Err(not_started("stopped while waiting for it"));
        }
        thread::sleep(POLL);
    }
}
