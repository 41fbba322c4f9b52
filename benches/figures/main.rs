// SPDX-License-Identifier: GPL-2.0-or-later
//! The figures of this keyring beside those of `component_keyring_file` of the same server, in one run: `make bench`
//! (scripts/bench.sh) builds and runs it. Times are told and never judged; instruction counts are.
#![allow(unsafe_code, reason = "host.rs is the server's side of the C ABI")]

mod abi;
#[path = "../../tests/common/mod.rs"]
mod common;
mod disk;
mod figure;
mod host;
mod launch;
mod names;
mod plan;
mod progress;
#[allow(dead_code, unused_imports)] // what other tests need
#[path = "../../mysql-plugin-tests/server/rig/mod.rs"]
mod rig;
mod work;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is asked for.
#[derive(Parser, Debug)]
#[command(
    name = "make bench",
    about = "Measures this keyring beside component_keyring_file of the same server"
)]
struct Args {
    /// Few samples, in a few minutes; docs/ is left as it is
    #[arg(long)]
    quick: bool,
    /// Measure keyrings in this directory instead of on an ext4 of its own
    #[arg(long)]
    dir: Option<PathBuf>,
    #[arg(long, hide = true)]
    work: Option<String>,
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.work {
        Some(job) => work::work(job).map(|()| true),
        None => measure(&args),
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
    let progress = progress::Progress::new();
    let tables = abi::measure(&bench, &plan, &progress)?;
    for table in &tables {
        progress.print(&format!("\n{}\n{}", table.title, table.markdown()));
    }
    Ok(true)
}
