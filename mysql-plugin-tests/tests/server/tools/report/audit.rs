// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl report` says of custodians, of the audit log, and of retired and destroyed keys.

use crate::tools::backup::{encrypting, write};
use mysql_plugin_tests::common::json_form;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume, place, told, wait_until};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);

struct Site {
    host: Host,
    keyring: Keyring,
    _volume: Volume,
}

impl Site {
    fn report(&self) -> Value {
        let output = Command::new(&place().keyringctl)
            .args(["--json", "report", "--no-defaults", "--user=root", "--socket"])
            .arg(self.host.socket())
            .args(["--unlock", &format!("file:{}", self.keyring.secret.display())])
            .output()
            .unwrap();
        let report =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
        json_form::check(&report);
        report
    }

    /// Runs a command on the keyring, with these arguments.
    fn ctl(&self, command: &[&str], more: &[&str]) -> Value {
        let path = self.keyring.path.as_os_str();
        let output = self.keyring.ctl_with(command, std::iter::once(path).chain(more.iter().map(OsStr::new)));
        assert!(output.status.success(), "{command:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A key that nothing needs any more, once the server has written all its pages.
    fn unneeded(&self, server: &Server) -> String {
        let datadir = self.host.datadir().display().to_string();
        let mut id = None;
        let found = wait_until(LIMIT, || {
            let output = self.keyring.ctl_with(
                &["keys", "needed"],
                [self.keyring.path.as_os_str(), "--datadir".as_ref(), datadir.as_ref()],
            );
            let needs: Value = serde_json::from_slice(&output.stdout).unwrap();
            let keys = needs["keys"].as_array().unwrap();
            let unneeded = keys.iter().find(|key| key["need"] == "nothing" && key["kind"] == "innodb");
            id = unneeded.map(|key| key["id"].as_str().unwrap().to_owned());
            id.is_some()
        });
        assert!(found, "{}", server.log());
        id.unwrap()
    }
}

/// The findings on the audit log.
fn of_log(report: &Value) -> Vec<&Value> {
    report["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == "audit-log").collect()
}

fn log_of(report: &Value) -> &Value {
    let measured = &report["facts"]["audit"]["measured"];
    assert!(measured.is_object(), "{}", report["facts"]["audit"]);
    measured
}

/// What is shown on a subject.
fn shown<'a>(report: &'a Value, subject: &str) -> &'a str {
    let controls = report["controls"].as_array().unwrap();
    let of = controls.iter().find(|control| control["subject"].as_str().unwrap().starts_with(subject));
    of.unwrap()["shown"].as_str().unwrap()
}

fn lines(report: &Value, what: &str) -> u64 {
    let events = log_of(report)["events"].as_array().unwrap();
    events.iter().find(|event| event["what"] == what).unwrap()["lines"].as_u64().unwrap()
}

/// Without a log, the report says how to get one. With it, the report tells what the log does: custodians, a key that was
/// retired and then destroyed, and a line that was removed from a file that a rotation has renamed.
pub fn what_the_audit_log_tells() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = encrypting(Host::new()).keyring(&keyring);
    let mut site = Site { host, keyring, _volume: volume };
    let server = site.host.start();
    write(&server, "Monday");
    let report = site.report();
    let [none] = of_log(&report)[..] else { panic!("{:#}", report["findings"]) };
    assert_eq!((&none["level"], &log_of(&report)["file"]), (&"risk".into(), &Value::Null), "{none:#}");
    assert!(none["fix"][0].as_str().unwrap().starts_with("keyringctl setup --audit-log /"), "{none:#}");
    assert!(shown(&report, "Split").contains("No secret is divided among custodians"), "{report:#}");
    server.stop();

    // The setting that setup writes, with a file of this test.
    let log = site.host.dir().join("audit.log");
    let option = format!("--keyring-external-audit-log={}", log.display());
    site.host = site.host.clone().option(option);
    let server = site.host.start();
    let log_option = ["--audit-log", log.to_str().unwrap()];
    site.ctl(&["slot", "add"], &["--new-custodians", "2-of-3", log_option[0], log_option[1]]);
    for _ in 0..3 {
        server.sql(ROTATE);
    }
    let report = site.report();
    assert!(of_log(&report).is_empty(), "{:#}", report["findings"]);
    assert!(shown(&report, "Split").contains("only together: any 2 of 3"), "{}", shown(&report, "Split"));
    let told_of = log_of(&report);
    let one = &told_of["logs"][0];
    assert_eq!((&one["compared_with_note"], &told_of["failures"]), (&true.into(), &0.into()), "{told_of:#}");
    assert!(one["findings"].as_array().unwrap().is_empty() && one["lines"] == one["by_mac"], "{one:#}");
    assert_eq!((lines(&report, "slots"), lines(&report, "destroyed")), (1, 0));
    assert!(lines(&report, "stored") >= 3 && lines(&report, "opened") >= 1, "{told_of:#}");
    // The report unlocked the keyring too.
    let last = fs::read_to_string(&log).unwrap().lines().next_back().unwrap().to_owned();
    assert!(last.contains("\"event\":\"opened\"") && last.contains("\"command\":\"report\""), "{last}");
    let opened = lines(&report, "opened");
    assert_eq!(lines(&site.report(), "opened"), opened + 1);

    // The file is rotated, and a key retired and destroyed.
    let renamed = log.with_extension("log.1");
    fs::rename(&log, &renamed).unwrap();
    let id = site.unneeded(&server);
    let datadir = site.host.datadir().display().to_string();
    let more = [&*id, "--datadir", &*datadir, "--yes", log_option[0], log_option[1]];
    site.ctl(&["keys", "retire"], &more);
    let report = site.report();
    let keys = report["facts"]["needs"]["measured"]["keys"].as_array().unwrap();
    let retired: Vec<_> = keys.iter().filter(|key| !key["retired"].is_null()).map(|key| &key["id"]).collect();
    assert_eq!((retired, &report["facts"]["retired_fetches"]), (vec![&id.clone().into()], &0.into()));
    let of_file = site.keyring.open().status().generation;
    assert!(wait_until(LIMIT, || server.status()["generation"] == of_file.to_string()), "{}", server.log());
    site.ctl(&["keys", "destroy"], &[&more[..], &["--min-wait", "0"]].concat());
    let report = site.report();
    assert!(of_log(&report).is_empty(), "{:#}", report["findings"]);
    let destroyed = &log_of(&report)["destroyed"];
    assert_eq!(destroyed.as_array().map(Vec::len), Some(1), "{destroyed:#}");
    let destroyed = &destroyed[0];
    assert_eq!((&destroyed["key"], &destroyed["confirmed"]), (&id.into(), &true.into()), "{destroyed:#}");
    assert_eq!(destroyed["min_wait_days"], 0, "{destroyed:#}");
    assert!(
        destroyed["who"].as_str().unwrap().starts_with("keyringctl keys destroy, user "),
        "{destroyed:#}"
    );
    let files = log_of(&report)["files"].as_array().unwrap();
    assert_eq!(files.len(), 2, "{files:?}");

    a_removed_line_is_reported(&site, &renamed);
    server.stop();
}

/// The third line is removed: the report says before which line of which file it is missing.
fn a_removed_line_is_reported(site: &Site, file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    let left: String =
        text.lines().enumerate().filter(|(i, _)| *i != 2).map(|(_, line)| format!("{line}\n")).collect();
    fs::write(file, left).unwrap();
    let report = site.report();
    let [fault] = of_log(&report)[..] else { panic!("{:#}", report["findings"]) };
    let what = fault["what"].as_str().unwrap();
    let place = format!("{} line 3: before it, lines are missing: number 3", file.display());
    assert!(fault["level"] == "wrong" && what.contains(&place), "{what}");
    let logs = log_of(&report)["logs"].as_array().unwrap();
    let missing = logs.iter().flat_map(|log| log["findings"].as_array().unwrap());
    let missing: Vec<_> = missing.map(|f| (&f["trouble"], &f["line"], &f["first"])).collect();
    assert_eq!(missing, [(&"missing".into(), &3.into(), &3.into())]);
    assert_eq!(report["verdict"], "not_fine");
    assert!(shown(&report, "Logging").contains("1 fault"), "{}", shown(&report, "Logging"));
}
