// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt apply`: encrypts everything that can be encrypted, table by table. It keeps no state of its own: what
//! the server reports as encrypted is done, so the next run continues one that was stopped or killed.

use super::apply_report::FailedStep;
use super::direction::Direction;
use super::job::{Job, Step};
use super::places::places;
use super::plan::{self, Estimate};
use super::replication::{self, Replication, not_started};
use super::throttle::{Limit, Throttle};
use super::{
    application, binary_logs, effects, finish as checklist, next_steps, preflight, redo, required, selection,
    server, settings, spaces, tables, undo_logs,
};
use crate::commands::command_line::command_line;
use crate::commands::consent::{Consent, Decision};
use crate::commands::output::{Output, counted};
use crate::commands::verdict::Verdict;
use crate::error::{Error, Result};
use crate::server::{
    Creations, DataPlace, DatadirAccess, Inventory, NameCase, Obstacle, Pattern, PlaceKind, PlaceState,
    Privileges, Remedy, Role, Schema, ServerKeyring, Table, TableLocation,
};
use crate::show::Shown;
use std::path::PathBuf;
use std::time::Duration;

/// Encrypt everything that can be encrypted, table by table, while the server is in use
///
/// Press Ctrl-C to stop after the current table; run it again to continue. `encrypt plan` shows what it does and what it
/// needs.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt apply --max-load Threads_running=25 --skip 'biobank.audit_*'\n  \
    keyringctl encrypt apply --only biobank.patients")]
pub(super) struct Args {
    /// Encrypt only these tables, and no settings or logs; * and ? are wildcards (repeatable)
    #[arg(long, value_name = "SCHEMA.TABLE")]
    only: Vec<Pattern>,
    /// Leave these tables out; * and ? are wildcards (repeatable). SCHEMA.* leaves the schema's default out too
    #[arg(long, value_name = "SCHEMA.TABLE")]
    skip: Vec<Pattern>,
    /// Wait before each table while this status variable of the server is higher than N (repeatable)
    #[arg(long, value_name = "NAME=N")]
    max_load: Vec<Limit>,
    /// Wait before each table while this file exists
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
    /// Seconds to wait for the locks of a table; other statements wait behind it
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    lock_wait: u32,
    /// Seconds that the server may take to empty an undo tablespace
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    undo_wait: u32,
    /// Purge unencrypted binary logs; replicas and backups must have them
    #[arg(long, conflicts_with = "only")]
    purge_binary_logs: bool,
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

    /// Whether the run covers everything, not only the tables of `--only`.
    fn covers_all(&self) -> bool {
        self.only.is_empty()
    }

    fn selects(&self, table: &Table, case: NameCase) -> bool {
        let matches =
            |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(&table.schema, &table.name, case));
        (self.covers_all() || matches(&self.only)) && !matches(&self.skip)
    }

    /// Whether a schema's default must not be changed.
    fn skips_schema(&self, name: &str, case: NameCase) -> bool {
        self.skip.iter().any(|pattern| pattern.covers(name, case))
    }

    /// Returns the schemas whose defaults are changed.
    fn schemas<'a>(&self, inventory: &'a Inventory) -> Vec<&'a Schema> {
        let (case, direction) = (inventory.name_case(), self.direction());
        let todo =
            |s: &&Schema| !self.skips_schema(&s.name, case) && !direction.is_reached(s.default_encryption);
        inventory.schemas.iter().filter(todo).collect()
    }

    /// Returns the selected tables that must be copied.
    fn tables<'a>(&self, inventory: &'a Inventory) -> Vec<&'a Table> {
        inventory
            .tables
            .iter()
            .filter(|table| self.selects(table, inventory.name_case()) && needs_copy(table, self.direction()))
            .collect()
    }
}

fn needs_copy(table: &Table, direction: Direction) -> bool {
    match (&table.place, direction) {
        (TableLocation::Own, Direction::Encrypt) => table.is_own_and_clear(),
        (TableLocation::Own, Direction::Undo) => table.has_encrypted(),
        (TableLocation::System, Direction::Encrypt) => true,
        _ => false,
    }
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    if args.undo && args.covers_all() && !args.all {
        return Err(Error::Usage("--undo requires --only SCHEMA.TABLE or --all".to_owned()));
    }
    let direction = args.direction();
    let mut session = args.server.connect()?;
    let here = DatadirAccess::check(&mut session)?;
    if args.covers_all() {
        let privileges = Privileges::query(&mut session)?;
        if let Some(why) = required::to_apply(&mut session, &privileges, args.purge_binary_logs)? {
            return Err(not_started(&[why]));
        }
    }
    let inventory = Inventory::query(&mut session)?;
    let selected = args.tables(&inventory);
    selection::check("--only", args.only.iter(), &inventory)?;
    // A pattern for tables that come and go may select none.
    selection::check("--skip", args.skip.iter().filter(|pattern| pattern.is_name()), &inventory)?;
    let keyring = ServerKeyring::query(&mut session)?;
    let estimate = Estimate::new(&inventory, &selected, &here, 1);
    let role = Role::query(&mut session)?;
    let mut refusals = args.replication.refusals(&role, &command_line());
    refusals.extend(required::to_copy(&inventory, &selected));
    preflight::check(&inventory, &keyring, &here, &estimate, &args.overrides, direction, refusals)?;
    let warnings = if args.covers_all() && direction == Direction::Encrypt {
        let creations = Creations::query(&mut session, &inventory.privileges)?;
        application::statements_that_fail(&inventory, &creations, &role, &args.schemas(&inventory))
    } else {
        Vec::new()
    };
    let schemas = args.schemas(&inventory);
    let extent = effects::Extent {
        inventory: &inventory,
        direction,
        tables: &selected,
        all: args.covers_all().then_some(&schemas[..]),
        purge: args.purge_binary_logs,
    };
    if effects::ask(&args.consent, &extent, &mut session, &role, out)? == Decision::DryRun {
        return Ok(Verdict::Fine);
    }
    let throttle = Throttle { limits: args.max_load.clone(), pause_file: args.pause_file.clone() };
    throttle.why_wait(&mut session)?;

    let mut job = Job::new(session, throttle, args.lock_wait, out)?;
    job.print_line(plan::keyring_line(&keyring));
    for note in args.replication.notes(&role) {
        job.print_line(note);
    }
    for warning in &warnings {
        job.print_line(format_args!("NOTE    {warning}"));
    }
    job.account.warnings = warnings;
    let worked = work(args, &mut job, &here, direction, &role);
    job.finish();
    let stopped = matches!(worked, Ok(Step::Stopped));
    if worked.is_err() {
        job.print_line(format_args!("To continue, run: {}", command_line()));
    }
    worked?;
    job.account.interrupted = stopped;
    finish(args, job, &role)
}

fn work(
    args: &Args,
    job: &mut Job<'_>,
    here: &DatadirAccess,
    direction: Direction,
    role: &Role,
) -> Result<Step> {
    if let Step::Stopped = job.take_lock()? {
        return Ok(Step::Stopped);
    }
    // Another run may have made progress in the meantime.
    let inventory = Inventory::query(&mut job.watch)?;
    let selected = args.tables(&inventory);
    let estimate = Estimate::new(&inventory, &selected, here, 1);
    let (in_place, waits) = match args.covers_all() {
        true => (estimate.in_place_bytes, undo_logs::count(&inventory) + redo::STEPS),
        false => (0, 0),
    };
    job.progress.set_total(estimate.copied_bytes.saturating_add(in_place), waits);
    args.replication.prepare(&mut job.work, role)?;
    job.is_repeated = args.replication.is_repeated(role);
    job.before_by_hand = args.replication.before_by_hand(role);
    if args.covers_all() {
        settings::apply(job, &inventory, &args.schemas(&inventory), direction, false)?;
        if let Step::Stopped = spaces::apply(job, &inventory, here, direction)? {
            return Ok(Step::Stopped);
        }
    }
    let (refused, selected): (Vec<_>, Vec<_>) =
        selected.into_iter().partition(|t| t.obstacle(inventory.before_by_hand).is_some());
    for table in refused {
        if let Some(Obstacle { why, remedy }) = table.obstacle(inventory.before_by_hand) {
            job.record_failed(&table.full_name(), &format!("{why}. To do: {remedy}"));
            job.progress.skip(table.bytes);
        }
    }
    if let Step::Stopped = tables::apply(job, &selected, here, direction, args.lock_wait)? {
        return Ok(Step::Stopped);
    }
    if !args.covers_all() {
        return Ok(Step::Done);
    }
    let inventory = loop {
        let restarts = job.restarts();
        let inventory = Inventory::query(&mut job.watch)?;
        settings::apply(job, &inventory, &args.schemas(&inventory), direction, true)?;
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
        job.account.next_steps.extend(left);
    }
    let (step, left) = redo::recreate(job)?;
    job.account.next_steps.extend(left);
    Ok(step)
}

/// Whether something else than a table, which a run that covers everything was to change, is not as it was asked for.
fn is_left(args: &Args, item: &DataPlace, inventory: &Inventory) -> bool {
    let is_skipped = match item.kind {
        // The item has the name as it is shown.
        PlaceKind::Schema => inventory
            .schemas
            .iter()
            .any(|s| s.name.shown() == item.name && args.skips_schema(&s.name, inventory.name_case())),
        // It may belong to a table that was left out.
        PlaceKind::FullText => !args.skip.is_empty(),
        _ => false,
    };
    let is_left = match args.direction() {
        Direction::Encrypt => {
            item.state == PlaceState::Clear && item.remedy == Remedy::Apply && !item.kind.is_table()
        }
        Direction::Undo => item.state == PlaceState::Encrypted && is_undone(item.kind),
    };
    is_left && !is_skipped
}

/// Whether `--undo --all` changes such places back.
fn is_undone(kind: PlaceKind) -> bool {
    use PlaceKind::{FullText, MysqlTablespace, Redo, Schema, Setting, Tablespace, Undo};
    matches!(kind, Tablespace | MysqlTablespace | FullText | Undo | Redo | Setting | Schema)
}

/// Asks the server again, and prints what was done, what is left, and what to do next.
fn finish(args: &Args, mut job: Job<'_>, role: &Role) -> Result<Verdict> {
    let inventory = Inventory::query(&mut job.watch)?;
    let items = places(&mut job.watch, &inventory)?;
    let mut account = std::mem::take(&mut job.account);
    account.left = args.tables(&inventory).iter().map(|t| t.full_name()).collect();
    if args.covers_all() {
        let others = items.iter().filter(|item| is_left(args, item, &inventory));
        account.left.extend(others.map(|item| match item.kind {
            PlaceKind::Schema => format!("schema {}", item.name),
            _ => item.name.clone(),
        }));
    }
    for step in selection::not_rewritten(&args.only, &args.skip, args.direction(), &inventory, &items) {
        let is_discarded = |t: &Table| t.full_name() == step.what && t.discarded().next().is_some();
        if !inventory.tables.iter().any(is_discarded) && !account.left.contains(&step.what) {
            account.left.push(step.what.clone());
        }
        if !account.failed.iter().any(|failed| failed.what == step.what) {
            account.failed.push(step);
        }
    }
    let unknown = items.iter().filter(|item| {
        item.state == PlaceState::Unknown
            && (args.covers_all() || selection::names(&args.only, item, &inventory))
    });
    account.not_checked =
        unknown.map(|item| FailedStep { what: item.name.clone(), why: item.about.clone() }).collect();
    let left = std::mem::take(&mut account.next_steps);
    if args.covers_all() && !account.interrupted {
        account.next_steps = if args.undo {
            next_steps::after_undo(left)
        } else {
            account.checklist = checklist::left(&mut job.watch)?;
            next_steps::after_encrypting(&inventory, left)
        };
    }
    account.next_steps.extend(replication::next_steps(&args.replication, role));
    let out = job.out;
    let count = account.done.len();
    if account.interrupted {
        out.line("");
        out.line(format_args!(
            "Stopped. {count} steps are done, {} are left. To continue, run: {}",
            account.left.len(),
            command_line()
        ));
    } else if account.is_fine() {
        out.line("");
        out.line(format_args!("OK: everything requested is {}.", args.direction().done()));
    } else {
        let still = if args.undo { "Still encrypted" } else { "Still unencrypted" };
        out.line("");
        out.line(format_args!(
            "FAILED: {}. {still}: {}",
            counted(account.failed.len(), "step"),
            listed(&account.left)
        ));
        for failed in &account.failed {
            out.line(format_args!("  {}: {}", failed.what, failed.why));
        }
        for unknown in &account.not_checked {
            out.line(format_args!("  {}: NOT CHECKED: {}", unknown.what, unknown.why));
        }
        out.line(format_args!("To try again, run: {}", command_line()));
    }
    if !account.checklist.is_empty() {
        out.block("\nLeft after apply");
        account.checklist.iter().flat_map(|step| step.lines()).for_each(|line| out.line(line));
        out.block("\nTo do these one by one, run: keyringctl encrypt finish");
    }
    if !account.next_steps.is_empty() {
        out.block("\nNext steps");
        for (i, step) in account.next_steps.iter().enumerate() {
            // A statement at the end is copied with its semicolon, and a full stop behind it would be an error.
            let end = if step.ends_with(';') { "" } else { "." };
            for line in format!("{}. {step}{end}", i + 1).lines() {
                out.line(line);
            }
        }
    }
    out.document(&account);
    Ok(if account.is_fine() { Verdict::Fine } else { Verdict::NotFine })
}

/// Formats names in one line, only the first of many.
fn listed(names: &[String]) -> String {
    const MOST: usize = 10;
    match names.len() {
        0 => "nothing".to_owned(),
        n if n <= MOST => names.join(", "),
        n => format!("{} and {} more", names[..MOST].join(", "), n - MOST),
    }
}
