// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl fleet check`: one line for a monitoring system about all keyrings at a remote.

use super::entry::{Entry, Weight, count};
use super::look::Common;
use super::show;
use crate::commands::monitor_line::{self, Figure, Level, Line};
use crate::show::Shown;

/// Check all keyrings at a remote for a monitoring system such as Nagios or Icinga
///
/// Prints one line: OK, WARNING, CRITICAL or UNKNOWN, what is wrong and what to do, then performance data. It only lists
/// and reads objects, and needs no secret.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  keyringctl fleet check @bucket\n  \
    keyringctl fleet check @bucket/hospital --stale 400 --min-keyrings 12\n\n\
    Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: the check itself could not be carried out.")]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// CRITICAL if there are fewer keyrings
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    min_keyrings: usize,
}

/// The problems that the line names; the others are counted.
const NAMED: usize = 5;

pub(super) fn run(args: &Args, json: bool) -> u8 {
    let line = match args.common.look() {
        Ok(looked) => {
            let mut line = line(&looked.entries, args.min_keyrings);
            for place in &looked.empty {
                line.text = format!("{}; no keyring is at {place}", line.text);
            }
            for e in &looked.failed {
                line.text = format!("{}; {e}", line.text);
            }
            let level = if looked.failed.is_empty() { Level::Ok } else { Level::Unknown };
            line.level =
                line.level.max(level).max(if looked.empty.is_empty() { Level::Ok } else { Level::Warning });
            line
        }
        Err(e) => Line::failed(&e),
    };
    let (code, text) = line.shown("fleet check", json);
    monitor_line::print(code, &text)
}

pub(super) fn line(entries: &[Entry], min_keyrings: usize) -> Line {
    let (errors, warnings) = (count(entries, Weight::Error), count(entries, Weight::Warning));
    let few = entries.len() < min_keyrings;
    let level = match (few || errors > 0, warnings > 0) {
        (true, _) => Level::Critical,
        (false, true) => Level::Warning,
        (false, false) => Level::Ok,
    };
    let mut texts = vec![show::summary(entries)];
    if few {
        texts.push(format!("fewer than {min_keyrings} (--min-keyrings)"));
    }
    let mut problems: Vec<_> =
        entries.iter().flat_map(|entry| entry.problems.iter().map(move |problem| (entry, problem))).collect();
    problems.sort_by_key(|(_, problem)| std::cmp::Reverse(problem.level));
    let told = problems.iter().take(NAMED);
    texts.extend(told.map(|(entry, problem)| format!("{}: {}", entry.path.shown(), problem.what)));
    if problems.len() > NAMED {
        texts.push(format!("and {} more: keyringctl fleet status shows all", problems.len() - NAMED));
    }
    let mut keyrings = Figure::new("keyrings", entries.len() as u64);
    keyrings.ranges.1 = format!("{min_keyrings}:");
    let mut failed = Figure::new("keyrings_failed", errors as u64);
    failed.ranges.1 = "0".to_owned();
    let mut warned = Figure::new("keyrings_warned", warnings as u64);
    warned.ranges.0 = "0".to_owned();
    Line {
        level,
        text: monitor_line::joined(texts.iter().map(String::as_str)),
        figures: vec![keyrings, failed, warned],
    }
}
