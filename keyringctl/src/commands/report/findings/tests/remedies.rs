// SPDX-License-Identifier: GPL-2.0-or-later
//! For every finding of the report, a test follows its remedy as it is printed and finds it gone: a test on a server, the
//! tests of doctor, or one of these. A finding without such a test is an error.

use super::*;
use crate::commands::doctor::finding::Finding;
use crate::commands::report::sample::{self, drill};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The test that follows remedies on a server.
const ON_A_SERVER: &str = "mysql-plugin-tests/tests/server/tools/report/remedies.rs";

/// Findings whose remedies other tests on a server follow: the check, words of the finding, and the tests.
const BY_OTHER_TESTS: [(&str, &str, &str); 2] = [
    ("server-keyring", "the server has no keyring", "setup::plugin"),
    ("server-keyring", "uses another keyring", "migrate_offline::real_data_of_keyring_file"),
];

/// Findings whose remedies are what doctor prints for the same server.
/// Those of diverged copies are the same lines, which the tests of doctor follow.
const BY_DOCTOR: [&str; 5] = ["mirrors-apart", "one-copy", "same-device", "same-file", "volatile"];
const DOCTOR: &str = "keyringctl doctor";

/// Follows a finding's remedy on the facts.
type Follow = fn(&mut Facts, &Finding);

/// Findings whose remedies are followed here: the check, words of the finding, and how.
const HERE: [(&str, &str, Follow); 23] = [
    ("audit-log", "/v/audit.log has no line", |facts, finding| {
        assert!(finding.fix[1].ends_with("ALTER INSTANCE RELOAD KEYRING;"), "{finding:?}");
        facts.audit = Known::Measured(sample::audit());
    }),
    // The tests of the log verify those of several servers together.
    ("audit-log", "notes another audit log than that of this server", |facts, finding| {
        assert!(finding.fix[0].ends_with("keyringctl audit verify FILE..."), "{finding:?}");
        facts.audit = Known::Measured(sample::audit());
    }),
    // The tests of the log and of doctor verify it with a backup, and have a line written.
    ("audit-log", "lines of the audit log cannot be checked", |facts, finding| {
        assert!(
            finding.fix[0]
                .ends_with("keyringctl audit verify --audit-log /v/audit.log --earlier-copy BACKUP"),
            "{finding:?}"
        );
        facts.audit = Known::Measured(sample::audit());
    }),
    ("audit-log", "lines of the audit log were never checked", |facts, finding| {
        assert!(
            finding.fix[0]
                .ends_with("keyringctl audit verify --audit-log /v/audit.log --earlier-copy BACKUP"),
            "{finding:?}"
        );
        facts.audit = Known::Measured(sample::audit());
    }),
    // Nothing brings back what was written.
    ("audit-log", "is not as it was written", |facts, finding| {
        assert!(finding.fix[0].ends_with("keyringctl audit verify --audit-log /v/audit.log"), "{finding:?}");
        facts.audit = Known::Measured(sample::audit());
    }),
    ("audit-log", "could not write 2 lines", |facts, finding| {
        assert!(finding.fix[0].ends_with(DOCTOR), "{finding:?}");
        audit(facts).failures = Some(0);
    }),
    // The tests of setup run it; report::what_the_audit_log_tells restarts a server with that setting.
    ("audit-log", "the server keeps no audit log", |facts, finding| {
        let then = match facts.keyring.way {
            LoadedAs::Component => "then run in the server: ALTER INSTANCE RELOAD KEYRING;",
            _ => "then restart the server",
        };
        let setup = "keyringctl setup --audit-log /var/log/mysql/keyring_external.audit.log";
        assert_eq!(finding.fix, [setup, then]);
        facts.audit = Known::Measured(sample::audit());
    }),
    ("not-measured", "the audit log: cannot read", |facts, _| {
        facts.audit = Known::Measured(sample::audit());
    }),
    ("not-measured", "it is not known where that is", |facts, finding| {
        assert!(finding.what.ends_with("run keyringctl report with --audit-log FILE"), "{finding:?}");
        facts.audit = Known::Measured(sample::audit());
    }),
    // The tests of keys run both on a server.
    ("retired-keys", "has fetched retired keys", |facts, finding| {
        assert!(finding.fix[1].ends_with("keyringctl keys unretire ID"), "{finding:?}");
        facts.retired_fetches = Some(0);
    }),
    // The tests of drill run it on a server.
    ("drill", "no restore drill is recorded", |facts, finding| {
        assert!(finding.fix[0].contains("keyringctl drill --backup PATH"), "{finding:?}");
        drills(facts).push(drill());
    }),
    ("drill", "the last restore drill of", |facts, finding| {
        assert!(finding.fix[0].contains("keyringctl drill history --json"), "{finding:?}");
        *drills(facts) = vec![drill()];
    }),
    ("not-measured", "the restore drills: cannot read", |facts, _| {
        facts.drills = Known::Measured(vec![drill()]);
    }),
    // The test on a server connects without a password itself.
    ("account", "no password is needed for", |facts, finding| {
        assert!(
            finding.fix[0].contains("ALTER USER `root`@`localhost` IDENTIFIED BY RANDOM PASSWORD;"),
            "{finding:?}"
        );
        administrator(facts).no_password = false;
    }),
    // SERVER-NOTES.md says how it was tried.
    ("file-privilege", "secure_file_priv lets", |facts, finding| {
        assert!(finding.fix[0].starts_with("set secure_file_priv = NULL"), "{finding:?}");
        of_access(facts).secure_file_priv = None;
    }),
    ("replication-tls", "a replica is connected without TLS", |facts, finding| {
        assert!(finding.fix[0].contains("CHANGE REPLICATION SOURCE TO SOURCE_SSL = 1;"), "{finding:?}");
        facts.transit.replicas = Known::Measured(vec![("b".to_owned(), true)]);
    }),
    ("certificate-file", " expires on ", renew),
    ("certificate-file", " expired on ", renew),
    ("not-measured", "the certificates in /d/cert.pem: cannot read", |facts, _| {
        facts.transit.certificates.clear();
    }),
    // Nobody waits for a year.
    ("rotation", "was last rotated on", |facts, finding| {
        assert_eq!(finding.fix, ["keyringctl encrypt rotate"]);
        let stored = facts.measured;
        if let Known::Measured(keys) = &mut facts.keys {
            let newest = keys.last().expect("a key").clone();
            keys.push(MasterKey { id: format!("{}-2", newest.id), stored, ..newest });
        }
    }),
    // Servers since 8.0.28 refuse these versions.
    ("tls-version", "is allowed", |facts, finding| {
        let (_, value) = finding.fix[0].split_once("SET PERSIST tls_version = '").expect("a statement");
        value.split_once("';").expect("its end").0.clone_into(&mut facts.transit.tls_version);
    }),
    // An account that may not see which component is loaded.
    ("not-measured", "which keyring the server uses", |facts, finding| {
        let grant = "SELECT on performance_schema.keyring_component_status";
        assert!(finding.fix[0].contains(grant), "{finding:?}");
        facts.keyring.way = LoadedAs::Component;
    }),
    ("server-state", "UNAVAILABLE", |facts, finding| {
        let (first, then) = finding.fix[0].split_once(", then run ").expect("two steps");
        assert!(first.ends_with(DOCTOR) && then.starts_with("ALTER INSTANCE RELOAD KEYRING"), "{finding:?}");
        "ATTACHED".clone_into(&mut facts.keyring.state);
    }),
];

/// Puts another certificate in the place of those in files.
fn renew(facts: &mut Facts, finding: &Finding) {
    assert!(finding.fix[0].starts_with("get a new certificate"), "{finding:?}");
    for file in &mut facts.transit.certificates {
        let Known::Measured(all) = &mut file.certificates else { continue };
        all.iter_mut().for_each(|certificate| certificate.not_after = facts.measured + 400 * DAY);
    }
}

/// The findings in the list of the test on a server.
fn on_a_server() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(ON_A_SERVER)).unwrap();
    let (_, list) = text.split_once("const FINDINGS: ").expect("a list");
    let (list, _) = list.split_once("];\n").expect("its end");
    let quoted: Vec<_> = list.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    quoted.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Facts for every way to cause a finding.
fn causes() -> Vec<Facts> {
    let rules = ERRORS.into_iter().chain(WARNINGS).map(|(_, change)| with(change).0);
    let missing = NOT_MEASURED.into_iter().map(|(why, change)| with(|facts| change(facts, why.to_owned())).0);
    rules.chain(missing).collect()
}

/// The places in the code that report a finding, by file and line.
fn places() -> BTreeSet<(String, u32)> {
    let report = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/report");
    let rules = fs::read_dir(report.join("findings")).unwrap().map(|entry| entry.unwrap().path());
    let rules =
        rules.filter(|path| path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs"));
    let mut all = BTreeSet::new();
    for file in rules.chain([report.join("findings.rs")]) {
        let text = fs::read_to_string(&file).unwrap();
        let mut in_helper = false;
        for (i, line) in text.lines().enumerate() {
            // A helper reports where it is called.
            in_helper = in_helper && line != "}" || line == "#[track_caller]";
            let code = line.trim_start();
            let calls = ["found.add(", "found.error(", "found.warning(", "add(", "warning("];
            let is_call = calls.iter().any(|call| code.starts_with(call));
            if is_call && !in_helper && !code.contains("why_not()") {
                all.insert((name(&file), u32::try_from(i + 1).unwrap()));
            }
        }
    }
    all
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// All code of doctor.
fn doctor() -> String {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/doctor");
    let files = fs::read_dir(files).unwrap().map(|entry| entry.unwrap().path());
    files.filter_map(|path| fs::read_to_string(path).ok()).collect()
}

#[test]
fn every_finding_has_a_test_that_follows_its_remedy() {
    let (on_a_server, doctor) = (on_a_server(), doctor());
    let tests = fs::read_to_string(root().join("mysql-plugin-tests/tests/server/main.rs")).unwrap();
    let (mut reported, mut caused) = (BTreeSet::new(), BTreeSet::new());
    for mut facts in causes() {
        let all: Vec<_> = findings(&facts).all().into_iter().cloned().collect();
        for finding in all {
            let file = Path::new(finding.at.file());
            if file.iter().any(|part| part == "report") {
                reported.insert((name(file), finding.at.line()));
            }
            let is_it = |check: &str, words: &str| finding.check == check && finding.what.contains(words);
            if let Some((check, words, follow)) = HERE.iter().find(|(check, words, _)| is_it(check, words)) {
                follow(&mut facts, &finding);
                let after = findings(&facts);
                let left = after.all().into_iter().find(|f| f.check == *check && f.what.contains(words));
                assert!(left.is_none(), "followed, and still there: {left:#?}");
                continue;
            }
            let listed = on_a_server.iter().enumerate().filter(|(_, (check, words))| is_it(check, words));
            let listed: Vec<_> = listed.map(|(number, _)| number).collect();
            if !listed.is_empty() {
                caused.extend(listed);
            } else if is_it("copies-alike", "have diverged") {
                assert!(doctor.contains("use crate::commands::content::{Content, remedy};"));
            } else if BY_DOCTOR.contains(&finding.check) {
                let fix = finding.fix.last().expect("a fix");
                let check = format!("\"{}\"", finding.check);
                assert!(fix.ends_with(DOCTOR) && doctor.contains(&check), "{finding:?}");
            } else {
                let other = BY_OTHER_TESTS.iter().find(|(check, words, _)| is_it(check, words));
                let other = other.unwrap_or_else(|| panic!("no test follows the remedy of {finding:#?}"));
                assert!(tests.contains(&format!("(\"{}\",", other.2)), "no test {}", other.2);
            }
        }
    }
    let unused = on_a_server.iter().enumerate().filter(|(i, _)| !caused.contains(i));
    let unused: Vec<_> = unused.map(|(_, finding)| finding).collect();
    assert!(unused.is_empty(), "no rule here reports {unused:?} of {ON_A_SERVER}");
    let left: Vec<_> = places().into_iter().filter(|place| !reported.contains(place)).collect();
    assert!(left.is_empty(), "no case here causes what is reported at {left:?}");
}
