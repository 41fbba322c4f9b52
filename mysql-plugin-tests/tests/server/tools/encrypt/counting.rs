// SPDX-License-Identifier: GPL-2.0-or-later
//! `plan`, `apply`, `verify` and `report` count alike, and none of them says "done" while something is unencrypted.

use super::command::{command, encrypt_json, is_about};
use super::host::{host, last_steps};
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, files_with, place, told};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What is planted in a table of InnoDB, a table of MyISAM and, with their statements, in the binary log.
const PLANTED: &str = "Quellwasser-Zebrafink";
/// The end of a verdict that everything is done.
const DONE: &str = "everything requested is encrypted";

/// What one command says.
struct Said {
    command: &'static str,
    code: i32,
    /// The two lines of its text with the count.
    lines: Vec<String>,
    text: String,
    /// The count in its JSON.
    tally: Value,
    document: Value,
}

struct Clinic {
    host: Host,
    keyring: Keyring,
}

impl Clinic {
    fn run(&self, args: &[&str]) -> Output {
        match args {
            ["encrypt", rest @ ..] => command(&self.host, rest).output().unwrap(),
            _ => Command::new(&place().keyringctl)
                .args(args)
                .arg(format!("--unlock=file:{}", self.keyring.secret.display()))
                .args(["--no-defaults", "--user=root", "--socket"])
                .arg(self.host.socket())
                .output()
                .unwrap(),
        }
    }

    /// Runs a command for people, and once more for programs.
    fn said(&self, command: &'static str, args: &[&str]) -> Said {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let of_programs = self.run(&[args, &["--json"]].concat());
        let document: Value = serde_json::from_slice(&of_programs.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", told(&of_programs)));
        assert_eq!(output.status.code(), of_programs.status.code(), "{command}: {}", told(&output));
        let is_count = |line: &&str| {
            line.contains(" unencrypted, ") && line.contains(" not supported by MySQL, ")
                || line.contains(" set, ") && line.contains(" not set")
        };
        let tally =
            if command == "report" { &document["facts"]["tally"] } else { &document["tally"] }.clone();
        Said {
            command,
            code: output.status.code().expect("an exit code"),
            lines: text.lines().filter(is_count).take(2).map(str::to_owned).collect(),
            text,
            tally,
            document,
        }
    }

    /// What all commands say, in agreement. `apply` is asked first, if it is asked.
    fn all(&self, apply: Option<&[&str]>) -> Vec<Said> {
        let page = self.host.dir().join("page.html");
        let html = format!("--html={}", page.display());
        let mut all = Vec::new();
        if let Some(args) = apply {
            all.push(self.said("apply", &[&["encrypt", "apply"], args].concat()));
        }
        all.push(self.said("plan", &["encrypt", "plan"]));
        all.push(self.said("verify", &["encrypt", "verify", "--no-canary"]));
        all.push(self.said("report", &["report", "--force", &html]));
        let first = &all[0];
        let [places, settings] = &first.lines[..] else { panic!("no count: {}", first.text) };
        let html = std::fs::read_to_string(page).unwrap();
        assert!(html.contains(places) && html.contains(settings), "{places} {settings}");
        for said in &all {
            assert_eq!(said.lines, first.lines, "{} and {}", first.command, said.command);
            assert_eq!(said.tally, first.tally, "{} and {}", first.command, said.command);
            let count = |state: &str| said.tally[state]["places"].as_u64().unwrap();
            let sentence = format!(
                " encrypted, {} unencrypted, {} not supported by MySQL, {} not checked.",
                count("unencrypted"),
                count("not_supported"),
                count("not_checked")
            );
            assert!(places.ends_with(&sentence), "{places}, not {sentence}");
        }
        all
    }

    fn doublewrite_files(&self) -> Vec<PathBuf> {
        let is_one = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "dblwr");
        with_planted(&self.host.datadir()).into_iter().filter(is_one).collect()
    }
}

fn with_planted(directory: &Path) -> Vec<PathBuf> {
    files_with(&[directory], &[PLANTED.into()])
}

fn unencrypted(said: &Said) -> u64 {
    said.tally["unencrypted"]["places"].as_u64().unwrap()
}

/// Makes a table of MyISAM, a binary log, and pages of a table in doublewrite files, from which those of another table do not
/// drive them out: a server whose memory is full writes them to a part of the files of their own.
fn plant(server: &Server) {
    server.sql(&format!(
        "CREATE SCHEMA clinic;
         CREATE TABLE clinic.isam (id INT PRIMARY KEY, name TEXT) ENGINE=MyISAM;
         INSERT INTO clinic.isam VALUES (1, '{PLANTED}');
         CREATE TABLE clinic.wide (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(2000));
         INSERT INTO clinic.wide (name) VALUES (REPEAT('{PLANTED} ', 50))"
    ));
    for _ in 0..13 {
        server.sql("INSERT INTO clinic.wide (name) SELECT name FROM clinic.wide");
    }
}

/// On a server with a table of MyISAM, a binary log and doublewrite pages from before, all commands give the same numbers in
/// the same words, before apply, after it, and when all that it leaves has been done; the exit codes follow.
pub fn one_count_and_no_false_done() {
    let volumes = [Volume::directory(), Volume::directory()];
    let keyring = Keyring::init_on(&[&volumes[0], &volumes[1]]);
    let host = host()
        .keyring(&keyring)
        .option("--innodb-doublewrite=ON")
        .option("--innodb-change-buffering=none")
        .option("--innodb-buffer-pool-size=128M")
        .option("--log-bin=binlog");
    let server = host.clone().option("--innodb-buffer-pool-size=5M").start();
    plant(&server);
    server.stop();
    let server = host.start();
    let mut clinic = Clinic { host, keyring };
    assert!(!clinic.doublewrite_files().is_empty(), "no page was written to a doublewrite file");

    let all = clinic.all(None);
    let codes: Vec<_> = all.iter().map(|said| (said.command, said.code)).collect();
    assert_eq!(codes, [("plan", 0), ("verify", 1), ("report", 1)]);

    // A table that apply cannot encrypt.
    let dry = clinic.run(&["encrypt", "apply", "--only", "clinic.isam", "--dry-run"]);
    assert!(dry.status.code() == Some(1) && told(&dry).contains("clinic.isam fails: "), "{}", told(&dry));
    let output = clinic.run(&["encrypt", "apply", "--only", "clinic.isam"]);
    let text = told(&output);
    assert!(output.status.code() == Some(1) && text.contains("FAILED: 1 step"), "{text}");
    assert!(
        text.contains("ENGINE = InnoDB, TABLESPACE = innodb_file_per_table, ENCRYPTION = 'Y'")
            && !text.contains(DONE),
        "{text}"
    );
    assert!(text.contains("0 places are encrypted, 1 unencrypted,"), "{text}");
    assert!(!text.contains("To try again"), "{text}");

    let all = clinic.all(Some(&[]));
    let [apply, _, verify, report] = &all[..] else { panic!("four commands") };
    let codes: Vec<_> = all.iter().map(|said| (said.command, said.code)).collect();
    assert_eq!(codes, [("apply", 1), ("plan", 0), ("verify", 1), ("report", 1)]);
    let left = ["clinic.isam", "binary logs", "doublewrite files (*.dblwr)"];
    let verdict = format!("INCOMPLETE. Still unencrypted: {}.", left.join(", "));
    assert!(apply.text.contains(&verdict) && !apply.text.contains(DONE), "{}", apply.text);
    assert_eq!(apply.document["left"], serde_json::json!(left));
    assert_eq!(unencrypted(apply), 3);
    // One cause is one finding, with its files.
    let findings = verify.document["findings"].as_array().unwrap();
    let settings = verify.tally["settings"]["not_set"].as_u64().unwrap();
    assert_eq!(findings.len() as u64, unencrypted(verify) + settings, "{findings:#?}");
    let planted = with_planted(&clinic.host.datadir());
    let dblwr = clinic.doublewrite_files();
    assert!(!dblwr.is_empty(), "apply has driven all old pages out of the doublewrite files");
    for path in dblwr.iter().chain(planted.iter().filter(|path| path.ends_with("clinic/isam.MYD"))) {
        let path = path.to_str().unwrap();
        assert!(findings.iter().any(|finding| is_about(finding, path)), "{path}: {findings:#?}");
    }
    let headline = report.document["headline"].as_str().unwrap();
    assert!(headline.contains("3 places are unencrypted"), "{headline}");

    // What is left, as it is said.
    server.sql("ALTER TABLE clinic.isam ENGINE = InnoDB, ENCRYPTION = 'Y'");
    let purged = clinic.run(&["encrypt", "apply", "--purge-binary-logs", "--yes"]);
    assert!(told(&purged).contains("Still unencrypted: doublewrite files (*.dblwr)."), "{}", told(&purged));
    let (host, server) = last_steps(clinic.host.clone(), server);
    clinic.host = host;
    let (code, report) = encrypt_json(&clinic.host, &["verify"]);
    assert_eq!(code, 0, "{:#}", report["findings"]);
    let all = clinic.all(Some(&[]));
    for said in &all {
        assert_eq!((said.command, said.code), (said.command, 0), "{}", said.text);
        assert_eq!((unencrypted(said), &said.tally["settings"]["not_set"]), (0, &0.into()));
    }
    assert!(all[0].text.contains(&format!("OK: {DONE}.")), "{}", all[0].text);
    assert_eq!(with_planted(&clinic.host.datadir()), Vec::<PathBuf>::new());
    server.stop();
}
