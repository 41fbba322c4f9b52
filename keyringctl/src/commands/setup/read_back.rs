// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads back what setup wrote, as mysqld would: from the files that mysqld reads, in its order.

use super::change::FileChange;
use crate::commands::doctor::configured::{self, Configured};
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::doctor::option_access::{self, Effect};
use crate::commands::doctor::option_files::left_options;
use crate::commands::site::{self, Site};
use crate::error::{Error, Result};
use crate::host::files::source;
use crate::host::{Host, Way};
use crate::show::Shown;
use std::path::Path;
use std::process::{Command, Stdio};

/// Checks that mysqld will find this keyring when these files have been written, as far as its option files tell.
///
/// # Errors
/// It will not: what it would find instead, and where.
pub(super) fn foresee(args: &site::Args, planned: &Host, changes: &[FileChange]) -> Result<()> {
    let wrong = if planned.way == Way::Plugin {
        let files: Vec<_> = changes.iter().map(|c| (c.path.as_path(), c.contents.as_str())).collect();
        let site = args.look()?.with_option_files(&files);
        // The permissions of the plugin's file are about to be set.
        wrong(&site, planned, Some(&site.at(&planned.option_file)))
    } else {
        let site = args.look()?;
        let mut wrong = closed(&site, planned, None);
        let left: Vec<_> = left_options(&site).iter().map(|line| line.place()).collect();
        if !left.is_empty() {
            wrong.push(format!(
                "mysqld would end with \"unknown variable\", because options of the plugin are left while nothing loads it. \
                 Remove them: {}",
                left.join(", ")
            ));
        }
        wrong
    };
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "mysqld would not use this keyring: {}. Correct that, then run setup again. Nothing was changed",
        wrong.join("; ")
    )))
}

/// Checks that mysqld now finds this keyring, and says from which file.
///
/// # Errors
/// It does not: what it finds instead, and where.
pub(super) fn check(args: &site::Args, planned: &Host) -> Result<String> {
    let site = args.look()?;
    let mut wrong = wrong(&site, planned, None);
    if wrong.is_empty() && planned.way == Way::Plugin {
        wrong.extend(denied(&site, planned));
    }
    if !wrong.is_empty() {
        return Err(Error::Usage(format!(
            "the files were written, but mysqld would not use this keyring: {}. Correct that, then run setup again",
            wrong.join("; ")
        )));
    }
    Ok(match planned.way {
        Way::Plugin => format!("Read back: mysqld finds the keyring in {}", planned.option_file.shown()),
        Way::Component => format!(
            "Read back: mysqld finds the component in {} and the keyring in {}",
            planned.manifest().shown(),
            site.seen(&site.settings_file(planned)).shown()
        ),
    })
}

/// Why mysqld would not use this keyring, apart from the permissions of one file.
fn wrong(site: &Site, planned: &Host, apart: Option<&Path>) -> Vec<String> {
    let mut found = Findings::default();
    let configured = configured::find(site, &mut found);
    // If there is a keyring, an option file with a fault of its own is no reason to fail.
    let counts = |check: &str| configured.is_none() || check != "option-files";
    let mut wrong: Vec<String> = found
        .all()
        .into_iter()
        .filter(|f| f.level == FindingLevel::Error && counts(f.check))
        .map(|f| f.what.clone())
        .collect();
    wrong.extend(configured.iter().flat_map(|found| differences(site, planned, found)));
    // Without a keyring, they are among the findings.
    if configured.is_some() {
        wrong.extend(closed(site, planned, apart));
    }
    wrong
}

/// What mysqld's user cannot read, if the keyring depends on it, with the command that opens it.
fn closed(site: &Site, planned: &Host, apart: Option<&Path>) -> Vec<String> {
    let least = if planned.way == Way::Plugin { Effect::Keyring } else { Effect::Start };
    let closed = option_access::closed(site).into_iter();
    let counts = closed.filter(|c| c.effect >= least && Some(c.path.as_path()) != apart);
    counts
        .map(|c| {
            let so = if c.effect == Effect::Start { ", so mysqld does not start" } else { "" };
            format!("{} has no permission to read {}{so} ({})", site.user, c.path.shown(), c.fix)
        })
        .collect()
}

/// What mysqld finds that is not as planned.
fn differences(site: &Site, planned: &Host, found: &Configured) -> Vec<String> {
    let host = &found.host;
    let mut all = Vec::new();
    let mut report = |name: &str, is_same: bool, planned: String, found: String| {
        if !is_same {
            let line = site.option(&format!("keyring-external-{name}"));
            let place = line.map(|line| format!(" ({})", line.place())).unwrap_or_default();
            all.push(format!("{} is \"{found}\", not \"{planned}\"{place}", name.replace('-', "_")));
        }
    };
    let paths = |host: &Host| host.mirrors.iter().map(|m| m.shown()).collect::<Vec<_>>().join(", ");
    // A path may contain the sign between paths.
    report("mirrors", planned.mirrors == host.mirrors, paths(planned), paths(host));
    let mut compare = |name: &str, planned: String, found: String| {
        report(name, planned == found, planned, found);
    };
    compare("data", planned.keyring.shown(), host.keyring.shown());
    compare("unlock", source(&planned.unlock), source(&host.unlock));
    compare("min-copies", planned.min_copies.to_string(), host.min_copies.to_string());
    compare("wait", planned.wait.to_string(), host.wait.to_string());
    compare("allow-same-device", planned.allow_same_device.to_string(), host.allow_same_device.to_string());
    compare("read-only", planned.read_only.to_string(), host.read_only.to_string());
    let log = |host: &Host| {
        let path = host.audit.path.as_ref().map_or_else(|| "none".to_owned(), |path| path.shown());
        format!("{path} {}", host.audit.forward.name()).trim_end().to_owned()
    };
    compare("audit-log", log(planned), log(host));
    compare("auto-create", planned.auto_create.to_string(), host.auto_create.to_string());
    all
}

/// Asks mysqld which options it reads; `--print-defaults` makes it print them and end. Says what is missing. A mysqld below
/// a root is not run.
fn denied(site: &Site, planned: &Host) -> Option<String> {
    let chosen = site.defaults.chosen.as_ref().filter(|_| !site.is_below())?;
    let mut command = Command::new(&site.mysqld);
    // If mysqld does not take --print-defaults at this place, --version keeps it from starting.
    command.args(chosen).args(["--print-defaults", "--version"]).env_clear().envs(site.environment.clone());
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let printed = String::from_utf8_lossy(&output.stdout).replace('_', "-");
    if !output.status.success() || printed.trim().is_empty() {
        return None;
    }
    let data = format!("--keyring-external-data={}", planned.keyring.to_string_lossy()).replace('_', "-");
    let missing = ["--early-plugin-load=", &data].into_iter().find(|option| !printed.contains(option))?;
    Some(format!("{} --print-defaults does not print {missing}", site.mysqld.shown()))
}
