// SPDX-License-Identifier: GPL-2.0-or-later
//! How fast `keyringctl` reads a server's files, beside `cat` of the same files in the same run.

use crate::abi::{Bench, Which};
use crate::figure::{Figure, Row, Table, Unit, grouped};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::server::Site;
use mysql_plugin_tests::biobank::Biobank;
use mysql_plugin_tests::rig::place;
use rustix::fs::{Advice, fadvise};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Threads that fill tables.
const THREADS: usize = 2;

pub fn measure(bench: &Bench<'_>, plan: &Plan, progress: &Progress) -> Result<Vec<Table>, String> {
    progress.expect(1 + 2 * (plan.readings as usize + 1));
    progress.say("reading files: making a biobank");
    let mut site = Site::new(bench, Which::Ours, "verify")?;
    for option in
        ["--default-table-encryption=ON", "--innodb-redo-log-encrypt=ON", "--innodb-undo-log-encrypt=ON"]
    {
        site.host = site.host.option(option);
    }
    let server = site.host.start();
    let biobank = Biobank { schema: "biobank".to_owned(), scale: plan.biobank, seed: 1 };
    biobank.make(server.connector(), THREADS).map_err(|e| format!("the biobank: {e}"))?;
    progress.step();
    let files = files(&site.host.datadir()).map_err(|e| e.to_string())?;
    let bytes: u64 = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|meta| meta.len()).sum();
    let keyringctl = &place().keyringctl;
    let mut cat = Command::new("cat");
    cat.args(&files);
    let mut every_page = Command::new(keyringctl);
    every_page.arg("verify").arg(site.keyring()).arg(format!("--unlock=file:{}", site.secret().display()));
    every_page.arg("--every-page").arg("--datadir").arg(site.host.datadir());
    let mut of_server = Command::new(keyringctl);
    of_server.args(["encrypt", "verify", "--no-canary", "--no-defaults", "--user=root", "--socket"]);
    of_server.arg(site.host.socket());
    let mut programs = [cat, every_page, of_server];
    let mut rows = Vec::new();
    let mut speeds = Vec::new();
    for (cold, from) in [(true, "from the disk"), (false, "from memory")] {
        let mut taken = [const { Vec::new() }; 3];
        // The first round fills the cache, and is not among them.
        for round in 0..=plan.readings {
            for (program, taken) in programs.iter_mut().zip(&mut taken) {
                if cold {
                    forget(&files).map_err(|e| format!("forgetting files: {e}"))?;
                }
                let began = Instant::now();
                let ended = program.stdout(Stdio::null()).stderr(Stdio::null()).status();
                let nanoseconds = began.elapsed().as_nanos() as f64;
                match ended.map_err(|e| format!("{program:?}: {e}"))?.code() {
                    // 1: something is not encrypted, such as the tablespace mysql.
                    Some(0 | 1) if round > 0 => taken.push(nanoseconds),
                    Some(0 | 1) => {}
                    code => return Err(format!("{program:?} ended with {code:?}")),
                }
            }
            progress.step();
        }
        let [cat, every_page, of_server] = taken;
        let speed = |taken: &[f64]| Figure::of(taken).map_or(0.0, |taken| bytes as f64 * 1e3 / taken.median);
        speeds.push(format!(
            "{from}, cat {}, verify {}, encrypt verify {} MB/s",
            grouped(speed(&cat)),
            grouped(speed(&every_page)),
            grouped(speed(&of_server))
        ));
        let programs =
            [("verify --datadir --every-page", every_page), ("encrypt verify --no-canary", of_server)];
        rows.extend(programs.map(|(what, ours)| {
            let what = format!("{what}, {from}");
            Row::new(&what, Some(bytes / 1_000_000), Unit::Time, &ours, &[]).with_floor(&cat)
        }));
    }
    server.stop();
    Ok(vec![Table {
        title: "Reading a server's files",
        about: format!(
            "All {} files of a data directory with an encrypted biobank, beside `cat FILES >/dev/null` of the same files: \
             all in turn, {} times. `verify` decrypts every page; `encrypt verify` asks the server besides. Before each \
             reading from the disk, the files are dropped from the page cache. The server runs, and is idle. In medians: {}.",
            files.len(),
            plan.readings,
            speeds.join("; ")
        ),
        size: "MB",
        floor: "cat",
        rows,
    }])
}

/// The files below a directory.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

/// Drops files from the page cache.
fn forget(files: &[PathBuf]) -> io::Result<()> {
    for path in files {
        match File::open(path) {
            Ok(file) => {
                rustix::fs::fdatasync(&file)?;
                fadvise(&file, 0, None, Advice::DontNeed)?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
