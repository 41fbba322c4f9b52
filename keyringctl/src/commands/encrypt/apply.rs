// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt apply`: encrypts everything that can be encrypted, table by table. It keeps no state of its own: what
//! the server reports as encrypted is done, so the next run continues one that was stopped or killed.

use super::apply_report::FailedStep;
use super::direction::Direction;
use super::estimate::{self, Assumed, Estimate};
use super::held_up::HeldUp;
use super::in_time::{in_time, say_stopped};
use super::job::{Job, MOST_JOBS, Step};
use super::left_over::{self, LeftOver};
use super::lock_wait::LockWait;
use super::online::{Choice, Online, ServerWide, fulltext};
use super::places::places;
use super::plan;
use super::replication::{self, Replication, not_started};
use super::scope::Scope;
use super::selection::{self, Selection};
use super::table_plan::TablePlan;
use super::tables::{self, Tables};
use super::throttle::{self, Throttle};
use super::{
    application, binary_logs, closing, effects, errant, finish as checklist, half_done, next_steps,
    preflight, redo, required, server, settings, small_settings, spaces, undo_logs, unfinished,
};
use crate::commands::command_line::command_line;
use crate::commands::consent::{Consent, Decision};
use crate::commands::copies::of_server;
use crate::commands::output::Output;
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::server::{
    Creations, DatadirAccess, Inventory, Obstacle, Privileges, Role, ServerKeyring, Session, Table,
    TableLocation,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Encrypt everything that can be encrypted, table by table, while the server is in use
///
/// Press Ctrl-C to stop: what runs is cancelled, and what is done stays done. Run it again to continue. `encrypt plan`
/// shows what it does and what it needs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt apply --max-load Threads_running=25 --skip 'biobank.audit_*'\n  \
    keyringctl encrypt apply --jobs 4 --max-p99 50 --pause-file /run/keyringctl.pause\n  \
    keyringctl encrypt apply --only biobank.patients")]
pub(super) struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    throttle: throttle::Args,
    /// Encrypt N tables at once, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=MOST_JOBS as i64))]
    jobs: u8,
    /// Seconds to wait for the locks of a table; other statements wait behind it [default: 1 for a table that is rewritten
    /// online, otherwise 10]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3600))]
    lock_wait: Option<u32>,
    /// Seconds that the server may take to empty an undo tablespace
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    undo_wait: u32,
    /// Purge unencrypted binary logs; replicas and backups must have them
    #[arg(long, conflicts_with = "only")]
    purge_binary_logs: bool,
    /// Rewrite tables while they are written to. With `auto`, a table of 8 MiB or more goes online if the server allows it,
    /// and a smaller one is copied, which blocks its writers only shortly
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Online::Auto)]
    online: Online,
    /// Rewrite tables with full-text indexes while they are written to: drop the indexes, and add them again afterwards.
    /// MATCH fails meanwhile, and writers wait while the server builds an index
    #[arg(long)]
    rebuild_fulltext: bool,
    /// Decrypt the tables of --only, or everything with --all
    #[arg(long)]
    undo: bool,
    /// With --undo, decrypt everything
    #[arg(long, requires = "undo", conflicts_with = "only")]
    all: bool,
    #[command(flatten)]
    replication: Replication,
    #[command(flatten)]
    overrides: preflight::Overrides,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    server: server::Args,
}

impl Args {
    fn direction(&self) -> Direction {
        if self.undo { Direction::Undo } else { Direction::Encrypt }
    }

    /// What the run is asked for.
    fn scope(&self) -> Scope<'_> {
        self.selection.scope(self.direction())
    }
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    if args.undo && args.scope().covers_all() && !args.all {
        return Err(Error::Usage("--undo requires --only SCHEMA.TABLE or --all".to_owned()));
    }
    let direction = args.direction();
    let mut session = args.server.connect()?;
    let here = DatadirAccess::check(&mut session)?;
    if args.scope().covers_all() {
        let privileges = Privileges::query(&mut session)?;
        if let Some(why) = required::to_apply(&mut session, &privileges, args.purge_binary_logs)? {
            return Err(not_started(&[why]));
        }
    }
    let inventory = Inventory::query(&mut session)?;
    let selected = args.scope().tables(&inventory);
    args.selection.check(&inventory)?;
    let keyring = ServerKeyring::query(&mut session)?;
    of_server::use_remotes_of_running(&keyring);
    let role = Role::query(&mut session)?;
    let mut refusals = args.replication.refusals(&role, &command_line());
    let asked = (args.online, direction);
    let server_wide =
        ServerWide::query(&mut session, &inventory.privileges, asked, (&role, &args.replication))?
            .rebuilding_fulltext(args.rebuild_fulltext);
    let choice = Choice::query((args.online, args.rebuild_fulltext), &mut session, &inventory)?
        .on_server(server_wide.why());
    let mut planned = TablePlan::all(&selected, &choice, &inventory, plan::RATE);
    let jobs = usize::from(args.jobs);
    let assumed = Assumed { here: &here, temporary: &choice.temporary, jobs, rate: plan::RATE, direction };
    let mut estimate = Estimate::new(&inventory, &planned, 0, &assumed);
    if !args.scope().covers_all() {
        estimate = estimate.without_tablespaces();
    }
    let left = LeftOver::all(&mut session, &inventory, &args.scope())?;
    refusals.extend(left_over::refusals(&left, &args.replication, &role));
    refusals.extend(server_wide.refusal());
    refusals.extend(required::to_rewrite(&inventory, &selected, direction, server_wide.required()));
    refusals.extend(args.throttle.refusals(&mut session)?);
    preflight::check(&inventory, &keyring, &here, &estimate, &args.overrides, direction, refusals)?;
    let mut warnings = if args.scope().covers_all() && direction == Direction::Encrypt {
        let creations = Creations::query(&mut session, &inventory.privileges)?;
        application::statements_that_fail(&inventory, &creations, &role, &args.scope().schemas(&inventory))
    } else {
        Vec::new()
    };
    let schemas = args.scope().schemas(&inventory);
    let (mut selected, mut refused) = foreseen(args, &mut session, &inventory, selected)?;
    planned.retain(|table| refused.iter().all(|step| step.what != table.table));
    let failing: Vec<_> = planned.iter().filter_map(TablePlan::failure).collect();
    selected.retain(|table| failing.iter().all(|step| step.what != table.full_name()));
    refused.extend(failing);
    let extent = effects::Extent {
        inventory: &inventory,
        direction,
        tables: &selected,
        planned: &planned,
        estimate: &estimate,
        refused: &refused,
        scope: args.scope(),
        left: &left,
        all: args.scope().covers_all().then_some(&schemas[..]),
        purge: args.purge_binary_logs,
    };
    if effects::ask(&args.consent, &extent, &mut session, &role, out)? == Decision::DryRun {
        return Ok(if refused.is_empty() { Verdict::Fine } else { Verdict::NotFine });
    }
    let throttle = Throttle::start(&args.throttle, &mut session, usize::from(args.jobs))?;

    let mut job = Job::new(session, throttle, LockWait::new(args.lock_wait), out)?;
    job.print_line(plan::keyring_line(&keyring));
    for note in small_settings::notes(&planned, &inventory) {
        job.print_line(format_args!("NOTE    {note}"));
    }
    for note in args.replication.notes(&role) {
        job.print_line(note);
    }
    warnings.extend(left.iter().map(LeftOver::describe));
    warnings.extend(errant::own_transactions(&mut job.watch, &role)?);
    for warning in &warnings {
        job.print_line(format_args!("NOTE    {warning}"));
    }
    job.shared().account.warnings = warnings;
    job.leaves(&selected);
    let shared = Arc::clone(&job.shared);
    let held_up = HeldUp::watch(&job.watch);
    in_time(&shared, held_up, say_stopped, || carry_out(args, job, &here, &server_wide, &role))
}

fn carry_out(
    args: &Args,
    mut job: Job<'_>,
    here: &DatadirAccess,
    server_wide: &ServerWide,
    role: &Role,
) -> Result<Verdict> {
    let began = Instant::now();
    job.show_progress();
    let worked = work(args, &mut job, here, server_wide, role);
    job.finish();
    let stopped = matches!(worked, Ok(Step::Stopped));
    if worked.is_err() && !job.shared.stop.is_signalled() {
        job.print_line(format_args!("To continue, run: {}", command_line()));
    }
    worked?;
    job.shared().account.interrupted = stopped;
    finish(args, job, role, began.elapsed())
}

/// Divides tables into those that can be copied and those of which the run will say that it failed, each with the reason.
fn foreseen<'t>(
    args: &Args,
    session: &mut Session,
    inventory: &Inventory,
    tables: Vec<&'t Table>,
) -> Result<(Vec<&'t Table>, Vec<FailedStep>)> {
    let (mut copied, mut refused) = (Vec::new(), Vec::new());
    for table in tables {
        match inventory.obstacle(table) {
            None => copied.push(table),
            Some(Obstacle { why, remedy }) => refused.push(FailedStep {
                what: table.full_name(),
                why: format!("{why}. To do: {remedy}"),
                by_hand: true,
            }),
        }
    }
    let scope = args.scope();
    if args.consent.dry_run && !scope.covers_all() {
        let items = places(session, inventory)?;
        let others = selection::not_rewritten(scope.only, scope.skip, scope.direction, inventory, &items);
        let others = others.into_iter().filter(|step| refused.iter().all(|known| known.what != step.what));
        refused.extend(others.collect::<Vec<_>>());
    }
    Ok((copied, refused))
}

fn work(
    args: &Args,
    job: &mut Job<'_>,
    here: &DatadirAccess,
    server_wide: &ServerWide,
    role: &Role,
) -> Result<Step> {
    let direction = args.direction();
    if let Step::Stopped = job.take_lock()? {
        return Ok(Step::Stopped);
    }
    // Another run may have made progress in the meantime.
    let inventory = Inventory::query(&mut job.watch)?;
    let left = LeftOver::all(&mut job.watch, &inventory, &args.scope())?;
    let why = left_over::refusals(&left, &args.replication, role);
    if !why.is_empty() {
        return Err(not_started(&why));
    }
    let selected = args.scope().tables(&inventory);
    job.leaves(&selected);
    let bytes = selected.iter().map(|table| table.bytes).fold(0, u64::saturating_add);
    let (in_place, waits) = match args.scope().covers_all() {
        true => (estimate::in_place_bytes(&inventory, direction), undo_logs::count(&inventory) + redo::STEPS),
        false => (0, 0),
    };
    job.shared().progress.set_total(bytes.saturating_add(in_place), waits);
    args.replication.prepare(&mut job.work, role)?;
    job.online = server_wide.decide(job, &inventory, &selected)?;
    job.is_repeated = args.replication.is_repeated(role);
    job.checks_space = args.overrides.checks_space();
    job.before_by_hand = args.replication.before_by_hand(role);
    let jobs = usize::from(args.jobs);
    let how = unfinished::How { scope: args.scope(), here, direction, jobs };
    let Some(inventory) = unfinished::take_up(job, inventory, &how)? else { return Ok(Step::Stopped) };
    // One that is still half-done has just been tried.
    let is_tried = |table: &&Table| {
        matches!(table.place, TableLocation::Scratch(_)) && unfinished::obstacle(&inventory, table).is_none()
    };
    let selected = args.scope().tables(&inventory);
    job.leaves(&selected);
    let selected = selected.into_iter().filter(|table| !is_tried(table));
    if args.scope().covers_all() {
        settings::apply(job, &inventory, &args.scope().schemas(&inventory), direction, false)?;
        if let Step::Stopped = spaces::apply(job, &inventory, here, direction)? {
            return Ok(Step::Stopped);
        }
    }
    let (refused, selected): (Vec<_>, Vec<_>) =
        selected.partition(|t| unfinished::obstacle(&inventory, t).is_some());
    for table in refused {
        if let Some(Obstacle { why, remedy }) = unfinished::obstacle(&inventory, table) {
            job.record_failed(&table.full_name(), &format!("{why}. To do: {remedy}"));
            job.end_step(table.bytes);
        }
    }
    for table in selected.iter().filter(|table| job.online.rebuilds_fulltext(table)) {
        job.print_line(format_args!(
            "NOTE    {}: while it is rewritten, it has no full-text index, so that MATCH fails; while the server builds it again, writers wait",
            table.full_name()
        ));
    }
    let with = Tables { here, direction, jobs, foreign_keys: &inventory.foreign_keys };
    if let Step::Stopped = tables::apply(job, &selected, &with)? {
        return Ok(Step::Stopped);
    }
    // An earlier run may have been killed before it added them again.
    let scope = args.scope();
    if let Step::Stopped = fulltext::restore_all(job, &|name| scope.takes_up(name, &inventory))? {
        return Ok(Step::Stopped);
    }
    for left in half_done::of_others(&inventory, &scope) {
        job.print_line(format_args!("LEFT    {left}"));
        job.shared().account.warnings.push(left);
    }
    if !args.scope().covers_all() {
        return Ok(Step::Done);
    }
    let inventory = loop {
        let restarts = job.restarts();
        let inventory = Inventory::query(&mut job.watch)?;
        settings::apply(job, &inventory, &args.scope().schemas(&inventory), direction, true)?;
        if let Step::Stopped = undo_logs::recreate(job, Duration::from_secs(args.undo_wait.into()))? {
            return Ok(Step::Stopped);
        }
        // A server that was restarted in the meantime may have written with other settings.
        if job.restarts() == restarts {
            break inventory;
        }
    };
    let left = binary_logs::purge(job, &inventory, direction, args.purge_binary_logs)?;
    // The checklist has it otherwise.
    if args.purge_binary_logs || direction == Direction::Undo {
        job.shared().account.next_steps.extend(left);
    }
    let (step, left) = redo::recreate(job)?;
    job.shared().account.next_steps.extend(left);
    Ok(step)
}

/// Asks the server again, and prints what was done, what is left, and what to do next.
fn finish(args: &Args, mut job: Job<'_>, role: &Role, took: Duration) -> Result<Verdict> {
    if job.shared.is_left.load(Ordering::Relaxed) {
        // Looking at the tablespaces would wait for the statement.
        let shared = &mut *job.shared();
        shared.account.summary.seconds = took.as_secs_f64();
        say_stopped(shared);
        return Ok(Verdict::NotFine);
    }
    job.shared.is_closing.store(true, Ordering::Relaxed);
    let inventory = Inventory::query(&mut job.watch)?;
    let items = places(&mut job.watch, &inventory)?;
    let mut account = std::mem::take(&mut job.shared().account);
    let scope = args.scope();
    closing::take_stock(&mut account, &scope, &inventory, &items, took);
    let left = std::mem::take(&mut account.next_steps);
    if scope.covers_all() && !account.interrupted {
        account.next_steps = if args.undo {
            next_steps::after_undo(left)
        } else {
            account.checklist = checklist::left(&mut job.watch)?;
            next_steps::after_encrypting(&inventory, left)
        };
    }
    account.next_steps.extend(replication::next_steps(&args.replication, role));
    let shared = &mut *job.shared();
    closing::print(&account, &scope, shared.out);
    shared.out.document(&account);
    Ok(if account.is_fine() { Verdict::Fine } else { Verdict::NotFine })
}
