// SPDX-License-Identifier: GPL-2.0-or-later
//! The section on accounts that may rotate or change the keyring.

use super::super::access::{Access, Account};
use super::super::facts::Facts;
use super::parts::{Column, Name, known, table, text};
use crate::show::visible;
use maud::{Markup, html};
use std::collections::BTreeMap;

pub(super) fn section(facts: &Facts) -> Markup {
    html! {
        section aria-labelledby="access" {
            h2 id="access" { "Who may rotate or change the keyring" }
            p { "MySQL accounts with a privilege that matters for keys, also through roles that they may activate. "
                "The file of the keyring and its secret are open to root, and to the user that mysqld runs as; this table does not show who can become either." }
            (known(&facts.access, measured))
        }
    }
}

fn measured(access: &Access) -> Markup {
    let rows = access.accounts.iter().map(|account| {
        let may =
            account.abilities().into_iter().map(|ability| ability.name()).collect::<Vec<_>>().join("; ");
        vec![html! { (Name(account.name())) }, html! { (may) }, privileges(account), login(account)]
    });
    let directory = match access.secure_file_priv.as_deref() {
        None => html! { "NULL: FILE reads and writes nothing" },
        Some("") => {
            html! { span class="state risk" { "empty" } ": FILE reads and writes wherever the server may" }
        }
        Some(directory) => html! { (Name(directory)) ": FILE reads and writes there only" },
    };
    html! {
        @if access.accounts.is_empty() { p { "There are none." } }
        @else { (table("Accounts", &[text("Account"), Column("May", Some("third")), text("With"), text("Logs in")], rows)) }
        dl { dt { "secure_file_priv" } dd { (directory) } }
    }
}

/// The privileges, grouped by the role that brings them.
fn privileges(account: &Account) -> Markup {
    let mut by_way: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    let grantable = " WITH GRANT OPTION";
    for right in account.rights.iter().filter(|right| !right.privilege.ends_with(grantable)) {
        let all = by_way.entry(right.through.as_deref()).or_default();
        if !all.contains(&right.privilege.as_str()) {
            all.push(&right.privilege);
        }
    }
    html! {
        @for (i, (way, all)) in by_way.into_iter().enumerate() {
            @if i > 0 { "; " }
            (visible(all.join(", ")))
            @if let Some(way) = way { " (" (visible(way)) ")" }
        }
        @if account.rights.iter().any(|right| right.privilege.ends_with(grantable)) { "; some of them WITH GRANT OPTION" }
    }
}

fn login(account: &Account) -> Markup {
    let tls = match account.tls.as_str() {
        "" => "",
        "ANY" => ", with TLS only",
        _ => ", with a certificate only",
    };
    html! {
        @if account.locked { span class="state neutral" { "locked" } }
        @else if account.no_password { span class="state risk" { "without a password" } (tls) }
        @else { (visible(&account.plugin)) (tls) }
    }
}
