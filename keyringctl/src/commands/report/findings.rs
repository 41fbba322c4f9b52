// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules by which facts are judged. Pure: the same facts, the same findings.

mod outcome;

pub(super) use outcome::{Outcome, not_measured};

use super::copies::{Copy, CopyFile};
use super::facts::Facts;
use super::keys::Purpose;
use super::known::Known;
use crate::commands::content::remedy;
use crate::commands::doctor::finding::{Findings, Level};
use crate::commands::doctor::server;
use crate::commands::output::time;
use crate::commands::secret;
use crate::server::{Item, Kind, Remedy, State, Way};
use std::collections::BTreeMap;
use std::path::Path;

const DAY: u64 = 86_400;
/// A certificate that ends in so many days is a risk.
const CERTIFICATE_DAYS: u64 = 30;
/// A master key in use for longer is a risk.
const ROTATION_DAYS: u64 = 366;
/// So many names are said; the page's tables and the JSON have all.
const NAMES: usize = 12;

/// All rules.
pub(super) fn findings(facts: &Facts) -> Findings {
    let mut found = Findings::default();
    in_clear(facts, &mut found);
    files(facts, &mut found);
    keyring(facts, &mut found);
    copies(facts, &mut found);
    witness(facts, &mut found);
    rotation(facts, &mut found);
    transit(facts, &mut found);
    found.checks(&["not-measured"]);
    for (what, why) in not_measured(facts) {
        found.note(
            "not-measured",
            format!("{what}: {why}"),
            "It is neither fine nor wrong: it is not known.",
        );
    }
    found
}

/// Names, the first ones of many.
fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = all.len().saturating_sub(NAMES);
    let some: Vec<_> = all.take(NAMES).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", some.join(", "))
}

/// What the server itself says to be in clear: a finding for each kind and remedy.
fn in_clear(facts: &Facts, found: &mut Findings) {
    found.checks(&["in-clear", "new-data"]);
    let mut groups: BTreeMap<(Kind, &str), Vec<&Item>> = BTreeMap::new();
    for item in facts.places.iter().filter(|i| i.state == State::Clear) {
        let fix = match &item.remedy {
            Remedy::Apply => "keyringctl encrypt apply",
            Remedy::ByHand(how) => how,
            Remedy::None => "",
        };
        groups.entry((item.kind, fix)).or_default().push(item);
    }
    for ((kind, fix), items) in groups {
        let (check, why) = if kind.is_setting() {
            ("new-data", "What is written from now on may be in clear.")
        } else {
            ("in-clear", "Whoever has the disk, or a copy of the file, can read it.")
        };
        let list = names(items.iter().map(|i| i.name.as_str()));
        let what = match &items[..] {
            [only] if only.about.is_empty() => format!("in clear ({kind}): {list}"),
            [only] => format!("in clear ({kind}): {list}: {}", only.about),
            all => format!("{} in clear ({kind}): {list}", all.len()),
        };
        let what =
            if kind.is_setting() { what.replacen("in clear", "not set for encryption", 1) } else { what };
        add(facts, found, kind, check, what, why, fix);
    }
}

/// What is accepted is still said, as a risk.
fn add(
    facts: &Facts,
    found: &mut Findings,
    kind: Kind,
    check: &'static str,
    what: String,
    why: &str,
    fix: &str,
) {
    let fix: Vec<_> = Some(fix.to_owned()).filter(|f| !f.is_empty()).into_iter().collect();
    if facts.accepts(kind) {
        found.add(Level::Risk, check, format!("accepted by whoever made this report: {what}"), why, &fix);
    } else {
        found.add(Level::Wrong, check, what, why, &fix);
    }
}

/// What the files themselves say: a finding for each kind, reason and remedy.
fn files(facts: &Facts, found: &mut Findings) {
    let Some(files) = facts.files.measured() else { return };
    found.checks(&["files"]);
    let mut groups: BTreeMap<(Kind, &str, &str), Vec<&str>> = BTreeMap::new();
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
            "This is what lies on the disk, whatever the server says.",
            fix,
        );
    }
}

fn keyring(facts: &Facts, found: &mut Findings) {
    if facts.keyring.way == Way::None {
        let fix = ["keyringctl setup, then restart the server".to_owned()];
        let why = "Without one the server can encrypt nothing, and reads nothing that is encrypted.";
        found.add(Level::Wrong, "server-keyring", "the server has no keyring", why, &fix);
    } else {
        server::judge(&facts.keyring, None, found);
    }
}

fn copies(facts: &Facts, found: &mut Findings) {
    if !facts.keyring.is_ours() {
        return;
    }
    found.checks(&[
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
            Level::Risk,
            "one-copy",
            "the keyring has one copy",
            "When its volume dies, all that is encrypted is lost.",
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
            Level::Risk,
            "recovery-slot",
            "the keyring has no unlock slot for a recovery key",
            "When the unlock secret is lost, nothing opens the keyring.",
            &["keyringctl slot add KEYRING --recovery --unlock SOURCE".to_owned()],
        );
    }
}

fn file_of(copy: &Copy) -> Option<&CopyFile> {
    copy.file.measured()
}

fn volumes(copy: &Copy, before: &[Copy], found: &mut Findings) {
    let Some(volume) = copy.volume.measured() else { return };
    let fix = ["keyringctl doctor says how".to_owned()];
    let path = copy.path.display();
    if !volume.apart_from_data {
        let why = "Whoever takes that disk has the data and the keyring.";
        found.risk(
            "same-device",
            &copy.path,
            format!("{path} is on the filesystem of the data directory"),
            why,
            &fix,
        );
    }
    if volume.volatile {
        let what = format!("{path} is on {}", volume.filesystem);
        found.risk("volatile", &copy.path, what, "It is gone when the machine stops.", &fix);
    }
    let shared = before.iter().find(|c| c.volume.measured().is_some_and(|v| v.device == volume.device));
    if let Some(other) = shared {
        let what = format!("{path} and {} are on one filesystem", other.path.display());
        found.risk("mirrors-apart", &copy.path, what, "They are lost together.", &fix);
    }
}

fn alike(facts: &Facts, copy: &Copy, file: &CopyFile, newest: Option<u64>, found: &mut Findings) {
    let path = copy.path.display();
    let fix = ["keyringctl doctor says how".to_owned()];
    if let Some(other) = &file.same_file_as {
        let what = format!("{} and {path} are one file under two names", other.display());
        let why = "The keyring has one copy less than it seems: when that file is lost, both are.";
        found.wrong("same-file", &copy.path, what, why, &fix);
    }
    if let Some(other) = file.diverged_from.first() {
        let what = format!("{} and {path} have diverged: they hold different keys", other.display());
        let why =
            "Each may hold keys that the other does not have, and the server's next start may be refused.";
        let fix = remedy(other, &copy.path, Some(Path::new(&facts.server.datadir)), &secret::Args::default());
        found.wrong("copies-alike", &copy.path, what, why, &fix);
    }
    if file.id.to_string() != facts.keyring.id {
        let what = format!("{path} is keyring {}, and the server uses {}", file.id, facts.keyring.id);
        found.wrong("copies-alike", &copy.path, what, "It is no copy of the server's keyring.", &fix);
    } else if file.generation != newest && file.diverged_from.is_empty() {
        let what = format!(
            "{path} has generation {}, and the newest copy has {}",
            file.generation.unwrap_or_default(),
            newest.unwrap_or_default()
        );
        found.risk("copies-alike", &copy.path, what, "Keys made since are on fewer volumes.", &fix);
    }
    if file.damaged {
        let what = format!("one of the two copies of the header in {path} is damaged");
        found.risk("copies-alike", &copy.path, what, "The volume may be failing.", &fix);
    }
    for note in file.verified.measured().into_iter().flatten() {
        found.risk("verify", &copy.path, format!("{path}: {note}"), "The volume may be failing.", &fix);
    }
}

fn witness(facts: &Facts, found: &mut Findings) {
    let Known::Measured(seen) = &facts.witness else { return };
    if !facts.keyring.is_ours() {
        return;
    }
    found.checks(&["witness"]);
    let fix = ["keyringctl witness show --datadir DIR; mount the newest copy".to_owned()];
    match seen {
        None => {
            let why = "An older or another keyring would not be noticed at the next start.";
            let fix = ["it is made at the next start of the server".to_owned()];
            found.add(Level::Risk, "witness", "there is no witness in the data directory", why, &fix);
        }
        Some(w) if w.id.to_string() != facts.keyring.id || w.generation > facts.keyring.generation => {
            let what = format!(
                "the data directory was used with keyring {}, generation {}, and the server uses {}, generation {}",
                w.id, w.generation, facts.keyring.id, facts.keyring.generation
            );
            found.add(Level::Wrong, "witness", what, "The server refuses it at its next start.", &fix);
        }
        Some(_) => {}
    }
}

fn rotation(facts: &Facts, found: &mut Findings) {
    let Some(keys) = facts.keys.measured() else { return };
    found.checks(&["rotation"]);
    let newest = keys.iter().rfind(|k| k.purpose == Purpose::Innodb);
    if let Some(newest) = newest
        && facts.measured.saturating_sub(newest.stored) > ROTATION_DAYS * DAY
    {
        found.add(
            Level::Risk,
            "rotation",
            format!("the InnoDB master key was last rotated on {}", time(newest.stored)),
            "Auditors ask for a rotation at least once a year.",
            &["keyringctl encrypt rotate".to_owned()],
        );
    }
}

fn transit(facts: &Facts, found: &mut Findings) {
    let transit = &facts.transit;
    found.checks(&["secure-transport", "tls-version", "certificate"]);
    let risk = |found: &mut Findings, check, what: String, why: &str, fix: &str| {
        found.add(Level::Risk, check, what, why, &[fix.to_owned()]);
    };
    if transit.require_secure_transport == Some(false) {
        risk(
            found,
            "secure-transport",
            "require_secure_transport is OFF".to_owned(),
            "A client may connect over the network without TLS, and data goes in clear.",
            "SET PERSIST require_secure_transport = ON; then look whether all clients still connect",
        );
    }
    let clear = transit.connections.iter().filter(|(kind, _)| kind == "TCP/IP").map(|(_, n)| n).sum::<u64>();
    if clear > 0 {
        let what = format!("{clear} connections went over TCP without TLS when this was measured");
        risk(
            found,
            "secure-transport",
            what,
            "What they ask and are answered is in clear.",
            "TLS in the clients' data source, such as OpenSpecimen's",
        );
    }
    let old = |v: &&str| matches!(v.trim(), "TLSv1" | "TLSv1.1");
    if let Some(version) = transit.tls_version.split(',').find(old) {
        let what = format!("{} is allowed", version.trim());
        risk(
            found,
            "tls-version",
            what,
            "It is outdated (RFC 8996).",
            "SET PERSIST tls_version = 'TLSv1.2,TLSv1.3'; ALTER INSTANCE RELOAD TLS",
        );
    }
    let renew = "make a new certificate, then ALTER INSTANCE RELOAD TLS";
    match transit.ends() {
        None if transit.not_after.is_empty() => {
            risk(
                found,
                "certificate",
                "the server has no certificate".to_owned(),
                "It cannot do TLS.",
                "mysql_ssl_rsa_setup, or a certificate of your authority: ssl_cert, ssl_key",
            );
        }
        Some(end) if end <= facts.measured => {
            risk(
                found,
                "certificate",
                format!("the server's certificate ended on {}", time(end)),
                "Clients that check it do not connect.",
                renew,
            );
        }
        Some(end) if end - facts.measured < CERTIFICATE_DAYS * DAY => {
            risk(
                found,
                "certificate",
                format!("the server's certificate ends on {}", time(end)),
                "After that, clients that check it do not connect.",
                renew,
            );
        }
        None | Some(_) => {}
    }
}

#[cfg(test)]
mod tests;
