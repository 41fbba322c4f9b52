// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine and the programs that a run's figures are of.

use crate::disk::{Disk, run};
use crate::figure::grouped;
use mysql_plugin_tests::rig::place;
use std::path::Path;
use std::process::Command;

/// What it is, as lines of Markdown.
pub fn describe(disk: &Disk) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|l| l.starts_with(name));
        line.and_then(|l| l.split_once(':')).map_or("unknown".to_owned(), |(_, v)| v.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory =
        value(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0);
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package of the workspace");
    let told = |program: &str, args: &[&str]| {
        let told = run(Command::new(program).args(args).current_dir(repo));
        told.ok().and_then(|t| t.lines().next().map(str::to_owned)).unwrap_or("unknown".to_owned())
    };
    let load = read("/proc/loadavg");
    let lines = [
        ("processor", format!("{}, {cores} cores", value(&read("/proc/cpuinfo"), "model name"))),
        ("memory", format!("{} MB", grouped(memory / 1024.0))),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("volume", disk.is.clone()),
        ("load before", load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")),
        ("server", format!("MySQL {}", place().version)),
        (
            "this",
            format!("{} at {}", env!("CARGO_PKG_VERSION"), told("git", &["describe", "--always", "--dirty"])),
        ),
        ("compiler", told("rustc", &["--version"])),
    ];
    lines.iter().map(|(name, text)| format!("* {name}: {text}\n")).collect()
}
