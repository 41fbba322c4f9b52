// SPDX-License-Identifier: GPL-2.0-or-later
//! The figures of this keyring beside those of `component_keyring_file` of the same server, in one run: `make bench`
//! (scripts/bench.sh) builds and runs it. Times are told and never judged; instruction counts are.
#![allow(unsafe_code, reason = "host.rs is the server's side of the C ABI")]

mod abi;
mod audit;
mod copies;
mod counts;
mod disk;
mod figure;
mod host;
mod launch;
mod machine;
mod names;
mod online;
mod plan;
mod plot;
mod progress;
mod remotes;
mod report;
mod server;
mod verify;
mod work;

use clap::{Parser, ValueEnum};
use mysql_plugin_tests::rig;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// What is asked for.
#[derive(Parser, Debug)]
#[command(
    name = "make bench",
    about = "Measures this keyring beside component_keyring_file of the same server"
)]
struct Args {
    /// Few samples, in a few minutes; written to the target directory instead of docs/
    #[arg(long)]
    quick: bool,
    /// Measure keyrings in this directory instead of on an ext4 of its own
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Record the instruction counts instead of comparing them
    #[arg(long)]
    record: bool,
    /// Only this part (again for more); of the page, only the parts of `online`, `remotes` and `audit` are written then
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Where to write BENCHMARKS.md and the plots
    #[arg(long)]
    out: PathBuf,
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Part {
    /// Instruction counts
    Counts,
    /// Both components through the C ABI
    Abi,
    /// Several copies of one keyring: slow ones, hung ones, queries of the status
    Copies,
    /// Stores through keyring_udf
    Stores,
    /// Encrypted tablespaces: new master keys, starts
    Tablespaces,
    /// Reading a server's files, beside cat
    Verify,
    /// A read-write OLTP workload
    Oltp,
    /// A biobank that is encrypted while clients write to it; its part of the page is written with --only, too
    Online,
    /// Keyrings at etcd, OpenBao and SeaweedFS; its part of the page is written with --only, too
    Remotes,
    /// What the audit log costs; its part of the page is written with --only, too
    Audit,
}

impl Part {
    /// The tables of a part; of the counts and of what has a part of the page of its own there are none.
    fn measure(
        self,
        bench: &abi::Bench<'_>,
        plan: &plan::Plan,
        progress: &progress::Progress,
    ) -> Result<Vec<figure::Table>, String> {
        match self {
            Part::Counts | Part::Online | Part::Remotes | Part::Audit => Ok(Vec::new()),
            Part::Abi => abi::measure(bench, plan, progress),
            Part::Copies => copies::measure(&bench.base.join("copies"), plan, progress),
            Part::Stores => server::stores::measure(bench, plan, progress),
            Part::Tablespaces => server::spaces::measure(bench, plan, progress),
            Part::Verify => verify::measure(bench, plan, progress),
            Part::Oltp => server::oltp::measure(bench, plan, progress),
        }
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match (args.next().as_deref(), args.next()) {
        (Some(launch::WORK), Some(job)) => work::work(&job).map(|()| true),
        _ => measure(&Args::parse()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("figures: {why}");
            ExitCode::from(2)
        }
    }
}

/// Measures, prints and writes it all; `false` when an instruction count is not fine, or rows or secrets after encrypting.
fn measure(args: &Args) -> Result<bool, String> {
    let plan = if args.quick { plan::QUICK } else { plan::FULL };
    let run = tempfile::Builder::new().prefix("kxb").tempdir().map_err(|e| e.to_string())?;
    rig::set_up(run.path())?;
    let disk = disk::Disk::new(run.path(), args.dir.as_deref())?;
    let launcher = launch::Launcher::new(&rig::place().mysqld)?;
    let base = run.path().join("abi");
    std::fs::create_dir(&base).map_err(|e| e.to_string())?;
    disk::make_private(&base)?;
    let secret = base.join("secret");
    std::fs::write(&secret, [0xf0; 32]).map_err(|e| e.to_string())?;
    disk::make_private(&secret)?;
    let libraries = abi::BOTH.map(|which| rig::place().plugins.join(format!("{}.so", which.component())));
    let bench = abi::Bench { launcher: &launcher, disk: &disk, base: &base, libraries };
    let mut machine = machine::describe(&disk);
    let progress = progress::Progress::new();
    progress.print(&machine);
    let wanted = |part: &Part| args.only.is_empty() || args.only.contains(part);
    let (mut tables, mut took) = (Vec::new(), Vec::new());
    let mut counts = counts::Counts { text: String::new(), fine: true };
    let mut fine = true;
    for part in Part::value_variants().iter().filter(|part| wanted(part)) {
        let began = Instant::now();
        let name = part.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        let failed = |why| format!("the part {name}: {why}");
        if *part == Part::Counts {
            counts = counts::check(&bench, args.record, &progress).map_err(failed)?;
            progress.print(&format!("{}\n", counts.text));
        }
        if *part == Part::Online {
            let told = online::measure(&args.out.join("bench"), &plan, &progress).map_err(failed)?;
            progress.print(&told.text);
            let took = format!("* took: {} s\n", began.elapsed().as_secs());
            let command = command(args, Some("online"));
            report::write_online(&args.out, &command, &format!("{machine}{took}"), &told.text)?;
            fine &= told.fine;
        }
        if *part == Part::Remotes {
            let told: String = remotes::measure(&plan, &progress)
                .map_err(failed)?
                .iter()
                .map(|table| format!("{}\n\n{}", table.about, table.markdown()))
                .collect();
            progress.print(&told);
            let took = format!("* took: {} s\n", began.elapsed().as_secs());
            let command = command(args, Some("remotes"));
            report::write_remotes(&args.out, &command, &format!("{machine}{took}"), &told)?;
        }
        if *part == Part::Audit {
            let told = audit::measure(&bench, &plan, &progress).map_err(failed)?;
            progress.print(&told);
            let took = format!("* took: {} s\n", began.elapsed().as_secs());
            report::write_audit(
                &args.out,
                &command(args, Some("audit")),
                &format!("{machine}{took}"),
                &told,
            )?;
        }
        for table in part.measure(&bench, &plan, &progress).map_err(failed)? {
            progress.print(&format!("\n{}\n{}\n{}", table.title, table.about, table.markdown()));
            tables.push(table);
        }
        took.push(format!("{name} {} s", began.elapsed().as_secs()));
    }
    let took = format!("* took: {}\n", took.join(", "));
    progress.print(&took);
    machine.push_str(&took);
    if args.only.is_empty() {
        write(args, &machine, &tables, &counts.text)?;
    }
    Ok(counts.fine && fine)
}

/// What measures that again, or only what has a part of the page of its own.
fn command(args: &Args, part: Option<&str>) -> String {
    let quick = if args.quick { " QUICK=1" } else { "" };
    format!("make bench{quick}{}", part.map_or(String::new(), |part| format!(" ONLY={part}")))
}

fn write(args: &Args, machine: &str, tables: &[figure::Table], counts: &str) -> Result<(), String> {
    report::write(&args.out, &command(args, None), machine, tables, counts)?;
    plot::write(&args.out.join("bench"), tables)?;
    let json = serde_json::to_string_pretty(tables).map_err(|e| e.to_string())?;
    let file = Path::new(&args.out).join("bench/figures.json");
    std::fs::write(&file, json).map_err(|e| format!("{}: {e}", file.display()))?;
    println!("\nwritten: {}", args.out.join("BENCHMARKS.md").display());
    Ok(())
}
