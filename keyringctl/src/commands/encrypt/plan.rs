// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt plan`: what lies in clear, and what encrypting it takes. Changes nothing.

use super::super::output::{Output, table, visible};
use super::{Verdict, server, sizes};
use crate::server::{
    Here, Inventory, Item, Kind, Place, Remedy, ServerKeyring, State, Table, TablespaceKind, Way, coverage,
};
use keyring_external::error::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes per second that a table is copied with, unless told otherwise: what two cores and a plain SSD did
/// with a buffer pool of 128 MB.
const RATE: u64 = 25_000_000;
/// A copy of a table may be larger than the table, and what else is written needs room, too.
const MARGIN: u64 = 64 << 20;

/// Show what lies in clear, and what encrypting it takes; nothing is changed
#[derive(clap::Args)]
#[command(after_help = "Example: keyringctl encrypt plan --defaults-file /etc/mysql/debian.cnf")]
pub(super) struct Args {
    /// Assume that tables are copied with so many MB a second
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Option<u64>,
    /// List every table
    #[arg(long)]
    tables: bool,
    #[command(flatten)]
    server: server::Args,
}

#[derive(Serialize)]
struct Plan {
    server: Inventory,
    keyring: ServerKeyring,
    items: Vec<Item>,
    estimate: Estimate,
}

/// What it takes.
#[derive(Serialize)]
pub(super) struct Estimate {
    /// Bytes of tables that are copied.
    pub copied_bytes: u64,
    /// Bytes of tablespaces that are encrypted in place.
    pub in_place_bytes: u64,
    pub seconds: u64,
    pub assumed_bytes_per_second: u64,
    /// Bytes that must be free: for the copy of the largest table.
    pub needed_bytes: u64,
    /// `None` when the data directory is not on this machine.
    pub free_bytes: Option<u64>,
    pub largest_table: Option<String>,
    /// Tables that others refer to, or that refer to others: statements on those wait too.
    pub tables_with_foreign_keys: usize,
}

impl Estimate {
    /// Of encrypting those tables and tablespaces that are in clear.
    pub fn of(inventory: &Inventory, tables: &[&Table], here: &Here, rate: u64) -> Estimate {
        let largest = tables.iter().max_by_key(|t| t.bytes);
        let copied_bytes = tables.iter().map(|t| t.bytes).sum::<u64>();
        let in_place_bytes = inventory
            .tablespaces
            .iter()
            .filter(|s| matches!(s.kind, TablespaceKind::Mysql | TablespaceKind::General) && !s.encrypted)
            .map(|s| s.bytes)
            .sum::<u64>();
        Estimate {
            copied_bytes,
            in_place_bytes,
            seconds: (copied_bytes + in_place_bytes).div_ceil(rate.max(1)),
            assumed_bytes_per_second: rate,
            needed_bytes: needed(largest.map_or(0, |t| t.bytes)),
            free_bytes: here.free(),
            largest_table: largest.map(|t| t.full_name()),
            tables_with_foreign_keys: tables
                .iter()
                .filter(|t| inventory.related(&t.schema, &t.name) > 0)
                .count(),
        }
    }
}

/// The room that the copy of a table of so many bytes needs.
pub(super) fn needed(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { bytes + bytes / 10 + MARGIN }
}

/// Tables that are copied to be encrypted.
pub(super) fn to_copy(inventory: &Inventory) -> Vec<&Table> {
    inventory.tables.iter().filter(|t| t.is_own_and_clear() || t.place == Place::System).collect()
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let mut session = args.server.connect()?;
    let here = Here::look(&mut session)?;
    let server = Inventory::of(&mut session)?;
    let rate = args.rate.map_or(RATE, |mb| mb * 1_000_000);
    let plan = Plan {
        keyring: ServerKeyring::of(&mut session)?,
        items: coverage(&server),
        estimate: Estimate::of(&server, &to_copy(&server), &here, rate),
        server,
    };
    let about = &plan.server.about;
    out.line(format_args!(
        "MySQL {} on {}, {}, data directory {}",
        about.version,
        about.hostname,
        session.way(),
        about.datadir
    ));
    out.line(keyring_line(&plan.keyring));
    tables(args, &plan, out);
    others(&plan, out);
    takes(&plan, out);
    out.document(&plan);
    Ok(Verdict::Fine)
}

/// The server's keyring in one line.
pub(super) fn keyring_line(keyring: &ServerKeyring) -> String {
    let how = match &keyring.way {
        Way::Component => "component",
        Way::Plugin => "plugin",
        Way::Other(name) => {
            return format!("Keyring: {name}, which is not keyring_external; apply will not start");
        }
        Way::None => {
            return "Keyring: none is loaded; apply will not start. README.md, 'On your own server', says how".to_owned();
        }
    };
    format!(
        "Keyring: keyring_external as a {how}, {}, {} keys, copies {}/{}, generation {}",
        keyring.state, keyring.keys, keyring.copies.0, keyring.copies.1, keyring.generation
    )
}

fn tables(args: &Args, plan: &Plan, out: &mut Output) {
    #[derive(Default)]
    struct Sum {
        clear: (usize, u64),
        encrypted: (usize, u64),
        foreign: usize,
    }
    let mut schemas: BTreeMap<&str, Sum> = BTreeMap::new();
    for table in &plan.server.tables {
        let sum = schemas.entry(&table.schema).or_default();
        let side = match &table.place {
            Place::Engine(_) => {
                sum.foreign += usize::from(table.bytes > 0);
                continue;
            }
            // Counted with their tablespaces.
            Place::General(_) | Place::Dictionary => continue,
            Place::Own if !table.is_own_and_clear() => &mut sum.encrypted,
            Place::Own | Place::System => &mut sum.clear,
        };
        side.0 += 1;
        side.1 += table.bytes;
    }
    let default = |name: &str| {
        let schema = plan.server.schemas.iter().find(|s| s.name == name);
        schema.map_or("-", |s| if s.default_encryption { "encrypted" } else { "in clear" }).to_owned()
    };
    let rows: Vec<_> = schemas
        .iter()
        .filter(|(_, s)| s.clear.0 + s.encrypted.0 + s.foreign > 0)
        .map(|(name, s)| {
            vec![
                (*name).to_owned(),
                s.clear.0.to_string(),
                sizes::bytes(s.clear.1),
                s.encrypted.0.to_string(),
                sizes::bytes(s.encrypted.1),
                s.foreign.to_string(),
                default(name),
            ]
        })
        .collect();
    out.line("\nTables with files of their own");
    table(out, &["schema", "in clear", "size", "encrypted", "size", "not InnoDB", "new tables"], &rows);
    if args.tables {
        let rows: Vec<_> = plan
            .items
            .iter()
            .filter(|i| matches!(i.kind, Kind::Table | Kind::SystemTable | Kind::OtherEngine))
            .map(|i| vec![i.name.clone(), state(i).to_owned(), sizes::bytes(i.bytes), i.about.clone()])
            .collect();
        out.line("");
        table(out, &["table", "is", "size", ""], &rows);
    }
}

/// An item's state in a word.
pub(super) fn state(item: &Item) -> &'static str {
    let is_setting = item.kind.is_setting();
    match item.state {
        State::Encrypted if is_setting => "set",
        State::Clear if is_setting => "NOT SET",
        State::Encrypted => "encrypted",
        State::Clear => "IN CLEAR",
        State::Cannot => "can't be",
        State::Unused => "unused",
    }
}

fn others(plan: &Plan, out: &mut Output) {
    out.line("\nEverything else");
    let shown = |item: &&Item| match item.kind {
        Kind::Table | Kind::Schema => false,
        Kind::FullText => item.state == State::Clear,
        _ => item.state != State::Unused,
    };
    let rows: Vec<_> = plan
        .items
        .iter()
        .filter(shown)
        .map(|i| {
            let size = if i.bytes == 0 { String::new() } else { sizes::bytes(i.bytes) };
            vec![i.name.clone(), state(i).to_owned(), size, short(&i.about)]
        })
        .collect();
    table(out, &["place", "is", "size", ""], &rows);

    out.line("\nWhat MySQL cannot encrypt, or apply does not do");
    for item in plan.items.iter().filter(|i| i.state != State::Encrypted && i.state != State::Unused) {
        let (name, about) = (visible(&item.name), visible(&item.about));
        match &item.remedy {
            Remedy::Apply => continue,
            Remedy::ByHand(how) => out.line(format_args!("* {name}: {about}.\n  {}", visible(how))),
            Remedy::None => out.line(format_args!("* {name}: {about}.")),
        }
    }
}

/// The first clause: the whole is told below.
fn short(about: &str) -> String {
    let end = [". ", "; ", ", "].iter().filter_map(|mark| about.find(mark)).min().unwrap_or(about.len());
    about[..end].to_owned()
}

fn takes(plan: &Plan, out: &mut Output) {
    let estimate = &plan.estimate;
    out.line("\nWhat apply takes");
    out.line(format_args!(
        "* Time: about {} for {} of tables to copy and {} of tablespaces, at an assumed {} a second (--rate).",
        sizes::time(Duration::from_secs(estimate.seconds)),
        sizes::bytes(estimate.copied_bytes),
        sizes::bytes(estimate.in_place_bytes),
        sizes::bytes(estimate.assumed_bytes_per_second)
    ));
    let free = estimate.free_bytes.map_or_else(
        || "how much is free cannot be seen from here".to_owned(),
        |free| format!("{} are free", sizes::bytes(free)),
    );
    if let Some(largest) = &estimate.largest_table {
        out.line(format_args!(
            "* Room: {} beside the data, for the copy of the largest table, {largest}; {free}.",
            sizes::bytes(estimate.needed_bytes)
        ));
    }
    out.line(
        "* Locks: MySQL encrypts a table by copying it (ALGORITHM=COPY). While it is copied it can be read and not written:\n  \
         writes to it wait. At its start and end the copy waits for open transactions on the table, and on tables joined to\n  \
         it by foreign keys, and meanwhile new statements on the table wait too; apply gives up after --lock-wait seconds,\n  \
         tries again later, and goes on with the next table. General tablespaces and mysql are encrypted in place, while\n  \
         they are read and written.",
    );
    if estimate.tables_with_foreign_keys > 0 {
        out.line(format_args!(
            "* Foreign keys: {} tables have some or are referred to. Parent and child may be in different states meanwhile;\n  \
             they are not checked during the copy, which changes no row.",
            estimate.tables_with_foreign_keys
        ));
    }
    if plan.server.replicas > 0 {
        out.line(format_args!(
            "* Replicas: {} are connected. They carry out the same ALTER statements, stop if they have no keyring, and lag\n  \
             behind meanwhile. --skip-binary-log encrypts this server only; then do each by itself.",
            plan.server.replicas
        ));
    }
    out.line("* Nothing was changed.");
}
