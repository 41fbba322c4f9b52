// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks whether mysqld's AppArmor profile lets it open what the keyring needs. The profile in MySQL's packages does not.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use crate::host::apparmor::{LOCAL_FILE, PROFILE_FILE, Profile, parse};
use crate::host::needs::needs;
use std::fs;
use std::path::{Path, PathBuf};

const RULES: &str = "apparmor-rules";
const DIRECTORY: &str = "/etc/apparmor.d";
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&[RULES]);
    let Some((file, profile)) = profile(view) else { return };
    match state(view, &file, &profile) {
        ProfileState::Enforced => rules(view, &file, &profile, FindingLevel::Error, found),
        ProfileState::Unknown(why) => {
            found.note(RULES, why, "");
            rules(view, &file, &profile, FindingLevel::Warning, found);
        }
        ProfileState::Off(why) => {
            found.note(RULES, why, "While that is so, AppArmor does not restrict mysqld.")
        }
    }
}

/// Whether the profile is in force.
enum ProfileState {
    Enforced,
    Off(String),
    Unknown(String),
}

/// Returns the profile that confines mysqld, and its file.
fn profile(view: &HostView<'_>) -> Option<(PathBuf, Profile)> {
    let stock = PathBuf::from(PROFILE_FILE);
    let entries = fs::read_dir(view.local_path(Path::new(DIRECTORY))).into_iter().flatten().flatten();
    let others = entries.map(|e| Path::new(DIRECTORY).join(e.file_name())).filter(|p| *p != stock);
    let files: Vec<_> = std::iter::once(stock.clone()).chain(others).collect();
    files.into_iter().find_map(|file| {
        let text = fs::read_to_string(view.local_path(&file)).ok()?;
        let include = |name: &str| texts(view, name);
        let found = parse(&text, &include).into_iter().find(|p| p.confines(&view.host.mysqld))?;
        Some((file, found))
    })
}

/// Returns the texts that an include names: a file, or all files of a directory.
fn texts(view: &HostView<'_>, name: &str) -> Option<Vec<String>> {
    let path = view.local_path(&Path::new(DIRECTORY).join(name));
    if path.is_dir() {
        let mut files: Vec<_> =
            fs::read_dir(&path).ok()?.flatten().map(|e| e.path()).filter(|p| p.is_file()).collect();
        files.sort();
        return Some(files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect());
    }
    Some(vec![fs::read_to_string(&path).ok()?])
}

fn state(view: &HostView<'_>, file: &Path, profile: &Profile) -> ProfileState {
    let shown = file.display();
    let name = file.file_name().unwrap_or_default();
    let marked =
        |dir: &str| view.local_path(&Path::new(DIRECTORY).join(dir).join(name)).symlink_metadata().is_ok();
    if !profile.is_enforced() || marked("force-complain") {
        return ProfileState::Off(format!("the AppArmor profile {shown} only logs (complain mode)"));
    }
    if marked("disable") {
        return ProfileState::Off(format!("the AppArmor profile {shown} is disabled"));
    }
    if view.site.is_below() {
        // It will be enforced when this system runs.
        return ProfileState::Enforced;
    }
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if enabled.trim() != "Y" {
        return ProfileState::Off("AppArmor is not active in this kernel".to_owned());
    }
    match fs::read_to_string(LOADED) {
        Err(e) => ProfileState::Unknown(format!(
            "cannot read {LOADED} ({e}) to check whether the profile {shown} is in force"
        )),
        Ok(loaded) => {
            match loaded.lines().find_map(|line| line.strip_prefix(&profile.name)?.strip_prefix(" (")) {
                Some(mode) if mode.starts_with("enforce") || mode.starts_with("kill") => {
                    ProfileState::Enforced
                }
                Some(_) => ProfileState::Off(format!(
                    "the AppArmor profile {} only logs (complain mode)",
                    profile.name
                )),
                None => ProfileState::Off(format!("the AppArmor profile {shown} is not loaded")),
            }
        }
    }
}

fn rules(view: &HostView<'_>, file: &Path, profile: &Profile, level: FindingLevel, found: &mut Findings) {
    let missing = profile.missing(&needs(&view.host));
    if missing.is_empty() {
        return;
    }
    let list: Vec<_> = missing
        .iter()
        .map(|m| {
            let denied = if m.denied { ", denied by another rule" } else { "" };
            format!("{} ({}: {}{denied})", m.need.path.display(), m.need.what, m.access)
        })
        .collect();
    let mut fix = vec![format!("in {LOCAL_FILE} (keyringctl setup writes it):")];
    let needed: Vec<_> = missing.iter().map(|m| m.need.clone()).collect();
    let lines = crate::host::apparmor::local_rules(&needed);
    fix.extend(lines.lines().filter(|l| !l.starts_with('#')).map(|l| format!("    {l}")));
    if !profile.not_found.iter().any(|n| n.contains("local/")) && missing.iter().any(|m| m.denied) {
        fix.push(format!("also remove the deny rule from {} or from a file it includes", file.display()));
    }
    fix.push(format!("then run: apparmor_parser -r -T -W {}", file.display()));
    found
        .add(
            level,
            RULES,
            format!("the AppArmor profile {} does not let mysqld open what the keyring needs: {}", file.display(), list.join("; ")),
            "mysqld then starts without a keyring and cannot read encrypted data. Only the kernel's log says why.",
            &fix,
        )
        .path = Some(file.to_owned());
}
