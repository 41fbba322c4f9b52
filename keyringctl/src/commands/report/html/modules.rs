// SPDX-License-Identifier: GPL-2.0-or-later
//! The sections on cryptographic modules and on what the report shows of which subject.

use super::super::controls::{Control, Evidence};
use super::super::facts::Facts;
use super::parts::{Column, Name, table, text, unknown};
use crate::show::visible;
use maud::{Markup, html};

pub(super) fn section(facts: &Facts) -> Markup {
    let modules = &facts.modules;
    let rows = modules.of_keyring.iter().map(|module| {
        vec![html! { (Name(module.name)) }, html! { (Name(&module.version)) }, html! { (module.does) }]
    });
    let mode = match modules.server_fips_mode.as_deref() {
        None => unknown("the server does not have this setting"),
        Some("OFF" | "0") => html! { (Name("OFF")) ": the server does not ask its library for FIPS mode" },
        Some(mode) => html! { (Name(mode)) ": the server says that its library runs in FIPS mode" },
    };
    html! {
        section aria-labelledby="modules" {
            h2 id="modules" { "Cryptographic modules" }
            p { strong { "The modules of keyring_external are not FIPS-validated: none of them has a certificate under FIPS 140-2 or 140-3." } }
            dl {
                dt { "Keyring" } dd { "not FIPS-validated" }
                dt { "MySQL's library" }
                dd { @match &modules.server_library {
                    Some(library) => (visible(library)),
                    None => (unknown("this version of MySQL does not report it")),
                } ". Whether that build is validated, its vendor says" }
                dt { "ssl_fips_mode" } dd { (mode) }
            }
            (table(
                "Modules of keyring_external",
                &[text("Module"), Column("Version", Some("nowrap")), text("What it does")],
                rows,
            ))
            p { "The versions are those of this keyringctl; the library of the same release is built with the same. "
                "The last two are used for connections only." }
        }
    }
}

pub(super) fn controls(controls: &[Control]) -> Markup {
    let rows = controls.iter().map(|control| {
        let (class, word) = match control.evidence {
            Evidence::Here => ("good", "here"),
            Evidence::Partly => ("risk", "partly"),
            Evidence::Missing => ("unknown", "not here"),
        };
        vec![
            html! { (control.subject) },
            html! { span class=(format!("state {class}")) { (word) } },
            html! { (visible(&control.shown)) },
            html! { (control.see) },
        ]
    });
    html! {
        section aria-labelledby="controls" {
            h2 id="controls" { "Evidence by subject" }
            p { "What this report shows on each subject that auditors ask about. It quotes no standard and does not claim conformity with any. "
                "Which requirement a subject belongs to, and whether what is shown is enough, the auditor decides." }
            (table(
                "Subjects",
                &[text("Subject"), Column("Evidence", Some("nowrap")), text("What is shown"), text("See")],
                rows,
            ))
        }
    }
}
