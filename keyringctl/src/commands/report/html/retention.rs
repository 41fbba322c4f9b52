// SPDX-License-Identifier: GPL-2.0-or-later
//! The parts on retired and destroyed keys.

use super::super::age::days;
use super::super::audit::AuditFacts;
use super::super::facts::Facts;
use super::parts::{Column, Name, known, number, table, text, unknown};
use crate::commands::keys::ServerNeeds;
use crate::commands::output::{counted, time};
use crate::show::visible;
use maud::{Markup, html};

/// The number of destroyed keys that the page lists, the last ones; the JSON has all.
const LISTED: usize = 40;

pub(super) fn section(facts: &Facts) -> Markup {
    html! {
        h3 { "Retired keys" }
        (known(&facts.needs, |needs| retired(facts, needs)))
        h3 { "Destroyed keys" }
        (known(&facts.audit, destroyed))
    }
}

fn retired(facts: &Facts, needs: &ServerNeeds) -> Markup {
    let rows = needs.keys.iter().filter_map(|key| {
        let since = key.retired?;
        Some(vec![
            html! { (Name(&key.id)) @if !key.user.is_empty() { " of user " (Name(&key.user)) } },
            html! { (time(since)) },
            html! { (days(facts.measured.saturating_sub(since))) },
            html! { (visible(key.why())) },
        ])
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return html! { p { "There are none." } };
    }
    let columns = [
        Column("Key", Some("file")),
        Column("Retired on", Some("nowrap")),
        Column("Retired for", Some("nowrap")),
        text("Needed by"),
    ];
    html! {
        (table("Keys that are retired: they still work", &columns, rows))
        p {
            "Uses of retired keys: "
            @match facts.retired_fetches {
                None => (unknown("this server does not count them")),
                Some(0) => { span class="state good" { "none" } " since the server opened the keyring" },
                Some(n) => { span class="state risk" { (n) } " since the server opened the keyring: something still needs one of them" },
            }
        }
    }
}

fn destroyed(audit: &AuditFacts) -> Markup {
    let Some(since) = audit.since().filter(|_| audit.file.is_some()) else {
        let why = "Without an audit log, nothing records which keys were destroyed.";
        return html! { p { (unknown(why)) } };
    };
    let rows = audit.destroyed.iter().take(LISTED).map(|key| {
        vec![
            html! { (Name(&key.key)) },
            html! { (visible(&key.time)) @if !key.confirmed { " " span class="state risk" { "not confirmed" } } },
            html! { (visible(&key.who)) },
            html! { @match key.min_wait_days { Some(days) => (counted_days(days)), None => "not recorded" } },
            html! { (key.number) },
        ]
    });
    let columns = [
        text("Key"),
        Column("Destroyed on", Some("nowrap")),
        text("By"),
        Column("Retired for at least", Some("nowrap")),
        number("Line"),
    ];
    html! {
        @if audit.destroyed.is_empty() { p { "The audit log tells of none since it begins, on " span class="nowrap" { (visible(since)) } "." } }
        @else {
            (table("Keys that were destroyed, the last first, as the audit log tells", &columns, rows))
            @if audit.destroyed.len() > LISTED { p { "The last " (LISTED) " are listed; the JSON has all." } }
            @if audit.destroyed.iter().any(|key| !key.confirmed) {
                p { "Not confirmed: the line was written before the change, and the program ended meanwhile. The list of keys above shows what the keyring holds." }
            }
            p { "The audit log begins on " span class="nowrap" { (visible(since)) } "; of what was destroyed before, it tells nothing." }
        }
        @if !audit.faults().is_empty() { p { "The audit log has faults: lines about destroyed keys may be among those that were changed or are missing." } }
    }
}

fn counted_days(days: u64) -> String {
    counted(usize::try_from(days).unwrap_or(usize::MAX), "day")
}
