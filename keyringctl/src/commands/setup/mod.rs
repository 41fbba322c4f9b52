// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup`: makes the keyring and writes what mysqld, systemd and AppArmor need for it.

mod ask;
mod change;
mod choices;
mod files;
mod keyring;

use super::doctor::leftovers;
use super::output::Output;
use super::site;
use super::{Verdict, init};
use crate::error::{Error, Result};
use crate::host::apparmor::PROFILE_FILE;
use crate::host::files::selinux_commands;
use crate::host::{Host, Way};
use ask::Ask;
use change::{Change, Found};
use keyring_external::store::real::RealFs;
use keyring_external::store::volume::directory_of;
use keyring_external::unlock::UnlockSource;
use serde_json::json;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Make a keyring, and write what mysqld, systemd and AppArmor need for it
///
/// Asks for what is not given, shows every file that it would write, and asks again before it writes. A file that is
/// there with other contents is shown as a difference and kept as FILE.bak. Nothing is restarted.
#[derive(clap::Args)]
#[group(id = "setup")]
#[command(after_help = "Examples:\n  \
    keyringctl setup\n  \
    keyringctl setup /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --dry-run\n  \
    keyringctl setup /mnt/a/keys/main.keyring --unlock credential:keyring --yes")]
pub(super) struct Args {
    /// The keyring file, on the external volume. One that is there already is used
    path: Option<PathBuf>,
    /// A further copy, on another volume (repeatable)
    #[arg(long = "mirror", value_name = "PATH")]
    mirrors: Vec<PathBuf>,
    /// A name for people, shown by status; readable without the secret
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    label: String,
    /// Where mysqld gets the unlock secret from: file:PATH, credential:NAME (systemd), env:NAME or "command:PROGRAM ARGS".
    /// A file that is not there is made, with 32 random bytes [default: file:/etc/mysql/keyring_external.secret]
    #[arg(long, value_name = "SOURCE")]
    unlock: Option<UnlockSource>,
    /// The file that systemd hands to mysqld as that credential [default: /etc/mysql/keyring_external.secret]
    #[arg(long, value_name = "PATH")]
    credential_file: Option<PathBuf>,
    /// How mysqld loads it [default: component from 8.4 on, plugin before]
    #[arg(long = "as", value_name = "WAY")]
    load_as: Option<LoadAs>,
    /// On how many copies a new key must be before MySQL gets it
    #[arg(long, value_name = "N", default_value_t = 1)]
    min_copies: u32,
    /// Seconds that mysqld waits at start for a volume that mounts late
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    wait: u32,
    /// Allow the keyring on the data directory's own filesystem: whoever takes that disk has both
    #[arg(long)]
    allow_same_device: bool,
    /// Take other keyrings out of the manifest. Import their keys first: keyringctl import
    #[arg(long)]
    replace_keyring: bool,
    /// The directory for the option file [default: /etc/mysql/mysql.conf.d, /etc/mysql/conf.d or /etc/my.cnf.d]
    #[arg(long, value_name = "DIR")]
    option_dir: Option<PathBuf>,
    /// Write nothing for it (repeatable)
    #[arg(long, value_name = "PART")]
    without: Vec<Part>,
    /// Ask nothing: write all
    #[arg(long)]
    yes: bool,
    /// Show every file that would be written, and write nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    site: site::Args,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum LoadAs {
    Plugin,
    Component,
}

impl From<LoadAs> for Way {
    fn from(way: LoadAs) -> Way {
        match way {
            LoadAs::Plugin => Way::Plugin,
            LoadAs::Component => Way::Component,
        }
    }
}

/// What can be left out.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Systemd,
    Apparmor,
}

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
