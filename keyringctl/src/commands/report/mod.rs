// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl report`: what of a server is encrypted and how, as one page that an auditor can read.

mod copies;
mod facts;
mod file;
mod findings;
mod html;
mod keys;
mod measure;
mod picture;
#[cfg(test)]
mod sample;
mod transit;

use super::output::{Output, document_text, hex};
use super::{Verdict, secret, server};
use crate::error::{Error, Result};
use crate::server::Kind;
use facts::Facts;
use findings::Outcome;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Write what of a server is encrypted, how, and what is not, as one page for an auditor
///
/// Run it on the server, as root, and give the unlock secret: what cannot be looked at is said as such, and the verdict is
/// not fine then. The page needs nothing else and holds no secret.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    keyringctl report --html encryption.html --unlock file:/etc/mysql/keyring.secret\n  \
    keyringctl --json report --html encryption.html --unlock file:/etc/mysql/keyring.secret > encryption.json\n\n\
    The page ends with the SHA-256 of what --json prints.\n\
    Exit codes: 0 everything that MySQL can encrypt is, and all was looked at; 1 it is not so; 2 it could not be measured.")]
pub(super) struct Args {
    /// Write the page to this file, mode 0600
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "html")]
    force: bool,
    /// Do not read the server's files: the report has its word only
    #[arg(long)]
    no_files: bool,
    /// Take upon yourself that places of this kind are in clear (repeatable): slow-log, general-log, other-engine,
    /// binary-log, doublewrite, system-tablespace, setting, ... The page says so
    #[arg(long, value_name = "KIND")]
    accept: Vec<Kind>,
    #[command(flatten)]
    secret: secret::Args,
    #[command(flatten)]
    server: server::Args,
}

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    verdict: Outcome,
    headline: &'a str,
    facts: &'a Facts,
    findings: Vec<&'a super::doctor::finding::Finding>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    if let Some(path) = &args.html {
        file::check(path, args.force)?;
    }
    let facts = measure::all(args)?;
    let found = findings::findings(&facts);
    let outcome = Outcome::of(&facts, &found);
    let headline = outcome.headline(&facts, &found);
    let report = Report { verdict: outcome, headline: &headline, facts: &facts, findings: found.all() };
    let document = serde_json::to_value(&report).and_then(|document| document_text(&document));
    let document = document.map_err(|e| Error::Usage(format!("the facts cannot be written as JSON: {e}")))?;
    let hash = hex(&Sha256::digest(document.as_bytes()));
    out.line(format_args!("MySQL {} on {}: {headline}\n", facts.server.version, facts.server.hostname));
    found.print(out);
    if let Some(path) = &args.html {
        let page = html::page(&facts, &found, outcome, &headline, &hash);
        file::write(path, page.as_bytes(), args.force)?;
        out.line(format_args!("written: {}", path.display()));
    }
    out.document(&report);
    Ok(if outcome == Outcome::Fine { Verdict::Fine } else { Verdict::NotFine })
}
