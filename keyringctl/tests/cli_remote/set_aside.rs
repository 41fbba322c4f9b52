// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl set-aside`: the way out where a head is damaged or lost, in all ways that a command asks for consent, and
//! where other commands name it.

use crate::host::{Ended, Host};
use crate::typing::typed;
use rustix::fs::{FlockOperation, fcntl_lock};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};

const UNLOCK: &str = "--unlock file:DIR/secret";
const SET_ASIDE: &str = "set-aside @b/fleet/db1";
const HEAD: &str = "/fleet/db1/head";

impl Host {
    /// With a keyring at `@b/fleet/db1` whose head is damaged, and an intact copy in the file `k`.
    fn with_damaged_head() -> Host {
        let host = Host::with_keyring();
        host.engine.put(HEAD, b"<html>");
        host
    }

    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.engine.names().into_iter().map(|name| (name.clone(), self.engine.get(&name))).collect()
    }

    /// With an answer that is typed at a terminal.
    fn answers(&self, line: &str, answer: &str) -> Ended {
        let line = format!("--remotes DIR/remotes {line}");
        self.ended(&line, &typed(self.command(&line), &format!("{answer}\n")))
    }

    /// Writes an option file of a server whose only copy, or first copy, is `@b/fleet/db1`.
    fn write_options(&self, mirrors: &str) {
        let dir = self.dir.path().to_str().unwrap();
        let options = format!(
            "[mysqld]\ndatadir=DIR/data\nearly-plugin-load=keyring_external.so\n\
             keyring_external=FORCE_PLUS_PERMANENT\nkeyring_external_data=@b/fleet/db1\n{mirrors}\
             keyring_external_unlock=file:DIR/secret\nkeyring_external_remotes=DIR/remotes\n"
        );
        fs::create_dir_all(self.dir.path().join("data")).unwrap();
        self.write("my.cnf", &options.replace("DIR", dir));
    }

    /// Runs the part of a message that is a command, to its end.
    fn follow(&self, said: &str, begin: &str, end: &str) {
        let (_, rest) = said.split_once(begin).unwrap_or_else(|| panic!("no {begin:?} in {said}"));
        let line = format!("{begin}{}", rest.split(end).next().unwrap());
        let line = line.strip_prefix("keyringctl ").unwrap();
        let ended = self.run_as_it_is(&format!("{line} --yes"));
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
    }
}

#[test]
fn the_commands_that_sync_prints_make_a_damaged_copy_anew() {
    let host = Host::with_damaged_head();
    let before = host.objects();
    let fleet = host.run("fleet status @b");
    assert!(
        fleet.stdout.contains("keyringctl set-aside @b/fleet/db1 --remotes DIR/remotes, which keeps"),
        "{fleet:?}"
    );
    let refused = host.run(&format!("sync DIR/k --mirror @b/fleet/db1 {UNLOCK} --yes"));
    assert_ne!(refused.code, 0, "{refused:?}");
    let said = refused.stdout + &refused.stderr;
    host.follow(&said, "keyringctl set-aside ", " && ");
    let (_, then) = said.split_once(" && ").unwrap();
    host.follow(then, "keyringctl sync ", "\n");
    let status = host.fine("status @b/fleet/db1 DIR/k");
    assert!(status.contains("2/2 copies are up to date"), "{status}");
    for (name, bytes) in &before {
        assert_eq!(host.engine.get(&name.replace("db1/", "db1/kept-1/")), *bytes, "{name}");
    }
    // What is kept is no keyring of the fleet.
    let fleet: Value = serde_json::from_str(&host.fine("fleet status @b --json")).unwrap();
    assert_eq!(fleet["keyrings"].as_array().unwrap().len(), 1, "{fleet:#}");
}

#[test]
fn the_message_about_a_damaged_piece_says_what_to_do_at_a_remote() {
    let host = Host::with_keyring();
    let key = format!(
        r#"{{"user":"","data_id":"id","data_type":"AES","data":"{}","extension":[]}}"#,
        "1C".repeat(32)
    );
    host.write("keys.json", &format!(r#"{{"version":"1.0","elements":[{key}]}}"#));
    host.fine(&format!("import --from component_keyring_file DIR/keys.json @b/fleet/db1 {UNLOCK}"));
    host.fine(&format!("sync @b/fleet/db1 --mirror DIR/k {UNLOCK} --yes"));
    let piece = host.engine.names().into_iter().find(|name| name.contains("/pieces/")).unwrap();
    let mut bytes = host.engine.get(&piece);
    *bytes.last_mut().unwrap() ^= 1;
    host.engine.put(&piece, &bytes);
    let told = host.run(&format!("verify @b/fleet/db1 {UNLOCK}"));
    assert!(told.code == 1 && told.stdout.contains("is damaged at byte"), "{told:?}");
    assert!(!told.stdout.contains("Keep the file"), "{told:?}");
    assert!(told.stdout.contains("run `keyringctl set-aside @b/fleet/db1`, which keeps"), "{told:?}");
    let (_, sync) = told.stdout.split_once("`keyringctl sync COPY ").unwrap();
    let sync = sync.split('`').next().unwrap().replace("SOURCE", "file:DIR/secret");
    host.fine(&format!("sync DIR/k {sync} --yes"));
    host.fine(&format!("verify @b/fleet/db1 {UNLOCK}"));
}

#[test]
fn pieces_without_a_head_are_set_aside_by_the_command_of_the_message() {
    let host = Host::with_keyring();
    host.engine.delete(HEAD);
    host.engine.put("/fleet/db1/pieces/0000000000000001-0123456789abcdef", b"sealed");
    let sync = format!("sync DIR/k --mirror @b/fleet/db1 {UNLOCK} --create --yes");
    let refused = host.run(&sync);
    assert_eq!(refused.code, 2, "{refused:?}");
    host.follow(&refused.stderr, "keyringctl set-aside ", "\n");
    host.fine(&sync);
}

/// As `every_destructive_command_shows_asks_and_refuses` does with the commands that need no remote.
#[test]
fn it_shows_asks_and_refuses() {
    let host = Host::with_damaged_head();
    let before = host.objects();
    let unchanged = |how: &str| assert!(host.objects() == before, "{how} changed objects");
    let dry = host.fine(&format!("{SET_ASIDE} --dry-run"));
    unchanged("--dry-run");
    for says in [" now ", "6 bytes that are no head", "kept as @b/fleet/db1/kept-1", "this was a dry run"] {
        assert!(dry.contains(says), "{says}: {dry}");
    }
    for options in ["--dry-run --json", "--dry-run --yes --json"] {
        let document: Value = serde_json::from_str(&host.fine(&format!("{SET_ASIDE} {options}"))).unwrap();
        unchanged(options);
        assert_eq!((&document["dry_run"], &document["kept"]), (&true.into(), &"@b/fleet/db1/kept-1".into()));
    }
    let no = host.answers(SET_ASIDE, "no");
    unchanged("the answer no");
    assert!(no.code == 2 && no.stderr.contains("nothing was changed: the answer was no"), "{no:?}");
    host.refused(SET_ASIDE, 2, "--yes");
    unchanged("a run without a terminal");
    let yes = host.answers(SET_ASIDE, "yes");
    assert!(yes.code == 0 && yes.stdout.contains("what was there is at @b/fleet/db1/kept-1"), "{yes:?}");
    assert!(host.objects() != before);
    let free: Value = serde_json::from_str(&host.fine(&format!("{SET_ASIDE} --json"))).unwrap();
    assert_eq!(free["freed"], false, "{free}");
    host.refused("set-aside DIR/k", 2, "is a file: rename it instead");
    host.engine.refuse(Some(403));
    host.refused(SET_ASIDE, 2, "cannot look at @b/fleet/db1: ");
}

#[test]
fn a_copy_in_order_is_not_set_aside_by_a_yes() {
    let host = Host::with_keyring();
    let before = host.objects();
    let yes = host.answers(SET_ASIDE, "yes");
    assert!(yes.code == 2 && yes.stderr.contains("the answer was not the word set-aside"), "{yes:?}");
    assert!(yes.stdout.contains("can be read") || yes.stderr.contains("can be read"), "{yes:?}");
    assert!(host.objects() == before);
    let word = host.answers(SET_ASIDE, "set-aside");
    assert_eq!(word.code, 0, "{word:?}");
    host.fine(&format!("verify @b/fleet/db1/kept-1 {UNLOCK}"));
}

#[test]
fn the_only_copy_of_a_running_server_stays() {
    let host = Host::with_keyring();
    host.write_options("");
    let mut page = vec![0; 16384];
    page[26..34].copy_from_slice(&8192_u64.to_be_bytes());
    let system = host.dir.path().join("data/ibdata1");
    fs::write(&system, page).unwrap();
    // As a running server does.
    let file = File::options().read(true).write(true).open(&system).unwrap();
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    let line = format!("{SET_ASIDE} --option-file DIR/my.cnf --yes");
    let before = host.objects();
    let refused = host.run_as_it_is(&line);
    assert!(refused.code == 2 && refused.stderr.contains("its only copy that can be read"), "{refused:?}");
    assert!(host.objects() == before);
    // It has another one, or it is stopped.
    let mirror = format!("keyring_external_mirrors={}/k\n", host.dir.path().display());
    host.write_options(&mirror);
    let dry = host.run_as_it_is(&line.replace("--yes", "--dry-run"));
    assert_eq!(dry.code, 0, "{dry:?}");
    host.write_options("");
    drop(file);
    let done = host.run_as_it_is(&line);
    assert_eq!(done.code, 0, "{done:?}");
}

#[test]
fn doctor_names_it_with_what_creates_the_copy_again() {
    let host = Host::with_damaged_head();
    for (mirrors, then) in [
        ("keyring_external_mirrors=DIR/k\n", "keyringctl sync DIR/k --mirror @b/fleet/db1"),
        ("", "keyringctl sync BACKUP --mirror @b/fleet/db1"),
    ] {
        host.write_options(mirrors);
        let doctor = host.run_as_it_is("doctor --offline --option-file DIR/my.cnf");
        let at = doctor.stdout.find("keyringctl set-aside @b/fleet/db1");
        assert!(at.is_some() && doctor.stdout.find(then) > at, "{doctor:?}");
    }
}
