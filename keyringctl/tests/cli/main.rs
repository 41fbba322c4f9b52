// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares the output and the exit codes of `keyringctl` with snapshots/, which has one snapshot for each behaviour.
//! `INSTA_UPDATE=always cargo test -p keyringctl --test cli` accepts the present output.

mod audit;
#[path = "../../../tests/common/mod.rs"]
mod common;
mod copies;
mod custodians;
mod data_directory;
mod diverged;
mod drill;
mod encrypt;
mod keyrings;
mod monitoring;
mod other_keyrings;
mod prompts;
mod qr_code;
mod redo_log;
mod retention;
mod slots;
mod which;
mod witness;

use common::private_dir;
use std::fs;
use std::io::{ErrorKind, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A directory for keyrings and secrets.
struct Place {
    dir: TempDir,
}

/// The exit code and the output of a command.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: private_dir() };
        place.write("phrase", b"correct horse battery");
        place.write("other", b"another passphrase");
        place
    }

    /// With a keyring that the secret in the file `secret` unlocks.
    fn with_keyring() -> Self {
        let place = Self::new();
        let ended =
            place.run("init DIR/main.keyring --unlock file:DIR/secret --generate-secret --label Biobank");
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Runs `keyringctl` with these arguments, in which `DIR` stands for the directory.
    fn run(&self, line: &str) -> Ended {
        self.run_with(line, b"")
    }

    /// As [`Place::run`], with this standard input.
    fn run_with(&self, line: &str, input: &[u8]) -> Ended {
        let mut stdin = tempfile::tempfile().unwrap();
        stdin.write_all(input).unwrap();
        stdin.rewind().unwrap();
        let dir = self.dir.path().to_str().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
            .args(line.split_whitespace().map(|word| word.replace("DIR", dir)))
            .stdin(stdin)
            .env_remove("CREDENTIALS_DIRECTORY")
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        if line.split_whitespace().any(|word| word == "--json") {
            let document = serde_json::from_slice(&output.stdout);
            common::json_form::check(&document.unwrap_or_else(|e| panic!("{line}: {e}: {output:?}")));
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(dir, "DIR");
        Ended {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Runs `keyringctl` on a terminal, and types each answer when its prompt appears. `stdout` is what the terminal
    /// shows. Returns `None` if there is no python3, which makes the terminal.
    fn at_terminal(&self, line: &str, answers: &[(&str, &str)]) -> Option<Ended> {
        let dir = self.dir.path().to_str().unwrap();
        let output = Command::new("python3")
            .arg("-B")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/terminal.py"))
            .arg(serde_json::to_string(answers).unwrap())
            .arg(env!("CARGO_BIN_EXE_keyringctl"))
            .args(line.split_whitespace().map(|word| word.replace("DIR", dir)))
            .env_remove("CREDENTIALS_DIRECTORY")
            // Lines are not broken.
            .env("COLUMNS", "1000")
            .output();
        let output = match output {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                println!("skipped: there is no python3");
                return None;
            }
            output => output.unwrap(),
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(dir, "DIR");
        let ended = Ended {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        };
        assert!(ended.stderr.is_empty(), "{}\n{}", ended.stderr, ended.stdout);
        Some(ended)
    }

    /// The part of a snapshot for a command.
    fn shown(&self, line: &str) -> String {
        let Ended { code, stdout, stderr } = self.run(line);
        let mut shown = format!("$ keyringctl {line}\n{stdout}");
        if !stderr.is_empty() {
            shown += &format!("--- standard error\n{stderr}");
        }
        shown + &format!("--- exit code {code}")
    }
}

/// Compares the output of the commands with a snapshot, without the parts that differ from run to run.
fn check(name: &str, place: &Place, lines: &[&str]) {
    let shown: Vec<_> = lines.iter().map(|line| place.shown(line)).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, word) in [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "[UUID]"),
        (r"([0-9A-Z]{5}-){7}[0-9A-Z]{5}", "[RECOVERY KEY]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[TIME]"),
        (r"\b1[0-9]{9}\b", "[SECONDS]"),
        (r"\b[0-9a-f]{64}\b", "[SHA-256]"),
        (r"\b([3-9]|1[0-2]) passes", "[PASSES] passes"),
        (r#""passes": ([3-9]|1[0-2])"#, r#""passes": [PASSES]"#),
    ] {
        settings.add_filter(pattern, word);
    }
    settings.bind(|| insta::assert_snapshot!(name, shown.join("\n\n")));
}

const UNLOCK: &str = "--unlock file:DIR/secret";

#[test]
fn usage() {
    let place = Place::new();
    check("usage_errors_end_in_2", &place, &["init", "frobnicate", "--json frobnicate", "init --json"]);
    let none = ["status --root DIR", "--json status --root DIR", "slot remove --root DIR 2"];
    check("a_host_without_a_keyring_says_what_was_looked_at", &place, &none);
    let help = place.run("--help");
    assert_eq!(help.code, 0);
    // Every command has its own help, with an example if it takes arguments.
    let commands =
        help.stdout.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    // Continuation lines are indented further.
    let own_line = |l: &&str| l.starts_with("  ") && !l.starts_with("   ");
    let names: Vec<_> = commands
        .filter(own_line)
        .filter_map(|l| l.split_whitespace().next())
        .filter(|n| *n != "help")
        .collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let own = place.run(&format!("{name} --help"));
        assert_eq!(own.code, 0, "{name}");
        assert!(own.stdout.contains("Example") || own.stdout.contains("Commands:"), "{name} has no example");
    }
}

#[test]
fn manual_and_completions() {
    let place = Place::new();
    assert_eq!(place.run("man DIR").code, 0);
    let page = fs::read_to_string(place.path("keyringctl-slot-add.1")).unwrap();
    assert!(page.contains("recovery"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&format!("completions {shell}"));
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains("rekey"), "{shell}");
    }
}
