// SPDX-License-Identifier: GPL-2.0-or-later
//! A restart of the server, which then begins with the settings of its option file; and waiting for it.

use super::context::{DECLINED, Run};
use super::launch::Launch;
use super::option_file;
use super::situation::Situation;
use super::step::{Action, Step, StepId, StepState};
use super::way::Way;
use crate::commands::consent::{Effect, Plan};
use crate::error::{Error, Result};
use crate::show::Shown;
use std::thread;
use std::time::{Duration, Instant};

/// How long the program that started the server may take to end when the server is back.
const GRACE: Duration = Duration::from_secs(5);
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
    match situation.way.restart() {
        Ok(launch) => wait(run, situation, launch, false),
        Err(why) => Ok(Some(why)),
    }
}

/// Says of the settings that a server does not have after a restart that it does not read them.
pub(super) fn after_restart(steps: &mut [Step], situation: &Situation) {
    let settings = &situation.inventory.settings;
    if settings.no_sources().is_some() || option_file::is_in_effect(settings) {
        return;
    }
    let values = option_file::needed(settings)
        .map(|(name, _)| format!("{name} = {}", settings.get(name).unwrap_or_default()));
    let values = values.collect::<Vec<_>>().join(", ");
    for step in steps.iter_mut().filter(|step| step.id == StepId::Restart && step.is_left()) {
        step.why = format!(
            "the server was restarted, and came up without the settings of the option file: {values}"
        );
        step.action = Action::Administrator(vec![
            "the server does not read the option file, or a later one sets them otherwise: look at its command line and error log, and name the file that it reads with --option-file FILE".to_owned(),
        ]);
    }
}

/// What else happens when the server stops.
pub(super) fn note_on_stop(plan: &mut Plan, situation: &Situation) {
    plan.note("Applications lose their connections while the server is stopped.");
    if situation.inventory.settings.is_in_group() {
        plan.note("The server is a member of a replication group: it leaves the group, and joins it again by itself only with group_replication_start_on_boot = ON.");
    }
}

/// Waits until the server answers after a new start. `launch`: the program that starts it. `stopped`: it is known to have
/// stopped. Returns what kept it from coming back.
pub(super) fn wait(
    run: &mut Run<'_>,
    situation: &Situation,
    mut launch: Launch,
    stopped: bool,
) -> Result<Option<String>> {
    let limit = (situation.way != Way::Person).then(|| Duration::from_secs(run.args.restart_wait));
    let (began, mut was_away) = (Instant::now(), stopped);
    loop {
        // Looked at first: a server that is up after the program failed is up.
        let failed = launch.failure();
        let why = match run.session.connect_again() {
            Ok(session) if was_away || run.session.was_before_restart(&session) => {
                run.session = session;
                (run.is_down, run.restarted) = (false, true);
                run.say("The server is back.");
                // A program that waits for the server, as systemctl does, ends a moment later.
                let answered = Instant::now();
                while launch.running().is_some() && answered.elapsed() < GRACE {
                    thread::sleep(POLL);
                }
                if let Some(name) = launch.running() {
                    run.say(format_args!("Not waiting for this command, which still runs: {name}"));
                }
                return Ok(None);
            }
            Ok(_) => {
                run.is_down = false;
                "it has not been restarted yet".to_owned()
            }
            Err(e) => {
                let is_silent = matches!(&e, Error::Server(e) if e.silent);
                was_away |= is_silent;
                run.is_down = is_silent;
                e.to_string()
            }
        };
        if let Some(failed) = failed {
            return Ok(Some(not_started(run, situation, &failed)));
        }
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            let still = launch.running().map(|name| format!(", and this command has not ended: {name}"));
            return Ok(Some(format!(
                "the server did not come back within {} s ({why}{}): see its error log, {}{}",
                run.args.restart_wait,
                still.unwrap_or_default(),
                situation.inventory.settings.get("log_error").unwrap_or_default().shown(),
                remedy(run, situation)
            )));
        }
        if run.stop.is_requested() {
            run.interrupted = true;
            return Ok(Some(format!("stopped while waiting for the server{}", remedy(run, situation))));
        }
        thread::sleep(POLL);
    }
}

/// Says that the server was not started, or not restarted.
pub(super) fn not_started(run: &Run<'_>, situation: &Situation, failed: &str) -> String {
    if run.is_down {
        format!(
            "finish stopped the server, and its start failed: {failed}. See its error log, {}{}",
            situation.inventory.settings.get("log_error").unwrap_or_default().shown(),
            remedy(run, situation)
        )
    } else {
        format!("{failed}. The server was not restarted, and still runs")
    }
}

/// What to do about a server that is down.
fn remedy(run: &Run<'_>, situation: &Situation) -> String {
    if !run.is_down {
        return String::new();
    }
    format!("; {}, then run this again", situation.way.how_to_start(situation.site.as_ref().ok()))
}
