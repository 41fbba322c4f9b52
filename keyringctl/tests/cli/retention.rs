// SPDX-License-Identifier: GPL-2.0-or-later
//! `keys needed`, `retire`, `unretire` and `destroy`.

use super::data_directory::sample_server;
use super::{Ended, Place, UNLOCK, check};
use keyring_external::key::NameRef;
use keyring_external::keyring::{Keyring, load, now};
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::num::NonZeroU64;
use std::sync::Arc;

const SERVER: &str = "e6e52dec-e7fc-11f1-ada4-02fc00000001";
const OLD: &str = "INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-1";
const NEEDED: &str = "INNODBKey-e6e52dec-e7fc-11f1-ada4-02fc00000001-2";
const DAY: u64 = 24 * 60 * 60;

/// The files of a server that no longer exists, and a keyring with older keys than they need, and others.
fn site() -> Place {
    let place = sample_server();
    let key = |id: &str, user: &str, data: &str| {
        let data = data.repeat(32);
        format!(r#"{{"user":"{user}","data_id":"{id}","data_type":"AES","data":"{data}","extension":[]}}"#)
    };
    let keys = [
        key(OLD, "", "1C"),
        key(&format!("INNODBKey-{SERVER}-3"), "", "2C"),
        key("INNODBKey-11111111-e7fc-11f1-ada4-02fc00000001-9", "", "3C"),
        key(&format!("MySQLReplicationKey_{SERVER}"), "", "4C"),
        key(OLD, "anna@%", "5C"),
    ];
    place.write("more.json", format!(r#"{{"version":"1.0","elements":[{}]}}"#, keys.join(",")).as_bytes());
    let import = "import --from component_keyring_file DIR/more.json DIR/main.keyring";
    succeeds(&place, &format!("{import} {UNLOCK}"));
    place
}

fn succeeds(place: &Place, line: &str) -> String {
    let Ended { code, stdout, stderr } = place.run(line);
    assert_eq!(code, 0, "{line}: {stdout}{stderr}");
    stdout
}

fn refused(place: &Place, line: &str, why: &[&str]) {
    let before = fs::read(place.path("main.keyring")).unwrap();
    let Ended { code, stdout, stderr } = place.run(line);
    let said = format!("{stdout}{stderr}");
    assert!(code == 1 && why.iter().all(|why| said.contains(why)), "{line}: {code} {said}");
    assert_eq!(fs::read(place.path("main.keyring")).unwrap(), before, "{line}");
}

fn open(place: &Place, name: &str) -> Keyring {
    let fs: Arc<dyn keyring_external::store::file::fs::Fs> = Arc::new(RealFs);
    load(&Places::from(&fs), &place.path(name), &UnlockSource::File(place.path("secret"))).unwrap().0
}

fn name(id: &str) -> NameRef<'_> {
    NameRef::new(id.as_bytes(), b"").unwrap()
}

/// Has a key be retired for so many days.
fn retired_for(place: &Place, days: u64) {
    let keyring = open(place, "main.keyring");
    keyring.unretire(&[name(OLD)]).unwrap();
    keyring.retire(&[name(OLD)], NonZeroU64::new(now() - days * DAY).unwrap()).unwrap();
}

fn places() -> String {
    format!("{UNLOCK} --datadir DIR/data --gone-server {SERVER}")
}

#[test]
fn which_keys_are_needed_and_by_what() {
    let place = site();
    place.write("dump.sql", b"-- MySQL dump 10.13  Distrib 9.7.4");
    let needed = |rest: &str| format!("keys needed DIR/main.keyring {UNLOCK} --datadir DIR/data {rest}");
    check(
        "keys_needed_shows_what_needs_each_key",
        &place,
        &[
            &needed(""),
            &needed(&format!("--gone-server {SERVER} --backup DIR/dump.sql --verbose")),
            &needed(&format!("--gone-server {SERVER} --json")),
        ],
    );
    // What cannot be judged: then nothing is unneeded.
    place.write("backup.tar", &[0; 512]);
    place.write("data/notes.docx", b"notes of somebody");
    check(
        "keys_needed_says_what_it_could_not_read",
        &place,
        &[
            &needed(&format!(
                "--gone-server {SERVER} --backup DIR/backup.tar --binlogs DIR/empty --backup DIR/gone"
            )),
            &format!("keys needed DIR/main.keyring {UNLOCK} --root DIR"),
            &format!("keys needed DIR/less.keyring {UNLOCK} --datadir DIR/data/clinic"),
        ],
    );
}

#[test]
fn a_key_that_is_or_may_be_needed_is_not_retired() {
    let place = site();
    let retire =
        |id: &str, rest: &str| format!("keys retire DIR/main.keyring {id} --yes --only-named-copies {rest}");
    refused(&place, &retire(NEEDED, &places()), &["REFUSED", NEEDED, "DIR/data/clinic/patients.ibd"]);
    refused(&place, &retire(&format!("{OLD} {NEEDED}"), &places()), &["patients.ibd"]);
    let binlog = format!("MySQLReplicationKey_{SERVER}_1");
    refused(&place, &retire(&binlog, &places()), &["DIR/data/binlog.000001"]);
    refused(&place, &retire(&format!("MySQLReplicationKey_{SERVER}"), &places()), &["not a master key"]);
    let other = "INNODBKey-11111111-e7fc-11f1-ada4-02fc00000001-9";
    refused(&place, &retire(other, &places()), &["--gone-server", "11111111-e7fc-11f1-ada4-02fc00000001"]);
    refused(&place, &retire(OLD, &format!("{UNLOCK} --datadir DIR/data")), &["was not read", SERVER]);
    // A server that exists: nothing more of it than its name and a log.
    fs::create_dir(place.path("alive")).unwrap();
    place.write("alive/auto.cnf", format!("[auto]\nserver-uuid={SERVER}\n").as_bytes());
    place.write("alive/binlog.000002", b"\xfebin");
    let alive = format!("{UNLOCK} --datadir DIR/alive");
    refused(&place, &retire(&format!("INNODBKey-{SERVER}-3"), &alive), &["newest master key"]);
    refused(
        &place,
        &retire(OLD, &alive),
        &["not everything could be read", "it lacks the system tablespace"],
    );
    // A backup needs a key that the data directory does not need any more.
    fs::create_dir(place.path("backup")).unwrap();
    fs::rename(place.path("data/clinic/patients.ibd"), place.path("backup/patients.ibd")).unwrap();
    refused(
        &place,
        &retire(NEEDED, &format!("{} --backup DIR/backup", places())),
        &["DIR/backup/patients.ibd"],
    );
    place.write("backup/t.ibd.zst", b"xxx");
    refused(
        &place,
        &retire(OLD, &format!("{} --backup DIR/backup", places())),
        &["not everything could be read", "DIR/backup/t.ibd.zst"],
    );
    // No data directory was named, and no server is on this host.
    let Ended { code, stderr, .. } = place.run(&retire(OLD, &format!("{UNLOCK} --root DIR")));
    assert!(code == 2 && stderr.contains("--datadir"), "{stderr}");
    check(
        "retire_names_the_files_that_need_a_key",
        &place,
        &[&retire(NEEDED, &format!("{} --backup DIR/backup", places()))],
    );
}

#[test]
fn a_key_is_retired_and_after_the_wait_destroyed() {
    let place = site();
    succeeds(
        &place,
        &format!(
            "sync DIR/main.keyring --mirror DIR/mirror.keyring {UNLOCK} --create --only-named-copies --yes"
        ),
    );
    let line = |verb: &str, rest: &str| {
        format!("keys {verb} DIR/main.keyring {OLD} --mirror DIR/mirror.keyring --only-named-copies {rest}")
    };
    check(
        "keys_are_retired_and_that_is_taken_back",
        &place,
        &[
            &line("retire", &format!("{} --dry-run", places())),
            &line("retire", &places()),
            &line("retire", &format!("{} --yes", places())),
            &format!("list DIR/main.keyring {UNLOCK}"),
            &line("unretire", &format!("{UNLOCK} --yes")),
            &line("destroy", &format!("{} --yes", places())),
        ],
    );
    retired_for(&place, 29);
    succeeds(
        &place,
        &format!("sync DIR/main.keyring --mirror DIR/mirror.keyring {UNLOCK} --only-named-copies --yes"),
    );
    refused(
        &place,
        &line("destroy", &format!("{} --yes", places())),
        &["can be destroyed on", "30 days later"],
    );
    retired_for(&place, 31);
    // A copy that is not there would keep the key.
    refused(
        &place,
        &line("destroy", &format!("{} --yes --mirror DIR/none.keyring", places())),
        &["none.keyring", "would keep the keys"],
    );
    succeeds(
        &place,
        &format!("sync DIR/main.keyring --mirror DIR/mirror.keyring {UNLOCK} --only-named-copies --yes"),
    );
    // Backups of the keyring.
    fs::copy(place.path("main.keyring"), place.path("main.keyring.old")).unwrap();
    fs::create_dir(place.path("backup")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(place.path("backup"), private).unwrap();
    fs::copy(place.path("main.keyring"), place.path("backup/keys")).unwrap();
    fs::copy(place.path("data/clinic/patients.ibd"), place.path("backup/patients.ibd")).unwrap();
    let before = fs::read(place.path("main.keyring")).unwrap();
    check(
        "a_retired_key_is_destroyed",
        &place,
        &[
            &line("destroy", &format!("{} --backup DIR/backup", places())),
            &line("destroy", &format!("{} --backup DIR/backup --dry-run --json", places())),
            &line("destroy", &format!("{} --backup DIR/backup --yes", places())),
            &format!("list DIR/mirror.keyring {UNLOCK}"),
        ],
    );
    for copy in ["main.keyring", "mirror.keyring"] {
        let (keyring, after) = (open(&place, copy), fs::read(place.path(copy)).unwrap());
        assert!(keyring.fetch(&name(OLD), |_| ()).is_none(), "{copy}");
        assert!(keyring.fetch(&name(NEEDED), |_| ()).is_some(), "{copy}");
        // No piece of a record from before is in the file.
        for record in before[16384..].chunks_exact(32) {
            assert!(!after.windows(32).any(|window| window == record), "{copy}");
        }
    }
    // A backup of the keyring keeps the key, and the data is decrypted as before.
    assert!(open(&place, "backup/keys").fetch(&name(OLD), |_| ()).is_some());
    succeeds(&place, &format!("verify DIR/main.keyring DIR/mirror.keyring {UNLOCK} --datadir DIR/data"));
    succeeds(&place, &format!("verify DIR/backup/keys {UNLOCK} --datadir DIR/backup"));
}

#[test]
fn an_export_says_that_retired_keys_lose_their_mark() {
    let place = site();
    retired_for(&place, 1);
    let export = format!("export --to component_keyring_file DIR/main.keyring DIR/out.json {UNLOCK}");
    let Ended { code, stderr, .. } = place.run(&export);
    assert!(code == 0 && stderr.contains("retired keys among them: 1"), "{stderr}");
    succeeds(&place, &format!("backup DIR/main.keyring DIR/kept.keyring {UNLOCK}"));
    let kept = open(&place, "kept.keyring").fetch(&name(OLD), |key| key.retired.is_some());
    assert_eq!(kept, Some(true), "a backup is a copy");
}
