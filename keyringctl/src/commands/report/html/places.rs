// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables of the places where the server stores data.

use super::super::facts::{Facts, FileFacts};
use super::parts::{Name, known};
use crate::commands::encrypt::sizes;
use crate::server::{DataPlace, PlaceKind, PlaceState, Remedy};
use crate::show::Shown;
use crate::show::visible;
use maud::{Markup, html};

/// The kinds of places, in the order of the summary, with their names for people.
const KINDS: [(PlaceKind, &str); 22] = [
    (PlaceKind::Table, "Tables"),
    (PlaceKind::SystemTable, "Tables in the system tablespace"),
    (PlaceKind::OtherEngine, "Tables of other engines"),
    (PlaceKind::Tablespace, "General tablespaces"),
    (PlaceKind::MysqlTablespace, "The tablespace mysql (data dictionary, accounts)"),
    (PlaceKind::FullText, "Full-text indexes"),
    (PlaceKind::Leftover, "Leftovers of interrupted statements"),
    (PlaceKind::Redo, "Redo log"),
    (PlaceKind::Undo, "Undo tablespaces"),
    (PlaceKind::BinaryLog, "Binary logs"),
    (PlaceKind::RelayLog, "Relay logs"),
    (PlaceKind::Doublewrite, "Doublewrite files"),
    (PlaceKind::ChangeBuffer, "Change buffer"),
    (PlaceKind::SystemTablespace, "System tablespace (ibdata1)"),
    (PlaceKind::Temporary, "Temporary tablespaces and files"),
    (PlaceKind::GeneralLog, "General query log"),
    (PlaceKind::SlowLog, "Slow query log"),
    (PlaceKind::ErrorLog, "Error log"),
    (PlaceKind::Dumps, "Dumps and exports"),
    (PlaceKind::Schema, "Schema defaults for new tables"),
    (PlaceKind::Setting, "Settings for new tables"),
    (PlaceKind::LateSetting, "Settings that MySQL applies too late during startup"),
];

/// Returns the number of places of each kind in each state.
pub(super) fn summary(facts: &Facts) -> Markup {
    html! {
        table {
            caption { "Every kind of place, as the server reports it" }
            thead { tr {
                th scope="col" { "Place" }
                @for heading in ["Encrypted", "Unencrypted", "Not supported", "Not checked", "Unused", "Size"] { th scope="col" class="number" { (heading) } }
                th scope="col" { "State" }
            } }
            tbody {
                @for (kind, name) in KINDS {
                    @let items: Vec<&DataPlace> = facts.places.iter().filter(|i| i.kind == kind).collect();
                    tr {
                        th scope="row" { (name) }
                        @for state in [PlaceState::Encrypted, PlaceState::Clear, PlaceState::Cannot, PlaceState::Unknown, PlaceState::Unused] {
                            td class="number" { (items.iter().filter(|i| i.state == state).count()) }
                        }
                        td class="number" { (size(items.iter().map(|i| i.bytes).fold(0, u64::saturating_add))) }
                        td { (worst_state(&items)) }
                    }
                }
            }
        }
        table {
            caption { "Tables by schema" }
            thead { tr {
                th scope="col" { "Schema" }
                th scope="col" class="number" { "Encrypted" } th scope="col" class="number" { "Size" }
                th scope="col" class="number" { "Unencrypted" } th scope="col" class="number" { "Size" }
                th scope="col" { "New tables" }
            } }
            tbody {
                @for row in &facts.schemas {
                    tr {
                        th scope="row" { (Name(&row.name)) }
                        td class="number" { (row.encrypted) } td class="number" { (size(row.encrypted_bytes)) }
                        td class="number" { (row.clear) } td class="number" { (size(row.clear_bytes)) }
                        td { @match row.new_tables {
                            Some(true) => span class="state good" { "encrypted" },
                            Some(false) => span class="state bad" { "unencrypted" },
                            None => "the server's own",
                        } }
                    }
                }
            }
        }
    }
}

/// Shows the worst state of these places.
fn worst_state(items: &[&DataPlace]) -> Markup {
    let any = |state| items.iter().any(|i| i.state == state);
    if any(PlaceState::Clear) {
        html! { span class="state bad" { "unencrypted" } }
    } else if any(PlaceState::Unknown) {
        html! { span class="state unknown" { "not checked" } }
    } else if any(PlaceState::Cannot) {
        html! { span class="state neutral" { "not supported" } }
    } else if any(PlaceState::Encrypted) {
        html! { span class="state good" { "encrypted" } }
    } else if items.is_empty() {
        html! { span class="state neutral" { "none" } }
    } else {
        html! { span class="state neutral" { "unused" } }
    }
}

fn size(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { sizes::bytes(bytes) }
}

/// Lists what is unencrypted, what MySQL cannot encrypt, and what the files show.
pub(super) fn details(facts: &Facts) -> Markup {
    html! {
        section aria-labelledby="clear" {
            h2 id="clear" { "Unencrypted data, item by item" }
            (list(facts, PlaceState::Clear, "Unencrypted; could be encrypted or switched off", "Nothing."))
            (list(facts, PlaceState::Cannot, "Not supported by MySQL", "Nothing."))
            (list(facts, PlaceState::Unknown, "Not checked: the server did not show whether it is encrypted", "Nothing."))
        }
        section aria-labelledby="files" {
            h2 id="files" { "What the files show" }
            p { "All of the above is what the server reports. In addition, its files were read: each page shows whether it is encrypted, and a page that the keyring's key decrypts to a correct checksum proves it." }
            (known(&facts.files, files))
        }
    }
}

fn list(facts: &Facts, state: PlaceState, caption: &str, none: &str) -> Markup {
    let items: Vec<_> = facts.places.iter().filter(|i| i.state == state).collect();
    html! {
        @if items.is_empty() {
            h3 { (caption) }
            p { (none) }
        } @else {
            table {
                caption { (caption) }
                thead { tr { th scope="col" class="place" { "Place" } th scope="col" { "Kind" } th scope="col" class="number" { "Size" } th scope="col" { "Details and what to do" } } }
                tbody { @for item in items {
                    tr {
                        th scope="row" { (Name(&item.name)) }
                        td class="nowrap" { (item.kind.to_string()) }
                        td class="number" { (size(item.bytes)) }
                        td {
                            (visible(&item.about))
                            @match &item.remedy {
                                Remedy::Apply if state == PlaceState::Clear => { (remedy(item, "keyringctl encrypt apply")) }
                                Remedy::ByHand(how) => { (remedy(item, how)) }
                                _ => {}
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn remedy(item: &DataPlace, how: &str) -> Markup {
    html! { @if !item.about.is_empty() { ". " } "What to do: " code { (visible(how)) } }
}

fn files(files: &FileFacts) -> Markup {
    html! {
        p { (visible(files.seen.line())) "." }
        p { "Directories: " @for (i, dir) in files.directories.iter().enumerate() { @if i > 0 { ", " } (Name(dir.shown())) } "." }
        @if files.findings.is_empty() {
            p { span class="state good" { "No unencrypted data" } " that MySQL could encrypt was found in them." }
        } @else {
            table {
                caption { "Files that are unencrypted or cannot be decrypted" }
                thead { tr { th scope="col" class="file" { "File" } th scope="col" { "What was found" } th scope="col" { "What to do" } } }
                tbody { @for finding in &files.findings {
                    tr {
                        th scope="row" { (Name(&finding.what)) }
                        td { (visible(&finding.why)) }
                        td { @if let Some(remedy) = &finding.remedy { (visible(remedy)) } }
                    }
                } }
            }
        }
    }
}
