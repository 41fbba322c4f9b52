// SPDX-License-Identifier: GPL-2.0-or-later
//! The figures as Markdown.

use super::load::{Run, Way};
use super::plots::{LATENCY, THROUGHPUT};
use super::site::{OPTIONS, Site};
use super::speed::Speed;
use super::target::Target;
use super::watch::Kind;
use super::writers::{WRITERS, Write};
use crate::figure::{Unit, grouped, markdown};
use crate::plan::Plan;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many tables the page names, those with the longest writes first.
const NAMED: usize = 8;

/// A time in the unit that fits.
fn time(duration: Duration) -> String {
    Unit::Time.write(duration.as_nanos() as f64)
}

/// The time that `part` of the writes do not exceed; `None` of none.
fn quantile(writes: &[&Write], part: f64) -> Option<Duration> {
    let mut times: Vec<_> = writes.iter().map(|w| w.took).collect();
    times.sort_unstable();
    times.get((times.len().checked_sub(1)? as f64 * part).round() as usize).copied()
}

/// Writes of a run, told apart by when they were and whether the server can rewrite their table online.
struct Writes<'a> {
    before: Vec<&'a Write>,
    meanwhile: Vec<&'a Write>,
    can: Vec<&'a Write>,
    cannot: Vec<&'a Write>,
}

impl<'a> Writes<'a> {
    fn of(run: &'a Run, targets: &[Target]) -> Writes<'a> {
        let meanwhile: Vec<_> = run.meanwhile().collect();
        let goes = |write: &&&Write| targets[write.table as usize].only_copy.is_none();
        let (can, cannot) = meanwhile.iter().partition::<Vec<&Write>, _>(|write| goes(write));
        Writes { before: run.before().collect(), meanwhile, can, cannot }
    }
}

/// The longest write of each table, the longest first.
fn longest<'a>(writes: &[&'a Write]) -> Vec<&'a Write> {
    let mut of: BTreeMap<u16, &Write> = BTreeMap::new();
    for write in writes {
        let known = of.entry(write.table).or_insert(write);
        if known.took < write.took {
            *known = write;
        }
    }
    let mut sorted: Vec<_> = of.into_values().collect();
    sorted.sort_by_key(|write| std::cmp::Reverse(write.took));
    sorted
}

/// The tables of one run with the longest writes: what each waited for, and which statement took longest meanwhile.
fn longest_of(run: &Run, targets: &[Target]) -> String {
    let writes: Vec<_> = run.meanwhile().collect();
    let head = ["table", "longest write", "after", "waited for", "while"];
    let rows = longest(&writes).into_iter().take(NAMED).map(|write| {
        let target = &targets[write.table as usize];
        let waits = run.seen.waits_of(write);
        let waits = waits.iter().take(2).map(|(state, part)| format!("{state} ({:.0} %)", part * 100.0));
        let mut during = run.seen.during(write);
        during.sort_by_key(|s| std::cmp::Reverse(s.to - s.from));
        let during = during.first().map_or("–".to_owned(), |s| {
            let what = match s.kind {
                Kind::Copy => "COPY",
                Kind::In => "into a scratch tablespace",
                Kind::Encrypt => "encrypting a tablespace",
                Kind::Out => "into its own file",
                Kind::Scratch => "creating or dropping a tablespace",
            };
            let of = s.text.split('`').filter(|part| !part.is_empty() && *part != "." && *part != "biobank");
            let stage = s.stage_during(write).unwrap_or("–");
            format!(
                "{what}: {}, {}, most of it: {stage}",
                of.clone().nth(1).unwrap_or("?").replace('|', "/"),
                time(s.to - s.from)
            )
        });
        let name = target.only_copy.map_or(target.name.clone(), |why| format!("{} ({why})", target.name));
        let after = time(write.start.saturating_sub(run.from));
        vec![name, time(write.took), after, waits.collect::<Vec<_>>().join(", "), during]
    });
    markdown(&head, &rows.collect::<Vec<_>>())
}

/// What a run came to, for who waits for the next one.
pub fn one(run: &Run, targets: &[Target]) -> String {
    let mut text = format!("\n### {}\n\n{}", run.way.name(), longest_of(run, targets));
    run.wrong.iter().for_each(|what| text.push_str(&format!("\nNOT FINE: {what}\n")));
    text
}

/// All of it.
pub fn all(
    site: &Site,
    runs: &[Run],
    targets: &[Target],
    speeds: &[Speed],
    plan: &Plan,
    wrong: &[String],
) -> String {
    let options: Vec<_> = OPTIONS.iter().map(|option| format!("`{option}`")).collect();
    let mut text = format!(
        "A biobank of {} tables, {} MB of files, on a server with {}. {WRITERS} clients write without pause to all \
         tables, half of the writes to any table and half to any row; one write of four inserts a row, the others \
         change one. After {} s, `keyringctl encrypt apply --online never` (COPY) or `--online auto` (online) \
         begins, each on a copy of the same data directory. A write is one statement with its commit. Afterwards \
         all rows are compared, what apply leaves to do is done, `encrypt verify` runs, and all files of the server \
         are searched for the 1,000 planted names.\n\n",
        targets.len(),
        grouped(site.bytes as f64 / 1e6),
        options.join(", "),
        plan.load_seconds,
    );
    let (mut heads, mut columns) = (vec![String::new()], Vec::new());
    for run in runs {
        let writes = Writes::of(run, targets);
        let cell = |writes: &[&Write], part| quantile(writes, part).map_or("–".to_owned(), time);
        let per_second = |n: usize, time: Duration| Unit::PerSecond.write(n as f64 / time.as_secs_f64());
        let took = run.to - run.from;
        let column = |of: &[&Write], split: Option<&Writes<'_>>, during: Duration| {
            vec![
                split.map_or(cell(of, 1.0), |w| cell(&w.can, 1.0)),
                split.map_or("–".to_owned(), |w| cell(&w.cannot, 1.0)),
                cell(of, 0.5),
                cell(of, 0.99),
                cell(of, 0.999),
                of.iter().filter(|w| w.took > Duration::from_secs(1)).count().to_string(),
                per_second(of.len(), during),
                split.map_or("–".to_owned(), |_| time(took)),
                split.map_or("–".to_owned(), |_| {
                    format!("{:.1} MB/s", site.bytes as f64 / 1e6 / took.as_secs_f64())
                }),
            ]
        };
        if run.way == Way::Copy {
            heads.push("before".to_owned());
            columns.push(column(&writes.before, None, run.from - run.from / 4));
        }
        heads.push(run.way.name().to_owned());
        columns.push(column(&writes.meanwhile, Some(&writes), took));
    }
    let whats = [
        "longest write, tables that can go online",
        "longest write, the others",
        "median write",
        "99 % of writes",
        "99.9 % of writes",
        "writes longer than 1 s",
        "writes",
        "time of `apply`",
        "encrypted",
    ];
    let rows: Vec<Vec<String>> = whats
        .iter()
        .enumerate()
        .map(|(at, what)| {
            let cells = columns.iter().map(|column| column[at].clone());
            std::iter::once((*what).to_owned()).chain(cells).collect()
        })
        .collect();
    text.push_str(&markdown(&heads.iter().map(String::as_str).collect::<Vec<_>>(), &rows));
    text.push_str(&format!("\n![latency of writes over time](bench/{LATENCY})\n"));
    text.push_str(&format!("\n![writes in a second over time](bench/{THROUGHPUT})\n"));
    for run in runs {
        text.push_str(&format!(
            "\nThe tables with the longest writes, {}. What a write waited for is the state that the server shows for its \
             session, and in how many of the looks.\n\n{}",
            run.way.name(),
            longest_of(run, targets)
        ));
        let taken_back = run.written.taken_back.iter().map(|(code, n)| format!("error {code}: {n}"));
        let taken_back: Vec<_> = taken_back.collect();
        if !taken_back.is_empty() {
            text.push_str(&format!("\nStatements that the server took back: {}.\n", taken_back.join(", ")));
        }
    }
    text.push_str(
        "\n`encrypt apply --only 'biobank.*' --skip 'biobank.code_*' --jobs 2` beside the same ALTER statements by hand, one after the other in one \
         session, without other clients, each on a fresh copy:\n\n",
    );
    let rows: Vec<Vec<String>> = speeds
        .iter()
        .map(|speed| {
            let rate = |took: Duration| {
                format!("{} ({:.1} MB/s)", time(took), site.bytes as f64 / 1e6 / took.as_secs_f64())
            };
            let ratio = speed.tool.as_secs_f64() / speed.by_hand.as_secs_f64();
            vec![speed.way.name().to_owned(), rate(speed.tool), rate(speed.by_hand), format!("{ratio:.2}")]
        })
        .collect();
    text.push_str(&markdown(&["", "apply --jobs 2", "by hand", "ratio"], &rows));
    text.push('\n');
    match wrong {
        [] => text.push_str(
            "Every row that a writer committed is there, all other rows are as they were, `encrypt verify` found \
             nothing, and no file contains a planted name.\n",
        ),
        wrong => wrong.iter().for_each(|what| text.push_str(&format!("* NOT FINE: {what}\n"))),
    }
    text
}
