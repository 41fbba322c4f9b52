// SPDX-License-Identifier: GPL-2.0-or-later
//! What `keyringctl` shows on a terminal of 60 columns, and the completions of shells.

#[path = "../../tests/common/mod.rs"]
mod common;
mod mock_host;

use common::ended::Ended;
use keyring_external::keyring::load;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use mock_host::Host;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

const COLUMNS: usize = 60;
/// Of patients, in Japanese.
const VOLUME: &str = "mnt/\u{60a3}\u{8005}";
const GREEN: &str = "\x1b[32mOK\x1b[0m";

/// A host with a keyring that has two copies, on a volume with a Japanese name, and a key.
fn host() -> Host {
    let host = Host::new();
    for volume in [VOLUME, "mnt/b"] {
        fs::create_dir_all(host.at(&format!("{volume}/keys"))).unwrap();
        fs::set_permissions(host.at(&format!("{volume}/keys")), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let (main, mirror) =
        (path(&host, &format!("{VOLUME}/keys/main.keyring")), path(&host, "mnt/b/keys/main.keyring"));
    let init = ["init", &main, "--mirror", &mirror, "--generate-secret", "--unlock", &unlock(&host)];
    assert_eq!(plain(&init).code, 0);
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let keyring = load(&Places::from(&fs), main.as_ref(), &UnlockSource::File(host.at("secret"))).unwrap().0;
    let id = "INNODBKey-0a3c5a5e-c9b8-11f0-9d5b-0242ac110002-1";
    keyring.store(common::name(id, ""), &common::key_type("AES"), &[7; 32]).unwrap();
    fs::copy(&main, &mirror).unwrap();
    host
}

fn path(host: &Host, path: &str) -> String {
    host.at(path).display().to_string()
}

fn unlock(host: &Host) -> String {
    format!("file:{}", path(host, "secret"))
}

fn plain(args: &[&str]) -> Ended {
    Ended::of(
        &Command::new(env!("CARGO_BIN_EXE_keyringctl")).args(args).stdin(Stdio::null()).output().unwrap(),
    )
}

/// Runs `keyringctl` on a terminal of so many columns, with this environment. `None` if `script` is not installed.
fn on_terminal(columns: usize, args: &[&str], env: &[(&str, &str)]) -> Option<Ended> {
    let words: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let line = format!("stty cols {columns}; exec {} {}", env!("CARGO_BIN_EXE_keyringctl"), words.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null());
    script.env_remove("COLUMNS").env_remove("NO_COLOR").env("TERM", "xterm").envs(env.iter().copied());
    match script.output() {
        Ok(output) => {
            let mut ended = Ended::of(&output);
            ended.out = ended.out.replace("\r\n", "\n");
            Some(ended)
        }
        Err(_) => {
            eprintln!("SKIPPED: the program script is not installed");
            None
        }
    }
}

/// No line is wider than the terminal, but those that are a path or a command.
#[track_caller]
fn fits(text: &str) {
    for line in text.lines() {
        let is_piece = line.contains('/') || line.contains("keyringctl ");
        assert!(line.width() <= COLUMNS || is_piece, "{line:?} in\n{text}");
        // A piece that is too wide has no other text beside it, except its label.
        let words = line.split_whitespace().filter(|word| !word.contains('/')).count();
        assert!(line.width() <= COLUMNS || words <= 3 || line.contains("keyringctl "), "{line:?} in\n{text}");
    }
}

#[test]
fn tables_and_findings_fit_a_terminal_of_60_columns() {
    let host = host();
    let (main, mirror) =
        (path(&host, &format!("{VOLUME}/keys/main.keyring")), path(&host, "mnt/b/keys/main.keyring"));
    let (unlock, root) = (unlock(&host), host.0.path().display().to_string());
    let commands: [&[&str]; 4] = [
        &["status", &main, &mirror, "--unlock", &unlock],
        &["list", &main, "--unlock", &unlock],
        &["verify", &main, &mirror, "--unlock", &unlock],
        &["doctor", "--offline", "--root", &root],
    ];
    for args in commands {
        let Some(ended) = on_terminal(COLUMNS, &[args, &["--color", "never"]].concat(), &[]) else { return };
        fits(&ended.out);
        let piped = plain(args);
        assert_eq!(ended.code, piped.code, "{ended:?}");
        // The same words, and in a pipe one line for each finding and row.
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        if args[0] != "list" {
            assert_eq!(words(&ended.out), words(&format!("{}{}", piped.err, piped.out)));
        }
        assert!(ended.out.lines().count() > piped.out.lines().count() || args[0] == "status", "{ended:?}");
    }
    let list = on_terminal(COLUMNS, commands[1], &[]).unwrap();
    assert!(list.out.starts_with("KEY ID  INNODBKey-0a3c5a5e-c9b8-11f0-9d5b-0242ac110002-1\n"), "{list:?}");
    let wide = on_terminal(120, commands[1], &[]).unwrap();
    assert_eq!(wide.out, plain(commands[1]).out, "it fits");
}

#[test]
fn colours_are_for_status_words_on_a_terminal_only() {
    let host = host();
    let main = path(&host, &format!("{VOLUME}/keys/main.keyring"));
    let unlock = unlock(&host);
    let verify = ["verify", main.as_str(), "--unlock", &unlock];
    let with = |more: &[&'static str]| [&verify[..], more].concat();
    let Some(ended) = on_terminal(80, &verify, &[]) else { return };
    assert!(ended.out.contains(GREEN), "{ended:?}");
    for (args, env) in [
        (with(&["--color", "never"]), &[][..]),
        (with(&[]), &[("NO_COLOR", "1")][..]),
        (with(&[]), &[("TERM", "dumb")][..]),
        (with(&["--json"]), &[][..]),
        (with(&["--json", "--color", "always"]), &[][..]),
    ] {
        let ended = on_terminal(80, &args, env).unwrap();
        assert!(!ended.out.contains('\x1b') && ended.code == 0, "{args:?}: {ended:?}");
    }
    assert!(on_terminal(80, &verify, &[("NO_COLOR", "")]).unwrap().out.contains(GREEN), "it is not set");
    assert!(
        on_terminal(80, &with(&["--color", "always"]), &[("NO_COLOR", "1")]).unwrap().out.contains(GREEN)
    );
    assert!(!plain(&verify).out.contains('\x1b'));
    assert!(plain(&with(&["--color", "always"])).out.contains(GREEN));
    assert!(!plain(&with(&["--color", "always", "--json"])).out.contains('\x1b'));
}

#[test]
fn help_has_colours_only_if_they_are_allowed() {
    let Some(ended) = on_terminal(80, &["list", "--help"], &[]) else { return };
    assert!(ended.out.contains('\x1b'), "{ended:?}");
    for (args, env) in [
        (&["list", "--help", "--color", "never"][..], &[][..]),
        (&["list", "--color=never", "--help"][..], &[][..]),
        (&["list", "--help"][..], &[("NO_COLOR", "1")][..]),
    ] {
        assert!(!on_terminal(80, args, env).unwrap().out.contains('\x1b'), "{args:?}");
    }
    assert!(!plain(&["list", "--help"]).out.contains('\x1b'));
}

#[test]
fn a_shell_completes_commands_with_the_script() {
    let dir = common::private_dir();
    for shell in ["bash", "zsh", "fish"] {
        let script = plain(&["completions", shell]).says(0, &[]).out;
        assert!(!script.contains("\\u{a}") && script.lines().count() > 100, "{script}");
        assert_eq!(plain(&["completions", shell, "--json"]).json()["script"].as_str().unwrap(), script);
    }
    let script = dir.path().join("completions");
    fs::write(&script, plain(&["completions", "bash"]).out).unwrap();
    let ask = format!(
        "source '{}'; COMP_WORDS=(keyringctl slot rem); COMP_CWORD=2; _keyringctl keyringctl rem slot; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let answer = Command::new("bash").args(["-c", &ask]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "remove", "{answer:?}");
}
