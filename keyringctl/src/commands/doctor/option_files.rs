// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks the server's option files: mysqld reads them, and what they say about our plugin takes effect.

use super::early_plugins::{EARLY, set_early};
use super::finding::{FindingLevel, Findings};
use super::steps::lines_in;
use super::unread;
use crate::commands::site::{OPTION_FILE, Site};
use crate::host::early_plugins::names_ours;
use crate::host::manifest_of;
use crate::server::{AbsentFile, OptionLine, PLUGIN_OPTIONS};
use crate::show::Shown;

pub(super) const FILES: &str = "option-files";
const CONFIGURED: &str = "configured";
const NO_KEYRING: &str = "Started like this, the server has no keyring and encrypts nothing.";

/// Checks that the option files can be read.
pub(super) fn check(site: &Site, found: &mut Findings) {
    for file in &site.options.ignored {
        found.error(
            FILES,
            file,
            format!("every user can write to {}, so MySQL ignores it", file.shown()),
            "Its settings for the keyring have no effect.",
            &[format!("chmod o-w {}", file.shown())],
        );
    }
    let is_own = |absent: &&AbsentFile| absent.path.file_name().is_some_and(|name| name == OPTION_FILE);
    let absent: Vec<_> = site.options.absent.iter().filter(is_own).collect();
    for own in &absent {
        found.warning(
            FILES,
            &own.by,
            own.what(),
            "mysqld prints an [ERROR] at each start.",
            &[
                format!(
                    "delete line {} of {}: !include {}",
                    own.line,
                    own.by.shown(),
                    own.path.to_string_lossy()
                ),
                "or, to load the plugin: keyringctl setup --as plugin".to_owned(),
            ],
        );
    }
    for line in site.options.idle.iter().filter(|line| !absent.iter().any(|own| own.what() == **line)) {
        found.note(FILES, line.clone(), "");
    }
    match &site.option_error {
        Some(why) if site.option_denied => {
            found.note(FILES, format!("could not read an option file: {why}"), "");
        }
        Some(why) => {
            found.add(
                FindingLevel::Error,
                FILES,
                format!("could not read an option file: {why}"),
                "mysqld may not start, and doctor does not know its options.",
                &["correct that file or the line that includes it".to_owned()],
            );
        }
        None => {}
    }
}

/// Returns the line that loads the plugin. The last `early-plugin-load` replaces those before it.
pub(super) fn loads_plugin(site: &Site) -> Option<&OptionLine> {
    site.option(EARLY).filter(|line| names_plugin(line))
}

/// Whether the plugin is among those that a line loads.
pub(super) fn names_plugin(line: &OptionLine) -> bool {
    names_ours(line.value.as_deref().unwrap_or_default())
}

/// The options of the plugin that end mysqld, because nothing loads the plugin.
pub(in crate::commands) fn left_options(site: &Site) -> Vec<&OptionLine> {
    let loads = [EARLY, "plugin-load", "plugin-load-add"];
    if loads.iter().any(|name| site.all_options(name).any(names_plugin)) {
        return Vec::new();
    }
    let is_ours = |line: &&OptionLine| PLUGIN_OPTIONS.contains(&line.name.as_str());
    site.options.entries.iter().filter(is_ours).filter(|line| !is_loose(site, line)).collect()
}

/// Whether a line has the modifier with which mysqld passes over an option that it does not know.
fn is_loose(site: &Site, line: &OptionLine) -> bool {
    let is_loose = |word: &str| word.trim().trim_start_matches('-').to_ascii_lowercase().starts_with("loose");
    if line.line == 0 {
        let name = |word: &str| word.replace('_', "-").contains(&line.name);
        return site.command.iter().any(|word| name(word) && is_loose(word));
    }
    let text = site.text(&site.seen(&line.file)).ok().flatten().unwrap_or_default();
    text.lines().nth(line.line - 1).is_some_and(is_loose)
}

/// Reports options of the plugin while nothing loads it.
pub(super) fn left(site: &Site, found: &mut Findings) {
    let left = left_options(site);
    let Some(first) = left.first() else { return };
    let places: Vec<_> = left.iter().map(|line| line.place()).collect();
    found.error(
        "plugin-options",
        &first.file,
        format!(
            "options of the plugin keyring_external are set, but nothing loads it: {}",
            places.join(", ")
        ),
        "mysqld does not start: it ends with \"unknown variable\".",
        &[format!("remove the options keyring_external*: {}", places.join(", "))],
    );
}

/// Says why mysqld does not load the plugin, as far as its options tell.
pub(super) fn not_loaded(site: &Site, found: &mut Findings) {
    let of = |name| site.all_options(name).filter(|line| names_plugin(line)).last();
    if let Some(late) = of("plugin-load").or_else(|| of("plugin-load-add")) {
        found.error(
            "plugin-options",
            &late.file,
            format!("{} loads the plugin with {}", late.place(), late.name),
            "That is too late: InnoDB starts first, and needs the keyring for encrypted data.",
            &lines_in(&late.file, &["[mysqld]", &format!("{EARLY} = keyring_external.so")]),
        );
    } else if let (Some(ours), Some(last)) = (of(EARLY), site.option(EARLY)) {
        let value = last.value.as_deref().unwrap_or_default();
        let both = if value.is_empty() { String::new() } else { format!("{value};") };
        found.error(
            CONFIGURED,
            &last.file,
            format!(
                "{} replaces the {EARLY} of {}: mysqld loads only what the last one names",
                last.place(),
                ours.place()
            ),
            NO_KEYRING,
            &set_early(last, &format!("{both}keyring_external.so")),
        );
    } else if site.is_snap() {
        found.add(
            FindingLevel::Error,
            CONFIGURED,
            format!("{} is in a snap, which can load no other keyring", site.mysqld.shown()),
            "The server encrypts nothing with this keyring.",
            &["install MySQL from packages, then run keyringctl setup".to_owned()],
        );
    } else if let Some(file) = unread::find(site) {
        let main = site.main_option_file();
        found.error(
            CONFIGURED,
            &file,
            format!("mysqld does not read {}: none of its option files includes it", site.at(&file).shown()),
            NO_KEYRING,
            &[
                "run keyringctl setup with the same keyring and copies: it writes them where mysqld reads them"
                    .to_owned(),
                "or let an option file that it reads include them:".to_owned(),
            ]
            .into_iter()
            .chain(lines_in(&site.at(&main), &[&format!("!include {}", file.to_string_lossy())]))
            .collect::<Vec<_>>(),
        );
    } else {
        found.add(
            FindingLevel::Error,
            CONFIGURED,
            format!(
                "mysqld does not load keyring_external: neither the manifest {} nor {EARLY} in an option file names it",
                site.at(&manifest_of(&site.mysqld)).shown()
            ),
            &format!("{NO_KEYRING} {}", read_files(site)),
            &["keyringctl setup".to_owned()],
        );
    }
}

/// Names the option files that were read.
fn read_files(site: &Site) -> String {
    let files: Vec<_> = site.options.files.iter().map(|file| file.shown()).collect();
    match files.len() {
        0 => "mysqld reads no option file here.".to_owned(),
        1..=9 => format!("Option files: {}.", files.join(", ")),
        count => format!("Option files: {}, and {} more.", files[..9].join(", "), count - 9),
    }
}
