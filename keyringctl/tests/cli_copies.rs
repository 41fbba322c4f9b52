// SPDX-License-Identifier: GPL-2.0-or-later
//! Commands without a path, on hosts whose server is configured with two copies of a keyring.

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "cli_copies/slots.rs"]
mod slots;
#[path = "cli_copies/sync.rs"]
mod sync;

use common::private_dir;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const SECRET: &str = "etc/mysql/keyring.secret";

/// A host with a keyring in /mnt/a/keys and /mnt/b/keys. Its server reads the secret from a file, or from a credential.
struct Host(TempDir);

/// The exit code of a command, and what it printed.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Host {
    fn new(unlock: &str) -> Host {
        let host = Host(private_dir());
        for dir in
            ["mnt/a/keys", "mnt/b/keys", "var/lib/mysql", "backup", "usr/lib/mysql/plugin", "etc/mysql"]
        {
            fs::create_dir_all(host.at(dir)).unwrap();
            fs::set_permissions(host.at(dir), fs::Permissions::from_mode(0o700)).unwrap();
        }
        host.write("usr/sbin/mysqld", "");
        host.write("usr/sbin/mysqld.my", r#"{"components": "file://component_keyring_external"}"#);
        host.write(
            "usr/lib/mysql/plugin/component_keyring_external.cnf",
            &format!(
                r#"{{"path": "/mnt/a/keys/k", "mirrors": ["/mnt/b/keys/k"], "unlock": "{unlock}", "allow_same_device": true}}"#
            ),
        );
        host.write(
            "lib/systemd/system/mysql.service",
            &format!("[Service]\nUser=mysql\nExecStart=/usr/sbin/mysqld\nLoadCredential=keyring:/{SECRET}\n"),
        );
        let made = host.run(&format!(
            "init {0}/mnt/a/keys/k --mirror {0}/mnt/b/keys/k --unlock file:{0}/{SECRET} --generate-secret",
            host.0.path().display()
        ));
        assert_eq!(made.code, 0, "{}", made.stderr);
        host
    }

    fn with_file() -> Host {
        Host::new(&format!("file:/{SECRET}"))
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, line: &str) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
            .args(line.split_whitespace())
            .env_remove("CREDENTIALS_DIRECTORY")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let dir = self.0.path().display().to_string();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&dir, "HOST");
        Ended {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs a command for the server of this host. HOST in the line is its directory.
    fn of_server(&self, line: &str) -> Ended {
        let dir = self.0.path().display().to_string();
        self.run(&format!("{} --root {dir}", line.replace("HOST", &dir)))
    }

    fn succeeds(&self, line: &str) -> Ended {
        let ended = self.of_server(line);
        assert_eq!(ended.code, 0, "{line}: {}{}", ended.stdout, ended.stderr);
        ended
    }

    /// The generations of both copies.
    fn generations(&self) -> Vec<u64> {
        let status = self.of_server("status --json");
        let status: Value = serde_json::from_str(&status.stdout).unwrap();
        let copies = status["copies"].as_array().unwrap();
        copies.iter().map(|copy| copy["generation"].as_u64().unwrap()).collect()
    }
}

#[test]
fn without_a_path_each_command_takes_all_copies_and_the_secret_of_the_server() {
    for host in [Host::with_file(), Host::new("credential:keyring")] {
        let said = "using the keyring of the server on this host (HOST/usr/lib/mysql/plugin/\
                    component_keyring_external.cnf): HOST/mnt/a/keys/k, HOST/mnt/b/keys/k";
        let with_secret = format!("{said}, unlocked by file:HOST/{SECRET}");
        for line in ["status", "verify", "list", "rekey --yes"] {
            let ended = host.succeeds(line);
            assert!(ended.stderr.contains(&with_secret), "{line}: {}", ended.stderr);
        }
        assert_eq!(host.generations(), [2, 2], "rekey changed both copies");
        let listed = host.succeeds("slot list");
        assert!(listed.stderr.contains(said) && !listed.stderr.contains("unlocked"), "{}", listed.stderr);
        let status = host.succeeds("status").stdout;
        assert!(status.contains("2/2 copies are up to date"), "{status}");
        assert!(status.contains("there is no witness in HOST/var/lib/mysql"), "{status}");
        assert!(host.succeeds("verify").stdout.contains("2 copies in the same state: generation 2"));
        host.write("etc/mysql/new.secret", &"n".repeat(32));
        host.succeeds("slot add --new file:HOST/etc/mysql/new.secret");
        assert_eq!(host.generations(), [3, 3]);
        host.succeeds("slot remove 3 --yes");
        assert_eq!(host.generations(), [4, 4]);
        let witness = host.of_server("witness show");
        assert!(witness.code == 1 && witness.stderr.contains("data directory"), "{}", witness.stderr);
    }
}

/// A copy of the data directory may need fewer keys than the directory itself.
#[test]
fn a_data_directory_that_is_named_does_not_take_the_place_of_the_servers() {
    let host = Host::with_file();
    let uuid = "[auto]\nserver-uuid=e6e52dec-e7fc-11f1-ada4-02fc00000001\n";
    host.write("var/lib/mysql/auto.cnf", uuid);
    host.write("backup/copy/auto.cnf", uuid);
    for command in [
        "keys needed",
        "keys retire INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1 --dry-run",
        "keys needed HOST/mnt/a/keys/k",
    ] {
        let ended = host.of_server(&format!("{command} --datadir HOST/backup/copy"));
        let said = "also reading the data directory of the server on this host: HOST/var/lib/mysql";
        assert!(ended.stderr.contains(said), "{command}: {}{}", ended.stdout, ended.stderr);
    }
}

#[test]
fn backup_takes_the_servers_keyring_or_the_named_one() {
    let host = Host::with_file();
    let done = host.succeeds("backup HOST/backup/one");
    assert!(done.stdout.contains("Copied HOST/mnt/a/keys/k to HOST/backup/one"), "{}", done.stdout);
    // The first copy is older now: the newest one is backed up, unless it is left out on purpose.
    host.succeeds(&format!("rekey HOST/mnt/b/keys/k --only-named-copies --yes --unlock file:HOST/{SECRET}"));
    let done = host.succeeds("backup HOST/backup/two");
    assert!(done.stdout.contains("Copied HOST/mnt/b/keys/k to HOST/backup/two"), "{}", done.stdout);
    let named = format!("backup HOST/mnt/a/keys/k HOST/backup/three --unlock file:HOST/{SECRET}");
    let done = host.succeeds(&named);
    assert!(done.stdout.contains("Copied HOST/mnt/b/keys/k"), "{}", done.stdout);
    let only = host.succeeds(&format!("{} --only-named-copies", named.replace("three", "four")));
    assert!(only.stdout.contains("Copied HOST/mnt/a/keys/k"), "{}", only.stdout);
    // A path that is none of the server's is taken as it is.
    let other =
        host.succeeds(&format!("backup HOST/backup/one HOST/backup/five --unlock file:HOST/{SECRET}"));
    assert!(!other.stderr.contains("also using"), "{}", other.stderr);
    // The keyring alone is taken for the backup to create, and is not overwritten.
    let refused = host.of_server("backup HOST/mnt/a/keys/k");
    assert!(refused.code == 2 && refused.stderr.contains("exists"), "{}", refused.stderr);
}

#[test]
fn the_path_of_one_copy_includes_the_others_unless_they_are_left_out() {
    let host = Host::with_file();
    let unlock = format!("--unlock file:HOST/{SECRET}");
    for command in ["status", "verify", "list", "rekey --yes"] {
        let ended = host.succeeds(&format!("{command} HOST/mnt/b/keys/k {unlock}"));
        let included = "HOST/mnt/a/keys/k. --only-named-copies leaves them out";
        assert!(ended.stderr.contains(included), "{command}: {}", ended.stderr);
        let ended = host.succeeds(&format!("{command} HOST/mnt/b/keys/k {unlock} --only-named-copies"));
        let left_out = "left out (--only-named-copies): HOST/mnt/a/keys/k";
        assert!(ended.stderr.contains(left_out), "{command}: {}", ended.stderr);
        // Another rekey needs copies that have not diverged.
        fs::copy(host.at("mnt/b/keys/k"), host.at("mnt/a/keys/k")).unwrap();
    }
}

#[test]
fn a_copy_that_is_behind_or_has_a_damaged_header_fails_in_status_and_verify() {
    let host = Host::with_file();
    host.succeeds(&format!("rekey HOST/mnt/b/keys/k --only-named-copies --yes --unlock file:HOST/{SECRET}"));
    for command in ["status", "verify"] {
        let ended = host.of_server(command);
        let behind = "it is behind HOST/mnt/b/keys/k (generation 2)";
        assert!(ended.code == 1 && ended.stdout.contains(behind), "{command}: {}", ended.stdout);
    }
    let mut bytes = fs::read(host.at("mnt/b/keys/k")).unwrap();
    bytes[100] ^= 0xff;
    fs::write(host.at("mnt/a/keys/k"), &bytes).unwrap();
    for line in ["status", "verify", "status HOST/mnt/a/keys/k --only-named-copies"] {
        let ended = host.of_server(line);
        let damaged = "it is damaged but can be used: one of the two copies of the header is damaged";
        assert!(ended.code == 1 && ended.stdout.contains(damaged), "{line}: {}", ended.stdout);
        assert!(ended.stdout.contains("FAILED"), "{line}: {}", ended.stdout);
    }
    let status = host.of_server("status").stdout;
    let sync = status.split("keyringctl sync ").nth(1).unwrap().lines().next().unwrap();
    let done =
        host.run(&format!("sync --yes {}", sync.replace("HOST", &host.0.path().display().to_string())));
    assert_eq!(done.code, 0, "{}", done.stderr);
    host.succeeds("verify");
}

#[test]
fn an_unlock_source_of_the_server_alone_is_named_with_what_to_do() {
    let host = Host::new("credential:sealed");
    let refused = host.of_server("list");
    assert!(refused.code == 2 && refused.stderr.contains("LoadCredential=sealed:PATH"), "{}", refused.stderr);
    // Nothing needs the secret for the status.
    let status = host.succeeds("status");
    assert!(status.stderr.contains("Nothing is authenticated"), "{}", status.stderr);
    assert!(status.stdout.contains("2/2 copies are up to date"), "{}", status.stdout);
}

#[test]
fn the_path_of_a_copy_of_the_server_is_unlocked_with_the_source_of_the_server() {
    let host = Host::with_file();
    let said = format!("unlocking with its source file:HOST/{SECRET}");
    for line in [
        "sync HOST/mnt/a/keys/k",
        "verify HOST/mnt/b/keys/k",
        "list HOST/mnt/b/keys/k",
        "slot remove HOST/mnt/b/keys/k 2 --only-named-copies --dry-run",
        "which --datadir HOST/var/lib/mysql HOST/mnt/b/keys/k",
        "witness accept HOST/mnt/a/keys/k --datadir HOST/var/lib/mysql --dry-run",
    ] {
        let ended = host.succeeds(line);
        assert_eq!(ended.stderr.matches(&said).count(), 1, "{line}: {}", ended.stderr);
    }
    // Another path, another source, and a secret that this process cannot read.
    host.succeeds("backup HOST/backup/one");
    let other = host.of_server("list HOST/backup/one");
    assert!(other.code == 2 && other.stderr.contains("--unlock SOURCE"), "{}", other.stderr);
    let given = host.succeeds(&format!("list HOST/mnt/a/keys/k --unlock file:HOST/{SECRET}"));
    assert!(!given.stderr.contains(&said), "{}", given.stderr);
    let sealed = Host::new("credential:sealed").of_server("list HOST/mnt/a/keys/k");
    assert!(sealed.code == 2 && sealed.stderr.contains("--unlock SOURCE"), "{}", sealed.stderr);
}

#[test]
fn a_backup_into_a_directory_gets_a_name_with_the_date() {
    let host = Host::with_file();
    let done = host.succeeds("backup HOST/backup");
    let names: Vec<_> =
        fs::read_dir(host.at("backup")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let [name] = &names[..] else { panic!("{names:?}") };
    let name = name.to_str().unwrap();
    assert!(name.starts_with("backup-2") && name.ends_with("Z.keyring"), "{name}");
    assert!(done.stdout.contains(&format!("to HOST/backup/{name}")), "{}", done.stdout);
}
