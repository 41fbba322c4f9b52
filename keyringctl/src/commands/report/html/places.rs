// SPDX-License-Identifier: GPL-2.0-or-later
//! Tables of the places in which the server keeps data.

use super::super::facts::{Facts, Files};
use super::parts::{Name, known};
use crate::commands::encrypt::sizes;
use crate::commands::output::visible;
use crate::server::{Item, Kind, Remedy, State};
use maud::{Markup, html};

/// Kinds of places in the order of the summary, as people call them.
const KINDS: [(Kind, &str); 22] = [
    (Kind::Table, "Tables"),
    (Kind::SystemTable, "Tables in the system tablespace"),
    (Kind::OtherEngine, "Tables of other engines"),
    (Kind::Tablespace, "General tablespaces"),
    (Kind::MysqlTablespace, "The tablespace mysql (data dictionary, accounts)"),
    (Kind::FullText, "Full-text indexes"),
    (Kind::Leftover, "Leftovers of statements"),
    (Kind::Redo, "Redo log"),
    (Kind::Undo, "Undo tablespaces"),
    (Kind::BinaryLog, "Binary logs"),
    (Kind::RelayLog, "Relay logs"),
    (Kind::Doublewrite, "Doublewrite files"),
    (Kind::ChangeBuffer, "Change buffer"),
    (Kind::SystemTablespace, "System tablespace (ibdata1)"),
    (Kind::Temporary, "Temporary tablespaces and files"),
    (Kind::GeneralLog, "General query log"),
    (Kind::SlowLog, "Slow query log"),
    (Kind::ErrorLog, "Error log"),
    (Kind::Dumps, "Dumps and exports"),
    (Kind::Schema, "Defaults of schemas for new tables"),
    (Kind::Setting, "Settings for new tables"),
    (Kind::LateSetting, "Settings that are heeded late in a start"),
];

/// Every kind of place: how many are how.
pub(super) fn summary(facts: &Facts) -> Markup {
    html! {
        table {
            caption { "Every kind of place, as the server says" }
            thead { tr {
                th scope="col" { "Place" }
                @for heading in ["Encrypted", "In clear", "Cannot be", "Unused", "Size"] { th scope="col" class="number" { (heading) } }
                th scope="col" { "State" }
            } }
            tbody {
                @for (kind, name) in KINDS {
                    @let items: Vec<&Item> = facts.places.iter().filter(|i| i.kind == kind).collect();
                    tr {
                        th scope="row" { (name) }
                        @for state in [State::Encrypted, State::Clear, State::Cannot, State::Unused] {
                            td class="number" { (items.iter().filter(|i| i.state == state).count()) }
                        }
                        td class="number" { (size(items.iter().map(|i| i.bytes).sum())) }
                        td { (state_of(&items)) }
                    }
                }
            }
        }
        table {
            caption { "Tables by schema" }
            thead { tr {
                th scope="col" { "Schema" }
                th scope="col" class="number" { "Encrypted" } th scope="col" class="number" { "Size" }
                th scope="col" class="number" { "In clear" } th scope="col" class="number" { "Size" }
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
                            Some(false) => span class="state bad" { "in clear" },
                            None => "the server's own",
                        } }
                    }
                }
            }
        }
    }
}

/// The worst of them says how it is.
fn state_of(items: &[&Item]) -> Markup {
    let any = |state| items.iter().any(|i| i.state == state);
    if any(State::Clear) {
        html! { span class="state bad" { "in clear" } }
    } else if any(State::Cannot) {
        html! { span class="state neutral" { "cannot be" } }
    } else if any(State::Encrypted) {
        html! { span class="state good" { "encrypted" } }
    } else if items.is_empty() {
        html! { span class="state neutral" { "there is none" } }
    } else {
        html! { span class="state neutral" { "unused" } }
    }
}

fn size(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { sizes::bytes(bytes) }
}

/// All that is in clear, all that cannot be encrypted, and what the files are.
pub(super) fn details(facts: &Facts) -> Markup {
    html! {
        section aria-labelledby="clear" {
            h2 id="clear" { "What is in clear, one by one" }
            (list(facts, State::Clear, "In clear, and could be encrypted or switched off", "Nothing."))
            (list(facts, State::Cannot, "Cannot be encrypted by MySQL", "Nothing."))
        }
        section aria-labelledby="files" {
            h2 id="files" { "What the files say" }
            p { "The above is the server's word. Its files were read beside it: pages say of themselves whether they are encrypted, and a page that is decrypted with the keyring's key and has the right checksum proves it." }
            (known(&facts.files, files))
        }
    }
}

fn list(facts: &Facts, state: State, caption: &str, none: &str) -> Markup {
    let items: Vec<_> = facts.places.iter().filter(|i| i.state == state).collect();
    html! {
        @if items.is_empty() {
            h3 { (caption) }
            p { (none) }
        } @else {
            table {
                caption { (caption) }
                thead { tr { th scope="col" class="place" { "Place" } th scope="col" { "Kind" } th scope="col" class="number" { "Size" } th scope="col" { "What there is to know, and the remedy" } } }
                tbody { @for item in items {
                    tr {
                        th scope="row" { (Name(&item.name)) }
                        td class="nowrap" { (item.kind.to_string()) }
                        td class="number" { (size(item.bytes)) }
                        td {
                            (visible(&item.about))
                            @match &item.remedy {
                                Remedy::Apply if state == State::Clear => { (remedy(item, "keyringctl encrypt apply")) }
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

fn remedy(item: &Item, how: &str) -> Markup {
    html! { @if !item.about.is_empty() { ". " } "Remedy: " code { (visible(how)) } }
}

fn files(files: &Files) -> Markup {
    html! {
        p { (visible(files.seen.line())) "." }
        p { "Directories: " @for (i, dir) in files.directories.iter().enumerate() { @if i > 0 { ", " } (Name(dir.display())) } "." }
        @if files.findings.is_empty() {
            p { span class="state good" { "Nothing is in clear" } " in them that could be encrypted." }
        } @else {
            table {
                caption { "In the files, in clear or not opened" }
                thead { tr { th scope="col" class="file" { "File" } th scope="col" { "What" } th scope="col" { "Remedy" } } }
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
