// SPDX-License-Identifier: GPL-2.0-or-later
//! The list of all tables, schema by schema.

use super::super::facts::Facts;
use super::super::tables::SchemaRow;
use super::parts::{Column, Name, number, state, table, text};
use super::places::size;
use crate::commands::output::counted;
use crate::show::visible;
use maud::{Markup, html};

/// The sums by schema.
pub(super) fn schemas(facts: &Facts) -> Markup {
    let columns = [
        text("Schema"),
        number("Encrypted"),
        number("Size of these"),
        number("Unencrypted"),
        number("Size of these"),
        number("Not checked"),
        number("Unused"),
        text("New tables"),
    ];
    let rows = facts.schemas.iter().map(|row| {
        let count = |number: usize| html! { @if number > 0 { (number) } };
        let new_tables = html! { @match row.new_tables {
            Some(true) => span class="state good" { "encrypted" },
            Some(false) => span class="state bad" { "NOT encrypted" },
            None => "the server's own",
        } };
        vec![
            html! { (Name(&row.name)) },
            count(row.encrypted),
            size(row.encrypted_bytes),
            count(row.clear),
            size(row.clear_bytes),
            count(row.unknown),
            count(row.unused),
            new_tables,
        ]
    });
    table("Tables by schema", &columns, rows)
}

/// Every table with its state and size. A schema can be closed on the screen.
pub(super) fn list(facts: &Facts) -> Markup {
    html! {
        section aria-labelledby="tables" {
            h2 id="tables" { "All tables" }
            p { "As the server reports them to the MySQL account of this report." }
            @if facts.tables.is_empty() { p { "None." } }
            @for schema in &facts.schemas { (of_schema(facts, schema)) }
        }
    }
}

fn of_schema(facts: &Facts, schema: &SchemaRow) -> Markup {
    let columns =
        [Column("Table", Some("place")), Column("State", Some("nowrap")), number("Size"), text("Details")];
    let tables: Vec<_> = facts.tables.iter().filter(|table| table.schema == schema.name).collect();
    if tables.is_empty() {
        return html! {};
    }
    let sums = [
        (schema.encrypted, "encrypted"),
        (schema.clear, "unencrypted"),
        (schema.unknown, "not checked"),
        (schema.unused, "unused"),
    ];
    let sums = sums.into_iter().filter(|(number, _)| *number > 0);
    let sums: Vec<_> = sums.map(|(number, word)| format!("{number} {word}")).collect();
    let count = tables.len();
    let rows = tables.into_iter().map(|row| {
        vec![
            html! { (Name(&row.name)) },
            state(row.state, false),
            size(row.bytes),
            html! { (visible(&row.about)) },
        ]
    });
    let caption = html! { "Tables of the schema " (Name(&schema.name)) };
    html! {
        details open {
            summary { (Name(&schema.name)) ": " (counted(count, "table")) ", " (sums.join(", ")) }
            (table(caption, &columns, rows))
        }
    }
}
