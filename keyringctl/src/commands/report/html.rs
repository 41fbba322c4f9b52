// SPDX-License-Identifier: GPL-2.0-or-later
//! The page: one file that loads nothing and runs nothing. Everything that comes from outside is escaped.

mod keyring;
mod parts;
mod places;
mod tables;

use super::facts::Facts;
use super::findings::{NOT_MEASURED, ReportVerdict};
use super::origin::Origin;
use super::picture::picture;
use super::transit::NO_ISSUER;
use crate::commands::doctor::finding::{Finding, FindingLevel, Findings};
use crate::commands::output::{counted, time};
use crate::show::visible;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use parts::{Name, known, table, text, unknown};

/// What encrypts which data, and what wraps the key.
const ALGORITHMS: [[&str; 3]; 4] = [
    [
        "Pages of InnoDB's tablespaces, redo and undo logs",
        "AES-256-CBC, a key for each tablespace",
        "the InnoDB master key, AES-256",
    ],
    [
        "Binary and relay logs",
        "AES-256-CTR, a password for each file",
        "the binary log master key, AES-256-CBC",
    ],
    [
        "Master keys, in the keyring file",
        "AES-256-CTR, authenticated by HMAC-SHA-256 (encrypt, then MAC)",
        "a random data key, wrapped in each unlock slot",
    ],
    [
        "Unlock slots",
        "AES-256-CTR and HMAC-SHA-256",
        "a key derived from a passphrase with Argon2id (RFC 9106), or from a random secret or the recovery key with HKDF-SHA-256 (RFC 5869)",
    ],
];

const STYLE: &str = include_str!("page.css");
/// Makes a browser load nothing and run nothing, whatever the page contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole page.
pub(super) fn page(
    facts: &Facts,
    found: &Findings,
    outcome: ReportVerdict,
    headline: &str,
    hash: &str,
) -> String {
    let about = &facts.server;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Encryption report: " (visible(&about.hostname)) ", " (time(facts.measured)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Encryption of a MySQL server" }
                    dl {
                        dt { "Server" } dd { "MySQL " (Name(&about.version)) " on " (Name(&about.hostname)) }
                        dt { "Server UUID" } dd { (Name(&about.uuid)) }
                        dt { "Data directory" } dd { (Name(&about.datadir)) }
                        dt { "Measured" } dd { (time(facts.measured)) ", with keyringctl " (facts.program) }
                        (origin(&facts.origin, &facts.way))
                    }
                }
                main {
                    (verdict(facts, found, outcome, headline))
                    section aria-labelledby="coverage" {
                        h2 id="coverage" { "What is encrypted" }
                        (picture(&facts.tally))
                        (places::summary(facts))
                        (tables::schemas(facts))
                    }
                    (findings(found))
                    (places::details(facts))
                    (algorithms())
                    (keyring::section(facts))
                    (transit(facts))
                    (measured(facts))
                    (tables::list(facts))
                }
                footer {
                    p { "SHA-256 of the facts, as printed by " code { "keyringctl --json report" } " when this page was written: " }
                    p { code { (hash) } }
                    p { "To compare, run " code { "sha256sum" } " on that JSON file." }
                }
            }
        }
    }
    .into_string()
}

/// Who made the report, from where, and how.
fn origin(origin: &Origin, way: &str) -> Markup {
    html! {
        dt { "Made by" }
        dd {
            "user " (Name(&origin.user)) " of the host " (Name(&origin.host))
            @if let Some(name) = &origin.sudo_user { ", which " (Name(name)) " became through sudo" }
        }
        dt { "MySQL account" }
        dd {
            (Name(&origin.account))
            @if origin.client != origin.account { ", connected as " (Name(&origin.client)) }
            ", through " (Name(way))
        }
        dt { "Command" } dd { code { (visible(&origin.command)) } }
    }
}

fn verdict(facts: &Facts, found: &Findings, outcome: ReportVerdict, headline: &str) -> Markup {
    let class = match outcome {
        ReportVerdict::Fine => "verdict fine",
        ReportVerdict::Incomplete => "verdict incomplete",
        ReportVerdict::NotFine => "verdict not_fine",
    };
    let not_checked = found.all().iter().filter(|finding| finding.check == NOT_MEASURED).count();
    html! {
        section class=(class) aria-labelledby="verdict" {
            p id="verdict" class="headline" { (outcome.word()) ": " (visible(headline)) "." }
            p { (facts.tally.lines().join(" ")) }
            p {
                (counted(found.count(FindingLevel::Error), "error")) ", " (counted(found.count(FindingLevel::Warning), "warning")) ", "
                (not_checked) " not checked. All are listed below, with what to do."
            }
            @if !facts.accepted.is_empty() {
                p { "Accepted as unencrypted by the author of this report: "
                    (facts.accepted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")) "." }
            }
        }
    }
}

fn findings(found: &Findings) -> Markup {
    html! {
        section aria-labelledby="findings" {
            h2 id="findings" { "Findings" }
            @if found.all().is_empty() { p { "None." } }
            @for finding in found.all() { (one(finding)) }
            @let passed = found.passed();
            @if !passed.is_empty() { p { "Checks without findings: " (passed.join(", ")) "." } }
        }
    }
}

fn one(finding: &Finding) -> Markup {
    let (class, word, state) = match (finding.level, finding.check) {
        (FindingLevel::Error, _) => ("finding wrong", "Error", "state bad"),
        (FindingLevel::Warning, _) => ("finding risk", "Warning", "state risk"),
        (FindingLevel::Note, NOT_MEASURED) => ("finding note", "Not checked", "state unknown"),
        (FindingLevel::Note, _) => ("finding note", "Note", "state neutral"),
    };
    html! {
        article class=(class) {
            h3 { span class=(state) { (word) } " (" (finding.check) "): " (visible(&finding.what)) }
            @if !finding.why.is_empty() { p { (visible(&finding.why)) } }
            @if !finding.fix.is_empty() {
                p { "What to do: " @for (i, fix) in finding.fix.iter().enumerate() { @if i > 0 { "; " } code { (visible(fix)) } } }
            }
        }
    }
}

fn algorithms() -> Markup {
    let rows = ALGORITHMS.map(|row| row.map(|cell| html! { (cell) }).to_vec());
    html! {
        section aria-labelledby="algorithms" {
            h2 id="algorithms" { "Algorithms" }
            (table("What encrypts what", &[text("Data"), text("Encrypted with"), text("Key wrapped with")], rows))
            p { "The first two rows describe MySQL, according to its manual. The others describe keyring_external: docs/FORMAT.md." }
        }
    }
}

fn transit(facts: &Facts) -> Markup {
    let transit = &facts.transit;
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let required = match transit.require_secure_transport {
        Some(true) => {
            html! { span class="state good" { "ON" } ": every connection over the network is encrypted" }
        }
        Some(false) => html! { span class="state risk" { "OFF" } ": clients may connect without TLS" },
        None => unknown("the server does not have this setting"),
    };
    html! {
        section aria-labelledby="transit" {
            h2 id="transit" { "In transit" }
            dl {
                dt { "require_secure_transport" } dd { (required) }
                dt { "tls_version" } dd { (Name(or_none(&transit.tls_version))) }
                dt { "Server certificate" } dd { (Name(or_none(&transit.certificate))) }
                dt { "Valid from" } dd { (visible(or_none(&transit.not_before))) }
                dt { "Valid until" } dd { (visible(or_none(&transit.not_after))) }
                dt { "Issuer" } dd { (unknown(NO_ISSUER)) " " (Name(&transit.certificate)) }
                dt { "Connections at that time" }
                dd {
                    (known(&transit.connections, |all| html! {
                        @for (i, (kind, n)) in all.iter().enumerate() { @if i > 0 { ", " } (n) " by " (visible(kind)) }
                        " (including the one of this report)"
                    }))
                }
            }
        }
    }
}

fn measured(facts: &Facts) -> Markup {
    let steps = facts.steps.iter().map(|step| {
        let done = match &step.not_done {
            None => html! { span class="state good" { "yes" } },
            Some(why) => unknown(why),
        };
        vec![html! { (step.what) }, html! { (visible(&step.how)) }, done]
    });
    html! {
        section aria-labelledby="measured" {
            h2 id="measured" { "How this was measured" }
            p { "Nothing was changed on the server." }
            (table("Steps", &[text("What"), text("How"), text("Done")], steps))
            p { "This report does not cover disk blocks that files no longer use, earlier dumps and backups, swap and core dumps, "
                "and files outside of MySQL. Nor does it show whether the keyring's volumes are kept away from the server while it is off." }
        }
    }
}

#[cfg(test)]
mod tests;
