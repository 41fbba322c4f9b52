// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks what `keyringctl --json` prints against docs/schema/keyringctl.json, with as much of JSON Schema as that uses.

use serde_json::Value;
use std::sync::OnceLock;

/// The schema.
pub fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        serde_json::from_str(include_str!("../../docs/schema/keyringctl.json")).expect("a JSON document")
    })
}

/// Panics unless the document has the form that the schema gives its command.
#[track_caller]
pub fn check(document: &Value) {
    let wrong = wrong(document);
    assert!(wrong.is_empty(), "{}\nin {document:#}\n(see docs/schema/keyringctl.json)", wrong.join("\n"));
}

/// What is wrong with a document.
pub fn wrong(document: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    examine(document, schema(), "", &mut wrong);
    wrong
}

fn examine(value: &Value, schema: &Value, at: &str, wrong: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
            "$ref" => examine(value, definition(rule), at, wrong),
            "enum" if !list(rule).contains(value) => wrong.push(format!("{at}: {value} is none of {rule}")),
            "const" if value != rule => wrong.push(format!("{at}: {value} instead of {rule}")),
            "type" if !types(rule).any(|name| is(value, name)) => {
                wrong.push(format!("{at}: {value} is not of type {rule}"))
            }
            "const" | "enum" | "type" => {}
            "required" => {
                let missing = list(rule).iter().filter(|name| value.get(name.as_str().unwrap()).is_none());
                wrong.extend(missing.map(|name| format!("{at}: the field {name} is missing")));
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(field) = value.get(name) {
                        examine(field, rule, &format!("{at}/{name}"), wrong);
                    }
                }
            }
            // Only `false` is used.
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                let fields = value.as_object().into_iter().flatten();
                let more = fields.filter(|(name, _)| !known.contains_key(name.as_str()));
                wrong.extend(more.map(|(name, _)| format!("{at}: the field {name:?} is not in the schema")));
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    examine(item, rule, &format!("{at}/{i}"), wrong);
                }
            }
            "anyOf" => {
                let all = list(rule).iter().map(|rule| problems(value, rule, at));
                let least = all.min_by_key(Vec::len).unwrap_or_default();
                wrong.extend(least);
            }
            "oneOf" => {
                let of_command = |rule: &&Value| {
                    let command = &definition(&rule["$ref"])["properties"]["command"];
                    let several = command["enum"].as_array().into_iter().flatten();
                    several.chain([&command["const"]]).any(|name| *name == value["command"])
                };
                match list(rule).iter().find(of_command) {
                    Some(rule) => examine(value, rule, at, wrong),
                    None => {
                        wrong.push(format!("{at}: the command {} is not in the schema", value["command"]))
                    }
                }
            }
            other => panic!("the schema uses {other}, which is not checked"),
        }
    }
}

fn problems(value: &Value, schema: &Value, at: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    examine(value, schema, at, &mut wrong);
    wrong
}

fn definition(reference: &Value) -> &'static Value {
    let name = reference.as_str().and_then(|text| text.strip_prefix("#/$defs/")).expect("a definition");
    let found = &schema()["$defs"][name];
    assert!(found.is_object(), "{name} is not defined");
    found
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let several = rule.as_array().into_iter().flatten();
    several.chain(rule.as_str().map(|_| rule)).filter_map(Value::as_str)
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("the type {other}"),
    }
}
