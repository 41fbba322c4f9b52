// SPDX-License-Identifier: GPL-2.0-or-later
//! `keys destroy` of a keyring at a remote: what else keeps the key there, and the commands that remove it.

use super::Host;
use keyring_external::key::NameRef;
use keyring_external::keyring::{load, now};
use keyring_external::store::file::real::RealFs;
use keyring_external::store::places::Places;
use keyring_external::unlock::UnlockSource;
use serde_json::{Value, json};
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

const SERVER: &str = "e6e52dec-e7fc-11f1-ada4-02fc00000001";
const UNLOCK: &str = "--unlock file:DIR/secret";

fn id(number: u32) -> String {
    format!("INNODBKey-{SERVER}-{number}")
}

/// With a keyring at `@b/fleet/db1` whose first key is retired, and the data of a server that needs the second one.
fn site() -> Host {
    let host = Host::new();
    host.fine("init @b/fleet/db1 --unlock file:DIR/secret --generate-secret");
    let key = |id: &str, data: &str| {
        format!(r#"{{"user":"","data_id":"{id}","data_type":"AES","data":"{data}","extension":[]}}"#)
    };
    let needed = key(&id(2), "102516995E5F513135D5306F6E41AF36F4CEF177BD2A86C5AA96763B52D8B40B");
    let keys = [key(&id(1), &"1C".repeat(32)), needed, key(&id(3), &"3C".repeat(32))];
    host.write("keys.json", &format!(r#"{{"version":"1.0","elements":[{}]}}"#, keys.join(",")));
    host.fine(&format!("import --from component_keyring_file DIR/keys.json @b/fleet/db1 {UNLOCK}"));
    let sample: &[u8] = include_bytes!("../../src/tablespace/samples/table");
    let mut table = vec![0; 7 * 4096];
    table[..4096].copy_from_slice(&sample[..4096]);
    table[4096..3 * 4096].copy_from_slice(include_bytes!("../../src/tablespace/samples/first_pages"));
    table[4 * 4096..5 * 4096].copy_from_slice(&sample[4096..]);
    let data = host.dir.path().join("data/clinic");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("patients.ibd"), table).unwrap();
    host
}

impl Host {
    /// Has the first key be retired for a year.
    fn retire(&self) {
        let places = Places::new(Arc::new(RealFs), &self.dir.path().join("remotes"));
        let source = UnlockSource::File(self.dir.path().join("secret"));
        let (keyring, _) = load(&places, Path::new("@b/fleet/db1"), &source).unwrap();
        let long_ago = NonZeroU64::new(now() - 365 * 24 * 60 * 60).unwrap();
        keyring.retire(&[NameRef::new(id(1).as_bytes(), b"").unwrap()], long_ago).unwrap();
    }

    fn destroy(&self, rest: &str) -> String {
        let first = id(1);
        self.fine(&format!(
            "keys destroy @b/fleet/db1 {first} {UNLOCK} --datadir DIR/data --gone-server {SERVER} --only-named-copies {rest}"
        ))
    }
}

#[test]
fn copies_at_the_remote_that_keep_a_destroyed_key_are_named_with_what_removes_them() {
    let host = site();
    // What was set aside of this keyring, once with a damaged head and once whole, a backup, and another keyring.
    host.fine(&format!("backup @b/fleet/db1 @b/backups/monday {UNLOCK}"));
    let head = host.engine.get("/fleet/db1/head");
    host.engine.put("/fleet/db1/head", b"<html>");
    host.fine("set-aside @b/fleet/db1 --yes");
    host.fine(&format!("sync @b/backups/monday --mirror @b/fleet/db1 {UNLOCK} --create --yes"));
    host.fine("set-aside @b/fleet/db1 --yes");
    host.fine(&format!("sync @b/backups/monday --mirror @b/fleet/db1 {UNLOCK} --create --yes"));
    host.fine("init @b/fleet/db2 --unlock file:DIR/secret");
    host.engine.put("/fleet/db3/head", b"<html>");
    assert_ne!(host.engine.get("/fleet/db1/head"), head);
    host.retire();

    let document: Value = serde_json::from_str(&host.destroy("--dry-run --json")).unwrap();
    let kept = |prefix: &str, holds: Value| json!({ "path": format!("@b/{prefix}"), "holds": holds, "remove": format!("etcdctl del --prefix /{prefix}/") });
    let expected = [
        kept("backups/monday", true.into()),
        kept("fleet/db1/kept-1", Value::Null),
        kept("fleet/db1/kept-2", true.into()),
    ];
    assert_eq!(document["kept"], json!(expected), "{document:#}");
    assert_eq!(document["not_searched"], json!([]));
    let said = host.destroy("--yes");
    for line in [
        "WARNING: @b/backups/monday holds the key.",
        "WARNING: @b/fleet/db1/kept-1 may hold the key: it could not be opened.",
        "WARNING: @b/fleet/db1/kept-2 holds the key.",
        "delete it: etcdctl del --prefix /fleet/db1/kept-2/",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // They keep it, and the copy in use does not.
    let list = |copy: &str| host.fine(&format!("list {copy} {UNLOCK}"));
    assert!(list("@b/fleet/db1/kept-2").contains(&id(1)) && !list("@b/fleet/db1").contains(&id(1)));
}
