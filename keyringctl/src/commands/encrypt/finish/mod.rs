// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt finish`: what is left after `encrypt apply`, as a checklist that it does one by one. It keeps no state
//! of its own: each step is looked at again, so it can be stopped at any time and run again.

mod backup;
mod checklist;
mod connect;
mod context;
mod doublewrite;
mod launch;
mod logs;
mod means;
mod option_file;
mod restart;
mod situation;
mod step;
mod stopped;
mod way;

pub(super) use checklist::left;
pub(super) use context::Args;
pub(super) use step::Step;

use super::plan;
use super::required::{self, Deed};
use super::stop::StopSignal;
use super::verify::{self, VerifyReport};
use crate::commands::command_line::command_line;
use crate::commands::consent::{Effect, Plan};
use crate::commands::output::Output;
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::server::PlaceKind;
use crate::show::Shown;
use checklist::steps;
use context::Run;
use means::Means;
use serde::Serialize;
use situation::Situation;
use std::io::{self, IsTerminal};
use step::{Action, StepId, StepState};

#[derive(Serialize)]
struct FinishReport<'a> {
    dry_run: bool,
    /// Whether nothing that was selected is left.
    fine: bool,
    interrupted: bool,
    steps: &'a [Step],
    /// What encrypt verify found, if it was run.
    verify: Option<VerifyReport>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut stop = StopSignal::listen()?;
    let Some(mut session) = connect::connect(args, &mut stop, out)? else { return Ok(Verdict::Fine) };
    // A server that finish has stopped is not waited for behind its back.
    session.stop_waiting_if(stop.stopping());
    let mut run = Run {
        args,
        session,
        out,
        stop,
        interrupted: false,
        restarted: false,
        is_down: false,
        failed: Vec::new(),
    };
    let (mut situation, mut steps) = run.look()?;
    let about = &situation.inventory.about;
    let address = run.session.address().to_owned();
    run.out.line(format_args!(
        "MySQL {} on {}, {address}, data directory {}",
        about.version,
        about.hostname,
        about.datadir.shown()
    ));
    run.out.line(plan::keyring_line(&situation.keyring));
    run.out.line("");
    run.print(&steps);
    if args.consent.dry_run {
        run.out.line("");
        run.out.line("Nothing was changed: this was a dry run");
        run.report(&steps, None);
        return Ok(Verdict::Fine);
    }
    run.require_privileges(&situation, &steps)?;
    run.require_place_for_backup(&steps)?;
    run.require_answers(&steps)?;
    for id in DOABLE {
        let Some(step) = steps.iter().find(|step| step.id == id && step.is_for_finish() && args.selects(id))
        else {
            continue;
        };
        if run.stop.is_requested() {
            run.interrupted = true;
            break;
        }
        if let Some(first) = step.after.filter(|first| steps.iter().any(|s| s.id == *first && s.is_left())) {
            run.say(format_args!("WAITS   {id}: {first} must be done first"));
            continue;
        }
        run.say("");
        let failed = match run.carry_out(id, &situation) {
            Ok(failed) => failed,
            Err(e) => Some(format!("FAILED: {e}")),
        };
        if let Some(why) = failed {
            run.say(format_args!("LEFT    {id}: {why}"));
            run.failed.push((id, why));
        }
        if run.is_down {
            break;
        }
        match run.look() {
            Ok(looked) => (situation, steps) = looked,
            Err(e) => {
                run.say(format_args!("LEFT    {id}: {e}"));
                run.is_down = true;
                break;
            }
        }
        if !run.has_failed(id) {
            match steps.iter().find(|step| step.id == id) {
                Some(step) if step.is_left() => run.say(format_args!("LEFT    {id}: {}", step.why)),
                _ => run.say(format_args!("OK      {id}")),
            }
        }
        if run.interrupted {
            break;
        }
    }
    run.explain(&mut steps, &situation);
    let verified = run.prove(&mut steps)?;
    Ok(run.end(&steps, verified))
}

/// The steps that this program does, in their order, without the proof.
const DOABLE: [StepId; 7] = [
    StepId::OptionFile,
    StepId::ResetPersist,
    StepId::UndoAndRedo,
    StepId::BinaryLogs,
    StepId::Doublewrite,
    StepId::Restart,
    StepId::KeyringBackup,
];

impl Run<'_> {
    fn look(&mut self) -> Result<(Situation, Vec<Step>)> {
        let means = Means {
            site: &self.args.site,
            restart_command: self.args.restart_command.as_deref(),
            backup: self.args.backup.as_deref(),
            accept: &self.args.accept,
            watches: io::stdin().is_terminal() && !self.out.is_json(),
        };
        let situation = Situation::look(&mut self.session, &means)?;
        let mut steps = steps(&situation, &means);
        if self.restarted {
            restart::after_restart(&mut steps, &situation);
        }
        Ok((situation, steps))
    }

    fn has_failed(&self, id: StepId) -> bool {
        self.failed.iter().any(|(failed, _)| *failed == id)
    }

    /// Says of steps that are left why they could not be done.
    fn explain(&self, steps: &mut [Step], situation: &Situation) {
        for (id, why) in self.failed.iter().filter(|(_, why)| why != context::DECLINED) {
            let Some(step) = steps.iter_mut().find(|step| step.id == *id && step.is_left()) else { continue };
            step.why.clone_from(why);
            if *id == StepId::OptionFile {
                step.action = option_file::by_hand(situation);
            }
        }
    }

    /// Refuses before anything is changed if the backup cannot be written, or would be no backup.
    fn require_place_for_backup(&self, steps: &[Step]) -> Result<()> {
        match &self.args.backup {
            Some(file) if self.args.selects(StepId::KeyringBackup) => {
                backup::require_place(file, steps.iter().find(|step| step.id == StepId::KeyringBackup))
            }
            _ => Ok(()),
        }
    }

    fn print(&mut self, steps: &[Step]) {
        for step in steps {
            step.lines().iter().for_each(|line| self.out.line(line));
        }
        self.out.flush_text();
    }

    /// Refuses before anything is changed if questions would be asked that nobody can answer.
    fn require_answers(&mut self, steps: &[Step]) -> Result<()> {
        if self.args.consent.yes || io::stdin().is_terminal() {
            return Ok(());
        }
        let mut plan = Plan::new("Do these steps?");
        let wanted =
            |step: &&Step| step.is_for_finish() && DOABLE.contains(&step.id) && self.args.selects(step.id);
        let mut is_asked = false;
        for step in steps.iter().filter(wanted) {
            let Action::Finish(how) = &step.action else { continue };
            plan.effect(Effect::new(step.id.to_string(), step.why.clone(), how.clone()));
            is_asked = true;
        }
        if is_asked { self.agreed(&plan).map(drop) } else { Ok(()) }
    }

    /// Refuses before anything is changed if the account lacks privileges for the steps.
    fn require_privileges(&self, situation: &Situation, steps: &[Step]) -> Result<()> {
        let wanted = steps.iter().filter(|step| step.is_for_finish() && self.args.selects(step.id));
        let deeds = wanted.flat_map(|step| match step.id {
            StepId::ResetPersist => vec![Deed::Settings],
            StepId::UndoAndRedo => vec![Deed::Recreates],
            StepId::BinaryLogs => vec![Deed::Purges],
            StepId::Doublewrite if situation.way.shuts_down() => vec![Deed::Settings, Deed::ShutsDown],
            StepId::Doublewrite => vec![Deed::Settings],
            _ => Vec::new(),
        });
        required::to_finish(&situation.inventory.privileges, &deeds.collect::<Vec<_>>())
    }

    /// Does a step. Returns what kept it from being done.
    fn carry_out(&mut self, id: StepId, situation: &Situation) -> Result<Option<String>> {
        match id {
            StepId::OptionFile => option_file::write(self, situation),
            StepId::ResetPersist => option_file::reset(self, situation),
            StepId::UndoAndRedo => logs::recreate(self),
            StepId::BinaryLogs => logs::purge(self, situation),
            StepId::Doublewrite => doublewrite::recreate(self, situation),
            StepId::Restart => restart::restart(self, situation),
            StepId::KeyringBackup => backup::write(self, situation),
            _ => Ok(None),
        }
    }

    /// Runs encrypt verify if nothing else is left, and sets the state of that step.
    fn prove(&mut self, steps: &mut [Step]) -> Result<Option<VerifyReport>> {
        let is_ready = !steps
            .iter()
            .any(|step| step.id != StepId::Verify && step.is_left() && self.args.selects(step.id))
            && !self.is_down;
        let Some(step) = steps.iter_mut().find(|step| step.id == StepId::Verify) else { return Ok(None) };
        if !self.args.selects(step.id) {
            return Ok(None);
        }
        if !is_ready || self.interrupted {
            *step = Step::new(
                step.id,
                StepState::NotChecked,
                "not run, because other steps are left",
                Action::Administrator(vec![
                    "keyringctl encrypt verify shows all that is unencrypted".to_owned(),
                ]),
            );
            return Ok(None);
        }
        self.say("");
        let mut accept = self.args.accept.clone();
        accept.push(PlaceKind::SystemTablespace);
        let wanted =
            verify::Wanted { accept: &accept, canary: !self.args.no_canary, secret: &self.args.secret };
        let report = verify::look(&mut self.session, &wanted)?;
        verify::print(&report, self.out);
        *step = if report.fine {
            Step::done(step.id, "found no unencrypted data")
        } else {
            let how = "follow what is said there, then run this again".to_owned();
            Step::new(
                step.id,
                StepState::NotHere,
                "found what is listed above",
                Action::Administrator(vec![how]),
            )
        };
        Ok(Some(report))
    }

    /// Prints what is left, and returns the verdict.
    fn end(&mut self, steps: &[Step], verified: Option<VerifyReport>) -> Verdict {
        let selected = |step: &&Step| self.args.selects(step.id);
        let left: Vec<&Step> = steps.iter().filter(selected).filter(|step| step.is_left()).collect();
        let others = steps.iter().filter(|step| step.is_left() && !self.args.selects(step.id)).count();
        self.out.line("");
        for step in steps.iter().filter(selected).filter(|step| step.state != StepState::Done) {
            step.lines().iter().for_each(|line| self.out.line(line));
        }
        let fine = left.is_empty() && !self.interrupted && !self.is_down;
        if fine {
            let not_selected = match others {
                0 => String::new(),
                1 => "; 1 step that was not selected is left".to_owned(),
                n => format!("; {n} steps that were not selected are left"),
            };
            match self.args.is_selection() {
                true => {
                    self.out.line(format_args!("OK: nothing is left of the selected steps{not_selected}"))
                }
                false => self.out.line("OK: nothing is left but the steps by hand"),
            }
        } else {
            let names: Vec<_> = left.iter().map(|step| step.id.to_string()).collect();
            let word = if self.interrupted { "Stopped" } else { "LEFT" };
            self.out.line(format_args!("{word}: {}. To continue, run: {}", names.join(", "), command_line()));
        }
        self.report(steps, verified);
        if fine { Verdict::Fine } else { Verdict::NotFine }
    }

    fn report(&mut self, steps: &[Step], verify: Option<VerifyReport>) {
        let fine = !self.interrupted
            && !self.is_down
            && !steps.iter().any(|step| step.is_left() && self.args.selects(step.id));
        self.out.document(&FinishReport {
            dry_run: self.args.consent.dry_run,
            fine,
            interrupted: self.interrupted,
            steps,
            verify,
        });
    }
}
