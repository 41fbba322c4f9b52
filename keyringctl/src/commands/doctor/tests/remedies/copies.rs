// SPDX-License-Identifier: GPL-2.0-or-later
//! Fixes of the keyring's copies.

use super::*;
use keyring_external::format::cost::Cost;
use keyring_external::key::{KeyType, NameRef};
use keyring_external::keyring::{Keyring, NewKeyring, Verifier, load};
use keyring_external::store::places::Places;
use std::os::unix::fs::{chown, symlink};

fn open(guest: &Guest, path: &str) -> Keyring {
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    load(&Places::from(&fs), &guest.at(path), &guest.source()).unwrap().0
}

fn store(guest: &Guest, path: &str, id: &str) {
    let name = NameRef::new(id.as_bytes(), b"").unwrap();
    open(guest, path).store(name, &KeyType::new(b"AES").unwrap(), &[7; 32]).unwrap();
}

fn change_byte(guest: &Guest, path: &str, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(guest.at(path)).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(guest.at(path), bytes).unwrap();
}

pub(super) fn follow(all: &mut Followed) {
    for host in [component, plugin] {
        files(all, host);
        directories(all, host);
        differences(all, host);
    }
    witness(all);
    let guest = component();
    let id = guest.leave_redo_log();
    all.fix(&guest, "redo-log", "needs master key", 0, &|guest| {
        // The backup that was found.
        store(guest, KEYRING, &id);
        fs::copy(guest.at(KEYRING), guest.at(MIRROR)).unwrap();
    });
    fs::rename(guest.at("var/lib/mysql/#innodb_redo"), guest.at("var/lib/redo")).unwrap();
    guest.write("var/lib/mysql/ibdata1", "tables");
    all.fix(&guest, "redo-log", "lacks the redo log", 1, &|guest| {
        // The data that was restored.
        fs::rename(guest.at("var/lib/redo"), guest.at("var/lib/mysql/#innodb_redo")).unwrap();
    });
}

fn files(all: &mut Followed, host: fn() -> Guest) {
    let guest = host();
    fs::remove_file(guest.at(MIRROR)).unwrap();
    all.fix(&guest, "keyring-file", "no copy at", 1, &nothing);
    fs::remove_dir_all(guest.at("mnt/b/keys")).unwrap();
    all.fix(&guest, "keyring-file", "no copy at", 1, &nothing);
    // The first copy is missing: the new one comes from the other.
    fs::remove_file(guest.at(KEYRING)).unwrap();
    all.fix(&guest, "keyring-file", "no copy at", 1, &nothing);
    // All are missing: no fix names one of them as the source.
    let kept = fs::read(guest.at(KEYRING)).unwrap();
    [KEYRING, MIRROR].iter().for_each(|path| fs::remove_file(guest.at(path)).unwrap());
    assert!(
        seen(&guest).all().iter().flat_map(|f| &f.fix).all(|line| !line.contains("sync")),
        "{:#?}",
        seen(&guest).all()
    );
    all.fix(&guest, "keyring-file", "mnt/a/keys/main.keyring: ", 1, &|guest| {
        fs::write(guest.at(KEYRING), &kept).unwrap();
        guest.chmod(KEYRING, 0o600);
    });

    let guest = host();
    fs::write(guest.at(MIRROR), "something else").unwrap();
    all.fix(&guest, "keyring-file", "is not a keyring", 0, &nothing);
    let guest = host();
    fs::remove_file(guest.at(MIRROR)).unwrap();
    fs::create_dir(guest.at(MIRROR)).unwrap();
    all.fix(&guest, "keyring-file", "is a directory", 0, &nothing);
    let guest = host();
    fs::rename(guest.at(MIRROR), guest.at("mnt/b/keys/real")).unwrap();
    symlink(guest.at("mnt/b/keys/real"), guest.at(MIRROR)).unwrap();
    all.fix(&guest, "keyring-file", "is a symbolic link", 0, &nothing);
    let guest = host();
    guest.chmod(KEYRING, 0o640);
    all.fix(&guest, "keyring-file", "main.keyring is open to other users", 0, &nothing);

    let guest = alone(host());
    all.fix(&guest, "one-copy", "a single copy", 0, &nothing);
    let guest = host();
    for path in [KEYRING, MIRROR] {
        fs::remove_file(guest.at(path)).unwrap();
    }
    let files: Arc<dyn Fs> = Arc::new(RealFs);
    NewKeyring::new("", &guest.source().read().unwrap(), "test", Cost::NONE)
        .unwrap()
        .write(&Places::from(&files), &[guest.at(KEYRING), guest.at(MIRROR)])
        .unwrap();
    all.fix(&guest, "recovery-slot", "no unlock slot", 0, &nothing);
}

/// The same host, but with one copy.
fn alone(guest: Guest) -> Guest {
    if guest.at(CNF).exists() {
        replace(&guest, CNF, ", \"mirrors\": [\"/mnt/b/keys/main.keyring\"]", "");
    } else {
        replace(&guest, OPTIONS, "keyring_external_mirrors=/mnt/b/keys/main.keyring\n", "");
    }
    guest
}

fn directories(all: &mut Followed, host: fn() -> Guest) {
    let guest = host();
    guest.chmod("mnt/a/keys", 0o755);
    all.fix(&guest, "keyring-file", "keys is open to other users", 0, &nothing);
    let guest = with_account(host());
    chown(guest.at(KEYRING), Some(0), Some(0)).unwrap();
    all.fix(&guest, "keyring-owner", "main.keyring belongs to", 0, &nothing);
    chown(guest.at("mnt/a/keys"), Some(0), Some(0)).unwrap();
    all.fix(&guest, "keyring-owner", "keys belongs to", 0, &nothing);
    // The root of a volume, /, and directories of others: no fix changes them.
    for (dir, owner) in
        [("mnt/a", true), ("", true), ("etc", true), ("tmp", true), ("mnt/a", false), ("etc", false)]
    {
        let guest = with_account(host());
        fs::create_dir_all(guest.at(dir)).unwrap();
        guest.chmod(dir, if owner { 0o700 } else { 0o755 });
        guest.write("etc/hostname", "x");
        guest.write("tmp/another", "x");
        let path = if dir.is_empty() { "main.keyring".to_owned() } else { format!("{dir}/main.keyring") };
        fs::rename(guest.at(KEYRING), guest.at(&path)).unwrap();
        let settings = if guest.at(CNF).exists() { CNF } else { OPTIONS };
        replace(&guest, settings, "/mnt/a/keys/main.keyring", &format!("/{path}"));
        let before = fs::metadata(guest.at(dir)).unwrap();
        let (check, words) = if owner {
            ("keyring-owner", "belongs to user id 0")
        } else {
            ("keyring-file", "is open to other users")
        };
        guest.chmod(dir, if owner { 0o711 } else { 0o755 });
        all.fix(&guest, check, words, 0, &|guest| {
            let made = guest.at(dir).join("keys");
            assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o7777, 0o700);
        });
        let after = fs::metadata(guest.at(dir)).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!((before.uid(), before.gid()), (after.uid(), after.gid()));
    }
    let guest = with_account(host());
    guest.chmod("mnt/b", 0o700);
    all.fix(&guest, "closed-directory", "mnt/b on the way", 0, &nothing);
}

fn differences(all: &mut Followed, host: fn() -> Guest) {
    let guest = host();
    store(&guest, KEYRING, "id");
    all.fix(&guest, "copies-alike", "is behind: it has generation", 1, &nothing);
    let guest = host();
    store(&guest, MIRROR, "id");
    all.fix(&guest, "copies-alike", "is behind: it has generation", 1, &nothing);
    let guest = host();
    store(&guest, KEYRING, "one");
    store(&guest, MIRROR, "other");
    all.fix(&guest, "copies-alike", "have diverged", 0, &nothing);
    assert_eq!(open(&guest, KEYRING).status().keys, 2);
    let guest = host();
    let other = fs::read(guest.at(MIRROR)).unwrap();
    guest.init(&[MIRROR]);
    all.fix(&guest, "copies-alike", "is keyring", 0, &|guest| fs::write(guest.at(MIRROR), &other).unwrap());
    for (offset, check, words) in [
        (100, "copies-alike", "copies of the header"),
        (4200, "verify", "copies of the header"),
        (8300, "verify", "commit slots"),
    ] {
        let guest = host();
        change_byte(&guest, KEYRING, |_| offset);
        all.fix(&guest, check, words, 0, &nothing);
        let guest = alone(host());
        change_byte(&guest, KEYRING, |_| offset);
        all.fix(&guest, check, words, 0, &nothing);
    }
    let guest = host();
    store(&guest, KEYRING, "id");
    fs::copy(guest.at(KEYRING), guest.at(MIRROR)).unwrap();
    change_byte(&guest, KEYRING, |len| len - 1);
    all.fix(&guest, "verify", "is damaged", 0, &nothing);
}

fn witness(all: &mut Followed) {
    let files: Arc<dyn Fs> = Arc::new(RealFs);
    let used = |guest: &Guest, path: &str| {
        open(guest, path).write_witness(&files, &guest.at("var/lib/mysql"), |_, _| {}).unwrap();
    };
    for lost in [false, true] {
        let guest = component();
        let old = fs::read(guest.at(KEYRING)).unwrap();
        store(&guest, KEYRING, "id");
        used(&guest, KEYRING);
        let new = fs::read(guest.at(KEYRING)).unwrap();
        fs::write(guest.at(KEYRING), old).unwrap();
        all.fix(&guest, "witness", "this is an older copy", usize::from(lost), &|guest| {
            if !lost {
                [KEYRING, MIRROR].iter().for_each(|path| fs::write(guest.at(path), &new).unwrap());
            }
        });
        let guest = component();
        used(&guest, KEYRING);
        let right = fs::read(guest.at(KEYRING)).unwrap();
        guest.init(&[KEYRING, MIRROR]);
        all.fix(&guest, "witness", "was last used with keyring", usize::from(lost), &|guest| {
            if !lost {
                [KEYRING, MIRROR].iter().for_each(|path| fs::write(guest.at(path), &right).unwrap());
            }
        });
    }
    let guest = component();
    store(&guest, MIRROR, "one");
    used(&guest, MIRROR);
    store(&guest, KEYRING, "other");
    all.fix(&guest, "witness", "has diverged from the copy", 0, &nothing);
    // Without the secret, it is the next step to give it.
    let blind = |guest: &Guest| {
        findings(&guest.site(), &|view| {
            read_files(guest, view);
            view.secret = Some(UnlockSource::Env("KEYRING_EXTERNAL_NONE".to_owned()));
        })
    };
    let guest = component();
    let server = Verifier { source_name: "test".to_owned(), secret: guest.source().read().unwrap() };
    open(&guest, KEYRING).rekey(&[server], false).unwrap();
    store(&guest, MIRROR, "two");
    store(&guest, KEYRING, "one");
    let given = std::cell::Cell::new(false);
    let look = |guest: &Guest| if given.get() { seen(guest) } else { blind(guest) };
    all.fix_with(
        &guest,
        "copies-alike",
        "cannot tell whether it is behind",
        0,
        &look,
        &|guest, administrator| {
            given.set(administrator.by_hand.iter().any(|line| line.contains("doctor --unlock SOURCE")));
            merged(guest);
        },
    );
}

/// With the secret, doctor says that the copies have diverged, and how to merge them.
fn merged(guest: &Guest) {
    let found = seen(guest);
    let diverged = found.of_check("copies-alike")[0].clone();
    assert!(diverged.what.contains("have diverged"), "{diverged:?}");
    Administrator::new(guest).follow(&diverged.fix, 0);
}
