// SPDX-License-Identifier: GPL-2.0-or-later
//! The witness: what `status` says of it, and accepting a keyring that it contradicts.

use super::data_directory::sample_server;
use super::{Ended, Place, UNLOCK, check, common};
use keyring_external::keyring::load;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

#[test]
fn the_witness() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    let store = |id: &str| {
        let unlock = UnlockSource::File(place.path("secret"));
        let fs: Arc<dyn Fs> = Arc::new(RealFs);
        let (keyring, _) = load(&Places::from(&fs), &place.path("main.keyring"), &unlock).unwrap();
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
    check("status_of_another_keyring_than_the_witness_records", &place, &[&other]);

    // The old copy was put back and changed: the same generation, but different keys.
    assert_eq!(place.run(&accept).code, 0);
    fs::copy(place.path("old.keyring"), place.path("main.keyring")).unwrap();
    store("apart");
    store("two");
    check("status_of_a_copy_that_diverged_from_the_witness", &place, &[asked, &format!("{asked} {UNLOCK}")]);

    let witness = place.path("data/keyring_external.witness");
    let mut bytes = fs::read(&witness).unwrap();
    bytes[60] ^= 1;
    fs::write(&witness, bytes).unwrap();
    check("status_with_a_forged_witness", &place, &[&format!("{asked} {UNLOCK}")]);
    check(
        "a_damaged_witness_is_distinguished_from_none",
        &place,
        &["witness show --datadir DIR/data", &accept],
    );
}

#[test]
fn a_copy_that_is_behind_is_to_be_synced_not_accepted() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    fs::copy(place.path("main.keyring"), place.path("old.keyring")).unwrap();
    assert_eq!(place.run(&format!("rekey DIR/main.keyring {UNLOCK} --option-file /dev/null --yes")).code, 0);
    let accept = format!("witness accept DIR/main.keyring --datadir DIR/data {UNLOCK} --yes");
    assert_eq!(place.run(&accept).code, 0);
    let Ended { code, stdout, .. } =
        place.run(&format!("status DIR/main.keyring DIR/old.keyring --datadir DIR/data {UNLOCK}"));
    let sync = format!("keyringctl sync DIR/main.keyring --mirror DIR/old.keyring {UNLOCK}");
    assert!(code == 1 && stdout.contains("it is behind DIR/main.keyring"), "{stdout}");
    assert!(stdout.contains(&sync) && !stdout.contains("witness accept"), "{stdout}");
}

/// A process that locks the system tablespace, as a running server does.
pub(super) struct RunningServer(Child);

impl RunningServer {
    pub(super) fn of(place: &Place) -> RunningServer {
        let script = "import fcntl,sys\nf=open(sys.argv[1],'r+b')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('locked',flush=True)\nsys.stdin.read()\n";
        let mut server = Command::new("python3")
            .args(["-c", script, place.path("data/ibdata1").to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 7];
        std::io::Read::read_exact(server.stdout.as_mut().unwrap(), &mut line).unwrap();
        RunningServer(server)
    }

    /// Ends it. Returns the number of its process.
    pub(super) fn stop(mut self) -> u32 {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
        self.0.id()
    }
}

/// Writes a system tablespace and a redo log as a server leaves them that was not shut down cleanly.
pub(super) fn left_by_a_killed_server(place: &Place) {
    let mut page = vec![0; 16384];
    page[26..34].copy_from_slice(&8192_u64.to_be_bytes());
    place.write("data/ibdata1", &page);
    let mut log = vec![0; 8 * 512];
    log[..4].copy_from_slice(&6_u32.to_be_bytes());
    log[8..16].copy_from_slice(&8192_u64.to_be_bytes());
    log[520..528].copy_from_slice(&8704_u64.to_be_bytes());
    for block in [0, 1, 3] {
        log[block * 512 + 508..][..4].copy_from_slice(&0xdead_beef_u32.to_be_bytes());
    }
    fs::create_dir_all(place.path("data/#innodb_redo")).unwrap();
    place.write("data/#innodb_redo/#ib_redo0", &log);
}

/// As [`left_by_a_killed_server`], with a change in the redo log that names a master key.
pub(super) fn left_with_a_log_that_names(place: &Place, server: &str, number: u32) {
    left_by_a_killed_server(place);
    let path = place.path("data/#innodb_redo/#ib_redo0");
    let mut log = fs::read(&path).unwrap();
    // The block with the checkpoint.
    let at = 5 * 512;
    log[at..at + 4].copy_from_slice(&18_u32.to_be_bytes());
    log[at + 4..at + 6].copy_from_slice(&512_u16.to_be_bytes());
    let name = [b"lCC", &number.to_be_bytes()[..], server.as_bytes()].concat();
    log[at + 12..at + 12 + name.len()].copy_from_slice(&name);
    fs::write(&path, log).unwrap();
}

#[test]
fn after_an_unclean_shutdown_an_older_keyring_is_accepted_only_with_accept_missing_keys() {
    let place = sample_server();
    fs::copy(place.path("main.keyring"), place.path("old.keyring")).unwrap();
    let accept = |name: &str| format!("witness accept DIR/{name}.keyring --datadir DIR/data {UNLOCK} --yes");
    let verify = |name: &str| place.run(&format!("verify DIR/{name}.keyring --datadir DIR/data {UNLOCK}"));
    assert_eq!(place.run(&format!("rekey DIR/main.keyring {UNLOCK} --option-file /dev/null --yes")).code, 0);
    assert_eq!(place.run(&accept("main")).code, 0);
    assert_eq!(verify("old").code, 0, "it has all keys");
    left_by_a_killed_server(&place);
    let Ended { code, stdout, stderr } = place.run(&accept("old"));
    assert!(
        code == 2 && stderr.contains("was not shut down cleanly: its redo log may need keys"),
        "{stderr}"
    );
    assert!(
        stderr.contains("--accept-missing-keys") && !stdout.contains("has every master key"),
        "{stdout}{stderr}"
    );
    // The forged system tablespace is damaged too.
    let stdout = verify("old").stdout;
    assert!(stdout.contains("NOT CHECKED   the server of DIR/data was not shut down cleanly"), "{stdout}");
    // The keyring that the server last used has the keys.
    let stdout = verify("main").stdout;
    assert!(!stdout.contains("cleanly"), "{stdout}");
    assert_eq!(place.run(&accept("main")).code, 0);
    // Of a backup of the files without the witness, or of a server that runs, it is only a note.
    fs::rename(place.path("data/keyring_external.witness"), place.path("witness")).unwrap();
    let stdout = verify("old").stdout;
    assert!(stdout.contains("note: the server of DIR/data was not shut down cleanly"), "{stdout}");
    fs::rename(place.path("witness"), place.path("data/keyring_external.witness")).unwrap();
    let server = RunningServer::of(&place);
    let stdout = verify("old").stdout;
    server.stop();
    assert!(stdout.contains("note: a server is running on DIR/data"), "{stdout}");
    let Ended { code, stdout, stderr } = place.run(&format!("{} --accept-missing-keys", accept("old")));
    assert_eq!(code, 0, "{stdout}{stderr}");
}

/// A running server locks its system tablespace.
#[test]
fn no_keyring_is_accepted_while_a_server_runs() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    place.write("data/ibdata1", &[0; 16]);
    let accept = format!("witness accept DIR/main.keyring --datadir DIR/data {UNLOCK} --yes");
    let server = RunningServer::of(&place);
    let refused = place.run(&accept);
    let process = server.stop();
    assert!(refused.code == 2 && refused.stderr.contains("a server is running"), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("process {process}")), "{}", refused.stderr);
    // There is no redo log here.
    let accepted = place.run(&format!("{accept} --accept-missing-keys"));
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
}

#[test]
fn a_keyring_that_lacks_keys_of_the_data_directory_is_accepted_only_with_accept_missing_keys() {
    let place = sample_server();
    let witness = place.path("data/keyring_external.witness");
    for (name, why) in [("less", "missing in the keyring"), ("wrong", "other bytes under this name")] {
        let accept = format!("witness accept DIR/{name}.keyring --datadir DIR/data {UNLOCK}");
        for options in ["--yes", "--dry-run"] {
            let Ended { code, stdout, stderr } = place.run(&format!("{accept} {options}"));
            assert!(
                code == 2 && stderr.contains("--accept-missing-keys"),
                "{name} {options}: {stdout}{stderr}"
            );
            assert!(stderr.contains("nothing was accepted: files in DIR/data need 1 key"), "{stderr}");
            assert!(stdout.contains(why) && stdout.contains("clinic/patients.ibd"), "{stdout}");
            assert!(!witness.exists(), "{name} {options}");
        }
        let Ended { code, stdout, .. } = place.run(&format!("{accept} --yes --accept-missing-keys"));
        assert!(code == 0 && !stdout.contains("will start"), "{stdout}");
        fs::remove_file(&witness).unwrap();
    }
}

#[test]
fn a_file_that_could_not_be_checked_is_told_before_a_keyring_is_accepted() {
    let place = sample_server();
    place.write("data/clinic/copy.of.a.table", &[7; 7 * 4096]);
    let accept = format!("witness accept DIR/main.keyring --datadir DIR/data {UNLOCK} --dry-run");
    let Ended { code, stdout, .. } = place.run(&accept);
    assert_eq!(code, 0, "{stdout}");
    assert!(
        stdout.contains("DIR/data/clinic/copy.of.a.table") && stdout.contains("not known whether"),
        "{stdout}"
    );
    let Ended { stdout, .. } = place.run(&format!("{accept} --json"));
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["not_checked"], serde_json::json!(["DIR/data/clinic/copy.of.a.table"]));
    assert!(document["dry_run"] == true && document["effects"][1]["now"].is_string(), "{document}");
}
