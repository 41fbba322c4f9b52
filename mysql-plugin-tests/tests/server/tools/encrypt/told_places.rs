// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl encrypt` says of places, and following what it says to do.

use mysql_plugin_tests::rig::{Host, place, told};
use serde_json::Value;
use std::process::Command;

/// What `encrypt plan --json` or `verify --json` says.
pub(super) struct Told {
    pub code: i32,
    pub document: Value,
}

/// Runs `keyringctl encrypt ARGS --json` as an account without a password.
pub(super) fn told_to(host: &Host, user: &str, args: &[&str]) -> Told {
    let mut command = Command::new(&place().keyringctl);
    command.arg("encrypt").args(args).args(["--json", "--no-defaults", "--user", user, "--socket"]);
    let output = command.arg(host.socket()).output().unwrap();
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|e| panic!("{args:?} as {user}: {e}: {}", told(&output)));
    Told { code: output.status.code().expect("an exit code"), document }
}

impl Told {
    /// The places with this name.
    pub(super) fn items(&self, name: &str) -> Vec<&Value> {
        let items = self.document["items"].as_array().unwrap();
        items.iter().filter(|item| item["name"] == name).collect()
    }

    /// The only place with this name.
    pub(super) fn item(&self, name: &str) -> &Value {
        let found = self.items(name);
        assert_eq!(found.len(), 1, "{name}: {:#}", self.document["items"]);
        found[0]
    }

    /// The state of the only place with this name.
    pub(super) fn state(&self, name: &str) -> &str {
        self.item(name)["state"].as_str().unwrap()
    }

    /// What the administrator is to do about it.
    pub(super) fn by_hand(&self, name: &str) -> &str {
        let item = self.item(name);
        item["remedy"]["by_hand"].as_str().unwrap_or_else(|| panic!("{item:#}"))
    }

    /// The names of places in a state.
    pub(super) fn names(&self, state: &str) -> Vec<&str> {
        let items = self.document["items"].as_array().unwrap();
        items
            .iter()
            .filter(|item| item["state"] == state)
            .map(|item| item["name"].as_str().unwrap())
            .collect()
    }
}

/// Returns the statements in a text that begin with one of these words, each up to its semicolon.
pub(super) fn statements(text: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = words.iter().filter_map(|word| rest.find(&format!("{word} "))).min() {
        let end = rest[start..].find(';').map_or(rest.len(), |end| start + end);
        found.push(rest[start..end].to_owned());
        rest = &rest[end..];
    }
    found
}
