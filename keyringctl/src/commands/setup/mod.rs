// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup`: makes the keyring and writes what mysqld, systemd and AppArmor need for it.

mod args;
mod ask;
mod change;
mod choices;
mod files;
mod keyring;

pub(super) use args::Args;

use super::doctor::leftovers;
use super::init;
use super::output::Output;
use super::site;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::host::apparmor::PROFILE_FILE;
use crate::host::files::selinux_commands;
use crate::host::{Host, Way};
use ask::Ask;
use change::{Change, Found};
use keyring_external::store::real::RealFs;
use keyring_external::store::volume::directory_of;
use serde_json::json;
use std::io::BufRead;
use std::path::Path;

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let asks = !args.yes && !out.is_json() && ask::terminal();
    if !asks && !args.yes && !args.dry_run {
        return Err(Error::Usage(
            "there is no terminal to ask at: give --yes to write all, or --dry-run to see what would be written".to_owned(),
        ));
    }
    let mut stdin = std::io::stdin().lock();
    let typed: &mut dyn BufRead = &mut stdin;
    let mut ask = if asks { Ask::of(typed) } else { Ask::nobody() };
    let site = args.site.look()?;
    let host = choices::choose(args, &site, &mut ask)?;
    let plan = keyring::plan(&site, &host)?;
    let changes = files::changes(args, &site, &host)?;
    show(&host, &plan, &changes, out);
    let mut left = leftovers::findings(&site, Some(&host));
    left.retain(|f| !(args.replace_keyring && f.check == leftovers::OTHER_MANIFEST));
    for finding in &left {
        out.line("");
        finding.print(out);
    }
    let next = next_steps(args, &site, &host);
    let mut document = json!({
        "dry_run": args.dry_run,
        "way": host.way,
        "keyring": plan,
        "files": changes,
        "findings": left,
        "next": next,
    });
    if args.dry_run {
        out.line("");
        out.line("Nothing was written: this was --dry-run.");
        out.document(&document);
        return Ok(Verdict::Fine);
    }
    out.flush_text();
    if !ask.agrees("Write all this?")? {
        out.line("Nothing was written.");
        return Ok(Verdict::NotFine);
    }
    if let Some(made) = keyring::carry_out(&site, &host, &plan, &args.label)? {
        out.line(format_args!("Made the keyring {} at {}", made.header.id, host.keyring.display()));
        init::show_recovery(&made.recovery, out);
        out.line("");
        document["id"] = json!(made.header.id);
        document["recovery_key"] = json!(made.recovery);
        out.document(&document);
        // Before anything else can fail.
        made.deliver(&RealFs, out)?;
    }
    for change in &changes {
        if let Some(kept) = change.write(&site)? {
            out.line(format_args!(
                "What {} was before is in {}",
                change.path.display(),
                site.seen(&kept).display()
            ));
        }
    }
    out.line(format_args!("{} files written.", changes.iter().filter(|c| c.found != Found::Same).count()));
    out.line("");
    out.line("What is left to do:");
    for step in &next {
        out.line(format_args!("    {step}"));
    }
    out.document(&document);
    Ok(Verdict::Fine)
}

fn show(host: &Host, plan: &keyring::Plan, changes: &[Change], out: &mut Output) {
    let way = match host.way {
        Way::Plugin => "the plugin keyring_external",
        Way::Component => "the component component_keyring_external",
    };
    out.line(format_args!("{} is to load {way} from {}.", host.mysqld.display(), host.plugin_dir.display()));
    out.line("");
    for line in plan.lines() {
        out.line(line);
    }
    for change in changes {
        out.line("");
        out.line(change.shown().trim_end());
    }
}

/// What an administrator still does: nothing is restarted or reloaded here.
fn next_steps(args: &Args, site: &site::Site, host: &Host) -> Vec<String> {
    let mut steps = Vec::new();
    if files::has_apparmor(args, site) {
        steps.push(format!("apparmor_parser -r -T -W {PROFILE_FILE}"));
    }
    if site.at(Path::new("/etc/selinux/config")).exists() {
        host.copies().for_each(|copy| steps.extend(selinux_commands(directory_of(copy))));
    }
    if files::has_systemd(args, site) {
        steps.push("systemctl daemon-reload".to_owned());
        steps.push(format!("systemctl restart {}", host.unit.trim_end_matches(".service")));
    } else {
        steps.push("restart mysqld".to_owned());
    }
    steps.push("keyringctl doctor".to_owned());
    steps
}
