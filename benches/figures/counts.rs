// SPDX-License-Identifier: GPL-2.0-or-later
//! Instructions of one fetch and one store, counted by `valgrind --tool=callgrind`: they do not depend on how busy
//! the machine is, so these are judged. What they were is in benches/instructions.toml.

use crate::abi::{Bench, job_of_ours};
use crate::figure::grouped;
use crate::progress::Progress;
use crate::work::Task;
use std::path::Path;
use std::process::Command;

/// A count may differ from the one that was committed by this part of it.
const TOLERANCE: f64 = 0.10;
/// Keys of the keyring.
const KEYS: u64 = 1_000;

/// What counting came to.
pub struct Counts {
    /// For the report.
    pub text: String,
    /// Whether no count has grown or shrunk too much.
    pub fine: bool,
}

/// Operations, and how many of each are counted once and twice.
const COUNTED: [(&str, u64); 2] = [("fetch", 20_000), ("store", 50)];

/// Counts, and compares with the file; with `record`, writes it instead.
pub fn check(bench: &Bench<'_>, record: bool, progress: &Progress) -> Result<Counts, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/instructions.toml");
    if Command::new("valgrind").arg("--version").output().is_err() {
        let text = "SKIPPED (there is no valgrind): instruction counts are not checked".to_owned();
        return Ok(Counts { text, fine: true });
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let (mut lines, mut fine, mut new) = (Vec::new(), true, String::new());
    for (what, times) in COUNTED {
        progress.say(&format!("instructions of a {what}"));
        let count = difference(bench, what, times)?;
        new.push_str(&format!("{what} = {count:.0}\n"));
        let was = number(&known, what);
        let off = was.map(|was| (count - was) / was);
        fine &= record || off.is_some_and(|off| off.abs() <= TOLERANCE);
        lines.push(match (was, off) {
            (Some(was), Some(off)) => format!(
                "{what}: {} instructions, {} when it was recorded ({:+.1} %){}",
                grouped(count),
                grouped(was),
                off * 100.0,
                if off.abs() > TOLERANCE { ": NOT FINE" } else { "" }
            ),
            _ => format!("{what}: {} instructions, none recorded", grouped(count)),
        });
    }
    if record {
        let head: String =
            known.lines().take_while(|l| l.starts_with('#')).map(|l| format!("{l}\n")).collect();
        std::fs::write(&file, head + &new).map_err(|e| format!("{}: {e}", file.display()))?;
        lines.push(format!("recorded in {}", file.display()));
    } else if !fine {
        lines.push(
            "A count is off by more than 10 %. Find out why. If the change is intended, record the new counts with \
             `make bench RECORD=1` and commit them with it. Another compiler or C library has other counts, too."
                .to_owned(),
        );
    }
    Ok(Counts { text: lines.join("\n"), fine })
}

/// The number of a line `name = number`.
fn number(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|l| {
        let (key, value) = l.split_once('=')?;
        (key.trim() == name).then(|| value.trim().parse().ok())?
    })
}

/// Instructions of one: what twice as many take more, divided.
fn difference(bench: &Bench<'_>, what: &str, times: u64) -> Result<f64, String> {
    let count = |times: u64| {
        let task = match what {
            "fetch" => Task::Count { fetches: times, stores: 0 },
            _ => Task::Count { fetches: 0, stores: times },
        };
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
        let mut command = bench.launcher.command(&job_of_ours(bench, KEYS, task)?, Some(valgrind))?;
        let output = command.output().map_err(|e| format!("valgrind: {e}"))?;
        let told = String::from_utf8_lossy(&output.stderr);
        let collected = told.lines().find_map(|l| l.split("Collected : ").nth(1)?.trim().parse::<f64>().ok());
        collected
            .filter(|_| output.status.success())
            .ok_or_else(|| format!("valgrind counted nothing:\n{told}"))
    };
    Ok((count(2 * times)? - count(times)?) / times as f64)
}
