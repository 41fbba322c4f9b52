// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies that have diverged, and merging them.

use super::{Place, UNLOCK, check, common};
use keyring_external::keyring::load;
use keyring_external::store::file::fs::Fs;
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

/// Two copies have the same generation but different keys. The witness says which of them the data directory was used
/// with: that copy is not reported as failed, in whatever order they are named and with or without the secret.
#[test]
fn diverged_copies() {
    let place = Place::with_keyring();
    fs::create_dir(place.path("data")).unwrap();
    let fs: Arc<dyn Fs> = Arc::new(RealFs);
    let open = |path: &str| {
        load(&Places::from(&fs), &place.path(path), &UnlockSource::File(place.path("secret"))).unwrap().0
    };
    let store = |path: &str, id: &str| {
        open(path).store(common::name(id, ""), &common::key_type("AES"), &[7; 32]).unwrap();
    };
    store("main.keyring", "both");
    std::fs::copy(place.path("main.keyring"), place.path("mirror.keyring")).unwrap();
    let renewed = place.run(&format!("rekey DIR/main.keyring {UNLOCK} --option-file /dev/null --yes"));
    assert_eq!(renewed.code, 0, "{}", renewed.stderr);
    store("mirror.keyring", "server");
    open("mirror.keyring").write_witness(&fs, &place.path("data"), |_, _| {}).unwrap();
    let (ours, mirrors) =
        ("status DIR/main.keyring DIR/mirror.keyring", "status DIR/mirror.keyring DIR/main.keyring");
    check(
        "status_of_diverged_copies_trusts_the_one_last_used",
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
    let open = |path: &str| {
        load(&Places::from(&fs), &place.path(path), &UnlockSource::File(place.path("secret"))).unwrap().0
    };
    let store = |path: &str, id: &str, user: &str, bytes: &[u8]| {
        open(path).store(common::name(id, user), &common::key_type("AES"), bytes).unwrap();
    };
    store("main.keyring", "both", "", &[1; 32]);
    std::fs::copy(place.path("main.keyring"), place.path("mirror.keyring")).unwrap();
    let renewed = place.run(&format!("rekey DIR/main.keyring {UNLOCK} --option-file /dev/null --yes"));
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
        "merge_writes_nothing_before_each_key_is_decided",
        &place,
        &[
            &format!("sync DIR/mirror.keyring --mirror DIR/main.keyring {UNLOCK}"),
            &merge,
            &format!("{merge} --take apart=DIR/main.keyring --json"),
            &format!("{merge} {taken} --dry-run"),
            &format!("{merge} --take none=DIR/main.keyring"),
            &format!("{merge} {taken} --take apart=DIR/mirror.keyring"),
            "sync DIR/mirror.keyring --mirror DIR/main.keyring --dry-run --unlock file:DIR/none",
        ],
    );
    assert!(before == ["main.keyring", "mirror.keyring"].map(|path| fs_bytes(&place, path)));
    check(
        "merge_combines_the_keys_of_both_copies",
        &place,
        &[
            &format!("{merge} {taken} --mirror DIR/new.keyring --create --yes"),
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
    let again = place.run(&format!("{merge} {other} --yes"));
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
    let mut ours = Vec::<u8>::new();
    open("main.keyring").fetch(&common::name("apart", ""), |key| ours.extend(key.data)).unwrap();
    assert_eq!(ours, [4; 32]);
}

fn fs_bytes(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path(name)).unwrap()
}
