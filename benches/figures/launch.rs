// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs this program again with a job. The server's plugins may need a newer C library than this system's: the
//! one that mysqld itself runs with then serves the whole process, for both keyrings alike.

use crate::disk::run;
use crate::work::{Done, Job};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The argument behind which a job stands.
pub const WORK: &str = "--work";

/// How a job is started.
pub struct Launcher {
    program: PathBuf,
    /// The dynamic loader and the directory of the libraries that mysqld runs with.
    loader: Option<(PathBuf, PathBuf)>,
}

impl Launcher {
    /// For the plugins of that mysqld.
    pub fn new(mysqld: &Path) -> Result<Launcher, String> {
        let program = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
        // The loader lists what it would load, and runs nothing.
        let listed = run(Command::new(mysqld).env("LD_TRACE_LOADED_OBJECTS", "1"))?;
        let lines: Vec<_> = listed.lines().map(str::trim).collect();
        let path = |text: &str| Path::new(text.split(" (").next().unwrap_or(text)).to_owned();
        let libc = lines.iter().find_map(|l| l.strip_prefix("libc.so.6 => ")).map(path);
        let loader = lines.iter().find(|l| l.starts_with('/') && l.contains("/ld-")).map(|l| path(l));
        let loader = loader.zip(libc.and_then(|libc| libc.parent().map(Path::to_owned)));
        Ok(Launcher { program, loader })
    }

    /// A command for a job; `ours` runs with this system's C library, behind another program.
    pub fn command(&self, job: &Job, behind: Option<Command>) -> Result<Command, String> {
        let job = serde_json::to_string(job).map_err(|e| e.to_string())?;
        let mut command = match (behind, &self.loader) {
            (Some(behind), _) => {
                let mut command = Command::new(behind.get_program());
                command.args(behind.get_args()).arg(&self.program);
                command
            }
            (None, Some((loader, libraries))) => {
                let mut command = Command::new(loader);
                command.arg("--library-path").arg(libraries).arg(&self.program);
                command
            }
            (None, None) => Command::new(&self.program),
        };
        command.args([WORK, &job]);
        Ok(command)
    }

    /// Runs a job.
    pub fn run(&self, job: &Job) -> Result<Done, String> {
        let told = run(&mut self.command(job, None)?)?;
        serde_json::from_str(&told).map_err(|e| format!("{job:?} told {told:?}: {e}"))
    }
}
