// SPDX-License-Identifier: GPL-2.0-or-later
//! Findings about the keyring's copies and the secret that opens them.

use super::*;
use keyring_external::format::cost::Cost;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{Keyring, NewKeyring, Verifier, load};
use keyring_external::store::places::Places;

fn open(guest: &Guest, path: &str) -> Keyring {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    load(&Places::from(&fs), &guest.at(path), &guest.source()).unwrap().0
}

fn store(guest: &Guest, path: &str) {
    let name = NameRef::new(b"id", b"").unwrap();
    open(guest, path).store(name, &KeyType::new(b"AES").unwrap(), &[7; 32]).unwrap();
}

#[test]
fn a_copy_that_is_missing_or_not_a_keyring_is_reported() {
    let guest = Guest::new();
    fs::remove_file(guest.at(MIRROR)).unwrap();
    error(&guest.findings(), "keyring-file", "no copy at");
    let told = || {
        let found = guest.findings();
        let found = found.of_check("keyring-file")[0];
        format!("{}\n{}", found.what, found.fix.join("\n"))
    };
    let sync = format!(
        "create a new one:\nkeyringctl sync {} --mirror {} --unlock file:{}",
        guest.at(KEYRING).display(),
        guest.at(MIRROR).display(),
        guest.at("etc/mysql/secret").display()
    );
    assert!(told().contains(&sync) && !told().contains("keyringctl init"), "{}", told());
    fs::remove_dir(guest.at("mnt/b/keys")).unwrap();
    let install = format!("{}\nkeyringctl sync", guest.at("mnt/b/keys").display());
    assert!(told().contains("install -d -m 0700 -o ") && told().contains(&install), "{}", told());
    fs::create_dir(guest.at("mnt/b/keys")).unwrap();
    guest.chmod("mnt/b/keys", 0o700);
    guest.write(MIRROR, "something else");
    guest.chmod(MIRROR, 0o600);
    error(&guest.findings(), "keyring-file", "is not a keyring");
    fs::remove_file(guest.at(MIRROR)).unwrap();
    fs::create_dir(guest.at(MIRROR)).unwrap();
    error(&guest.findings(), "keyring-file", "is a directory");
}

#[test]
fn a_copy_that_is_open_to_others_or_belongs_to_others_is_reported() {
    let guest = Guest::new();
    guest.chmod(KEYRING, 0o640);
    error(&guest.findings(), "keyring-file", "main.keyring is open to other users (mode 0640)");
    guest.chmod(KEYRING, 0o600);
    guest.chmod("mnt/a/keys", 0o755);
    error(&guest.findings(), "keyring-file", "keys is open to other users (mode 0755)");
    guest.chmod("mnt/a/keys", 0o700);
    let found = findings(&guest.strangers_site(), &|_| {});
    error(&found, "keyring-owner", "main.keyring belongs to");
    error(&found, "keyring-owner", "keys belongs to");
    let mut site = guest.site();
    site.account = None;
    note(&findings(&site, &|_| {}), "keyring-owner", "does not exist on this machine");
}

#[test]
fn a_directory_that_mysqld_cannot_pass_is_reported() {
    let guest = Guest::new();
    fs::set_permissions(guest.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let closed = |found: &Findings| {
        found.of_check("closed-directory").iter().filter(|f| f.what.contains("mnt/b on the way")).count()
    };
    assert_eq!(closed(&findings(&guest.strangers_site(), &|_| {})), 0);
    guest.chmod("mnt/b", 0o700);
    let found = findings(&guest.strangers_site(), &|_| {});
    error(&found, "closed-directory", "on the way to /mnt/b/keys");
    assert_eq!(closed(&found), 1);
    passes(&guest.findings());
}

#[test]
fn a_single_copy_is_a_warning() {
    let guest = Guest::new();
    guest.write(CNF, r#"{"path": "/mnt/a/keys/main.keyring", "unlock": "file:/etc/mysql/secret"}"#);
    warning(&guest.findings(), "one-copy", "a single copy");
}

#[test]
fn copies_that_differ_are_reported() {
    let guest = Guest::new();
    store(&guest, KEYRING);
    warning(&guest.findings(), "copies-alike", "is behind: it has generation");
    guest.init(&[MIRROR]);
    error(&guest.findings(), "copies-alike", "is keyring");
    let guest = Guest::new();
    let mut bytes = fs::read(guest.at(KEYRING)).unwrap();
    bytes[100] ^= 1;
    fs::write(guest.at(KEYRING), bytes).unwrap();
    warning(&guest.findings(), "copies-alike", "copies of the header");
}

/// One generation, but not the same keys: with the secret and without it, and also where the later copy has more
/// generations.
#[test]
fn copies_that_have_diverged_are_reported_with_the_commands_that_keep_their_keys() {
    let guest = Guest::new();
    let key_type = KeyType::new(b"AES").unwrap();
    let add = |path: &str, id: &str| {
        open(&guest, path).store(NameRef::new(id.as_bytes(), b"").unwrap(), &key_type, &[7; 32]).unwrap();
    };
    let server = Verifier { source_name: "test".to_owned(), secret: guest.source().read().unwrap() };
    open(&guest, KEYRING).rekey(&[server], false).unwrap();
    add(MIRROR, "server");
    let claimed =
        guest.with(&|view| view.secret = Some(UnlockSource::Env("KEYRING_EXTERNAL_NONE".to_owned())));
    for found in [guest.findings(), claimed] {
        error(&found, "copies-alike", "have diverged");
        let fix = found.of_check("copies-alike")[0].fix.join("\n");
        let (k, m, data) = (guest.at(KEYRING), guest.at(MIRROR), guest.at("var/lib/mysql"));
        for command in [
            format!("keyringctl verify {} --datadir {}", k.display(), data.display()),
            format!("keyringctl verify {} --datadir {}", m.display(), data.display()),
            format!("keyringctl sync {} --mirror {} --merge", k.display(), m.display()),
        ] {
            assert!(fix.contains(&command), "{fix}");
        }
    }
    add(KEYRING, "elsewhere");
    error(&guest.findings(), "copies-alike", "(generation 3) and");
    let blind = guest.with(&|view| view.secret = Some(UnlockSource::Env("KEYRING_EXTERNAL_NONE".to_owned())));
    warning(&blind, "copies-alike", "cannot tell whether it is behind or has diverged");
}

#[test]
fn a_copy_that_diverged_from_what_the_data_was_used_with_is_reported() {
    let guest = Guest::new();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    store(&guest, MIRROR);
    open(&guest, MIRROR).write_witness(&fs, &guest.at("var/lib/mysql"), |_, _| {}).unwrap();
    let name = NameRef::new(b"another", b"").unwrap();
    open(&guest, KEYRING).store(name, &KeyType::new(b"AES").unwrap(), &[7; 32]).unwrap();
    let found = guest.findings();
    error(&found, "witness", "mnt/a/keys/main.keyring has diverged from the copy that this data directory");
    assert_eq!(found.of_check("witness").len(), 1, "{:?}", found.of_check("witness"));
}

#[test]
fn a_redo_log_that_needs_a_key_which_the_keyring_lacks_is_reported() {
    let guest = Guest::new();
    let id = guest.leave_redo_log();
    error(
        &guest.findings(),
        "redo-log",
        &format!("var/lib/mysql/#innodb_redo needs master key {id}, which /mnt/a"),
    );
    // Also in a directory of its own.
    fs::create_dir_all(guest.at("var/redo")).unwrap();
    fs::rename(guest.at("var/lib/mysql/#innodb_redo"), guest.at("var/redo/#innodb_redo")).unwrap();
    passes(&guest.findings());
    guest.write("var/lib/mysql/ibdata1", "tables");
    warning(&guest.findings(), "redo-log", "var/lib/mysql lacks the redo log (#innodb_redo, or ib_logfile0");
    guest.write(OPTIONS, "[mysqld]\ninnodb_log_group_home_dir=/var/redo\n");
    error(&guest.findings(), "redo-log", "var/redo/#innodb_redo needs master key");
    for path in [KEYRING, MIRROR] {
        let name = NameRef::new(id.as_bytes(), b"").unwrap();
        open(&guest, path).store(name, &KeyType::new(b"AES").unwrap(), &[7; 32]).unwrap();
    }
    assert_eq!(guest.findings().of_check("redo-log").len(), 0);
}

#[test]
fn a_keyring_without_a_recovery_key_is_reported() {
    let guest = Guest::new();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let paths = [guest.at(KEYRING), guest.at(MIRROR)];
    paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    NewKeyring::new("", &guest.source().read().unwrap(), "test", Cost::NONE)
        .unwrap()
        .write(&Places::from(&fs), &paths)
        .unwrap();
    warning(&guest.findings(), "recovery-slot", "no unlock slot");
}

#[test]
fn what_an_interrupted_write_left_is_a_note() {
    let guest = Guest::new();
    guest.write("mnt/a/keys/main.keyring.new", "");
    let found = guest.findings();
    note(&found, "leftover-write", "main.keyring.new");
    passes(&found);
}

#[test]
fn a_keyring_that_does_not_verify_is_reported() {
    let guest = Guest::new();
    store(&guest, KEYRING);
    let mut bytes = fs::read(guest.at(KEYRING)).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    fs::write(guest.at(KEYRING), bytes).unwrap();
    error(&guest.findings(), "verify", "is damaged");
    let guest = Guest::new();
    fs::write(guest.at(SECRET), [0xfd; 32]).unwrap();
    error(&guest.findings(), "verify", "does not unlock");
    guest.write(CNF, r#"{"path": "/mnt/a/keys/main.keyring", "unlock": "env:KEYRING_SECRET"}"#);
    note(&guest.findings(), "verify", "was not verified");
    let given = guest.with(&|view| view.secret = Some(guest.source()));
    error(&given, "verify", "does not unlock");
}

#[test]
fn a_keyring_that_the_witness_contradicts_is_reported() {
    let guest = Guest::new();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let datadir = guest.at("var/lib/mysql");
    open(&guest, KEYRING).write_witness(&fs, &datadir, |_, _| {}).unwrap();
    passes(&guest.findings());
    let old = std::fs::read(guest.at(KEYRING)).unwrap();
    store(&guest, KEYRING);
    open(&guest, KEYRING).write_witness(&fs, &datadir, |_, _| {}).unwrap();
    std::fs::write(guest.at(KEYRING), old).unwrap();
    error(&guest.findings(), "witness", "this is an older copy");
    guest.init(&[KEYRING, MIRROR]);
    error(&guest.findings(), "witness", "was last used with keyring");
}

#[test]
fn a_secret_that_is_missing_open_or_another_users_is_reported() {
    let guest = Guest::new();
    guest.chmod(SECRET, 0o640);
    error(&guest.findings(), "unlock-secret", "mode 0640");
    guest.chmod(SECRET, 0o600);
    error(&findings(&guest.strangers_site(), &|_| {}), "unlock-secret", "belongs to user id");
    guest.chmod(SECRET, 0o644);
    warning(&findings(&guest.strangers_site(), &|_| {}), "unlock-secret", "belongs to user id");
    fs::remove_file(guest.at(SECRET)).unwrap();
    error(&guest.findings(), "unlock-secret", "cannot find");
}

#[test]
fn a_secret_on_the_keyrings_volume_is_reported() {
    let guest = Guest::new();
    fs::rename(guest.at(SECRET), guest.at("mnt/b/secret")).unwrap();
    let text = fs::read_to_string(guest.at(CNF)).unwrap();
    guest.write(CNF, &text.replace("/etc/mysql/secret", "/mnt/b/secret"));
    error(&guest.findings(), "secret-on-volume", "/mnt/b/keys/main.keyring");
}

#[test]
fn a_credential_that_the_unit_does_not_load_is_reported() {
    let guest = Guest::new();
    let text = fs::read_to_string(guest.at(CNF)).unwrap();
    guest.write(CNF, &text.replace("file:/etc/mysql/secret", "credential:keyring"));
    error(&guest.findings(), "unlock-secret", "does not load the credential keyring");
    let drop_in = "etc/systemd/system/mysql.service.d/keyring_external.conf";
    guest.write(drop_in, &format!("{DROP_IN}LoadCredentialEncrypted=keyring:/etc/mysql/sealed\n"));
    note(&guest.findings(), "unlock-secret", "sealed");
    guest.write(drop_in, &format!("{DROP_IN}LoadCredential=keyring:/etc/mysql/secret\n"));
    let found = guest.findings();
    if effective_user() == 0 {
        passes(&found);
    } else {
        error(&found, "unlock-secret", "root (0) must read it");
    }
    guest.chmod(SECRET, 0o604);
    error(&guest.findings(), "unlock-secret", "mode 0604");
    let mut site = guest.site();
    site.unit = None;
    error(&findings(&site, &|_| {}), "unlock-secret", "but there is no unit");
}

#[test]
fn weaker_sources_are_reported() {
    let guest = Guest::new();
    let text = fs::read_to_string(guest.at(CNF)).unwrap();
    guest.write(CNF, &text.replace("file:/etc/mysql/secret", "env:KEYRING_SECRET"));
    warning(&guest.findings(), "unlock-secret", "environment variable");
    guest.write("etc/systemd/system/mysql.service.d/x.conf", "[Service]\nEnvironment=KEYRING_SECRET=x\n");
    error(&guest.findings(), "unlock-secret", "sets the variable");
    guest.write(CNF, &text.replace("file:/etc/mysql/secret", "command:/opt/secret --now"));
    error(&guest.findings(), "unlock-secret", "does not exist");
    guest.write("opt/secret", "#!/bin/sh");
    error(&findings(&guest.strangers_site(), &|_| {}), "unlock-secret", "mysql has no permission to run");
    guest.chmod("opt/secret", 0o777);
    warning(&guest.findings(), "unlock-secret", "users other than root can change");
}
