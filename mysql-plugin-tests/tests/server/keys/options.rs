// SPDX-License-Identifier: GPL-2.0-or-later
//! The plugin's options in every spelling that MySQL has for its own, on the command line and in an option file.

use keyring_external::config::DEFAULT_REMOTES;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, place};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What one start is given, and what it shows. Each spelling is in one of them.
struct Start {
    file: &'static str,
    line: &'static [&'static str],
    shows: [(&'static str, &'static str); 8],
    /// What the error log says of it.
    log: &'static [&'static str],
}

const STARTS: &[Start] = &[
    // The name alone takes nothing from the option after it.
    Start {
        file: "",
        line: &[
            "--keyring-external-auto-create",
            "--keyring-external-allow-same-device",
            "--keyring-external-read-only",
            "--keyring-external-wait=5",
        ],
        shows: values("ON", "ON", "ON", "5", "1"),
        log: &[],
    },
    Start {
        file: "",
        line: &[
            "--keyring_external_auto-create=true",
            "--enable-keyring-external-allow-same-device",
            "--loose-keyring-external-read-only",
            "--keyring-external-wait",
            "6",
        ],
        shows: values("ON", "ON", "ON", "6", "1"),
        log: &[],
    },
    // The last one counts.
    Start {
        file: "",
        line: &[
            "--keyring-external-auto-create=ON",
            "--skip-keyring-external-auto-create",
            "--keyring-external-allow-same-device",
            "--disable-keyring_external_allow_same_device",
            "--skip-keyring-external-read-only=0",
            "--keyring-external-wait=4k",
            "--keyring-external-min-copies=0",
        ],
        shows: values("OFF", "OFF", "ON", "3600", "1"),
        log: &[],
    },
    // Not recognised: OFF, with a warning.
    Start {
        file: "",
        line: &[
            "--keyring-external-auto-create=MAYBE",
            "--keyring-external-allow-same-device=",
            "--keyring-external-read-only=oFf",
        ],
        shows: values("OFF", "OFF", "OFF", "0", "1"),
        log: &["boolean value 'MAYBE' was not recognized", "boolean value '' was not recognized"],
    },
    Start {
        file: "keyring_external_auto_create\nkeyring-external-allow_same-device\nloose_keyring_external_read_only\n\
               keyring-external-wait = '7' # seconds\n",
        line: &[],
        shows: values("ON", "ON", "ON", "7", "1"),
        log: &[],
    },
    Start {
        file: "keyring_external_auto_create = 1\nskip-keyring-external-auto-create\n\
               enable_keyring_external_allow_same_device\nkeyring_external_read_only   =   \"False\"\n\
               keyring_external_wait=8\n",
        line: &["--keyring-external-wait=9"],
        shows: values("OFF", "ON", "OFF", "9", "1"),
        log: &[],
    },
];

const fn values(
    auto_create: &'static str,
    same_device: &'static str,
    read_only: &'static str,
    wait: &'static str,
    min_copies: &'static str,
) -> [(&'static str, &'static str); 8] {
    [
        ("keyring_external_allow_same_device", same_device),
        ("keyring_external_audit_log", ""),
        ("keyring_external_audit_log_forward", ""),
        ("keyring_external_auto_create", auto_create),
        ("keyring_external_min_copies", min_copies),
        ("keyring_external_read_only", read_only),
        ("keyring_external_remotes", DEFAULT_REMOTES),
        ("keyring_external_wait", wait),
    ]
}

/// With these, a server that needs its keyring does not start. Each with what it says.
const REFUSED: &[(&str, &str, &str)] = &[
    ("", "--keyring-external-wait=soon", "Unknown suffix 's'"),
    ("", "--keyring-external-wait=", "Empty value"),
    ("keyring_external_wait", "", "requires an argument"),
    ("keyring_external_mirrors", "", "requires an argument"),
    ("", "--skip-keyring-external-data", "keyring_external_data must be an absolute path"),
    ("", "--keyring-external-unlock=", "keyring_external_unlock is not set"),
    ("", "--keyring-external-auto", "unknown option '--keyring-external-auto'"),
];

/// What each spelling means, as `SHOW VARIABLES` says.
pub fn spellings() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    for Start { file, line, shows, log } in STARTS {
        let given = format!("{file}{line:?}");
        let server = host(&keyring, file, line).start();
        assert_eq!(shown(&server), shows.map(|(name, value)| (name.to_owned(), value.to_owned())), "{given}");
        let load =
            "SELECT load_option FROM information_schema.plugins WHERE plugin_name = 'keyring_external'";
        assert_eq!(server.value::<String>(load), "FORCE_PLUS_PERMANENT", "{given}");
        let text = server.log();
        for words in *log {
            assert!(text.contains(words), "{given}: not in the log: {words}\n{text}");
        }
        server.stop();
    }
}

/// What the server does not take it refuses, and says so.
pub fn refused() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    for (file, option, words) in REFUSED {
        let options: &[_] = if option.is_empty() { &[] } else { &[*option] };
        let Err(failure) = host(&keyring, file, options).try_start() else {
            panic!("{file}{option} was taken")
        };
        assert!(failure.log.contains(words), "{file}{option}: not in the log: {words}\n{}", failure.log);
    }
}

/// A host whose server reads an option file and has these further options.
fn host(keyring: &Keyring, file: &str, options: &[&str]) -> Host {
    let mut host = Host::new().keyring(keyring);
    let (path, mysqld) = (host.dir().join("my.cnf"), host.dir().join("mysqld"));
    fs::write(&path, format!("[mysqld]\n{file}\n")).unwrap();
    // In the place of --no-defaults, which comes first.
    let program = place().mysqld.display().to_string();
    let script = format!("#!/bin/sh\nshift\nexec '{program}' --defaults-file='{}' \"$@\"\n", path.display());
    fs::write(&mysqld, script).unwrap();
    fs::set_permissions(&mysqld, fs::Permissions::from_mode(0o755)).unwrap();
    for option in options {
        host = host.option(*option);
    }
    host.mysqld(mysqld)
}

fn shown(server: &Server) -> Vec<(String, String)> {
    let paths = ["keyring_external_data", "keyring_external_mirrors", "keyring_external_unlock"];
    let mut rows: Vec<(String, String)> = server.rows("SHOW GLOBAL VARIABLES LIKE 'keyring\\_external\\_%'");
    rows.retain(|(name, _)| !paths.contains(&name.as_str()));
    rows
}
