// SPDX-License-Identifier: GPL-2.0-or-later
//! A restart of the server, which then begins with the settings of its option file; and waiting for it.

use super::context::{DECLINED, Run};
use super::option_file;
use super::situation::Situation;
use super::step::{Action, Step, StepId, StepState};
use super::way::Way;
use crate::commands::consent::{Effect, Plan};
use crate::error::{Error, Result};
use crate::show::Shown;
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether the server is back.
const POLL: Duration = Duration::from_millis(500);

/// Looks whether the server has started with the settings of the option file.
pub(super) fn look(situation: &Situation) -> Step {
    let id = StepId::Restart;
    let settings = &situation.inventory.settings;
    if settings.no_sources().is_some() {
        return Step::not_checked(
            id,
            "the server did not say where the values of settings come from",
            "see option-file",
        );
    }
    if option_file::is_in_effect(settings) {
        return Step::done(id, "the server has started with them");
    }
    let why = "the server reads the option file only when it starts";
    let step = match &situation.way {
        Way::Nobody => Step::new(
            id,
            StepState::NotHere,
            why,
            Action::Administrator(vec![
                "restart the server; or run keyringctl encrypt finish on a terminal, or with --restart-command COMMAND"
                    .to_owned(),
            ]),
        ),
        Way::Person => Step::to_do(id, why, "waits until you have restarted the server"),
        way => Step::to_do(id, why, format!("asks, and restarts the server: {}", way.restarting())),
    };
    step.after(StepId::OptionFile)
}

/// Restarts the server. Returns what kept it from being restarted.
pub(super) fn restart(run: &mut Run<'_>, situation: &Situation) -> Result<Option<String>> {
    let mut plan = Plan::new("Restart the server?");
    plan.effect(Effect::new(
        format!("the server at {}", run.session.address()),
        "started without the settings of the option file",
        format!("started anew, by {}", situation.way.restarting()),
    ));
    note_on_stop(&mut plan, situation);
    if !run.agreed(&plan)? {
        return Ok(Some(DECLINED.to_owned()));
    }
    match &situation.way {
        Way::Person => run.say("Restart the server now. Waiting until it is back; Ctrl-C ends this, and the same command continues it."),
        _ => run.say(format_args!("Restarting the server: {}", situation.way.restarting())),
    }
    if let Err(why) = situation.way.restart() {
        return Ok(Some(why));
    }
    wait(run, situation, false)
}

/// What else happens when the server stops.
pub(super) fn note_on_stop(plan: &mut Plan, situation: &Situation) {
    plan.note("Applications lose their connections while the server is stopped.");
    if situation.inventory.settings.is_in_group() {
        plan.note("The server is a member of a replication group: it leaves the group, and joins it again by itself only with group_replication_start_on_boot = ON.");
    }
}

/// Waits until the server answers after a new start. `stopped`: it is known to have stopped.
pub(super) fn wait(run: &mut Run<'_>, situation: &Situation, stopped: bool) -> Result<Option<String>> {
    let limit = (situation.way != Way::Person).then(|| Duration::from_secs(run.args.restart_wait));
    let (began, mut was_away) = (Instant::now(), stopped);
    loop {
        let why = match run.session.connect_again() {
            Ok(session) if was_away || run.session.was_before_restart(&session) => {
                run.session = session;
                run.say("The server is back.");
                return Ok(None);
            }
            Ok(_) => "it has not been restarted yet".to_owned(),
            Err(Error::Server(e)) if e.silent || e.code != 0 => {
                was_away |= e.silent;
                e.to_string()
            }
            Err(e) => return Err(e),
        };
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            return Ok(Some(format!(
                "the server did not come back within {} s ({why}): see its error log, {}, and run this again when it is up",
                run.args.restart_wait,
                situation.inventory.settings.get("log_error").unwrap_or_default().shown()
            )));
        }
        if run.stop.is_requested() {
            return Ok(Some("stopped while waiting for the server: run this again to continue".to_owned()));
        }
        thread::sleep(POLL);
    }
}
