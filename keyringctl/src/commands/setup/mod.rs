// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup`: creates the keyring and writes the configuration of mysqld, systemd, AppArmor and SELinux for it.

mod apparmor;
mod args;
mod ask;
mod audit_log;
pub(super) mod change;
mod choices;
mod copies;
mod directory;
mod doubts;
mod existing;
mod files;
mod keyring;
mod placement;
mod present;
mod read_back;
mod remote_entry;
mod remote_rights;
mod remotes;
mod secret_file;
mod selinux;
mod writable;

pub(super) use args::Args;

use super::audit_trail;
use super::doctor::leftovers;
use super::doctor::ordinary::{is_ordinary, with_sudo};
use super::handout::{self, Wait};
use super::output::{Output, counted};
use super::remote_files::remote_files;
use super::site;
use super::store_places::use_remotes_of_server;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::host::{Host, Way};
use crate::show::Shown;
use ask::Prompt;
use change::{ExistingFile, FileChange};
use existing::Existing;
use keyring_external::custodians::Custodians;
use keyring_external::store::file::real::RealFs;
use serde_json::{Value, json};
use std::io::BufRead;

const NOTHING: &str = "Nothing to change: all of this is set up already.";

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    let asks = !args.yes && !out.is_json() && ask::has_terminal();
    if !asks && !args.yes && !args.dry_run {
        return Err(Error::Usage(
            "cannot prompt: no terminal. Give --yes to write everything, or --dry-run to see what would be written"
                .to_owned(),
        ));
    }
    let mut stdin = std::io::stdin().lock();
    let typed: &mut dyn BufRead = &mut stdin;
    let mut prompt = if asks { Prompt::interactive(typed) } else { Prompt::non_interactive() };
    let site = args.site.look()?;
    if !site.is_below() && is_ordinary(&site) {
        return Err(Error::Usage(format!(
            "setup reads and writes files that are closed to an ordinary user. Nothing was changed. Run it with sudo: {}",
            with_sudo()
        )));
    }
    doubts::refuse(&site)?;
    let existing = existing::find(args, &site)?;
    let mut host = choices::choose(args, &site, &existing, &mut prompt)?;
    use_remotes_of_server(&site.at(&host.remotes));
    remotes::describe((args, &site), &host, &mut prompt, out)?;
    host.remote_files = remote_files(&host);
    let plan = keyring::plan(&site, &host, &existing.copies(), args.new_keyring)?;
    let audit = audit_log::plan(&site, &host, existing.host.as_ref())?;
    let custodians = choose_custodians(args, &plan, &mut prompt)?;
    let changes = files::changes(args, &site, &host)?;
    let labels = selinux::plan(args, &site, &host);
    show(&host, &existing, plan.lines().into_iter().chain(audit.lines(&site)), &changes, out);
    labels.show(out);
    let is_done = plan.is_done() && audit.is_done();
    let nothing = is_done && changes.iter().all(|c| c.found == ExistingFile::Same) && !labels.runs();
    let mut left = leftovers::findings(&site, Some(&host));
    left.retain(|f| !(args.replace_keyring && f.check == leftovers::OTHER_MANIFEST));
    left.extend(existing.lost);
    left.extend(doubts::missing(&site, &host));
    left.extend(selinux::findings(args, &site, &host));
    for finding in &left {
        out.line("");
        finding.print(out);
    }
    let mut document = json!({
        "dry_run": args.dry_run,
        "way": host.way,
        "keyring": plan,
        "audit_log": audit,
        "files": changes,
        "selinux": labels,
        "findings": left,
        "failed": [],
    });
    read_back::foresee(&args.site, &host, &changes)?;
    secret_file::check_access(&site, &host)?;
    if args.dry_run {
        let left = labels.left(Vec::new());
        document["next"] =
            json!(if nothing { left } else { next_steps((args, &site, &host), &plan, &audit, left) });
        out.line("");
        out.line(if nothing { NOTHING } else { "Nothing was written: this was a dry run." });
        out.document(&document);
        return Ok(Verdict::Fine);
    }
    if nothing {
        out.line("");
        out.line(NOTHING);
        document["read_back"] = json!(read_back::check(&args.site, &host)?);
        document["next"] = json!(labels.left(Vec::new()));
        out.document(&document);
        return Ok(Verdict::Fine);
    }
    for change in &changes {
        change.check_writable(&site)?;
    }
    out.flush_text();
    if !prompt.confirm("Write all of this?")? {
        out.line("Nothing was written.");
        return Ok(Verdict::NotFine);
    }
    handout::prepare(args.recovery.pages.as_deref())?;
    audit.carry_out(&site, &host)?;
    if let Some(created) = keyring::carry_out(&site, &host, &plan, &args.label, custodians)? {
        out.line(format_args!("Created keyring {} at {}", created.header.id, host.keyring.shown()));
        document["id"] = json!(created.header.id);
        // Show the recovery key or the shares before anything else can fail.
        let pages = args.recovery.pages.as_deref();
        let mut wait = |question: &str| prompt.line(question, "").map(drop).map_err(std::io::Error::other);
        let wait: Option<Wait<'_>> = if asks { Some(&mut wait) } else { None };
        created.deliver(&RealFs, (pages, &mut document), out, wait)?;
        created.record();
        out.line("");
    }
    if let Some(keyring) = &plan.unlocked {
        audit_trail::attach(keyring);
    }
    let done = write((args, &site, &host), (&plan, &audit), &changes, &labels, &mut document, out);
    if let Err(e) = &done {
        document["error"] = json!(e.to_string());
    }
    out.document(&document);
    done
}

/// Who unlocks a new keyring if its unlock secret is lost: the holder of a recovery key, or custodians.
fn choose_custodians(
    args: &Args,
    plan: &keyring::KeyringPlan,
    prompt: &mut Prompt<'_>,
) -> Result<Option<Custodians>> {
    args.recovery.check()?;
    if !plan.creates() {
        return match args.recovery.custodians {
            Some(_) => Err(Error::Usage(
                "the keyring exists, so setup creates no shares. Nothing was changed. Give it custodians with keyringctl slot add \
                 --new-custodians 2-of-3"
                    .to_owned(),
            )),
            None => Ok(None),
        };
    }
    if args.recovery.custodians.is_none() {
        let question = "If the secret is lost: recovery key (key), or custodians (as 2-of-3)";
        return prompt.checked(question, "key", |typed| match typed {
            "key" => Ok(None),
            typed => typed.parse().map(Some).map_err(Error::Usage),
        });
    }
    Ok(args.recovery.custodians)
}

/// Writes the files, runs the commands and reads back the result. Adds the outcome to the document.
fn write(
    (args, site, host): (&Args, &site::Site, &Host),
    (plan, audit): (&keyring::KeyringPlan, &audit_log::AuditPlan),
    changes: &[FileChange],
    labels: &selinux::LabelPlan,
    document: &mut Value,
    out: &mut Output,
) -> Result<Verdict> {
    document["read_back"] = Value::Null;
    for change in changes {
        if let Some(kept) = change.write(site)? {
            out.line(format_args!(
                "The previous {} was kept as {}",
                change.path.shown(),
                site.seen(&kept).shown()
            ));
        }
    }
    let written = changes.iter().filter(|c| c.found != ExistingFile::Same).count();
    out.line(format_args!("{} written.", counted(written, "file")));
    let failed = labels.run(out);
    document["failed"] = json!(failed);
    let read_back = read_back::check(&args.site, host)?;
    out.line(format_args!("{read_back}."));
    document["read_back"] = json!(read_back);
    let verdict = if failed.is_empty() { Verdict::Fine } else { Verdict::NotFine };
    let next = next_steps((args, site, host), plan, audit, labels.left(failed));
    document["next"] = json!(next);
    out.line("");
    out.line("Next steps:");
    for step in &next {
        out.line(format_args!("    {step}"));
    }
    Ok(verdict)
}

fn show(
    host: &Host,
    existing: &Existing,
    plan: impl Iterator<Item = String>,
    changes: &[FileChange],
    out: &mut Output,
) {
    let way = match host.way {
        Way::Plugin => "the plugin keyring_external",
        Way::Component => "the component component_keyring_external",
    };
    out.line(format_args!("{} will load {way} from {}.", host.mysqld.shown(), host.plugin_dir.shown()));
    if existing.host.is_some() {
        out.line(format_args!(
            "It is configured already, in {}. What no option changes stays as it is.",
            existing.file.shown()
        ));
    }
    out.line("");
    for line in plan {
        out.line(line);
    }
    for change in changes {
        out.line("");
        for line in change.text().trim_end().lines() {
            out.verbatim(line);
        }
    }
}

/// The steps that are left to the administrator, because setup restarts and reloads nothing.
fn next_steps(
    (args, site, host): (&Args, &site::Site, &Host),
    plan: &keyring::KeyringPlan,
    audit: &audit_log::AuditPlan,
    labels: Vec<String>,
) -> Vec<String> {
    let mut steps = Vec::new();
    if files::has_apparmor(args, site) {
        steps.extend(apparmor::reload(site, host));
    }
    steps.extend(labels);
    if files::has_systemd(args, site) {
        steps.push("systemctl daemon-reload".to_owned());
    }
    let (restart, stop, start) = if files::has_systemd(args, site) {
        let systemctl = |what: &str| format!("systemctl {what} {}", host.unit.trim_end_matches(".service"));
        (systemctl("restart"), systemctl("stop"), systemctl("start"))
    } else {
        ("restart mysqld".to_owned(), "stop mysqld".to_owned(), "start mysqld".to_owned())
    };
    match &plan.accept {
        Some(accept) => steps.extend([stop, accept.clone(), start]),
        None => steps.push(restart),
    }
    steps.push("keyringctl doctor".to_owned());
    steps.extend(audit.step());
    steps
}
