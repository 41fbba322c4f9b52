// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl report`: shows what a server encrypts and how, as one page for an auditor.

mod access;
mod age;
mod args;
mod audit;
mod certificates;
mod chain;
mod controls;
mod copies;
mod facts;
mod file;
mod findings;
mod html;
mod keys;
mod known;
mod measure;
mod modules;
mod origin;
mod picture;
#[cfg(test)]
mod sample;
mod tables;
mod transit;

pub(super) use args::Args;

use super::output::{Output, document_text, hex, versioned};
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::show::Shown;
use facts::Facts;
use findings::ReportVerdict;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The JSON document.
#[derive(Serialize)]
struct ReportDocument<'a> {
    verdict: ReportVerdict,
    headline: &'a str,
    facts: &'a Facts,
    findings: Vec<&'a super::doctor::finding::Finding>,
    /// What the report shows on each subject that auditors ask about.
    controls: &'a [controls::Control],
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<Verdict> {
    if let Some(path) = &args.html {
        file::check(path, args.force)?;
    }
    let facts = measure::all(args)?;
    let found = findings::findings(&facts);
    let outcome = ReportVerdict::from_findings(&facts, &found);
    let headline = outcome.headline(&facts, &found);
    let controls = controls::controls(&facts);
    let report = ReportDocument {
        verdict: outcome,
        headline: &headline,
        facts: &facts,
        findings: found.all(),
        controls: &controls,
    };
    let document =
        serde_json::to_value(&report).and_then(|document| document_text(&versioned("report", document)));
    let document = document.map_err(|e| Error::Usage(format!("cannot write the facts as JSON: {e}")))?;
    let hash = hex(&Sha256::digest(document.as_bytes()));
    out.line(format_args!("MySQL {} on {}: {headline}", facts.server.version, facts.server.hostname));
    facts.tally.lines().iter().for_each(|line| out.line(line));
    out.line("");
    found.print(outcome.word(), out);
    if let Some(path) = &args.html {
        let page = html::page(&facts, &found, &controls, (outcome, &headline), &hash);
        file::write(path, page.as_bytes(), args.force)?;
        out.line(format_args!("Wrote {}", path.shown()));
    }
    out.document(&report);
    Ok(if outcome == ReportVerdict::Fine { Verdict::Fine } else { Verdict::NotFine })
}
