// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks whether mysqld's AppArmor profile lets it open what the keyring needs. The profile in MySQL's packages does not.

use super::finding::{FindingLevel, Findings};
use super::host_view::HostView;
use crate::commands::apparmor::{FoundProfile, profiles};
use crate::host::apparmor::{DIRECTORY, MissingAccess, include_line, local_rules};
use crate::host::needs::needs;
use crate::show::Shown;
use std::fs;

const RULES: &str = "apparmor-rules";
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

pub(super) fn check(view: &HostView<'_>, found: &mut Findings) {
    found.run_checks(&[RULES]);
    let all = profiles(view.site, &view.host.mysqld);
    for profile in &all {
        match state(view, profile) {
            ProfileState::Enforced => rules(view, profile, FindingLevel::Error, found),
            ProfileState::Unknown(why) => {
                found.note(RULES, why, "");
                rules(view, profile, FindingLevel::Warning, found);
            }
            ProfileState::Off(why) => {
                found.note(RULES, why, "While that is so, AppArmor does not restrict mysqld.")
            }
        }
    }
    let loaded: Vec<_> = all.iter().filter(|profile| !profile.is_marked(view.site, "disable")).collect();
    twice(&loaded, found);
}

/// Whether the profile is in force.
enum ProfileState {
    Enforced,
    Off(String),
    Unknown(String),
}

/// Reports profiles of one name. A copy of a profile in the same directory is one, whatever its ending.
fn twice(all: &[&FoundProfile], found: &mut Findings) {
    for (i, later) in all.iter().enumerate() {
        let earlier = all.iter().take(i).find(|earlier| earlier.profile.name == later.profile.name);
        if let Some(earlier) = earlier {
            found.warning(
                RULES,
                &later.file,
                format!(
                    "{} and {} both contain the profile {}",
                    earlier.file.shown(),
                    later.file.shown(),
                    later.profile.name
                ),
                "AppArmor loads both, and the one that it loads last counts.",
                &[format!(
                    "move the one that is not meant, {} or {}, out of {DIRECTORY}",
                    earlier.file.shown(),
                    later.file.shown()
                )],
            );
        }
    }
}

fn state(view: &HostView<'_>, found: &FoundProfile) -> ProfileState {
    let (shown, profile) = (found.file.shown(), &found.profile);
    if !profile.is_enforced() || found.is_marked(view.site, "force-complain") {
        return ProfileState::Off(format!("the AppArmor profile {shown} only logs (complain mode)"));
    }
    if found.is_marked(view.site, "disable") {
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

fn rules(view: &HostView<'_>, of: &FoundProfile, level: FindingLevel, found: &mut Findings) {
    let missing = of.profile.missing(&needs(&view.host));
    if missing.is_empty() {
        return;
    }
    let list: Vec<_> = missing
        .iter()
        .map(|m| {
            let denied = if m.denied { ", denied by another rule" } else { "" };
            format!("{} ({}: {}{denied})", m.need.path.shown(), m.need.what, m.access)
        })
        .collect();
    found
        .add(
            level,
            RULES,
            format!("the AppArmor profile {} does not let mysqld open what the keyring needs: {}", of.file.shown(), list.join("; ")),
            "mysqld then starts without a keyring and cannot read encrypted data. Only the kernel's log says why.",
            &remedy(view, of, &missing),
        )
        .path = Some(of.file.clone());
}

/// The lines that are missing, and where.
fn remedy(view: &HostView<'_>, of: &FoundProfile, missing: &[MissingAccess]) -> Vec<String> {
    let mut fix = Vec::new();
    if !of.includes_local {
        fix.push(format!(
            "in {}, before the closing brace of the profile {}, which includes no file for local rules:",
            view.local_path(&of.file).shown(),
            of.profile.name
        ));
        fix.push(format!("    {}", include_line(&of.local)));
    }
    let needed: Vec<_> = missing.iter().map(|m| m.need.clone()).collect();
    let lines = local_rules(&needed);
    let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with('#')).collect();
    let present = fs::read_to_string(view.local_path(&of.local)).unwrap_or_default();
    // The file may have the rules, and the profile not include it.
    if of.includes_local || lines.iter().any(|line| !present.contains(line)) {
        let by = if of.includes_local { " (keyringctl setup writes it)" } else { "" };
        fix.push(format!("in {}{by}:", view.local_path(&of.local).shown()));
        fix.extend(lines.iter().map(|line| format!("    {line}")));
    }
    if missing.iter().any(|m| m.denied) {
        fix.push(format!(
            "also remove the deny rule from {} or from a file it includes",
            view.local_path(&of.file).shown()
        ));
    }
    fix.push(format!("then run: {}", of.reload()));
    fix
}
