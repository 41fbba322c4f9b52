// SPDX-License-Identifier: GPL-2.0-or-later
//! AppArmor: whether the profile of mysqld lets it open what it needs. The one that MySQL's packages bring does not.

use super::finding::{Findings, Level};
use super::look::Look;
use crate::host::apparmor::{LOCAL_FILE, PROFILE_FILE, Profile, parse};
use crate::host::needs::needs;
use std::fs;
use std::path::{Path, PathBuf};

const RULES: &str = "apparmor-rules";
const DIRECTORY: &str = "/etc/apparmor.d";
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

pub(super) fn check(look: &Look<'_>, found: &mut Findings) {
    found.checks(&[RULES]);
    let Some((file, profile)) = profile(look) else { return };
    match state(look, &file, &profile) {
        State::Enforced => rules(look, &file, &profile, Level::Wrong, found),
        State::Unknown(why) => {
            found.note(RULES, why, "");
            rules(look, &file, &profile, Level::Risk, found);
        }
        State::Off(why) => {
            found.note(RULES, why, "It holds mysqld back from nothing, as long as that is so.")
        }
    }
}

enum State {
    Enforced,
    Off(String),
    Unknown(String),
}

/// The profile that confines mysqld, and its file.
fn profile(look: &Look<'_>) -> Option<(PathBuf, Profile)> {
    let stock = PathBuf::from(PROFILE_FILE);
    let entries = fs::read_dir(look.at_root(Path::new(DIRECTORY))).into_iter().flatten().flatten();
    let others = entries.map(|e| Path::new(DIRECTORY).join(e.file_name())).filter(|p| *p != stock);
    let files: Vec<_> = std::iter::once(stock.clone()).chain(others).collect();
    files.into_iter().find_map(|file| {
        let text = fs::read_to_string(look.at_root(&file)).ok()?;
        let include = |name: &str| texts(look, name);
        let found = parse(&text, &include).into_iter().find(|p| p.confines(&look.host.mysqld))?;
        Some((file, found))
    })
}

/// What an include names: a file, or all files of a directory.
fn texts(look: &Look<'_>, name: &str) -> Option<Vec<String>> {
    let path = look.at_root(&Path::new(DIRECTORY).join(name));
    if path.is_dir() {
        let mut files: Vec<_> =
            fs::read_dir(&path).ok()?.flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
        files.sort();
        return Some(files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect());
    }
    Some(vec![fs::read_to_string(&path).ok()?])
}

fn state(look: &Look<'_>, file: &Path, profile: &Profile) -> State {
    let shown = file.display();
    let name = file.file_name().unwrap_or_default();
    let marked =
        |dir: &str| look.at_root(&Path::new(DIRECTORY).join(dir).join(name)).symlink_metadata().is_ok();
    if !profile.is_enforced() || marked("force-complain") {
        return State::Off(format!("AppArmor's profile {shown} only reports (complain)"));
    }
    if marked("disable") {
        return State::Off(format!("AppArmor's profile {shown} is disabled"));
    }
    if look.site.is_below() {
        // What will be enforced when this system runs.
        return State::Enforced;
    }
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if enabled.trim() != "Y" {
        return State::Off("AppArmor is not active in this kernel".to_owned());
    }
    match fs::read_to_string(LOADED) {
        Err(e) => State::Unknown(format!(
            "{LOADED} cannot be read ({e}): whether the profile {shown} is in force is not known"
        )),
        Ok(loaded) => {
            match loaded.lines().find_map(|line| line.strip_prefix(&profile.name)?.strip_prefix(" (")) {
                Some(mode) if mode.starts_with("enforce") || mode.starts_with("kill") => State::Enforced,
                Some(_) => State::Off(format!("AppArmor's profile {} only reports", profile.name)),
                None => State::Off(format!("AppArmor's profile {shown} is not loaded")),
            }
        }
    }
}

fn rules(look: &Look<'_>, file: &Path, profile: &Profile, level: Level, found: &mut Findings) {
    let missing = profile.missing(&needs(&look.host));
    if missing.is_empty() {
        return;
    }
    let list: Vec<_> = missing
        .iter()
        .map(|m| {
            let denied = if m.denied { ", denied by a rule of its own" } else { "" };
            format!("{} ({}: {}{denied})", m.need.path.display(), m.need.what, m.access)
        })
        .collect();
    let mut fix = vec![format!("in {LOCAL_FILE} (keyringctl setup writes it):")];
    let needed: Vec<_> = missing.iter().map(|m| m.need.clone()).collect();
    let lines = crate::host::apparmor::local_rules(&needed);
    fix.extend(lines.lines().filter(|l| !l.starts_with('#')).map(|l| format!("    {l}")));
    if !profile.not_found.iter().any(|n| n.contains("local/")) && missing.iter().any(|m| m.denied) {
        fix.push(format!("and take the deny rule out of {} or what it includes", file.display()));
    }
    fix.push(format!("then: apparmor_parser -r -T -W {}", file.display()));
    found
        .add(
            level,
            RULES,
            format!("AppArmor's profile {} does not let mysqld open what the keyring needs: {}", file.display(), list.join("; ")),
            "mysqld then starts, without a keyring and without a word but in the kernel's log; what is encrypted cannot be read.",
            &fix,
        )
        .path = Some(file.to_owned());
}
