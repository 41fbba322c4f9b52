// SPDX-License-Identifier: GPL-2.0-or-later
//! The section on restore drills.

use super::super::facts::Facts;
use super::parts::{Column, Name, known, number, table, text};
use crate::commands::output::time;
use maud::{Markup, html};

/// How many drills the page lists, the newest ones; the JSON has all.
const LISTED: usize = 12;

pub(super) fn section(facts: &Facts) -> Markup {
    html! {
        section aria-labelledby="drills" {
            h2 id="drills" { "Restore drills" }
            (known(&facts.drills, |drills| {
                let rows = drills.iter().rev().take(LISTED).map(|drill| {
                    let (class, word) = if drill.passed { ("state good", "passed") } else { ("state bad", "failed") };
                    vec![
                        html! { (time(drill.time)) },
                        html! { span class=(class) { (word) } ": " (Name(drill.result())) },
                        html! { (Name(&drill.backup)) " (" (Name(&drill.kind)) ")" },
                        html! { @if let Some(id) = drill.keyring { (Name(id)) } @else { "a new one" } },
                        html! { (drill.rows) },
                        html! { (Name(&drill.host)) },
                    ]
                });
                let columns = [
                    Column("Date", Some("nowrap")), text("Result"), text("Backup"), text("Keyring"), number("Rows"), text("Host"),
                ];
                html! {
                    @if drills.is_empty() {
                        p { "None is recorded: nothing shows that a backup of this server can be restored. Run " code { "keyringctl drill" } "." }
                    } @else {
                        p { "A drill restores a backup into a server of its own and reads every table. The results were recorded by "
                            code { "keyringctl drill" } "." }
                        (table("The newest drills", &columns, rows))
                    }
                }
            }))
        }
    }
}
