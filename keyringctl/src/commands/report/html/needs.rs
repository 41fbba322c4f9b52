// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of all keys by age, and what needs each.

use super::super::age::days;
use super::super::facts::Facts;
use super::parts::{Column, Name, known, table, text};
use crate::commands::output::{counted, time};
use crate::show::visible;
use maud::{Markup, html};

/// The number of keys that the page lists, the oldest ones; the JSON has all.
const LISTED: usize = 40;

pub(super) fn section(facts: &Facts) -> Markup {
    html! {
        h3 { "Keys by age, and what needs them" }
        (known(&facts.needs, |needs| {
            let rows = needs.keys.iter().take(LISTED).map(|key| vec![
                html! { (Name(&key.id)) @if !key.user.is_empty() { " of user " (Name(&key.user)) } },
                html! { (days(facts.measured.saturating_sub(key.stored))) },
                html! { @if let Some(at) = key.retired { span class="state neutral" { "retired" } " " span class="nowrap" { (time(at)) } } },
                html! { (visible(key.why())) },
            ]);
            let columns = [Column("Key", Some("file")), Column("Age", Some("nowrap")), text("Retired"), text("Needed by")];
            html! {
                @if needs.keys.is_empty() { p { "There are none." } }
                @else { (table("Keys, the oldest first", &columns, rows)) }
                @if needs.keys.len() > LISTED { p { "The oldest " (LISTED) " are listed; the JSON has all." } }
                @if needs.unread > 0 { p { (counted(needs.unread, "place")) " could not be judged, so that no key counts as unneeded." } }
                p { "Only the files of this server were read. Backups, replicas and copies of logs may need a key too: keyringctl keys needed reads them." }
            }
        }))
    }
}
