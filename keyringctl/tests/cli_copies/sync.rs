// SPDX-License-Identifier: GPL-2.0-or-later
//! What sync writes over on a host whose server is configured with the copies.

use super::{Ended, Host, SECRET};
use keyring_external::store::places::Places;
use std::fs;

const NEW: &str = "--unlock file:HOST/etc/mysql/new.secret";

/// A host whose server's secret has a slot in the copy a only. Another secret has a slot in both.
fn with_servers_slot_in_one_copy() -> Host {
    let host = Host::with_file();
    host.write("etc/mysql/new.secret", "no text: \u{1} and more than thirty-two bytes");
    host.succeeds("slot add --new file:HOST/etc/mysql/new.secret --name tom");
    host.succeeds(&format!("slot remove HOST/mnt/b/keys/k 1 {NEW} --only-named-copies --force --yes"));
    host
}

fn bytes(host: &Host) -> [Vec<u8>; 2] {
    ["mnt/a/keys/k", "mnt/b/keys/k"].map(|path| fs::read(host.at(path)).unwrap())
}

/// The line after the one that contains `title`: a command that can be pasted.
fn command<'a>(ended: &'a Ended, title: &str) -> &'a str {
    let mut lines = ended.stderr.lines().skip_while(|line| !line.contains(title));
    let command = lines.nth(1).unwrap_or_else(|| panic!("{title}: {}", ended.stderr));
    command.trim().strip_prefix("keyringctl ").unwrap_or_else(|| panic!("{command}"))
}

/// The server's secret unlocks both copies.
fn server_can_start(host: &Host) {
    for copy in ["a", "b"] {
        host.succeeds(&format!("list HOST/mnt/{copy}/keys/k --unlock file:HOST/{SECRET}"));
    }
}

const ROW: &str = "slot 1 of HOST/mnt/a/keys/k";

#[test]
fn sync_does_not_drop_the_servers_slot_without_force_and_its_advice_keeps_it() {
    let host = with_servers_slot_in_one_copy();
    let before = bytes(&host);
    for line in ["sync --yes", "sync --dry-run", &format!("sync --yes {NEW}")] {
        let refused = host.of_server(line);
        assert_eq!(refused.code, 2, "{line}: {}", refused.stderr);
        assert!(
            refused.stdout.contains(ROW) && refused.stdout.contains("removed: its secret"),
            "{}",
            refused.stdout
        );
        assert!(refused.stderr.contains("fits no slot of what is written"), "{}", refused.stderr);
        assert!(bytes(&host) == before, "{line}");
    }
    let refused = host.of_server("sync --yes");
    let forced = with_servers_slot_in_one_copy();
    forced.succeeds(&command(&refused, "To write the copies nevertheless").replace(" --root HOST", ""));
    assert_eq!(forced.of_server("list").code, 1, "the server's secret unlocks nothing");
    host.succeeds(command(&refused, "Add a slot for the server's secret first"));
    host.succeeds("sync --yes");
    server_can_start(&host);
}

#[test]
fn a_merge_does_not_drop_the_servers_slot_without_force_and_its_advice_keeps_it() {
    let host = with_servers_slot_in_one_copy();
    for copy in ["a", "b"] {
        host.succeeds(&format!(
            "slot add HOST/mnt/{copy}/keys/k --only-named-copies {NEW} --new-recovery --name {copy}"
        ));
    }
    host.succeeds(&format!("slot add HOST/mnt/b/keys/k --only-named-copies {NEW} --new-recovery --name c"));
    let before = bytes(&host);
    let refused = host.of_server(&format!("sync HOST/mnt/b/keys/k --merge --yes {NEW}"));
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stdout.contains(ROW), "{}", refused.stdout);
    assert!(bytes(&host) == before);
    host.succeeds(&format!("{} --yes", command(&refused, "name it first")));
    server_can_start(&host);
}

/// Bytes of the first copy are damaged: that one is written over, and the table says why.
#[test]
fn the_tables_say_which_copy_is_damaged() {
    for (at, now) in [(0, "generation 1, 0 keys, damaged"), (4096, "generation 1, 0 keys, damaged")] {
        let host = Host::with_file();
        let mut damaged = fs::read(host.at("mnt/a/keys/k")).unwrap();
        damaged[at..at + 64].fill(7);
        fs::write(host.at("mnt/a/keys/k"), damaged).unwrap();
        for line in ["sync --dry-run", "rekey --dry-run", "slot remove 2 --dry-run"] {
            let table = host.succeeds(line).stdout;
            let row = |copy: &str| {
                table.lines().find(|line| line.contains(copy) && line.contains("  ")).map(str::to_owned)
            };
            let row_a = row("HOST/mnt/a/keys/k").unwrap_or_default();
            assert!(row_a.contains(now), "{line}: {table}");
            match row("HOST/mnt/b/keys/k") {
                Some(row) => assert!(row.contains("up to date"), "{line}: {table}"),
                None => assert!(table.contains("The source is HOST/mnt/b/keys/k"), "{line}: {table}"),
            }
        }
        host.succeeds("sync --yes");
        assert!(host.succeeds("status").stdout.contains("2/2 copies are up to date"));
    }
}

#[test]
fn a_copy_with_a_damaged_record_is_shown_as_damaged() {
    let host = Host::with_file();
    let path = host.at("mnt/a/keys/k");
    let fs: std::sync::Arc<dyn keyring_external::store::file::fs::Fs> =
        std::sync::Arc::new(keyring_external::store::file::real::RealFs);
    let unlock = keyring_external::unlock::UnlockSource::File(host.at(SECRET));
    let keyring = keyring_external::keyring::load(&Places::from(&fs), &path, &unlock).unwrap().0;
    keyring.store(super::common::name("id", ""), &super::common::key_type("AES"), &[7; 32]).unwrap();
    host.succeeds("sync --yes");
    let mut damaged = fs::read(&path).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&path, damaged).unwrap();
    for line in ["sync --dry-run", "rekey --dry-run"] {
        let table = host.succeeds(line).stdout;
        assert!(table.contains("generation 2, damaged"), "{line}: {table}");
        assert!(!table.contains("cannot be opened"), "{line}: {table}");
    }
}

#[test]
fn another_keyring_is_refused_before_anything_is_written() {
    let host = Host::with_file();
    let made = host.run(
        &format!("init {0}/backup/foreign --unlock file:{0}/{SECRET}", host.at("").display())
            .replace("//", "/"),
    );
    assert_eq!(made.code, 0, "{}", made.stderr);
    let before = bytes(&host);
    let refused = host.of_server(&format!(
        "sync HOST/backup/foreign --mirror HOST/mnt/a/keys/k --yes --unlock file:HOST/{SECRET}"
    ));
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    for part in ["HOST/backup/foreign and HOST/mnt/a/keys/k are two keyrings", "Nothing was changed"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!refused.stderr.contains("mount the volume of"), "{}", refused.stderr);
    assert!(bytes(&host) == before);
}
