// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules for files of certificates. Those for the certificate that the server has loaded are in `transit`.

use super::transit::SHORTEST_VALIDITY;
use crate::commands::doctor::finding::{FindingLevel, Findings};
use crate::commands::output::time;
use crate::commands::report::certificates::{CertificateFile, Use};
use crate::commands::report::facts::Facts;
use crate::show::Shown;

const RELOAD: &str = "run in the server: ALTER INSTANCE RELOAD TLS; (before MySQL 8.0.16: restart it)";

pub(super) fn certificates(facts: &Facts, found: &mut Findings) {
    let files = &facts.transit.certificates;
    if files.iter().any(|file| file.certificates.measured().is_some()) {
        found.run_checks(&["certificate-file"]);
    }
    for file in files {
        let path = file.path.shown();
        if file.differs_from_loaded() {
            let what =
                format!("{path} holds another certificate than the one that the server uses for {}", file.of);
            let why =
                "The server loaded the certificate before the file was changed, and continues to use it.";
            found.warning("certificate-file", &file.path, what, why, &[RELOAD.to_owned()]);
        } else if !is_loaded(facts, file) {
            ends(facts, file, found);
        }
    }
}

/// Whether the rules for the loaded certificate judge this one.
fn is_loaded(facts: &Facts, file: &CertificateFile) -> bool {
    let loaded = file.loaded_not_after;
    file.purpose == Use::Server && loaded.is_some() && loaded == facts.transit.expires()
}

/// Judges when the first of its certificates ends. Of authorities there are many files with some that have ended; they count
/// only if no other is left.
fn ends(facts: &Facts, file: &CertificateFile, found: &mut Findings) {
    let Some(all) = file.certificates.measured() else { return };
    let end = match file.purpose {
        Use::Authority => all.iter().max_by_key(|c| c.not_after),
        Use::Server | Use::Client => file.ends_first(),
    };
    let Some(end) = end.map(|certificate| certificate.not_after) else { return };
    if end > facts.measured.saturating_add(SHORTEST_VALIDITY) {
        return;
    }
    let path = file.path.shown();
    let (name, then) = match file.purpose {
        Use::Authority => {
            ("certificate of the authority", "connections whose certificates are checked with it fail")
        }
        Use::Server => ("certificate", "clients that check it cannot connect"),
        Use::Client => ("certificate", "the other side refuses the connection"),
    };
    let is_over = end <= facts.measured;
    let what = format!(
        "the {name} in {path}, for {}, {} on {}",
        file.of,
        if is_over { "expired" } else { "expires" },
        time(end)
    );
    let why = format!("{} {then}.", if is_over { "Since then," } else { "After that," });
    let fix = if file.of.starts_with("the remote ") {
        "get a new certificate, and put it in the place of this one: the server reads the file when it connects again".to_owned()
    } else if file.of.starts_with("replication ") {
        "get a new certificate, put it in the place of this one, then run in the server: STOP REPLICA; START REPLICA;".to_owned()
    } else {
        format!("get a new certificate, put it in the place of this one, then {RELOAD}")
    };
    found.add(FindingLevel::Warning, "certificate-file", what, &why, &[fix]);
}
