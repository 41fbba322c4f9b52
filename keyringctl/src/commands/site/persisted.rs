// SPDX-License-Identifier: GPL-2.0-or-later
//! The keyring's options in `mysqld-auto.cnf`, the file of `SET PERSIST` in the data directory. The server refuses SET
//! PERSIST of them, but what was written into that file in another way wins over option files and the command line.

use super::parts::Site;
use crate::server::{OptionLine, PLUGIN_OPTIONS};
use serde_json::Value;
use std::path::Path;

const FILE: &str = "mysqld-auto.cnf";

/// The options, as lines that follow all others.
pub(super) fn options(site: &Site) -> Vec<OptionLine> {
    let path = site.datadir.join(FILE);
    let loads = site.option("persisted-globals-load").and_then(|line| line.value.clone());
    let is_off =
        loads.is_some_and(|value| ["0", "off", "false"].contains(&value.to_ascii_lowercase().as_str()));
    // A mysqld with --no-defaults does not read it.
    if is_off || site.defaults.files.is_empty() {
        return Vec::new();
    }
    let text = site.text(&path).ok().flatten().unwrap_or_default();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let sections = value.as_object().into_iter().flatten().filter_map(|(_, section)| section.as_object());
    sections.flatten().filter_map(|(name, setting)| line(&site.at(&path), &text, name, setting)).collect()
}

fn line(file: &Path, text: &str, name: &str, setting: &Value) -> Option<OptionLine> {
    let option = name.replace('_', "-");
    PLUGIN_OPTIONS.contains(&option.as_str()).then_some(())?;
    let before = text.split(&format!("\"{name}\"")).next().unwrap_or_default();
    Some(OptionLine {
        group: "mysqld".to_owned(),
        name: option,
        value: Some(setting.get("Value")?.as_str()?.to_owned()),
        file: file.to_owned(),
        line: before.lines().count().max(1),
    })
}
