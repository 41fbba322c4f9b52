// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks that no other early plugin loses its line: mysqld loads only what the last `early-plugin-load` names.

use super::finding::Findings;
use crate::commands::site::{OPTION_FILE, Site};
use crate::host::early_plugins::{is_other_keyring, library, missing_from};
use crate::server::OptionLine;

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
    found.warning(
        CHECK,
        &lost.file,
        format!("{} loads {names}, but {} replaces that line", lost.place(), loaded.place()),
        "mysqld loads only what the last early-plugin-load names.",
        &[
            format!("in {}: {EARLY} = {value};{names}", loaded.place()),
            format!("or, if it is not needed, remove it from {}", lost.place()),
        ],
    );
}
