// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt apply`: encrypts everything that can be, table by table. It keeps no state of its
//! own: what the server says to be encrypted is done, so that a run that was stopped, or killed, is taken
//! up by the next one.

use super::direction::Direction;
use super::job::{Job, Step};
use super::pace::{Limit, Pace};
use super::plan::{self, Estimate};
use super::{Verdict, binary_logs, next_steps, preflight, redo, server, settings, spaces, tables, undo_logs};
use crate::commands::output::{Output, visible};
use crate::server::{Here, Inventory, Kind, Pattern, Place, Remedy, ServerKeyring, State, Table, coverage};
use keyring_external::error::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;

/// Encrypt everything that can be, table by table, while the server is in use
///
/// Ctrl-C stops it after the table in hand; running it again goes on from there. See `encrypt plan` for
/// what it does and what it takes.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl encrypt apply --max-load Threads_running=25 --skip 'biobank.audit_*'\n  \
    keyringctl encrypt apply --only biobank.patients")]
pub(super) struct Args {
    /// These tables only, and nothing else: neither settings nor logs (repeatable; * and ? as in file names)
    #[arg(long, value_name = "SCHEMA.TABLE")]
    only: Vec<Pattern>,
    /// Not these tables (repeatable)
    #[arg(long, value_name = "SCHEMA.TABLE")]
    skip: Vec<Pattern>,
    /// Wait before a table while a status variable of the server is above a number (repeatable)
    #[arg(long, value_name = "NAME=N")]
    max_load: Vec<Limit>,
    /// Wait before a table while this file exists
    #[arg(long, value_name = "FILE")]
    pause_file: Option<PathBuf>,
    /// Seconds to wait for the locks of a table, while others wait behind
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    lock_wait: u32,
    /// Seconds that an undo tablespace may take to be emptied
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    undo_wait: u32,
    /// Purge the binary logs that are in clear; replicas and backups must have them
    #[arg(long)]
    purge_binary_logs: bool,
    /// Leave no trace in the binary log: replicas are then to be encrypted each by itself
    #[arg(long)]
    skip_binary_log: bool,
    /// Decrypt again: the tables of --only, or everything with --all
    #[arg(long)]
    undo: bool,
    /// With --undo: everything
    #[arg(long, requires = "undo", conflicts_with = "only")]
    all: bool,
    #[command(flatten)]
    overrides: preflight::Overrides,
    #[command(flatten)]
    server: server::Args,
}

impl Args {
    fn direction(&self) -> Direction {
        if self.undo { Direction::Undo } else { Direction::Encrypt }
    }

    fn is_whole(&self) -> bool {
        self.only.is_empty()
    }

    fn chooses(&self, table: &Table) -> bool {
        let matches = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(&table.schema, &table.name));
        (self.is_whole() || matches(&self.only)) && !matches(&self.skip)
    }

    /// Tables that are to be copied.
    fn tables<'a>(&self, inventory: &'a Inventory) -> Vec<&'a Table> {
        inventory
            .tables
            .iter()
            .filter(|table| self.chooses(table) && is_todo(table, self.direction()))
            .collect()
    }
}

fn is_todo(table: &Table, direction: Direction) -> bool {
    match (&table.place, direction) {
        (Place::Own, Direction::Encrypt) => table.is_own_and_clear(),
        (Place::Own, Direction::Undo) => table.encrypted_files > 0,
        (Place::System, Direction::Encrypt) => true,
        _ => false,
    }
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    if args.undo && args.is_whole() && !args.all {
        return Err(Error::Config("--undo needs --only SCHEMA.TABLE, or --all".to_owned()));
    }
    let direction = args.direction();
    let mut session = args.server.connect()?;
    let here = Here::look(&mut session)?;
    let inventory = Inventory::of(&mut session)?;
    let chosen = args.tables(&inventory);
    if let Some(nothing) =
        args.only.iter().find(|p| !inventory.tables.iter().any(|t| p.matches(&t.schema, &t.name)))
    {
        return Err(Error::Config(format!(
            "--only {nothing}: there is no such table; encrypt plan --tables lists them"
        )));
    }
    let keyring = ServerKeyring::of(&mut session)?;
    let estimate = Estimate::of(&inventory, &chosen, &here, 1);
    preflight::check(&inventory, &keyring, &here, &estimate, &args.overrides, direction)?;
    let pace = Pace { limits: args.max_load.clone(), pause_file: args.pause_file.clone() };
    pace.why_wait(&mut session)?;

    let mut job = Job::new(session, pace, args.lock_wait, out)?;
    job.say(plan::keyring_line(&keyring));
    let worked = work(args, &mut job, &here, direction);
    job.finish();
    let stopped = matches!(worked, Ok(Step::Stopped));
    if worked.is_err() {
        job.say(format_args!("To go on: {}", again()));
    }
    worked?;
    job.account.interrupted = stopped;
    finish(args, job, &here)
}

fn work(args: &Args, job: &mut Job<'_>, here: &Here, direction: Direction) -> Result<Step> {
    if let Step::Stopped = job.take_lock()? {
        return Ok(Step::Stopped);
    }
    // Another run may have done something meanwhile.
    let inventory = Inventory::of(&mut job.watch)?;
    let chosen = args.tables(&inventory);
    let estimate = Estimate::of(&inventory, &chosen, here, 1);
    job.progress.set_total(estimate.copied_bytes + if args.is_whole() { estimate.in_place_bytes } else { 0 });
    if args.skip_binary_log {
        job.work.run("SET SESSION sql_log_bin = 0")?;
    }
    if args.is_whole() {
        settings::apply(job, &inventory, direction, false)?;
        if let Step::Stopped = spaces::apply(job, &inventory, direction)? {
            return Ok(Step::Stopped);
        }
    }
    if let Step::Stopped = tables::apply(job, &chosen, here, direction, args.lock_wait)? {
        return Ok(Step::Stopped);
    }
    if !args.is_whole() {
        return Ok(Step::Done);
    }
    if let Step::Stopped = undo_logs::renew(job, Duration::from_secs(args.undo_wait.into()))? {
        return Ok(Step::Stopped);
    }
    let inventory = Inventory::of(&mut job.watch)?;
    settings::apply(job, &inventory, direction, true)?;
    let left = binary_logs::purge(job, &inventory, direction, args.purge_binary_logs)?;
    job.account.next_steps.extend(left);
    let (step, left) = redo::renew(job)?;
    job.account.next_steps.extend(left);
    Ok(step)
}

/// Looks at the server once more, and tells what was done, what is left, and what to do next.
fn finish(args: &Args, mut job: Job<'_>, here: &Here) -> Result<Verdict> {
    let inventory = Inventory::of(&mut job.watch)?;
    let items = coverage(&inventory);
    let mut account = std::mem::take(&mut job.account);
    account.left = args.tables(&inventory).iter().map(|t| t.full_name()).collect();
    if args.is_whole() && !args.undo {
        let others = items.iter().filter(|item| {
            item.state == State::Clear && item.remedy == Remedy::Apply && !item.kind.is_table()
        });
        account.left.extend(others.map(|item| match item.kind {
            Kind::Schema => format!("schema {}", item.name),
            _ => item.name.clone(),
        }));
    }
    let left = std::mem::take(&mut account.next_steps);
    if args.is_whole() && !account.interrupted {
        account.next_steps = if args.undo {
            next_steps::of_undo(left)
        } else {
            next_steps::of(&inventory, &items, here, left)
        };
    }
    let out = job.out;
    let count = account.done.len();
    if account.interrupted {
        out.line(format_args!(
            "\nStopped. {count} things were done, {} are left. To go on: {}",
            account.left.len(),
            again()
        ));
    } else if account.failed.is_empty() && account.left.is_empty() {
        out.line(format_args!("\nAll that was asked for is {}.", args.direction().done()));
    } else {
        out.line(format_args!("\nFailed: {}. Left: {}", account.failed.len(), listed(&account.left)));
        for failed in &account.failed {
            out.line(visible(format_args!("  {}: {}", failed.what, failed.why)));
        }
        out.line(format_args!("To try those again: {}", again()));
    }
    if !account.next_steps.is_empty() {
        out.line("\nNext steps");
        for (i, step) in account.next_steps.iter().enumerate() {
            out.line(format_args!("{}. {step}.", i + 1));
        }
    }
    out.document(&account);
    let fine = !account.interrupted && account.failed.is_empty() && account.left.is_empty();
    Ok(if fine { Verdict::Fine } else { Verdict::NotFine })
}

/// Names in a line, however many.
fn listed(names: &[String]) -> String {
    const MOST: usize = 10;
    match names.len() {
        0 => "nothing".to_owned(),
        n if n <= MOST => visible(names.join(", ")),
        n => format!("{} and {} more", visible(names[..MOST].join(", ")), n - MOST),
    }
}

/// The command line of this run, for a shell.
fn again() -> String {
    let quoted = |arg: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@+%".contains(c);
        if !arg.is_empty() && arg.chars().all(plain) {
            arg
        } else {
            format!("'{}'", arg.replace('\'', "'\\''"))
        }
    };
    let args = std::env::args_os().skip(1).map(|arg| quoted(arg.to_string_lossy().into_owned()));
    std::iter::once("keyringctl".to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}
