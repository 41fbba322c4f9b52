// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules that judge the facts. The same facts always give the same findings.

mod outcome;

pub(super) use outcome::{ReportVerdict, not_measured};

use super::copies::{CopyFacts, CopyFile};
use super::facts::Facts;
use super::keys::Purpose;
use super::known::Known;
use crate::commands::content::remedy;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::doctor::server;
use crate::commands::output::{counted, time};
use crate::commands::secret;
use crate::server::{DataPlace, LoadedAs, PlaceKind, PlaceState, Remedy};
use std::collections::BTreeMap;
use std::path::Path;

const DAY: u64 = 86_400;
/// A certificate that expires within this many days is a warning.
const CERTIFICATE_DAYS: u64 = 30;
/// A master key that has been in use for longer is a warning.
const ROTATION_DAYS: u64 = 366;
/// The number of names in a finding; the page's tables and the JSON have all.
const NAMES: usize = 12;

/// Applies all rules.
pub(super) fn findings(facts: &Facts) -> Findings {
    let mut found = Findings::default();
    unencrypted(facts, &mut found);
    files(facts, &mut found);
    keyring(facts, &mut found);
    copies(facts, &mut found);
    witness(facts, &mut found);
    rotation(facts, &mut found);
    transit(facts, &mut found);
    found.run_checks(&["not-measured"]);
    for (what, why) in not_measured(facts) {
        found.note("not-measured", format!("{what}: {why}"), "Whether it is in order is not known.");
    }
    found
}

/// Lists names, only the first of many.
fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = all.len().saturating_sub(NAMES);
    let some: Vec<_> = all.take(NAMES).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", some.join(", "))
}

/// What the server reports as unencrypted: a finding for each kind and remedy.
fn unencrypted(facts: &Facts, found: &mut Findings) {
    found.run_checks(&["in-clear", "new-data"]);
    let mut groups: BTreeMap<(PlaceKind, &str), Vec<&DataPlace>> = BTreeMap::new();
    for item in facts.places.iter().filter(|i| i.state == PlaceState::Clear) {
        let fix = match &item.remedy {
            Remedy::Apply => "keyringctl encrypt apply",
            Remedy::ByHand(how) => how,
            Remedy::None => "",
        };
        groups.entry((item.kind, fix)).or_default().push(item);
    }
    for ((kind, fix), items) in groups {
        let (check, why) = if kind.is_setting() {
            ("new-data", "The server may write new data unencrypted.")
        } else {
            ("in-clear", "Anyone who has the disk, or a copy of the file, can read it.")
        };
        let list = names(items.iter().map(|i| i.name.as_str()));
        let what = match &items[..] {
            [only] if only.about.is_empty() => format!("unencrypted ({kind}): {list}"),
            [only] => format!("unencrypted ({kind}): {list}: {}", only.about),
            all => format!("{} unencrypted ({kind}): {list}", all.len()),
        };
        let what =
            if kind.is_setting() { what.replacen("unencrypted", "not set for encryption", 1) } else { what };
        add(facts, found, kind, check, what, why, fix);
    }
}

/// Adds an error, or a warning if the kind is accepted.
fn add(
    facts: &Facts,
    found: &mut Findings,
    kind: PlaceKind,
    check: &'static str,
    what: String,
    why: &str,
    fix: &str,
) {
    let fix: Vec<_> = Some(fix.to_owned()).filter(|f| !f.is_empty()).into_iter().collect();
    if facts.accepts(kind) {
        found.add(
            FindingLevel::Warning,
            check,
            format!("accepted by the author of this report: {what}"),
            why,
            &fix,
        );
    } else {
        found.add(FindingLevel::Error, check, what, why, &fix);
    }
}

/// What the files show: a finding for each kind, reason and remedy.
fn files(facts: &Facts, found: &mut Findings) {
    let Some(files) = facts.files.measured() else { return };
    found.run_checks(&["files"]);
    let mut groups: BTreeMap<(PlaceKind, &str, &str), Vec<&str>> = BTreeMap::new();
    for finding in &files.findings {
        let fix = finding.remedy.as_deref().unwrap_or_default();
        groups.entry((finding.kind, &finding.why, fix)).or_default().push(&finding.what);
    }
    for ((kind, reason, fix), paths) in groups {
        let what = format!("{}: {reason}", names(paths.into_iter()));
        add(
            facts,
            found,
            kind,
            "files",
            what,
            "This is what the disk contains, whatever the server reports.",
            fix,
        );
    }
}

fn keyring(facts: &Facts, found: &mut Findings) {
    if facts.keyring.way == LoadedAs::None {
        let fix = ["run keyringctl setup, then restart the server".to_owned()];
        let why = "Without a keyring the server can encrypt nothing and cannot read encrypted data.";
        found.add(FindingLevel::Error, "server-keyring", "the server has no keyring", why, &fix);
    } else {
        server::judge(&facts.keyring, None, found);
    }
}

fn copies(facts: &Facts, found: &mut Findings) {
    if !facts.keyring.is_ours() {
        return;
    }
    found.run_checks(&[
        "one-copy",
        "same-device",
        "volatile",
        "mirrors-apart",
        "same-file",
        "copies-alike",
        "recovery-slot",
        "verify",
    ]);
    if facts.keyring.copies.1 < 2 {
        found.add(
            FindingLevel::Warning,
            "one-copy",
            "the keyring has a single copy",
            "If that copy is lost, all encrypted data is lost.",
            &["keyringctl sync --help".to_owned()],
        );
    }
    let newest = facts.copies.iter().filter_map(file_of).filter_map(|f| f.generation).max();
    for (i, copy) in facts.copies.iter().enumerate() {
        volumes(copy, &facts.copies[..i], found);
        if let Some(file) = file_of(copy) {
            alike(facts, copy, file, newest, found);
        }
    }
    if let Some(file) = facts.copies.iter().find_map(file_of)
        && !file.has_recovery_slot
    {
        found.add(
            FindingLevel::Warning,
            "recovery-slot",
            "the keyring has no unlock slot for a recovery key",
            "If the unlock secret is lost, nothing can unlock the keyring.",
            &["keyringctl slot add KEYRING --recovery --unlock SOURCE".to_owned()],
        );
    }
}

fn file_of(copy: &CopyFacts) -> Option<&CopyFile> {
    copy.file.measured()
}

fn volumes(copy: &CopyFacts, before: &[CopyFacts], found: &mut Findings) {
    let Some(volume) = copy.volume.measured() else { return };
    let fix = ["what to do: keyringctl doctor".to_owned()];
    let path = copy.path.display();
    if !volume.apart_from_data {
        let why = "Anyone who steals that disk has both the data and the keyring.";
        found.warning(
            "same-device",
            &copy.path,
            format!("{path} is on the same filesystem as the data directory"),
            why,
            &fix,
        );
    }
    if volume.volatile {
        let what = format!("{path} is on {}", volume.filesystem);
        found.warning("volatile", &copy.path, what, "The copy is lost when the machine stops.", &fix);
    }
    let shared = before.iter().find(|c| c.volume.measured().is_some_and(|v| v.device == volume.device));
    if let Some(other) = shared {
        let what = format!("{path} and {} are on the same filesystem", other.path.display());
        found.warning("mirrors-apart", &copy.path, what, "Both are lost together.", &fix);
    }
}

fn alike(facts: &Facts, copy: &CopyFacts, file: &CopyFile, newest: Option<u64>, found: &mut Findings) {
    let path = copy.path.display();
    let fix = ["what to do: keyringctl doctor".to_owned()];
    if let Some(other) = &file.same_file_as {
        let what = format!("{} and {path} are the same file under two names", other.display());
        let why = "The keyring has one copy fewer than configured: if that file is lost, both are.";
        found.error("same-file", &copy.path, what, why, &fix);
    }
    if let Some(other) = file.diverged_from.first() {
        let what = format!("{} and {path} have diverged: they hold different keys", other.display());
        let why =
            "Each may hold keys that the other does not have, and the server may refuse to start with them.";
        let fix = remedy(other, &copy.path, Some(Path::new(&facts.server.datadir)), &secret::Args::default());
        found.error("copies-alike", &copy.path, what, why, &fix);
    }
    if file.id.to_string() != facts.keyring.id {
        let what = format!("{path} is keyring {}, but the server uses {}", file.id, facts.keyring.id);
        found.error("copies-alike", &copy.path, what, "It is not a copy of the server's keyring.", &fix);
    } else if file.generation != newest && file.diverged_from.is_empty() {
        let what = format!(
            "{path} is behind: it has generation {}, the newest copy has {}",
            file.generation.unwrap_or_default(),
            newest.unwrap_or_default()
        );
        found.warning(
            "copies-alike",
            &copy.path,
            what,
            "Newer keys are on fewer volumes than they should be.",
            &fix,
        );
    }
    if file.damaged {
        let what = format!("one of the two copies of the header in {path} is damaged");
        found.warning("copies-alike", &copy.path, what, "The volume may be failing.", &fix);
    }
    for note in file.verified.measured().into_iter().flatten() {
        found.warning("verify", &copy.path, format!("{path}: {note}"), "The volume may be failing.", &fix);
    }
}

fn witness(facts: &Facts, found: &mut Findings) {
    let Known::Measured(seen) = &facts.witness else { return };
    if !facts.keyring.is_ours() {
        return;
    }
    found.run_checks(&["witness"]);
    let fix = ["keyringctl witness show --datadir DIR; mount the newest copy".to_owned()];
    match seen {
        None => {
            let why = "At its next start, the server would not notice an older or different keyring.";
            let fix = ["the server creates it at its next start".to_owned()];
            found.add(FindingLevel::Warning, "witness", "the data directory has no witness", why, &fix);
        }
        Some(w) if w.id.to_string() != facts.keyring.id || w.generation > facts.keyring.generation => {
            let what = format!(
                "the data directory was last used with keyring {}, generation {}, but the server uses {}, generation {}",
                w.id, w.generation, facts.keyring.id, facts.keyring.generation
            );
            found.add(
                FindingLevel::Error,
                "witness",
                what,
                "The server will refuse this keyring at its next start.",
                &fix,
            );
        }
        Some(_) => {}
    }
}

fn rotation(facts: &Facts, found: &mut Findings) {
    let Some(keys) = facts.keys.measured() else { return };
    found.run_checks(&["rotation"]);
    let newest = keys.iter().rfind(|k| k.purpose == Purpose::Innodb);
    if let Some(newest) = newest
        && facts.measured.saturating_sub(newest.stored) > ROTATION_DAYS * DAY
    {
        found.add(
            FindingLevel::Warning,
            "rotation",
            format!("the InnoDB master key was last rotated on {}", time(newest.stored)),
            "Auditors expect a rotation at least once a year.",
            &["keyringctl encrypt rotate".to_owned()],
        );
    }
}

fn transit(facts: &Facts, found: &mut Findings) {
    let transit = &facts.transit;
    found.run_checks(&["secure-transport", "tls-version", "certificate"]);
    let warning = |found: &mut Findings, check, what: String, why: &str, fix: &str| {
        found.add(FindingLevel::Warning, check, what, why, &[fix.to_owned()]);
    };
    if transit.require_secure_transport == Some(false) {
        warning(
            found,
            "secure-transport",
            "require_secure_transport is OFF".to_owned(),
            "Clients may connect over the network without TLS and send data unencrypted.",
            "run SET PERSIST require_secure_transport = ON, then check that all clients can still connect",
        );
    }
    let unencrypted = transit
        .connections
        .iter()
        .filter(|(kind, _)| kind == "TCP/IP")
        .map(|(_, n)| *n as usize)
        .sum::<usize>();
    if unencrypted > 0 {
        let what = format!(
            "{} over TCP without TLS at the time of the measurement",
            counted(unencrypted, "connection")
        );
        warning(
            found,
            "secure-transport",
            what,
            "Their queries and results cross the network unencrypted.",
            "switch on TLS in the configuration of these clients",
        );
    }
    let old = |v: &&str| matches!(v.trim(), "TLSv1" | "TLSv1.1");
    if let Some(version) = transit.tls_version.split(',').find(old) {
        let what = format!("{} is allowed", version.trim());
        warning(
            found,
            "tls-version",
            what,
            "This version of TLS is outdated (RFC 8996).",
            "SET PERSIST tls_version = 'TLSv1.2,TLSv1.3'; ALTER INSTANCE RELOAD TLS",
        );
    }
    let renew = "create a new certificate, then run ALTER INSTANCE RELOAD TLS";
    match transit.expires() {
        None if transit.not_after.is_empty() => {
            warning(
                found,
                "certificate",
                "the server has no certificate".to_owned(),
                "It cannot use TLS.",
                "get a certificate from your authority and set ssl_cert and ssl_key, or run mysql_ssl_rsa_setup",
            );
        }
        Some(end) if end <= facts.measured => {
            warning(
                found,
                "certificate",
                format!("the server's certificate expired on {}", time(end)),
                "Clients that check it cannot connect.",
                renew,
            );
        }
        Some(end) if end - facts.measured < CERTIFICATE_DAYS * DAY => {
            warning(
                found,
                "certificate",
                format!("the server's certificate expires on {}", time(end)),
                "After that, clients that check it cannot connect.",
                renew,
            );
        }
        None | Some(_) => {}
    }
}

#[cfg(test)]
mod tests;
