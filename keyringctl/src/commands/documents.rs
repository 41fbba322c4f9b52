// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks that docs/JSON.md and docs/schema/ have every command and the same fields. The tests of the command line, and
//! those on a real server, check what is printed against the schema.

use super::Cli;
use clap::{Command, CommandFactory};
use serde_json::Value;

const SCHEMA: &str = include_str!("../../../docs/schema/keyringctl.json");
const PAGE: &str = include_str!("../../../docs/JSON.md");

/// The names of all commands that can be run.
pub(super) fn names(command: &Command, before: &str, found: &mut Vec<String>) {
    for sub in command.get_subcommands() {
        let name = format!("{before} {}", sub.get_name()).trim().to_owned();
        if sub.has_subcommands() {
            names(sub, &name, found);
        }
        if !sub.is_subcommand_required_set() {
            found.push(name);
        }
    }
}

/// The section of the page with this heading.
fn section(heading: &str) -> Option<&'static str> {
    let begin = PAGE.find(&format!("\n### {heading}\n"))? + 5;
    Some(PAGE[begin..].split("\n##").next().unwrap_or_default())
}

/// The fields that a schema names and its section does not, or the other way round.
fn differing(schema: &Value, section: &str) -> Vec<String> {
    let fields = schema["properties"].as_object().expect("fields").keys();
    let fields: Vec<_> =
        fields.filter(|name| !["version", "command", "error"].contains(&name.as_str())).collect();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: Vec<_> = rows.filter(|name| *name != "error").map(str::to_owned).collect();
    let absent = fields.iter().filter(|name| !rows.contains(name)).map(|name| (*name).clone());
    absent.chain(rows.iter().filter(|name| !fields.contains(name)).cloned()).collect()
}

#[test]
fn every_command_has_its_fields_in_the_schema_and_in_the_page() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let definitions = schema["$defs"].as_object().unwrap();
    let mut all = Vec::new();
    names(&Cli::command(), "", &mut all);
    assert!(all.len() > 20, "{all:?}");
    for name in &all {
        let of = definitions.values().find(|d| d["properties"]["command"]["const"] == **name);
        let of = of.unwrap_or_else(|| panic!("docs/schema/keyringctl.json has no {name}"));
        let section = section(&format!("`{name}`")).unwrap_or_else(|| panic!("docs/JSON.md has no {name}"));
        assert_eq!(differing(of, section), [""; 0], "{name}");
    }
    for (name, definition) in definitions.iter().filter(|(_, d)| d["properties"]["command"].is_null()) {
        let section = section(name).unwrap_or_else(|| panic!("docs/JSON.md has no {name}"));
        assert_eq!(differing(definition, section), [""; 0], "{name}");
    }
}

#[test]
fn a_field_that_one_of_them_lacks_is_found() {
    let schema: Value = serde_json::from_str(r#"{"properties": {"error": {}, "a": {}, "b": {}}}"#).unwrap();
    assert_eq!(differing(&schema, "| `a` | string | x |\n| `c` (optional) | x |"), ["b", "c"]);
}
