// SPDX-License-Identifier: GPL-2.0-or-later
//! The section on the audit log.

use super::super::audit::{AuditFacts, LogLine, VerifiedLog};
use super::super::facts::Facts;
use super::parts::{Column, Name, known, number, table, text, unknown};
use crate::commands::output::counted;
use crate::show::{Shown, visible};
use maud::{Markup, html};

pub(super) fn section(facts: &Facts) -> Markup {
    html! {
        section aria-labelledby="audit" {
            h2 id="audit" { "Audit log" }
            (known(&facts.audit, |audit| match &audit.file {
                None => html! {
                    p { span class="state risk" { "The server keeps none." }
                        " Who opened the keyring, and who made, removed or destroyed keys, is not recorded." }
                },
                Some(file) => measured(audit, &file.shown()),
            }))
        }
    }
}

fn measured(audit: &AuditFacts, file: &str) -> Markup {
    let faults = audit.faults();
    html! {
        dl {
            dt { "Log" } dd { (Name(file)) }
            dt { "Files that were read" }
            dd {
                @if audit.files.is_empty() { "none: there is no file" }
                @for (i, file) in audit.files.iter().enumerate() { @if i > 0 { ", " } (Name(file.shown())) }
            }
            dt { "Result" }
            dd {
                @if faults.is_empty() && audit.logs.is_empty() { span class="state risk" { "no line was written yet" } }
                @else if faults.is_empty() { span class="state good" { "verified" } ": no line was changed, moved or is missing" }
                @else { span class="state bad" { (counted(faults.len(), "fault")) } ", listed below" }
            }
            dt { "Noted by the keyring" }
            dd {
                @match audit.note {
                    None => "no line: what was removed at the end does not show",
                    Some(note) => { "line " (note.number) " of the log " (Name(note.log)) },
                }
            }
            dt { "Lines that were lost" }
            dd {
                @match audit.failures {
                    None => (unknown("this server does not count them")),
                    Some(0) => span class="state good" { "none, as the server counts since it started" },
                    Some(n) => { span class="state bad" { (n) } ", as the server counts since it started" },
                }
            }
        }
        @if !faults.is_empty() {
            h3 { "What is wrong with the log" }
            ul { @for fault in &faults { li { (visible(fault)) } } }
        }
        @for log in &audit.logs { (one(log)) }
        @if audit.logs.iter().any(|log| log.checked.counts.lines > 0) {
            (table("What its lines tell, and the last line of each kind", &columns(), audit.events.iter().map(|group| {
                let last = group.last.as_ref();
                vec![
                    html! { (group.name) },
                    html! { (group.lines) },
                    html! { @if let Some(line) = last { (visible(&line.time)) } },
                    html! { @if let Some(line) = last { (visible(&line.who)) } },
                    html! { @if let Some(line) = last { (told(line)) } },
                ]
            })))
        }
    }
}

fn columns() -> [Column; 5] {
    [
        text("Event"),
        number("Lines"),
        Column("Last", Some("nowrap")),
        Column("By", Some("wide")),
        text("About"),
    ]
}

fn told(line: &LogLine) -> Markup {
    html! {
        (visible(&line.event))
        @if !line.about.is_empty() { ": " (visible(&line.about)) }
        " (line " (line.number) ")"
    }
}

fn one(log: &VerifiedLog) -> Markup {
    let counts = &log.checked.counts;
    html! {
        dl {
            dt { "Id of the log" } dd { (Name(uuid::Uuid::from_bytes(log.checked.log))) }
            dt { "Lines" }
            dd {
                @match &log.checked.range {
                    Some((first, last)) => {
                        (counts.lines) ", from number " (first.seq) " (" (visible(&first.time)) ") to number " (last.seq) " (" (visible(&last.time)) ")"
                    },
                    None => { (counts.lines) ", none of which can be relied on" },
                }
            }
            dt { "Checked" }
            dd { (counts.authentic) " with the key of the keyring, " (counts.by_chain) " by the hash in the next line, " (counts.without_mac) " without a MAC" }
            dt { "Compared with the keyring" }
            dd {
                @if log.checked.compared_with_note { "yes, with the line that it notes" }
                @else { "no: the keyring notes no line of this log" }
            }
            @if !log.remarks.is_empty() {
                dt { "Remarks" }
                dd { ul { @for remark in &log.remarks { li { (visible(remark)) } } } }
            }
        }
    }
}
