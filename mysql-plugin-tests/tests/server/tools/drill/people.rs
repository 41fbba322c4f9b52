// SPDX-License-Identifier: GPL-2.0-or-later
//! Drills that people unlock, with the recovery key or with shares: what they type is nowhere afterwards.

use super::shared::{Drills, LIMIT, Told, backed_up, host, servers_in, text};
use mysql_plugin_tests::rig::{Keyring, Volume, files_with, told, wait_until};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};

/// A keyring that a secret file, a recovery key and two of three custodians unlock.
struct Unlocked {
    keyring: Keyring,
    recovery: String,
    shares: Vec<String>,
    _volume: Volume,
}

impl Unlocked {
    fn new() -> Unlocked {
        let volume = Volume::directory();
        let keyring = Keyring::init(&volume);
        let add = |option: &[&str]| -> Value {
            let args = [keyring.path.as_os_str()];
            let output = keyring.ctl_with(&[&["slot", "add"], option].concat(), args);
            assert!(output.status.success(), "{}", told(&output));
            serde_json::from_slice(&output.stdout).unwrap()
        };
        let recovery = add(&["--new-recovery"])["recovery_key"].as_str().unwrap().to_owned();
        let printed = add(&["--new-custodians", "2-of-3"]);
        let shares = printed["custodians"]["printed"].as_array().unwrap();
        let shares = shares.iter().map(|share| share["share"].as_str().unwrap().to_owned()).collect();
        Unlocked { keyring, recovery, shares, _volume: volume }
    }

    /// What must be nowhere: what people type, with and without dashes.
    fn secrets(&self) -> Vec<Vec<u8>> {
        let texts = self.shares.iter().chain([&self.recovery]);
        texts.flat_map(|text| [text.clone(), text.replace('-', "")]).map(String::into_bytes).collect()
    }
}

/// The processes in whose arguments or environment one of the secrets is.
fn processes_with(secrets: &[Vec<u8>]) -> Vec<PathBuf> {
    let has = |file: &PathBuf| {
        let words = fs::read(file).unwrap_or_default();
        secrets.iter().any(|secret| words.windows(secret.len()).any(|window| window == secret))
    };
    let of = |entry: fs::DirEntry| ["cmdline", "environ"].map(|file| entry.path().join(file));
    fs::read_dir("/proc").unwrap().flatten().flat_map(of).filter(has).collect()
}

fn type_lines(mut to: ChildStdin, lines: &[String]) {
    to.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
}

/// A drill to which these lines are typed on standard input. Looks for secrets while its server runs, and afterwards.
fn drill_with(drills: &Drills, backup: &Path, site: &Unlocked, option: &str, lines: &[String]) -> Told {
    let secrets = site.secrets();
    let log = drills.path("audit.log");
    let options = [option, "--audit-log", text(&log)];
    let mut command = drills.command(backup, None, &drills.work(), &options);
    command.arg(&site.keyring.path).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    type_lines(child.stdin.take().unwrap(), lines);
    let mut servers = Vec::new();
    assert!(wait_until(LIMIT, || {
        servers = servers_in(&drills.work());
        !servers.is_empty() || child.try_wait().unwrap().is_some()
    }));
    let during = processes_with(&secrets);
    assert!(during.is_empty(), "{during:?}");
    let output = child.wait_with_output().unwrap();
    let after = processes_with(&secrets);
    assert!(after.is_empty(), "{after:?}");
    drills.assert_nothing_is_left();
    for secret in &secrets {
        let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == &secret[..]);
        assert!(!has(&output.stdout) && !has(&output.stderr), "a secret is in the output");
    }
    // The history and the audit log among them; the keyring is elsewhere.
    let left = files_with(&[drills.dir.path()], &secrets);
    assert!(left.is_empty(), "{left:?}");
    Told::of(&output)
}

/// The recovery key and any two shares unlock the keyring of a drill. A wrong share is named, and too few are refused,
/// before anything is copied. No secret is left in a file, in the arguments of a process or in what the drill says.
pub fn unlocked_by_people() {
    let site = Unlocked::new();
    let host = host(&site.keyring);
    let drills = Drills::new();
    let backup = backed_up(&host, &drills, "backup");
    let drill = |option, lines: &[String]| drill_with(&drills, &backup, &site, option, lines);
    let shares = &site.shares;

    drill("--recovery", std::slice::from_ref(&site.recovery)).passed();
    drill("--custodians", &[shares[2].clone(), shares[0].clone()]).passed();

    let refused = |option, lines: &[String], why: &[&str]| {
        let told = drill(option, lines);
        let said = told.document["error"].as_str().unwrap_or_default();
        assert!(told.code != 0 && told.code <= 2, "{}", told.all);
        assert!(why.iter().all(|why| said.contains(why)), "{why:?}: {}", told.all);
    };
    refused("--custodians", &shares[..1], &["has 1 share of set", "2 are needed"]);
    let mut mistyped = shares[1].clone();
    let other = if mistyped.as_bytes()[27] == b'7' { "8" } else { "7" };
    mistyped.replace_range(27..28, other);
    refused(
        "--custodians",
        &[shares[0].clone(), mistyped],
        &["line 2 of standard input", "group 5 of share 2"],
    );
    refused("--custodians", &[shares[0].clone(), shares[0].clone()], &["share 1 was given already"]);
    let foreign = Unlocked::new();
    refused(
        "--custodians",
        &[shares[0].clone(), foreign.shares[1].clone()],
        &["share 2 is of another keyring"],
    );
    refused("--recovery", std::slice::from_ref(&foreign.recovery), &["fits none of the unlock slots"]);
    // None of these is a drill.
    let history = fs::read_to_string(drills.history()).unwrap();
    assert_eq!(history.lines().count(), 2, "{history}");
}
