// SPDX-License-Identifier: GPL-2.0-or-later
//! SELinux: the commands that give a keyring's files the type that mysqld may use. setup runs them where it can, and
//! otherwise names them as steps that are left.

use super::args::{Args, SkippedPart};
use super::change::is_root;
use crate::commands::doctor::finding::{Finding, Findings};
use crate::commands::doctor::selinux::likely_refused;
use crate::commands::doctor::steps::{SECRET_FILE, setup};
use crate::commands::output::Output;
use crate::commands::selinux::{Labelling, Mode, mode};
use crate::commands::site::{Site, mounts_below};
use crate::host::Host;
use crate::host::selinux::labelled;
use keyring_external::unlock::UnlockSource;
use serde::Serialize;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where administration programs are, for a root whose PATH does not have them.
const SBIN: &str = "/usr/sbin:/sbin";
const TOOLS: [&str; 2] = ["semanage", "restorecon"];

/// What setup does for SELinux.
#[derive(Serialize, Default)]
pub(super) struct LabelPlan {
    /// The commands that set the types.
    pub commands: Vec<String>,
    /// Whether setup runs them.
    pub runs: bool,
    /// What only the administrator can do.
    pub by_hand: Vec<String>,
}

/// Plans the labels. There is nothing to do if SELinux is disabled.
pub(super) fn plan(args: &Args, site: &Site, host: &Host) -> LabelPlan {
    match mode(site, Path::new("/sys")) {
        Some(mode) if !args.without.contains(&SkippedPart::Selinux) => {
            let runs =
                mode != Mode::Image && is_root() && TOOLS.iter().all(|tool| is_installed(tool, &path()));
            plan_for(site, host, runs)
        }
        _ => LabelPlan::default(),
    }
}

/// What SELinux will probably refuse, whatever labels the files have.
pub(super) fn findings(args: &Args, site: &Site, host: &Host) -> Vec<Finding> {
    let mut found = Findings::default();
    if let Some(mode) =
        mode(site, Path::new("/sys")).filter(|_| !args.without.contains(&SkippedPart::Selinux))
    {
        let file = host.credential.clone().unwrap_or_else(|| SECRET_FILE.into());
        let with_file = Host { unlock: UnlockSource::File(file), ..host.clone() };
        likely_refused(host, mode, &[setup(site, &with_file, host.way)], &mut found);
    }
    found.into_all()
}

fn plan_for(site: &Site, host: &Host, runs: bool) -> LabelPlan {
    let mounts = mounts_below(&site.root);
    let labelling = Labelling::of(site, &mounts);
    let mut plan = LabelPlan { runs, ..LabelPlan::default() };
    for of in labelled(host) {
        match labelling.by_mount(&of) {
            Some(lines) => plan
                .by_hand
                .extend(lines.into_iter().filter(|line| !plan.by_hand.contains(line)).collect::<Vec<_>>()),
            None => plan.commands.extend(labelling.commands(&of).unwrap_or_default()),
        }
    }
    plan
}

impl LabelPlan {
    /// Shows the commands that setup is going to run.
    pub(super) fn show(&self, out: &mut Output) {
        if self.runs() {
            out.line("");
            out.line("RUN        commands that give these files the types that SELinux requires");
            self.commands.iter().for_each(|command| out.verbatim(format_args!("    | {command}")));
        }
    }

    /// Whether setup runs any of them.
    pub(super) fn runs(&self) -> bool {
        self.runs && !self.commands.is_empty()
    }

    /// The steps that are left to the administrator, of those that `failed` too.
    pub(super) fn left(&self, failed: Vec<String>) -> Vec<String> {
        let commands = if self.runs { failed } else { self.commands.clone() };
        commands.into_iter().chain(self.by_hand.iter().cloned()).collect()
    }

    /// Runs the commands. Returns those that failed, and says why they did.
    pub(super) fn run(&self, out: &mut Output) -> Vec<String> {
        self.run_with(&path(), out)
    }

    fn run_with(&self, path: &OsString, out: &mut Output) -> Vec<String> {
        let mut failed = Vec::new();
        for command in self.commands.iter().filter(|_| self.runs) {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", command]).env("PATH", path).stdin(Stdio::null());
            let why = match shell.output() {
                Ok(output) if output.status.success() => continue,
                Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                Err(e) => e.to_string(),
            };
            out.line(format_args!("FAILED     {command}: {why}"));
            failed.push(command.clone());
        }
        failed
    }
}

/// The directories of programs, with those of administration programs.
fn path() -> OsString {
    let mut all = std::env::var_os("PATH").unwrap_or_default();
    if !all.is_empty() {
        all.push(":");
    }
    all.push(SBIN);
    all
}

fn is_installed(tool: &str, path: &OsString) -> bool {
    std::env::split_paths(path).any(|dir| dir.join(tool).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Way, example};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn site(dir: &Path) -> Site {
        Site { root: fs::canonicalize(dir).unwrap(), ..Site::default() }
    }

    #[test]
    fn every_command_is_run_as_it_is_shown_and_failures_are_left() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        for (tool, code) in [("semanage", 1), ("restorecon", 0)] {
            let text = format!(
                "#!/bin/sh\nprintf '%s' {tool} >> {0}\nfor word; do printf '<%s>' \"$word\" >> {0}; done\necho >> {0}\n\
                 echo nothing works >&2\nexit {code}\n",
                log.display()
            );
            fs::write(dir.path().join(tool), text).unwrap();
            fs::set_permissions(dir.path().join(tool), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut host = example(Way::Component);
        host.keyring = "/mnt/it's a/main.keyring".into();
        host.mirrors.clear();
        let plan = plan_for(&site(dir.path()), &host, true);
        let mut out = Output::new(false);
        let failed = plan.run_with(&dir.path().into(), &mut out);
        let ran = fs::read_to_string(&log).unwrap();
        let lines: Vec<_> = ran.lines().collect();
        assert_eq!(
            lines[..3],
            [
                r"semanage<fcontext><-m><-t><mysqld_db_t></mnt/it's\x20a(/.*)?>",
                r"semanage<fcontext><-a><-t><mysqld_db_t></mnt/it's\x20a(/.*)?>",
                "restorecon<-RFv></mnt/it's a>",
            ]
        );
        assert!(lines.contains(&"restorecon<-Fv></usr/sbin/mysqld.my>"), "{ran}");
        assert!(
            !failed.is_empty() && failed.iter().all(|command| command.contains("semanage")),
            "{failed:?}"
        );
        assert_eq!(plan.left(failed.clone()), failed);
        let not_run = plan_for(&site(dir.path()), &host, false);
        assert_eq!(not_run.left(Vec::new()), not_run.commands);
    }

    #[test]
    fn an_image_that_starts_with_selinux_gets_its_commands_as_steps() {
        let dir = tempfile::tempdir().unwrap();
        let args = |without| Args { without, ..Args::default() };
        let host = example(Way::Plugin);
        assert!(plan(&args(Vec::new()), &site(dir.path()), &host).commands.is_empty());
        fs::create_dir_all(dir.path().join("etc/selinux")).unwrap();
        fs::write(
            dir.path().join("etc/selinux/config"),
            "# SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE=targeted\n",
        )
        .unwrap();
        let planned = plan(&args(Vec::new()), &site(dir.path()), &host);
        assert!(!planned.runs && planned.commands.iter().any(|c| c == "restorecon -RFv /mnt/a/keys"));
        assert!(plan(&args(vec![SkippedPart::Selinux]), &site(dir.path()), &host).commands.is_empty());
    }
}
