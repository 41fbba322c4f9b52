// SPDX-License-Identifier: GPL-2.0-or-later
//! Old pages in the doublewrite files. The server needs these files after a crash, so they are deleted only between a clean
//! shutdown and the next start, which creates them anew.

use super::context::{DECLINED, Run};
use super::launch::Launch;
use super::restart;
use super::situation::Situation;
use super::step::{Action, Step, StepId, StepState};
use super::stopped::{StoppedServer, first_file};
use super::way::Way;
use crate::commands::consent::{Effect, Plan};
use crate::commands::encrypt::stop::StopRequest;
use crate::commands::encrypt::verify::lsns;
use crate::error::{Error, Result};
use crate::server::{PlaceKind, PlaceState, Remedy};
use crate::show::Shown;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether the server has stopped.
const POLL: Duration = Duration::from_millis(200);
/// How often somebody is told that it has not.
const TELL: Duration = Duration::from_secs(60);

/// Looks whether the doublewrite files hold unencrypted pages.
pub(super) fn look(situation: &Situation) -> Step {
    let id = StepId::Doublewrite;
    let place = situation.items.iter().find(|place| place.kind == PlaceKind::Doublewrite);
    let why = match place {
        Some(place) if place.state == PlaceState::Unknown => {
            return Step::not_checked(id, place.about.clone(), "run this as root on the server");
        }
        Some(place) if place.is_left() => place.about.clone(),
        _ => return Step::done(id, "they hold no unencrypted page"),
    };
    let files = directory(situation).join("*.dblwr");
    let by_hand = || {
        Action::Administrator(vec![
            "run in the server: SET GLOBAL innodb_fast_shutdown = 0; SHUTDOWN;".to_owned(),
            format!("delete {}, and start the server", files.to_string_lossy()),
            "or run keyringctl encrypt finish as root on a terminal, or with --restart-command COMMAND"
                .to_owned(),
        ])
    };
    let step = match &situation.way {
        Way::Nobody => Step::new(id, StepState::NotHere, why, by_hand()),
        way => Step::to_do(
            id,
            why,
            format!(
                "asks, and stops the server cleanly ({}), deletes {}, and starts it ({})",
                way.stopping(),
                files.to_string_lossy(),
                way.starting()
            ),
        ),
    };
    let is_applied = situation.items.iter().all(|place| place.remedy != Remedy::Apply || !place.is_left());
    if is_applied { step } else { step.after(StepId::Apply) }
}

/// The directory of the doublewrite files, as the server names it.
fn directory(situation: &Situation) -> PathBuf {
    let place = situation.files.written.iter().find(|place| place.kind == PlaceKind::Doublewrite);
    place.map_or_else(|| situation.inventory.about.datadir.clone().into(), |place| place.directory.clone())
}

/// Stops the server, deletes the files and starts it. Returns what kept them from being deleted.
pub(super) fn recreate(run: &mut Run<'_>, situation: &Situation) -> Result<Option<String>> {
    let Some(first) = first_file(&situation.files) else {
        return Ok(Some(
            "no permission to read the system tablespace: run this as root on the server".to_owned(),
        ));
    };
    match StoppedServer::take(&first) {
        Ok(None) => {}
        Ok(Some(_)) => {
            return Ok(Some(format!(
                "the server's lock on {} cannot be seen from here, so it would not be known when it has stopped: run this where the server runs",
                first.shown()
            )));
        }
        Err(e) => {
            return Ok(Some(format!(
                "cannot write to {}: {e}. Run this as root on the server",
                first.shown()
            )));
        }
    }
    let way = &situation.way;
    let mut plan = Plan::new("Stop the server, delete its doublewrite files, and start it?");
    plan.effect(Effect::new(
        format!("the server at {}", run.session.address()),
        "running",
        format!("stopped cleanly, by {}, and started, by {}", way.stopping(), way.starting()),
    ));
    plan.effect(Effect::new(
        directory(situation).join("*.dblwr").shown(),
        "with unencrypted pages from before",
        "deleted after a clean shutdown; the server creates them anew",
    ));
    restart::note_on_stop(&mut plan, situation);
    plan.note("A clean shutdown (innodb_fast_shutdown = 0) may take minutes.");
    if !run.agreed(&plan)? {
        return Ok(Some(DECLINED.to_owned()));
    }
    run.session.run("SET GLOBAL innodb_fast_shutdown = 0")?;
    let Some(change) = lsns(&mut run.session).map(|lsns| lsns.current) else {
        return Ok(Some("the server does not say how far its redo log is (SHOW ENGINE INNODB STATUS): grant PROCESS to this account".to_owned()));
    };
    let stopping = match stop(run, way) {
        Ok(stopping) => stopping,
        Err(why) => return Ok(Some(why)),
    };
    let stopped = match wait_until_stopped(run, way, &first, stopping) {
        Ok(stopped) => stopped,
        Err(why) => {
            run.is_down = run.session.connect_again().is_err();
            return Ok(Some(why));
        }
    };
    run.is_down = true;
    let kept = if stopped.is_clean(change) {
        delete(&directory(situation)).err()
    } else {
        Some("the server did not shut down cleanly, so it needs its doublewrite files, which were kept: see its error log, and run this again".to_owned())
    };
    drop(stopped);
    match way {
        Way::Person => run.say("Start the server now. Waiting until it is back; Ctrl-C ends this, and the same command continues it."),
        _ => run.say(format_args!("Starting the server: {}", way.starting())),
    }
    match way.start() {
        Ok(launch) => Ok(restart::wait(run, situation, launch, true)?.or(kept)),
        Err(why) => Ok(Some(restart::not_started(run, situation, &why))),
    }
}

/// Stops the server, if this program does.
fn stop(run: &mut Run<'_>, way: &Way) -> std::result::Result<Launch, String> {
    match way {
        Way::Systemd(_) => {
            run.say(format_args!("Stopping the server: {}", way.stopping()));
            way.stop_unit()
        }
        Way::Command(_) => {
            run.say(format_args!("Stopping the server: {}", way.stopping()));
            match run.session.run("SHUTDOWN") {
                // It may end before it has answered.
                Ok(()) => Ok(Launch::none()),
                Err(Error::Server(e)) if e.silent => Ok(Launch::none()),
                Err(e) => Err(e.to_string()),
            }
        }
        Way::Person | Way::Nobody => {
            run.say("Stop the server now, and do not start it yet. Waiting until it has stopped; Ctrl-C ends this, and the same command continues it.");
            Ok(Launch::none())
        }
    }
}

/// Waits until the server has stopped. `launch`: the program that stops it. `Err`: why it is not waited for any longer.
fn wait_until_stopped(
    run: &mut Run<'_>,
    way: &Way,
    first: &Path,
    mut launch: Launch,
) -> std::result::Result<StoppedServer, String> {
    let mut told = Instant::now();
    loop {
        let failed = launch.failure();
        match StoppedServer::take(first) {
            Ok(Some(stopped)) => return Ok(stopped),
            Ok(None) => {}
            Err(e) => return Err(format!("cannot look at {}: {e}", first.shown())),
        }
        if let Some(failed) = failed {
            return Err(failed);
        }
        match run.stop.poll() {
            (StopRequest::None, _) => {}
            (_, _) if *way == Way::Person => {
                run.interrupted = true;
                return Err(
                    "stopped while waiting for the server to stop: run this again to continue".to_owned()
                );
            }
            (StopRequest::Cancel, _) => {
                run.interrupted = true;
                return Err("stopped while the server was shutting down: start it when it has stopped, then run this again".to_owned());
            }
            (StopRequest::AfterStep, true) => {
                run.say("Waiting for the server to stop, to start it again. Press Ctrl-C again to leave it stopped");
            }
            (StopRequest::AfterStep, false) => {}
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            run.say("The server is still stopping");
        }
        thread::sleep(POLL);
    }
}

/// Deletes the doublewrite files of a stopped server.
fn delete(directory: &Path) -> std::result::Result<(), String> {
    let failed = |path: &Path, e| format!("cannot delete {}: {e}", path.shown());
    let entries = fs::read_dir(directory).map_err(|e| failed(directory, e))?;
    for entry in entries {
        let path = entry.map_err(|e| failed(directory, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("#ib_") && name.ends_with(".dblwr") {
            fs::remove_file(&path).map_err(|e| failed(&path, e))?;
        }
    }
    Ok(())
}
