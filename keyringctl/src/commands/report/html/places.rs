// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables of the places where the server stores data, and of the settings for new data.

use super::super::facts::{Facts, FileFacts};
use super::parts::{Column, Name, known, number, state, table, text};
use crate::commands::encrypt::sizes;
use crate::server::{DataPlace, PlaceKind, PlaceState, Remedy};
use crate::show::Shown;
use crate::show::visible;
use maud::{Markup, html};

/// The kinds of places, in the order of the summary, with their names for people.
const KINDS: [(PlaceKind, &str); 23] = [
    (PlaceKind::Table, "Tables"),
    (PlaceKind::SystemTable, "Tables in the system tablespace"),
    (PlaceKind::OtherEngine, "Tables of other engines"),
    (PlaceKind::Tablespace, "General tablespaces"),
    (PlaceKind::MysqlTablespace, "The tablespace mysql (data dictionary, accounts)"),
    (PlaceKind::FullText, "Full-text indexes"),
    (PlaceKind::Scratch, "Scratch tablespaces of interrupted runs"),
    (PlaceKind::Leftover, "Leftovers of interrupted statements"),
    (PlaceKind::Redo, "Redo log"),
    (PlaceKind::Undo, "Undo tablespaces"),
    (PlaceKind::BinaryLog, "Binary logs"),
    (PlaceKind::RelayLog, "Relay logs"),
    (PlaceKind::Doublewrite, "Doublewrite files"),
    (PlaceKind::SystemTablespace, "System tablespace (ibdata1)"),
    (PlaceKind::Temporary, "Temporary tablespaces and files"),
    (PlaceKind::GeneralLog, "General query log"),
    (PlaceKind::SlowLog, "Slow query log"),
    (PlaceKind::ErrorLog, "Error log"),
    (PlaceKind::Dumps, "Dumps and exports"),
    (PlaceKind::ChangeBuffer, "Change buffer"),
    (PlaceKind::Schema, "Default encryption of schemas"),
    (PlaceKind::Setting, "Encryption of new tables"),
    (PlaceKind::LateSetting, "Settings that MySQL applies too late during startup"),
];

/// The states of a place, the worst last, except that a place that is encrypted is no worse than an unused one.
const WORST: [PlaceState; 6] = [
    PlaceState::Unused,
    PlaceState::Encrypted,
    PlaceState::Cannot,
    PlaceState::Unknown,
    PlaceState::HalfDone,
    PlaceState::Clear,
];

/// Returns the number of places of each kind in each state, and the same of settings.
pub(super) fn summary(facts: &Facts) -> Markup {
    let kinds = |settings: bool| KINDS.into_iter().filter(move |(kind, _)| kind.is_setting() == settings);
    let of = |kind| facts.places.iter().filter(move |place| place.kind == kind);
    let count = |kind, state| number_or_nothing(of(kind).filter(|place| place.state == state).count());
    let worst = |kind: PlaceKind| {
        let worst = WORST.into_iter().rfind(|state| of(kind).any(|place| place.state == *state));
        worst.map_or(html! { span class="state neutral" { "none" } }, |worst| state(worst, kind.is_setting()))
    };
    let places = kinds(false).map(|(kind, name)| {
        use PlaceState::{Cannot, Clear, Encrypted, HalfDone, Unknown, Unused};
        let counts = [Encrypted, Clear, HalfDone, Cannot, Unknown, Unused].map(|state| count(kind, state));
        let bytes = size(of(kind).map(|place| place.bytes).fold(0, u64::saturating_add));
        [html! { (name) }].into_iter().chain(counts).chain([bytes, worst(kind)]).collect()
    });
    let settings = kinds(true).filter(|(kind, _)| of(*kind).next().is_some()).map(|(kind, name)| {
        use PlaceState::{Clear, Encrypted, Unknown};
        let counts = [Encrypted, Clear, Unknown].map(|state| count(kind, state));
        [html! { (name) }].into_iter().chain(counts).chain([worst(kind)]).collect()
    });
    html! {
        (table("Every kind of place, as the server reports it", &[
            Column("Place", Some("wide")), number("Encrypted"), number("Unencrypted"), number("Half-done"), number("Not supported"), number("Not checked"),
            number("Unused"), number("Size"), text("State"),
        ], places))
        (table("Settings that decide whether new data is encrypted", &[
            Column("Setting", Some("wide")), number("Set"), number("NOT SET"), number("Not checked"), text("State"),
        ], settings))
    }
}

fn number_or_nothing(number: usize) -> Markup {
    html! { @if number > 0 { (number) } }
}

/// A size; nothing if the server does not report it.
pub(super) fn size(bytes: u64) -> Markup {
    html! { @if bytes > 0 { (sizes::bytes(bytes)) } }
}

/// Lists what is unencrypted, what is not set, what MySQL cannot encrypt, and what the files show.
pub(super) fn details(facts: &Facts) -> Markup {
    let list = |state, settings, caption| list(facts, state, settings, caption);
    html! {
        section aria-labelledby="clear" {
            h2 id="clear" { "Unencrypted data and settings, item by item" }
            (list(PlaceState::Clear, Some(false), "Unencrypted; could be encrypted or switched off"))
            (list(PlaceState::Clear, Some(true), "Settings that are NOT SET"))
            @if facts.places.iter().any(|place| place.state == PlaceState::HalfDone) {
                (list(PlaceState::HalfDone, None, "Half-done: encrypted, but left where it must not stay"))
            }
            (list(PlaceState::Cannot, None, "Not supported by MySQL"))
            (list(PlaceState::Unknown, None, "Not checked: the server did not show its state"))
        }
        section aria-labelledby="files" {
            h2 id="files" { "What the files show" }
            p { "All of the above is what the server reports. In addition, its files were read: each page shows whether it is encrypted, and a page that the keyring's key decrypts to a correct checksum proves it." }
            (known(&facts.files, files))
        }
    }
}

/// Lists the places in a state: those that are settings, or not, or all.
fn list(facts: &Facts, state: PlaceState, settings: Option<bool>, caption: &'static str) -> Markup {
    let is_listed = |place: &&DataPlace| {
        place.state == state && settings.is_none_or(|settings| place.kind.is_setting() == settings)
    };
    let places: Vec<_> = facts.places.iter().filter(is_listed).collect();
    if places.is_empty() {
        return html! { h3 { (caption) } p { "None." } };
    }
    let columns = [
        Column("Name", Some("place")),
        Column("Kind", Some("nowrap")),
        number("Size"),
        text("Details and what to do"),
    ];
    let rows = places.into_iter().map(|place| {
        let details = html! {
            (visible(&place.about))
            @match &place.remedy {
                Remedy::Apply if matches!(state, PlaceState::Clear | PlaceState::HalfDone) => { (remedy(place, "keyringctl encrypt apply")) }
                Remedy::ByHand(how) => { (remedy(place, how)) }
                _ => {}
            }
        };
        vec![html! { (Name(&place.name)) }, html! { (place.kind.to_string()) }, size(place.bytes), details]
    });
    table(caption, &columns, rows)
}

fn remedy(item: &DataPlace, how: &str) -> Markup {
    html! { @if !item.about.is_empty() { ". " } "What to do: " code { (visible(how)) } }
}

fn files(files: &FileFacts) -> Markup {
    let rows = files.findings.iter().map(|finding| {
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        vec![
            html! { (Name(&finding.what)) },
            html! { (visible(&finding.why)) },
            html! { @if !remedy.is_empty() { code { (visible(remedy)) } } },
        ]
    });
    html! {
        p { (visible(files.seen.line())) "." }
        p { "Directories: " @for (i, dir) in files.directories.iter().enumerate() { @if i > 0 { ", " } (Name(dir.shown())) } "." }
        @if files.seen.unencrypted > 0 {
            p { span class="state bad" { "Unencrypted data" } " was found in " (files.seen.unencrypted) " of them: see the unencrypted places above." }
        }
        @if files.findings.is_empty() {
            @if files.seen.unencrypted == 0 && files.seen.not_read == 0 {
                p { span class="state good" { "No unencrypted data" } " that MySQL could encrypt was found in them." }
            }
        } @else {
            (table(
                "Files that are unencrypted or cannot be decrypted",
                &[Column("File", Some("file")), text("What was found"), text("What to do")],
                rows,
            ))
        }
    }
}
