// SPDX-License-Identifier: GPL-2.0-or-later
//! Early plugins: mysqld loads only what the last `early-plugin-load` names, so no other plugin may lose its line.

use super::finding::Findings;
use super::steps::lines_in;
use crate::commands::site::{OPTION_FILE, Site};
use crate::host::Way;
use crate::host::early_plugins::{is_other_keyring, library, missing_from};
use crate::server::OptionLine;
use crate::show::Shown;

pub(in crate::commands) const EARLY: &str = "early-plugin-load";
const CHECK: &str = "early-plugins";

/// The last line with early plugins before `before` that setup did not write.
fn of_others<'s>(site: &'s Site, before: &OptionLine) -> Option<&'s OptionLine> {
    let is_same = |line: &&OptionLine| (&line.file, line.line) == (&before.file, before.line);
    let earlier: Vec<_> = site.all_options(EARLY).take_while(|line| !is_same(line)).collect();
    earlier.into_iter().rfind(|line| line.file.file_name().is_none_or(|name| name != OPTION_FILE))
}

/// Checks the lines before `loaded`, which is the last one.
pub(super) fn check(site: &Site, loaded: &OptionLine, found: &mut Findings) {
    found.run_checks(&[CHECK]);
    let Some(lost) = of_others(site, loaded) else { return };
    let value = loaded.value.as_deref().unwrap_or_default();
    let mut names = missing_from(lost.value.as_deref().unwrap_or_default(), value);
    names.retain(|entry| !is_other_keyring(library(entry)));
    if names.is_empty() {
        return;
    }
    let names = names.join(";");
    let mut fix = set_early(loaded, &format!("{value};{names}"));
    fix.push(format!("or, if it is not needed, remove it from {}", lost.place()));
    found.warning(
        CHECK,
        &lost.file,
        format!("{} loads {names}, but {} replaces that line", lost.place(), loaded.place()),
        "mysqld loads only what the last early-plugin-load names.",
        &fix,
    );
}

/// How to change what the last `early-plugin-load` names.
pub(super) fn set_early(last: &OptionLine, value: &str) -> Vec<String> {
    if last.line == 0 {
        return vec![format!("in {}, set: {EARLY} = {value}", last.source())];
    }
    let option = format!("{EARLY} = {value}");
    lines_in(&last.file, &["[mysqld]", &option])
}

/// How to remove the plugin that this line loads, as the end of a sentence.
pub(in crate::commands) fn how_to_remove(site: &Site, loaded: &OptionLine) -> String {
    let others = missing_from(loaded.value.as_deref().unwrap_or_default(), Way::Plugin.library()).join(";");
    let is_own = loaded.line > 0 && loaded.file.file_name().is_some_and(|name| name == OPTION_FILE);
    if !is_own {
        let rest = if others.is_empty() { String::new() } else { format!(" (leave {EARLY} = {others})") };
        let is_ours = |line: &&OptionLine| {
            line.name == "keyring-external" || line.name.starts_with("keyring-external-")
        };
        let mut lines = vec![loaded.place()];
        lines.extend(site.options.entries.iter().filter(is_ours).map(OptionLine::place));
        lines.dedup();
        return format!("remove {EARLY} of the plugin{rest} and its options: {}", lines.join(", "));
    }
    let mut what = format!("delete {}", loaded.file.shown());
    if !others.is_empty() {
        what.push_str(&format!(
            " (another option file must then name what it loads too: {EARLY} = {others})"
        ));
    }
    if let Some(line) = include_of(site, loaded) {
        what.push_str(&format!(
            " and {line}, which includes it: mysqld prints an [ERROR] at each start for an include of a missing file"
        ));
    }
    what
}

/// The line that includes the file of `loaded`, as opposed to its directory.
fn include_of(site: &Site, loaded: &OptionLine) -> Option<String> {
    let file = site.seen(&loaded.file).to_string_lossy().into_owned();
    let including = site.options.includes.iter().filter(|(included, _)| *included == loaded.file);
    including.into_iter().find_map(|(_, by)| {
        let text = site.text(&site.seen(by)).ok().flatten()?;
        let is_include = |line: &str| {
            let path = line.trim().strip_prefix('!')?.trim_start().strip_prefix("include")?;
            (path.starts_with(char::is_whitespace) && path.contains(&file)).then_some(())
        };
        let number = text.lines().position(|line| is_include(line).is_some())?;
        Some(format!("{} line {}", by.shown(), number + 1))
    })
}
