// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares the output and the exit codes of `keyringctl` with tests/snapshots, which has one snapshot for each behaviour.
//! `INSTA_UPDATE=always cargo test -p keyringctl --test cli` accepts the present output.

#[path = "../../tests/common/mod.rs"]
mod common;

use common::private_dir;
use keyring_external::keyring::load;
use keyring_external::store::fs::Fs;
use keyring_external::store::real::RealFs;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
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
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(dir, "DIR");
        Ended {
            code: output.status.code().unwrap(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
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
fn init() {
    let place = Place::new();
    check(
        "init_shows_the_recovery_key_once",
        &place,
        &["init DIR/main.keyring --unlock file:DIR/secret --generate-secret --label Biobank"],
    );
    check("init_does_not_overwrite", &place, &["init DIR/main.keyring --unlock file:DIR/secret"]);
    check(
        "init_refuses_a_short_passphrase",
        &{
            place.write("short", b"1234567");
            place
        },
        &["init DIR/other.keyring --unlock file:DIR/short"],
    );
    let place = Place::new();
    fs::create_dir(place.path("open")).unwrap();
    fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o755)).unwrap();
    check(
        "init_refuses_a_directory_that_others_can_change",
        &{
            fs::set_permissions(place.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
            place
        },
        &["init DIR/open/main.keyring --unlock file:DIR/phrase"],
    );
}

/// Standard outputs that lose what is written to them.
fn lost_outputs() -> Vec<(&'static str, Option<Stdio>)> {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (_, nobody_reads) = std::io::pipe().unwrap();
    vec![("full", Some(full.into())), ("no reader", Some(nobody_reads.into())), ("closed", None)]
}

impl Place {
    /// Runs `keyringctl` with this standard output, or with a closed one.
    fn run_into(&self, line: &str, stdout: Option<Stdio>) -> Ended {
        let dir = self.dir.path().to_str().unwrap();
        let to = if stdout.is_none() { ">&-" } else { "" };
        let output = Command::new("/bin/sh")
            .args(["-c", &format!(r#"exec "$0" "$@" {to}"#), env!("CARGO_BIN_EXE_keyringctl")])
            .args(line.split_whitespace().map(|word| word.replace("DIR", dir)))
            .stdin(Stdio::null())
            .stdout(stdout.unwrap_or(Stdio::null()))
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap().replace(dir, "DIR");
        Ended { code: output.status.code().unwrap(), stdout: String::new(), stderr }
    }
}

#[test]
fn a_recovery_key_that_could_not_be_shown_unlocks_nothing() {
    let place = Place::with_keyring();
    let before = place.run("slot list DIR/main.keyring").stdout;
    let new =
        "init DIR/new.keyring --mirror DIR/mirror.keyring --unlock file:DIR/new.secret --generate-secret";
    let add = format!("slot add DIR/main.keyring {UNLOCK} --recovery");
    for line in [new.to_owned(), format!("{new} --json"), add.clone(), format!("{add} --json")] {
        for (what, stdout) in lost_outputs() {
            let Ended { code, stderr, .. } = place.run_into(&line, stdout);
            assert_eq!(code, 2, "{what}, {line}: {stderr}");
            assert!(stderr.contains("recovery key could not be shown"), "{what}, {line}: {stderr}");
            assert!(stderr.contains("removed again"), "{what}, {line}: {stderr}");
            for file in ["new.keyring", "new.keyring.new", "mirror.keyring", "new.secret"] {
                assert!(!place.path(file).exists(), "{what}, {line} left {file}");
            }
            assert_eq!(place.run("slot list DIR/main.keyring").stdout, before, "{what}, {line}");
        }
    }
    assert_eq!(place.run(new).code, 0, "nothing is in its way");
    // Redirecting the output to /dev/null is allowed.
    let null = fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
    assert_eq!(place.run_into(&add, Some(null.into())).code, 0);
}

#[test]
fn looking_at_a_keyring() {
    let place = Place::with_keyring();
    check(
        "status_list_and_verify_of_a_new_keyring",
        &place,
        &[
            "status DIR/main.keyring",
            &format!("list DIR/main.keyring {UNLOCK}"),
            &format!("verify DIR/main.keyring {UNLOCK}"),
            &format!("verify DIR/main.keyring {UNLOCK} --json"),
            "slot list DIR/main.keyring --json",
        ],
    );
    check(
        "a_missing_keyring_is_no_reason_for_a_new_one",
        &place,
        &["status DIR/none.keyring", &format!("verify DIR/none.keyring {UNLOCK}")],
    );
    check(
        "a_wrong_secret_is_told_from_damage",
        &place,
        &["verify DIR/main.keyring --unlock file:DIR/phrase"],
    );
    let mut bytes = fs::read(place.path("main.keyring")).unwrap();
    bytes[100] ^= 1;
    bytes[4096 + 100] ^= 1;
    place.write("damaged.keyring", &bytes);
    check("damage_is_told_with_its_place", &place, &[&format!("verify DIR/damaged.keyring {UNLOCK}")]);
    place.write("foreign.keyring", b"not one");
    check("another_file_is_told", &place, &[&format!("verify DIR/foreign.keyring {UNLOCK}")]);
}

#[test]
fn the_witness() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    let store = |id: &str| {
        let unlock = UnlockSource::File(place.path("secret"));
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let (keyring, _) = load(&fs, &place.path("main.keyring"), &unlock).unwrap();
        keyring.store(common::name(id, ""), &common::key_type("AES"), &[7; 32]).unwrap();
    };
    let asked = "status DIR/main.keyring --datadir DIR/data";
    check("status_without_a_witness", &place, &[asked, "status DIR/main.keyring --datadir DIR/none"]);

    fs::copy(place.path("main.keyring"), place.path("old.keyring")).unwrap();
    store("one");
    let accept = format!("witness accept DIR/main.keyring --datadir DIR/data {UNLOCK} --yes");
    assert_eq!(place.run(&accept).code, 0);
    let old = "status DIR/old.keyring --datadir DIR/data";
    check(
        "status_of_a_keyring_that_is_as_the_witness_says",
        &place,
        &[asked, &format!("{asked} {UNLOCK} --json")],
    );
    check(
        "status_of_a_keyring_that_is_older_than_the_witness",
        &place,
        &[old, &format!("{old} {UNLOCK} --json")],
    );
    store("two");
    check("status_of_a_keyring_that_is_newer_than_the_witness", &place, &[&format!("{asked} {UNLOCK}")]);

    let other = place.run("init DIR/other.keyring --unlock file:DIR/secret");
    assert_eq!(other.code, 0, "{}", other.stderr);
    let other = format!("status DIR/other.keyring --datadir DIR/data {UNLOCK}");
    check("status_of_another_keyring_than_the_witness_knows", &place, &[&other]);

    // The old copy was put back and changed: the same generation, but different keys.
    assert_eq!(place.run(&accept).code, 0);
    fs::copy(place.path("old.keyring"), place.path("main.keyring")).unwrap();
    store("apart");
    store("two");
    check("status_of_a_fork_of_what_the_witness_has_seen", &place, &[asked, &format!("{asked} {UNLOCK}")]);

    let witness = place.path("data/keyring_external.witness");
    let mut bytes = fs::read(&witness).unwrap();
    bytes[60] ^= 1;
    fs::write(&witness, bytes).unwrap();
    check("status_with_a_forged_witness", &place, &[&format!("{asked} {UNLOCK}")]);
    check("a_damaged_witness_is_told_from_none", &place, &["witness show --datadir DIR/data", &accept]);
}

/// Two copies have the same generation but different keys. The witness says which of them the data directory was used
/// with: that copy is not reported as failed, in whatever order they are named and with or without the secret.
#[test]
fn diverged_copies() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let open =
        |path: &str| load(&fs, &place.path(path), &UnlockSource::File(place.path("secret"))).unwrap().0;
    let store = |path: &str, id: &str| {
        open(path).store(common::name(id, ""), &common::key_type("AES"), &[7; 32]).unwrap();
    };
    store("main.keyring", "both");
    std::fs::copy(place.path("main.keyring"), place.path("mirror.keyring")).unwrap();
    let renewed = place.run(&format!("rekey DIR/main.keyring {UNLOCK} --option-file /dev/null"));
    assert_eq!(renewed.code, 0, "{}", renewed.stderr);
    store("mirror.keyring", "server");
    open("mirror.keyring").accept_for(&fs, &place.path("data"), |_, _| {}).unwrap();
    let (ours, mirrors) =
        ("status DIR/main.keyring DIR/mirror.keyring", "status DIR/mirror.keyring DIR/main.keyring");
    check(
        "status_of_diverged_copies_sides_with_the_one_that_the_data_was_used_with",
        &place,
        &[
            &format!("{ours} --datadir DIR/data"),
            &format!("{ours} --datadir DIR/data {UNLOCK}"),
            &format!("{mirrors} --datadir DIR/data {UNLOCK} --json"),
            ours,
        ],
    );
    check(
        "verify_does_not_choose_between_diverged_copies",
        &place,
        &[&format!("verify DIR/main.keyring DIR/mirror.keyring {UNLOCK} --datadir DIR/data")],
    );
    store("main.keyring", "elsewhere");
    store("main.keyring", "elsewhere too");
    check(
        "status_of_a_diverged_copy_that_is_newer",
        &place,
        &[&format!("{ours} --datadir DIR/data"), &format!("{ours} --datadir DIR/data {UNLOCK}")],
    );
}

/// Copies that have diverged are merged, and nothing is written before each key is decided.
#[test]
fn merging_diverged_copies() {
    let place = Place::with_keyring();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let open =
        |path: &str| load(&fs, &place.path(path), &UnlockSource::File(place.path("secret"))).unwrap().0;
    let store = |path: &str, id: &str, user: &str, bytes: &[u8]| {
        open(path).store(common::name(id, user), &common::key_type("AES"), bytes).unwrap();
    };
    store("main.keyring", "both", "", &[1; 32]);
    std::fs::copy(place.path("main.keyring"), place.path("mirror.keyring")).unwrap();
    let renewed = place.run(&format!("rekey DIR/main.keyring {UNLOCK} --option-file /dev/null"));
    assert_eq!(renewed.code, 0, "{}", renewed.stderr);
    for (path, byte) in [("main.keyring", 3), ("mirror.keyring", 4)] {
        store(path, &format!("only {path}"), "", &[byte; 32]);
        store(path, "apart", "", &[byte; 32]);
        store(path, "apart", "it's", &[byte; 16]);
    }
    let merge = format!("sync DIR/mirror.keyring --mirror DIR/main.keyring --merge {UNLOCK}");
    let taken = "--take apart=DIR/main.keyring --take apart,user=it\\'s=DIR/mirror.keyring";
    let before = ["main.keyring", "mirror.keyring"].map(|path| fs_bytes(&place, path));
    check(
        "merge_writes_nothing_before_each_key_is_decided_on",
        &place,
        &[
            &format!("sync DIR/mirror.keyring --mirror DIR/main.keyring {UNLOCK}"),
            &merge,
            &format!("{merge} --take apart=DIR/main.keyring --json"),
            &format!("{merge} {taken} --dry-run"),
            &format!("{merge} --take none=DIR/main.keyring"),
            &format!("{merge} {taken} --take apart=DIR/mirror.keyring"),
            "sync DIR/mirror.keyring --mirror DIR/main.keyring --dry-run",
        ],
    );
    assert!(before == ["main.keyring", "mirror.keyring"].map(|path| fs_bytes(&place, path)));
    check(
        "merge_brings_the_keys_of_both_together",
        &place,
        &[
            &format!("{merge} {taken} --mirror DIR/new.keyring"),
            &format!("list DIR/new.keyring {UNLOCK}"),
            &format!("status DIR/main.keyring DIR/mirror.keyring DIR/new.keyring {UNLOCK}"),
            &format!("{merge} --json"),
        ],
    );
    let kept = ["main.keyring.before-merge-6", "mirror.keyring.before-merge-5"];
    assert!(before == kept.map(|path| fs_bytes(&place, path)));
    for path in kept {
        assert_eq!(fs::metadata(place.path(path)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let [mut ours, mut theirs] = [Vec::new(), Vec::new()];
    open("new.keyring").fetch(&common::name("apart", ""), |key| ours.extend(key.data)).unwrap();
    open("new.keyring").fetch(&common::name("apart", "it's"), |key| theirs.extend(key.data)).unwrap();
    assert_eq!((ours, theirs), (vec![3; 32], vec![4; 16]));

    // To undo a wrong decision, the kept files are renamed back and merged again.
    fs::remove_file(place.path("new.keyring")).unwrap();
    for (kept, path) in kept.iter().zip(["main.keyring", "mirror.keyring"]) {
        fs::rename(place.path(kept), place.path(path)).unwrap();
    }
    let other = "--take apart=DIR/mirror.keyring --take apart,user=it\\'s=DIR/mirror.keyring";
    let again = place.run(&format!("{merge} {other}"));
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
    let mut ours = Vec::<u8>::new();
    open("main.keyring").fetch(&common::name("apart", ""), |key| ours.extend(key.data)).unwrap();
    assert_eq!(ours, [4; 32]);
}

fn fs_bytes(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path(name)).unwrap()
}

#[test]
fn figures_for_prometheus() {
    let place = Place::with_keyring();
    check(
        "status_prometheus_tells_the_copy_that_is_missing",
        &place,
        &[&format!("status DIR/main.keyring DIR/none.keyring --prometheus {UNLOCK}")],
    );
}

#[test]
fn secrets() {
    let place = Place::with_keyring();
    check(
        "a_secret_never_comes_from_the_command_line",
        &place,
        &[
            "list DIR/main.keyring --unlock hunter2",
            "list DIR/main.keyring",
            "list DIR/main.keyring --recovery",
        ],
    );
    fs::set_permissions(place.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    check("a_secret_that_others_can_read_is_refused", &place, &[&format!("list DIR/main.keyring {UNLOCK}")]);
}

#[test]
fn slots() {
    let place = Place::with_keyring();
    check(
        "slots_are_added_changed_and_removed",
        &place,
        &[
            &format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/phrase --name administrator"),
            "slot change DIR/main.keyring --unlock file:DIR/phrase --new file:DIR/other",
            &format!("slot remove DIR/main.keyring 2 {UNLOCK}"),
        ],
    );
    check(
        "rekey_keeps_the_slots_and_tells_which_it_could_not_verify",
        &place,
        &[&format!("rekey DIR/main.keyring {UNLOCK}"), "slot list DIR/main.keyring"],
    );
    let verified = format!("rekey DIR/main.keyring {UNLOCK} --require-all");
    check(
        "rekey_verifies_slots_by_their_secrets",
        &place,
        &[
            &verified,
            &format!("{verified} --verify-slot file:DIR/phrase"),
            &format!("{verified} --verify-slot file:DIR/other"),
            &format!("rekey DIR/main.keyring {UNLOCK} --json"),
        ],
    );
    leaving_out_a_copy(&place);
    check(
        "the_last_slot_is_not_removed",
        &place,
        &[
            &format!("slot remove DIR/main.keyring 2 {UNLOCK}"),
            &format!("slot remove DIR/main.keyring 1 {UNLOCK}"),
            &format!("slot remove DIR/main.keyring 9 {UNLOCK}"),
        ],
    );
}

/// The server's configuration names two copies: neither can be left out by mistake, and one that is missing does not stop
/// the change.
fn leaving_out_a_copy(place: &Place) {
    let dir = place.dir.path().to_str().unwrap();
    let options = format!(
        "[mysqld]\nearly-plugin-load=keyring_external.so\nkeyring_external_data={dir}/main.keyring\n\
         keyring_external_mirrors={dir}/mirror.keyring\nkeyring_external_unlock=file:{dir}/secret\n"
    );
    place.write("server.cnf", options.as_bytes());
    let server = "--option-file DIR/server.cnf --mysqld DIR/none/mysqld";
    check(
        "rekey_and_slot_leave_out_no_copy_of_the_servers",
        place,
        &[
            &format!("rekey DIR/main.keyring {UNLOCK} {server}"),
            &format!("slot add DIR/main.keyring {UNLOCK} --new file:DIR/phrase {server}"),
            &format!("slot change DIR/main.keyring {UNLOCK} --new file:DIR/phrase {server}"),
            &format!("slot remove DIR/main.keyring 2 {UNLOCK} {server}"),
        ],
    );
    check(
        "rekey_reaches_the_copies_that_are_there",
        place,
        &[
            &format!("rekey DIR/main.keyring --mirror DIR/mirror.keyring {UNLOCK} {server}"),
            &format!("rekey DIR/main.keyring --only-named-copies {UNLOCK} {server}"),
        ],
    );
}

/// The recovery key verifies its slot. Without a terminal, it is read from standard input.
#[test]
fn rekey_verifies_the_recovery_slot() {
    let place = Place::new();
    let made = place.run("init DIR/main.keyring --unlock file:DIR/secret --generate-secret --json");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let key = made["recovery_key"].as_str().unwrap();
    let line = format!("rekey DIR/main.keyring {UNLOCK} --verify-recovery --require-all --json");
    let done = place.run_with(&line, key.as_bytes());
    assert_eq!(done.code, 0, "{}", done.stderr);
    let done: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&done["unverified"], &done["slots"][1]["renewed"]), (&0.into(), &"by_secret".into()));
    let another = place.run_with(&line, b"00000-00000-00000-00000-00000-00000-00000-00000");
    assert_eq!(another.code, 2, "a typing mistake: {}", another.stderr);
    assert!(another.stderr.contains("group"), "{}", another.stderr);
}

#[test]
fn copies() {
    let place = Place::with_keyring();
    check(
        "backup_is_verified_and_does_not_overwrite",
        &place,
        &[
            &format!("backup DIR/main.keyring DIR/backup.keyring {UNLOCK}"),
            &format!("backup DIR/main.keyring DIR/backup.keyring {UNLOCK}"),
            &format!("verify DIR/backup.keyring {UNLOCK}"),
        ],
    );
    assert!(fs::read(place.path("main.keyring")).unwrap() == fs::read(place.path("backup.keyring")).unwrap());
    check(
        "sync_makes_a_missing_copy",
        &place,
        &[&format!("sync DIR/main.keyring --mirror DIR/mirror.keyring {UNLOCK}")],
    );
    fs::hard_link(place.path("main.keyring"), place.path("link.keyring")).unwrap();
    check(
        "one_file_under_two_names_is_no_second_copy",
        &place,
        &[&format!("sync DIR/main.keyring --mirror DIR/link.keyring {UNLOCK}")],
    );
    check(
        "backup_of_a_damaged_keyring_makes_nothing",
        &{
            let mut bytes = fs::read(place.path("main.keyring")).unwrap();
            bytes[8192..].fill(0);
            place.write("damaged.keyring", &bytes);
            place
        },
        &[&format!("backup DIR/damaged.keyring DIR/none.keyring {UNLOCK}"), "status DIR/none.keyring"],
    );
}

#[test]
fn a_mirror_whose_directory_is_missing_is_not_created_as_a_new_keyring() {
    let place = Place::with_keyring();
    for line in [
        format!("sync DIR/main.keyring --mirror DIR/none/k {UNLOCK}"),
        format!("status DIR/main.keyring DIR/none/k {UNLOCK}"),
        format!("verify DIR/none/k DIR/main.keyring {UNLOCK}"),
    ] {
        let Ended { code, stdout, stderr } = place.run(&line);
        let output = stdout + &stderr;
        assert_ne!(code, 0, "{line}: {output}");
        let sync = format!("keyringctl sync DIR/main.keyring --mirror DIR/none/k {UNLOCK}");
        let has_remedy = output.contains("install -d -m 0700 -o ") && output.contains("DIR/none`");
        assert!(has_remedy && output.contains(&sync), "{line}: {output}");
        assert!(!output.contains("keyringctl init"), "{line}: {output}");
    }
    // The commands in the message are sufficient.
    fs::create_dir(place.path("none")).unwrap();
    fs::set_permissions(place.path("none"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(place.run(&format!("sync DIR/main.keyring --mirror DIR/none/k {UNLOCK}")).code, 0);
    for line in ["init DIR/new.keyring --mirror DIR/gone/k", "backup DIR/main.keyring DIR/gone/k"] {
        let Ended { code, stderr, .. } = place.run(&format!("{line} {UNLOCK}"));
        assert!(code == 2 && stderr.contains("cannot create DIR/gone/k"), "{line}: {stderr}");
        assert!(stderr.contains("install -d -m 0700"), "{line}: {stderr}");
        assert!(!stderr.contains("keyringctl init"), "{line}: {stderr}");
    }
}

#[test]
fn one_file_under_two_names_counts_once() {
    let place = Place::with_keyring();
    fs::hard_link(place.path("main.keyring"), place.path("link.keyring")).unwrap();
    std::os::unix::fs::symlink(place.path(""), place.path("dir")).unwrap();
    fs::create_dir(place.path("sub")).unwrap();
    for other in ["DIR/link.keyring", "DIR/dir/main.keyring", "DIR/sub/../main.keyring", "DIR/main.keyring"] {
        for command in ["status", "verify"] {
            let Ended { code, stdout, .. } =
                place.run(&format!("{command} DIR/main.keyring {other} {UNLOCK}"));
            let is_found = stdout.contains("one file under two names") || stdout.contains("is named twice");
            assert!(code == 1 && is_found, "{command} {other}: {stdout}");
            let counted = command == "verify" || stdout.contains("1/2 copies are up to date");
            assert!(counted, "{command} {other}: {stdout}");
        }
    }
}

/// A recovery key on standard input is read once for all copies.
#[test]
fn a_recovery_key_is_read_once() {
    let place = Place::new();
    let made = place
        .run("init DIR/a.keyring --mirror DIR/b.keyring --unlock file:DIR/secret --generate-secret --json");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let key = made["recovery_key"].as_str().unwrap();
    let done = place.run_with("verify DIR/a.keyring DIR/b.keyring --recovery", key.as_bytes());
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert_eq!(done.stdout.matches("every byte authenticated").count(), 2, "{}", done.stdout);
    // Other sources are read once too: this program would fail the second time.
    let script = "#!/bin/sh\nset -C\n: > \"$0.ran\" || exit 1\ncat \"${0%/*}/secret\"\n";
    place.write("once", script.as_bytes());
    fs::set_permissions(place.path("once"), fs::Permissions::from_mode(0o700)).unwrap();
    for command in ["verify", "status"] {
        let _ = fs::remove_file(place.path("once.ran"));
        let dir = place.dir.path().to_str().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_keyringctl"))
            .args([command, "--unlock", &format!("command:{dir}/once")])
            .args([place.path("a.keyring"), place.path("b.keyring")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
    }
}

/// If the unlock secret is lost, the recovery key replaces it on all copies.
#[test]
fn the_recovery_key_replaces_a_lost_unlock_secret() {
    let place = Place::new();
    let made = place
        .run("init DIR/a.keyring --mirror DIR/b.keyring --unlock file:DIR/secret --generate-secret --json");
    let made: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let key = made["recovery_key"].as_str().unwrap();
    place.write("new", &[5; 32]);
    let add = "slot add DIR/a.keyring --mirror DIR/b.keyring --with-recovery --new file:DIR/new";
    let added = place.run_with(add, key.as_bytes());
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(place.run("verify DIR/a.keyring DIR/b.keyring --unlock file:DIR/new").code, 0);
    let remove = "slot remove DIR/a.keyring 1 --mirror DIR/b.keyring --unlock file:DIR/new";
    assert_eq!(place.run(remove).code, 0);
    assert_eq!(place.run(&format!("verify DIR/a.keyring DIR/b.keyring {UNLOCK}")).code, 1);
}

#[test]
fn a_copy_that_is_behind_is_to_be_synced_not_accepted() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    fs::copy(place.path("main.keyring"), place.path("old.keyring")).unwrap();
    assert_eq!(place.run(&format!("rekey DIR/main.keyring {UNLOCK} --option-file /dev/null")).code, 0);
    let accept = format!("witness accept DIR/main.keyring --datadir DIR/data {UNLOCK} --yes");
    assert_eq!(place.run(&accept).code, 0);
    let Ended { code, stdout, .. } =
        place.run(&format!("status DIR/main.keyring DIR/old.keyring --datadir DIR/data {UNLOCK}"));
    let sync = format!("keyringctl sync DIR/main.keyring --mirror DIR/old.keyring {UNLOCK}");
    assert!(code == 1 && stdout.contains("it is behind DIR/main.keyring"), "{stdout}");
    assert!(stdout.contains(&sync) && !stdout.contains("witness accept"), "{stdout}");
}

/// A running server locks its system tablespace.
#[test]
fn no_keyring_is_accepted_while_a_server_runs() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    place.write("data/ibdata1", &[0; 16]);
    let accept = format!("witness accept DIR/main.keyring --datadir DIR/data {UNLOCK} --yes");
    let script = "import fcntl,sys\nf=open(sys.argv[1],'r+b')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('locked',flush=True)\nsys.stdin.read()\n";
    let mut server = Command::new("python3")
        .args(["-c", script, place.path("data/ibdata1").to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 7];
    std::io::Read::read_exact(server.stdout.as_mut().unwrap(), &mut line).unwrap();
    let refused = place.run(&accept);
    drop(server.stdin.take());
    server.wait().unwrap();
    assert!(refused.code == 2 && refused.stderr.contains("a server is running"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("process {}", server.id())), "{}", refused.stderr);
    let accepted = place.run(&accept);
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
}

#[test]
fn other_keyrings() {
    let place = Place::with_keyring();
    let element = |id: &str, data: &str| {
        format!(r#"{{"user":"","data_id":"{id}","data_type":"AES","data":"{data}","extension":[]}}"#)
    };
    let file = |elements: &[String]| format!(r#"{{"version":"1.0","elements":[{}]}}"#, elements.join(","));
    let both = [element("DefaultMasterKey", "4142"), element("INNODBKey-1", "4344")];
    place.write("old", file(&both).as_bytes());
    place.write("differs", file(&[element("INNODBKey-1", "4546"), element("new", "47")]).as_bytes());
    place.write("differs.backup", file(&[element("lost", "48")]).as_bytes());
    let import =
        |src: &str| format!("import --from component_keyring_file DIR/{src} DIR/main.keyring {UNLOCK}");
    check(
        "import_says_what_it_would_do_and_does_it",
        &place,
        &[&format!("{} --dry-run", import("old")), &import("old"), &format!("{} --json", import("old"))],
    );
    check(
        "import_shows_all_that_is_in_its_way",
        &place,
        &[&import("differs"), &import("old").replace("component_keyring_file", "keyring_file")],
    );
    let export = format!("export --to component_keyring_file DIR/main.keyring DIR/exported {UNLOCK}");
    check("export_warns_and_does_not_overwrite", &place, &[&export, &export]);
}

#[test]
fn usage() {
    let place = Place::new();
    check("usage_errors_end_in_2", &place, &["status", "frobnicate"]);
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

/// The files of a throw-away server, with their keys (src/tablespace/samples.rs).
#[test]
fn verify_of_a_data_directory() {
    const SERVER: &str = "e6e52dec-e7fc-11f1-ada4-02fc00000001";
    let key = |id: &str, data: &str| {
        format!(
            r#"{{"user":"","data_id":"{id}","data_type":"AES","data":"{data}","extension":[]}}"#,
            id = id.replace('*', SERVER)
        )
    };
    let innodb = key("INNODBKey-*-2", "102516995E5F513135D5306F6E41AF36F4CEF177BD2A86C5AA96763B52D8B40B");
    let binlog =
        key("MySQLReplicationKey_*_1", "4656FD198522A0695C931968868D71D4E20AE34ADF9255360BC0E41B7F8DF5DE");
    let other = key("INNODBKey-*-2", &"AB".repeat(32));
    let place = Place::with_keyring();
    for (name, keys) in
        [("main", vec![&innodb, &binlog]), ("less", vec![&binlog]), ("wrong", vec![&other, &binlog])]
    {
        let keys: Vec<_> = keys.iter().map(|key| key.as_str()).collect();
        let json = format!(r#"{{"version":"1.0","elements":[{}]}}"#, keys.join(","));
        place.write("keys.json", json.as_bytes());
        if name != "main" {
            let made = place.run(&format!("init DIR/{name}.keyring {UNLOCK}"));
            assert_eq!(made.code, 0, "{}", made.stderr);
        }
        let from = "import --from component_keyring_file DIR/keys.json";
        let imported = place.run(&format!("{from} DIR/{name}.keyring {UNLOCK}"));
        assert_eq!(imported.code, 0, "{}", imported.stderr);
    }
    let sample: &[u8] = include_bytes!("../src/tablespace/samples/table");
    let mut table = vec![0; 7 * 4096];
    table[..4096].copy_from_slice(&sample[..4096]);
    table[4 * 4096..5 * 4096].copy_from_slice(&sample[4096..]);
    fs::create_dir_all(place.path("data/clinic")).unwrap();
    fs::create_dir(place.path("empty")).unwrap();
    place.write("data/clinic/patients.ibd", &table);
    place.write("data/binlog.000001", include_bytes!("../src/tablespace/samples/binlog"));
    place.write("data/binlog.000002", b"\xfebin");
    let verify = |rest: &str| format!("verify DIR/{rest} {UNLOCK} --datadir DIR/data");
    check(
        "verify_shows_that_a_keyring_opens_a_data_directory",
        &place,
        &[
            &verify("main.keyring"),
            &verify("main.keyring --all-encrypted"),
            &verify("main.keyring --every-page --json"),
        ],
    );
    check(
        "verify_names_files_whose_key_is_missing_or_another_one",
        &place,
        &[&verify("less.keyring"), &verify("wrong.keyring")],
    );
    check(
        "verify_needs_one_keyring_and_files",
        &place,
        &[
            &format!("verify DIR/main.keyring DIR/less.keyring {UNLOCK}"),
            &verify("main.keyring DIR/less.keyring"),
            &verify("none.keyring"),
            &format!("verify DIR/main.keyring {UNLOCK} --datadir DIR/empty"),
            &format!("verify DIR/main.keyring {UNLOCK} --datadir DIR/gone"),
        ],
    );
    table[100] ^= 1;
    place.write("data/clinic/patients.ibd", &table);
    check("verify_names_damaged_files", &place, &[&verify("main.keyring")]);

    // Anyone who can create files in the data directory must not control root's terminal.
    let name = |kind: &str| format!("data/clinic/{kind}\u{1b}[2J\u{9b}2J\u{202e}\nOK all.ibd");
    place.write(&name("table"), &table);
    std::os::unix::fs::symlink("/nowhere", place.path(&name("link"))).unwrap();
    place.write(&name("clear"), &[0; 7 * 4096]);
    let Ended { code, stdout, stderr } = place.run(&verify("main.keyring --all-encrypted"));
    assert_eq!(code, 1, "{stderr}");
    assert!(stdout.contains(r"table\u{1b}[2J\u{9b}2J\u{202e}\u{a}OK all.ibd"), "{stdout:?}");
    assert!(stdout.contains(r"link\u{1b}[2J"), "{stdout:?}");
    let hidden = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!format!("{stdout}{stderr}").contains(hidden), "{stdout:?}{stderr:?}");
    assert!(!stdout.contains("\nOK all"), "{stdout:?}");
}
