// SPDX-License-Identifier: GPL-2.0-or-later
//! The section on the keyring: its state, master keys, copies, volumes and slots. It contains no secret.

use super::super::age::days;
use super::super::copies::{CopyFacts, CopyFile, Volume};
use super::super::facts::Facts;
use super::super::keys::{MasterKey, Purpose};
use super::parts::{Column, Name, known, number, table, text, unknown};
use super::{needs, retention};
use crate::commands::output::time;
use crate::commands::remote_facts::RemoteFacts;
use crate::server::{LoadedAs, ServerKeyring};
use crate::show::Shown;
use crate::show::visible;
use keyring_external::keyring::RELOAD_FAILED;
use maud::{Markup, html};

/// The number of keys of each purpose that the page lists, the newest ones; the JSON has all.
const LISTED: usize = 20;

pub(super) fn section(facts: &Facts) -> Markup {
    let keyring = &facts.keyring;
    let way = match &keyring.way {
        LoadedAs::Component => "keyring_external, as a component".to_owned(),
        LoadedAs::Plugin => "keyring_external, as a plugin".to_owned(),
        LoadedAs::Other(name) => format!("{name}, which this report cannot examine"),
        LoadedAs::None => "none is loaded".to_owned(),
        LoadedAs::Unknown(why) => format!("not checked: {why}"),
    };
    html! {
        section aria-labelledby="keyring" {
            h2 id="keyring" { "Keyring and master keys" }
            dl {
                dt { "Keyring" } dd { (visible(&way)) }
                @if keyring.is_ours() {
                    dt { "State" } dd { (state(&keyring.state)) }
                    dt { "Id" } dd { (Name(&keyring.id)) }
                    dt { "Generation" } dd { (keyring.generation) " (number of changes)" }
                    dt { "Keys" } dd { (keyring.keys) }
                    dt { "Copies up to date" } dd { (keyring.copies.0) " of " (keyring.copies.1) }
                    dt { "Last change" } dd { (last_change(facts)) }
                    dt { "Witness" } dd { (known(&facts.witness, |seen| match seen {
                        None => html! { "the data directory has none" },
                        Some(w) => html! { "the data directory was last used with keyring " (Name(w.id)) ", generation " (w.generation) },
                    })) }
                    @if !keyring.last_error.is_empty() { dt { (last_failure(keyring)) } dd { (visible(&keyring.last_error)) } }
                }
            }
            h3 { "Master keys" }
            (known(&facts.keys, |keys| master_keys(facts, keys)))
            @if keyring.is_ours() {
                (needs::section(facts))
                (retention::section(facts))
                h3 { "Copies, and where they are" }
                @if facts.copies.is_empty() { p { (unknown("the server reports none")) } }
                @for (i, copy) in facts.copies.iter().enumerate() { (one(i + 1, copy)) }
            }
        }
    }
}

/// What the server's last error is called: it keeps an error after its cause is gone, but a failed reload until another
/// one succeeds.
fn last_failure(keyring: &ServerKeyring) -> &'static str {
    let is_well = matches!(keyring.state.as_str(), "ATTACHED" | "READ_ONLY");
    if is_well && !keyring.last_error.starts_with(RELOAD_FAILED) {
        "Last failure (its cause is gone)"
    } else {
        "Last failure"
    }
}

fn state(state: &str) -> Markup {
    let class = match state {
        "ATTACHED" | "READ_ONLY" => "state good",
        "DEGRADED" => "state risk",
        _ => "state bad",
    };
    html! { span class=(class) { (visible(state)) } }
}

/// Shows when the newest copy was written.
fn last_change(facts: &Facts) -> Markup {
    let written = facts.copies.iter().filter_map(|c| c.file.measured()?.written).max();
    match written {
        Some(at) => html! { (time(at)) ", according to the volume" },
        None => unknown("no copy in a file could be read"),
    }
}

fn master_keys(facts: &Facts, keys: &[MasterKey]) -> Markup {
    let in_use = facts.in_use();
    let groups = [Purpose::Innodb, Purpose::BinaryLogs, Purpose::Other]
        .map(|purpose| (purpose, keys.iter().filter(|k| k.purpose == purpose).collect::<Vec<_>>()));
    let rotations = groups.iter().filter_map(|(purpose, keys)| {
        let (first, last) = (keys.first()?, keys.last()?);
        // MySQL removes old master keys of binary logs: the number tells whether this is the first.
        let is_first = keys.len() == 1 && (last.id.ends_with("-1") || last.id.ends_with("_1"));
        let rotated = if is_first { "none".to_owned() } else { time(last.stored) };
        Some(vec![
            html! { (purpose.name()) },
            html! { (keys.len()) },
            html! { (time(first.stored)) },
            html! { (rotated) },
            html! { (days(facts.measured.saturating_sub(last.stored))) },
            judged(facts, in_use.iter().find(|key| key.purpose == *purpose).copied()),
        ])
    });
    let newest = groups.iter().flat_map(|(_, keys)| keys.iter().rev().take(LISTED)).map(|key| {
        vec![
            html! { (Name(&key.id)) },
            html! { (visible(&key.key_type)) },
            html! { (key.bits) },
            html! { (time(key.stored)) },
            html! { @if let Some(at) = key.retired { (time(at)) } },
        ]
    });
    if keys.is_empty() {
        return html! { p { "There are none: nothing has been encrypted with this keyring yet." } };
    }
    html! {
        (table(
            "Master keys and their rotation",
            &[text("Purpose"), number("Keys"), Column("First", Some("nowrap")), Column("Last rotation", Some("nowrap")), text("Age of the newest"), text("Policy")],
            rotations,
        ))
        p { @match &facts.max_age {
            Some(policy) => { "Policy of this report: a master key in use is rotated after at most " (policy.to_string()) "." }
            None => "No policy was given (--max-age), so that no age is judged.",
        } }
        (table(
            "The newest master keys",
            &[text("Key"), text("Type"), number("Bits"), Column("Stored", Some("nowrap")), Column("Retired", Some("nowrap"))],
            newest,
        ))
        @if groups.iter().any(|(_, keys)| keys.len() > LISTED) {
            p { "The newest " (LISTED) " of each purpose are listed; the JSON has all." }
        }
    }
}

/// Whether the key in use is as young as the policy wants.
fn judged(facts: &Facts, in_use: Option<&MasterKey>) -> Markup {
    match in_use.map(|key| facts.is_too_old(key)) {
        None => html! { "none" },
        Some(None) => html! { "none given" },
        Some(Some(false)) => html! { span class="state good" { "met" } },
        Some(Some(true)) => html! { span class="state risk" { "too old" } },
    }
}

fn one(n: usize, copy: &CopyFacts) -> Markup {
    html! {
        dl {
            dt { "Copy " (n) } dd { (Name(copy.path.shown())) }
            @match &copy.remote {
                Some(facts) => { dt { "Remote" } dd { (known(facts, remote)) } }
                None => { dt { "Volume" } dd { (known(&copy.volume, volume)) } }
            }
            @match copy.file.measured() {
                Some(file) => (copy_file(file)),
                None => {
                    dt { @if copy.remote.is_some() { "Content" } @else { "File" } }
                    dd { (known(&copy.file, |_| html! {})) }
                }
            }
        }
    }
}

fn remote(remote: &RemoteFacts) -> Markup {
    html! {
        (visible(&remote.engine)) ", at " (Name(remote.endpoints.join(", "))) ", "
        @if remote.tls { span class="state good" { "every connection is encrypted (TLS)" } }
        @else { "on the loopback interface, not encrypted" }
        ", " (visible(&remote.login)) ", "
        span class="state good" { "separate from the data directory" }
    }
}

fn volume(volume: &Volume) -> Markup {
    html! {
        (visible(&volume.filesystem)) " on " (Name(&volume.source)) " (device " (visible(&volume.device)) "), mounted at " (Name(volume.mounted_at.shown()))
        @if volume.read_only { ", read-only" }
        @if volume.volatile { ", " span class="state risk" { "lost when the machine stops" } }
        ", "
        @if volume.apart_from_data { span class="state good" { "separate from the data directory" } }
        @else { span class="state risk" { "on the same filesystem as the data directory" } }
    }
}

fn copy_file(file: &CopyFile) -> Markup {
    html! {
        dt { "Id" } dd { (Name(file.id)) @if !file.label.is_empty() { ", labelled " (Name(&file.label)) } }
        dt { "Created" } dd { (time(file.created)) }
        dt { "Generation" } dd { @match file.generation { Some(n) => (n), None => (unknown("it cannot be read")) } }
        dt { "Every byte" } dd { (known(&file.verified, |notes| html! {
            span class=(if notes.is_empty() { "state good" } else { "state risk" }) { "verified" }
            @for note in notes { "; " (visible(note)) }
        })) }
        dt { "Unlock slots" }
        dd { ol { @for slot in &file.slots { li value=(slot.number) { (visible(slot.text())) } } } }
    }
}
