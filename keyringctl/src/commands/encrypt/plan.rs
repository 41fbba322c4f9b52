// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt plan`: shows what is unencrypted and what encrypting it needs. Changes nothing.

use super::super::output::{Output, table};
use super::apply_report::FailedStep;
use super::direction::Direction;
use super::estimate::{self, Assumed, Estimate};
use super::job::MOST_JOBS;
use super::left_over::LeftOver;
use super::online::way::CopyReason;
use super::online::{Choice, Online, ServerWide};
use super::places::places;
use super::replication::{self, Replication};
use super::scope::Scope;
use super::selection::{self, Selection};
use super::table_plan::TablePlan;
use super::{application, errant, half_done, online, required, server, sizes, small_settings};
use crate::commands::consent::Effect;
use crate::commands::copies::of_server;
use crate::commands::verdict::Verdict;
use crate::error::Result;
use crate::server::{
    Creations, DataPlace, DatadirAccess, Inventory, LoadedAs, PlaceKind, PlaceState, Remedy, Role,
    ServerKeyring, Table, TableLocation, Tally, stores_nothing,
};
use crate::show::{Shown, counted};
use serde::Serialize;
use std::collections::BTreeMap;

/// The default for `--rate`, in bytes per second: measured with two cores, a plain SSD and a buffer pool of 128 MB.
pub(super) const RATE: u64 = 25_000_000;
/// Show what is unencrypted and what encrypting it needs; changes nothing
///
/// Exits with 1 if it could not look at a place, with 0 otherwise.
#[derive(clap::Args)]
#[command(after_help = "Example: keyringctl encrypt plan --defaults-file /etc/mysql/debian.cnf")]
pub(super) struct Args {
    /// Rate at which tables are rewritten, in MB per second [default: 25]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// List every table: which way it goes, how long that takes, how long its writers and readers wait, and the room that it needs
    #[arg(long)]
    tables: bool,
    /// As for `encrypt apply`: rewrite tables while they are written to
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Online::Auto)]
    online: Online,
    /// As for `encrypt apply`: drop full-text indexes of tables that go online then, and add them again
    #[arg(long)]
    rebuild_fulltext: bool,
    /// As for `encrypt apply`: rewrite N tables at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=MOST_JOBS as i64))]
    jobs: u8,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    server: server::Args,
}

#[derive(Serialize)]
struct PlanReport {
    server: Inventory,
    keyring: ServerKeyring,
    items: Vec<DataPlace>,
    /// How many of them are in each state.
    tally: Tally,
    estimate: Estimate,
    role: Role,
    /// Why apply refuses to start on a server with this role.
    refusals: Vec<String>,
    /// Statements of applications that fail afterwards.
    warnings: Vec<String>,
    /// What interrupted runs have left, and what to know of it.
    left: Vec<String>,
    /// Tables of `--only` that apply does not rewrite, and why.
    not_rewritten: Vec<FailedStep>,
    /// The tables that apply rewrites.
    tables: Vec<TablePlan>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut session = args.server.connect()?;
    let here = DatadirAccess::check(&mut session)?;
    let server = Inventory::query(&mut session)?;
    args.selection.check(&server)?;
    let rate = args.rate.map_or(RATE, |mb| mb * 1_000_000);
    let role = Role::query(&mut session)?;
    let creations = Creations::query(&mut session, &server.privileges)?;
    let items = places(&mut session, &server)?;
    let scope = args.selection.scope(Direction::Encrypt);
    let not_rewritten = selection::not_rewritten(scope.only, scope.skip, scope.direction, &server, &items);
    let items: Vec<_> = items.into_iter().filter(|place| scope.plans(place, &server)).collect();
    let copied = scope.tables(&server);
    let asked = (args.online, Direction::Encrypt);
    let only_here = (&role, &Replication::only_here());
    let server_wide = ServerWide::query(&mut session, &server.privileges, asked, only_here)?;
    let choice = Choice::query((args.online, args.rebuild_fulltext), &mut session, &server)?;
    // Another account may run apply.
    let why = server_wide.why().filter(|why| *why != CopyReason::Privileges);
    let choice = choice.on_server(why);
    let tables = TablePlan::all(&copied, &choice, &server, rate);
    let (jobs, direction) = (usize::from(args.jobs), Direction::Encrypt);
    let assumed = Assumed { here: &here, temporary: &choice.temporary, jobs, rate, direction };
    let estimate = Estimate::new(&server, &tables, server.related_among(&copied), &assumed);
    let (estimate, changed) = match scope.covers_all() {
        true => (estimate, scope.schemas(&server)),
        false => (estimate.without_tablespaces(), Vec::new()),
    };
    let mut refusals = Replication::default().refusals(&role, "keyringctl encrypt apply");
    refusals.extend(required::to_apply(&mut session, &server.privileges, false)?);
    let mut left = Vec::new();
    for one in LeftOver::all(&mut session, &server, &scope)? {
        left.push(one.describe());
        left.extend(online::what_to_do(&mut session, &one.name, &role)?);
    }
    left.extend(errant::own_transactions(&mut session, &role)?);
    let plan = PlanReport {
        left,
        refusals,
        warnings: application::statements_that_fail(&server, &creations, &role, &changed),
        role,
        keyring: ServerKeyring::query(&mut session).inspect(of_server::use_remotes_of_running)?,
        tally: Tally::of(&items),
        items,
        estimate,
        tables,
        server,
        not_rewritten,
    };
    let about = &plan.server.about;
    out.line(format_args!(
        "MySQL {} on {}, {}, data directory {}",
        about.version,
        about.hostname,
        session.address(),
        about.datadir.shown()
    ));
    out.line(keyring_line(&plan.keyring));
    list(args, &plan, out);
    everything_else(&plan, out);
    needs(&plan, &scope, out);
    out.document(&plan);
    let unknown = plan.tally.not_checked.places + plan.tally.settings.not_checked > 0;
    Ok(if unknown { Verdict::NotFine } else { Verdict::Fine })
}

/// Describes the server's keyring in one line.
pub(super) fn keyring_line(keyring: &ServerKeyring) -> String {
    let how = match &keyring.way {
        LoadedAs::Component => "component",
        LoadedAs::Plugin => "plugin",
        LoadedAs::Other(name) => {
            return format!("Keyring: {name}, not keyring_external; apply refuses to start");
        }
        LoadedAs::Unknown(why) => return format!("Keyring: not checked: {why}; apply refuses to start"),
        LoadedAs::None => {
            return "Keyring: none is loaded; apply refuses to start. To load one, see README.md, 'On your own server'".to_owned();
        }
    };
    format!(
        "Keyring: keyring_external as a {how}, {}, {}, copies {}/{}, generation {}",
        keyring.state,
        counted(keyring.keys as usize, "key"),
        keyring.copies.0,
        keyring.copies.1,
        keyring.generation
    )
}

fn list(args: &Args, plan: &PlanReport, out: &mut Output) {
    #[derive(Default)]
    struct SchemaSum {
        clear: (usize, u64),
        encrypted: (usize, u64),
        foreign: usize,
        unknown: usize,
    }
    let mut schemas: BTreeMap<&str, SchemaSum> = BTreeMap::new();
    let (scope, case) = (args.selection.scope(Direction::Encrypt), plan.server.name_case());
    let is_listed = |table: &&Table| scope.selects(table, case) && !table.keeps_indexes();
    for table in plan.server.tables.iter().filter(is_listed) {
        let sum = schemas.entry(&table.schema).or_default();
        let side = match &table.place {
            TableLocation::Engine(engine) => {
                sum.foreign += usize::from(!stores_nothing(engine));
                continue;
            }
            TableLocation::Unknown(_) => {
                sum.unknown += 1;
                continue;
            }
            TableLocation::Own if table.fault().is_some() => {
                sum.unknown += 1;
                continue;
            }
            // They are counted with their tablespaces.
            TableLocation::General(_) | TableLocation::Scratch(_) | TableLocation::Dictionary => continue,
            TableLocation::Own if !table.is_own_and_clear() => &mut sum.encrypted,
            TableLocation::Own | TableLocation::System => &mut sum.clear,
        };
        side.0 += 1;
        side.1 = side.1.saturating_add(table.bytes);
    }
    let default = |name: &str| {
        let schema = plan.server.schemas.iter().find(|s| s.name == name);
        schema.map_or("-", |s| if s.default_encryption { "encrypted" } else { "unencrypted" }).to_owned()
    };
    let rows: Vec<_> = schemas
        .iter()
        .filter(|(_, s)| s.clear.0 + s.encrypted.0 + s.foreign + s.unknown > 0)
        .map(|(name, s)| {
            let sum = |(tables, bytes): (usize, u64)| match tables {
                0 => "0".to_owned(),
                tables => format!("{tables}, {}", sizes::bytes(bytes)),
            };
            vec![
                name.shown(),
                sum(s.clear),
                sum(s.encrypted),
                s.foreign.to_string(),
                s.unknown.to_string(),
                default(name),
            ]
        })
        .collect();
    out.block("\nTables with their own files");
    table(out, &["schema", "unencrypted", "encrypted", "not InnoDB", "not checked", "new tables"], &rows);
    if args.tables {
        let rows: Vec<_> = plan
            .items
            .iter()
            .filter(|i| matches!(i.kind, PlaceKind::Table | PlaceKind::SystemTable | PlaceKind::OtherEngine))
            .map(|i| {
                let mut row = vec![i.name.clone(), state_word(i).to_owned(), sizes::bytes(i.bytes)];
                let planned = plan.tables.iter().find(|planned| planned.table == i.name);
                row.extend(planned.map_or_else(<[String; 4]>::default, TablePlan::cells));
                row.push(planned.and_then(|planned| planned.why.clone()).unwrap_or_else(|| i.about.clone()));
                row
            })
            .collect();
        out.line("");
        let headings = ["table", "state", "size", "way", "time", "writers wait", "room", ""];
        table(out, &headings, &rows);
    }
}

/// Returns the word for an item's state.
pub(super) fn state_word(item: &DataPlace) -> &'static str {
    let is_setting = item.kind.is_setting();
    match item.state {
        PlaceState::Encrypted if is_setting => "set",
        PlaceState::Clear if is_setting => "NOT SET",
        PlaceState::Encrypted => "encrypted",
        PlaceState::Clear => "UNENCRYPTED",
        PlaceState::HalfDone => "HALF-DONE",
        PlaceState::Cannot => "not supported",
        PlaceState::Unused => "unused",
        PlaceState::Unknown => "not checked",
    }
}

fn everything_else(plan: &PlanReport, out: &mut Output) {
    out.block("\nEverything else");
    let shown = |item: &&DataPlace| match item.kind {
        _ if item.state == PlaceState::Unknown => true,
        PlaceKind::Table | PlaceKind::Schema => false,
        PlaceKind::FullText => item.state == PlaceState::Clear,
        _ => item.state != PlaceState::Unused,
    };
    let rows: Vec<_> = plan
        .items
        .iter()
        .filter(shown)
        .map(|i| {
            let size = if i.bytes == 0 { String::new() } else { sizes::bytes(i.bytes) };
            vec![i.name.clone(), state_word(i).to_owned(), size, first_clause(&i.about)]
        })
        .collect();
    table(out, &["place", "state", "size", ""], &rows);

    out.line("");
    plan.tally.lines().iter().for_each(|line| out.line(line));

    out.block("\nNot supported by MySQL, not done by apply, or not checked");
    for item in
        plan.items.iter().filter(|i| i.state != PlaceState::Encrypted && i.state != PlaceState::Unused)
    {
        let (name, about) = (&item.name, &item.about);
        let word = if item.state == PlaceState::Unknown { "not checked: " } else { "" };
        match &item.remedy {
            Remedy::Apply => continue,
            Remedy::ByHand(how) => {
                out.line(format_args!("* {name}: {word}{about}."));
                out.line(format_args!("  {how}"));
            }
            Remedy::None => out.line(format_args!("* {name}: {word}{about}.")),
        }
    }
}

/// Returns the first clause; the list below has the whole text.
fn first_clause(about: &str) -> String {
    let end = [". ", "; ", ", "].iter().filter_map(|mark| about.find(mark)).min().unwrap_or(about.len());
    about[..end].to_owned()
}

fn needs(plan: &PlanReport, scope: &Scope<'_>, out: &mut Output) {
    let estimate = &plan.estimate;
    out.block("\nWhat apply needs");
    let mut lines = vec![estimate.time().replace("per second,", "per second (--rate),")];
    lines.extend(estimate.room());
    lines.extend(estimate::writers(&plan.tables));
    lines.extend(small_settings::notes(&plan.tables, &plan.server));
    for line in lines {
        out.line(format_args!("* {line}"));
    }
    out.line(
        "* Locks: each statement waits for open transactions on the table, and on tables connected to it by foreign keys, at \
         its beginning and end. While it waits, new statements on the table wait too. After --lock-wait seconds, apply goes \
         on with the next table and tries this one again later. General tablespaces and mysql are encrypted in place, while \
         they are read and written.",
    );
    for Effect { what, now, afterwards } in half_done::effects(&plan.server, scope) {
        out.line(format_args!("* Left by an interrupted run: {what}: {now}. Afterwards: {afterwards}."));
    }
    half_done::obstacles(&plan.server, scope).iter().for_each(|why| out.line(format_args!("* {why}")));
    if estimate.tables_with_foreign_keys > 0 {
        out.line(format_args!(
            "* Foreign keys: {} or are referred to. MySQL does not check them meanwhile, because no row changes. A parent can be encrypted before or after its child.",
            match estimate.tables_with_foreign_keys {
                1 => "1 table has foreign keys".to_owned(),
                n => format!("{n} tables have foreign keys"),
            }
        ));
    }
    for line in replication::for_plan(&plan.role) {
        out.line(format_args!("* Replication: {}.", line));
    }
    for line in &plan.left {
        out.line(format_args!("* {line}"));
    }
    for table in &plan.not_rewritten {
        out.line(format_args!("* Not rewritten: {}: {}.", table.what, table.why));
    }
    for why in &plan.refusals {
        format!("* apply refuses to start: {why}.").lines().for_each(|line| out.line(line));
    }
    for warning in &plan.warnings {
        out.line(format_args!("* Applications: {}.", warning));
    }
    out.line("* Nothing was changed.");
}
