// SPDX-License-Identifier: GPL-2.0-or-later
//! The page: one file that loads nothing and runs nothing. Everything that comes from outside is escaped.

mod access;
mod audit;
mod drills;
mod keyring;
mod modules;
mod needs;
mod parts;
mod places;
mod retention;
mod tables;
mod transit;

use super::chain::chain;
use super::controls::Control;
use super::facts::Facts;
use super::findings::{NOT_MEASURED, ReportVerdict};
use super::origin::Origin;
use super::picture::picture;
use crate::commands::doctor::finding::{Finding, FindingLevel, Findings};
use crate::commands::output::{counted, time};
use crate::show::visible;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use parts::{Name, table, text, unknown};

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
        "a key derived from a passphrase with Argon2id (RFC 9106), or from a random secret with HKDF-SHA-256 (RFC 5869): that of a secret file, a recovery key, or one that custodians hold in shares (Shamir, over GF(2^8))",
    ],
];

const STYLE: &str = include_str!("page.css");
/// Makes a browser load nothing and run nothing, whatever the page contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole page.
pub(super) fn page(
    facts: &Facts,
    found: &Findings,
    controls: &[Control],
    (outcome, headline): (ReportVerdict, &str),
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
                    (contents())
                    section aria-labelledby="coverage" {
                        h2 id="coverage" { "What is encrypted" }
                        (picture(&facts.tally))
                        (places::summary(facts))
                        (tables::schemas(facts))
                    }
                    (findings(found))
                    (places::details(facts))
                    section aria-labelledby="chain" {
                        h2 id="chain" { "The chain of keys" }
                        (chain(facts))
                    }
                    (keyring::section(facts))
                    (drills::section(facts))
                    (audit::section(facts))
                    (access::section(facts))
                    (transit::section(facts))
                    (algorithms())
                    (modules::section(facts))
                    (modules::controls(controls))
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

/// The sections of the page: their ids and names.
const SECTIONS: [(&str, &str); 15] = [
    ("coverage", "What is encrypted"),
    ("findings", "Findings"),
    ("clear", "Unencrypted, item by item"),
    ("files", "What the files show"),
    ("chain", "The chain of keys"),
    ("keyring", "Keyring and master keys"),
    ("drills", "Restore drills"),
    ("audit", "Audit log"),
    ("access", "Who may rotate or change the keyring"),
    ("transit", "In transit"),
    ("algorithms", "Algorithms"),
    ("modules", "Cryptographic modules"),
    ("controls", "Evidence by subject"),
    ("measured", "How this was measured"),
    ("tables", "All tables"),
];

fn contents() -> Markup {
    html! {
        nav aria-label="Sections" { @for (id, name) in SECTIONS { a href=(format!("#{id}")) { (name) } } }
    }
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
            p {
                "Nothing was changed on the server"
                @if facts.audit.measured().is_some_and(|audit| audit.file.is_some()) { ", except that a line in its audit log says that the keyring was opened for this report" }
                "."
            }
            (table("Steps", &[text("What"), text("How"), text("Done")], steps))
            p { "This report does not cover disk blocks that files no longer use, earlier dumps and backups, swap and core dumps, "
                "and files outside of MySQL. Nor does it show whether the keyring's volumes are kept away from the server while it is off." }
        }
    }
}

#[cfg(test)]
mod tests;
