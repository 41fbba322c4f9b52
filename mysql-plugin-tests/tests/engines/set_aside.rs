// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl set-aside`: a copy whose head or pieces are damaged is replaced by a new one, by the commands that a person
//! has to type, with no other rights than those of a server.

use crate::opened::{name, put, read, soon};
use keyring_external::store::remote::head::is_mark;
use keyring_external::store::remote::objects::Objects;
use mysql_plugin_tests::rig::told;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

/// This program is `keyringctl` if that is set.
const AS_KEYRINGCTL: &str = "KX_AS_KEYRINGCTL";
/// Below the prefix of the least rights.
const COPY: &str = "@engine/keyrings/db1/aside";
/// A file of component_keyring_file with two keys.
const KEYS: &str = r#"{"version":"1.0","elements":[
    {"user":"","data_id":"INNODBKey-4ba17bd0-ea4e-11f1-a3d4-02fc00000001-1","data_type":"AES",
     "data":"00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF","extension":[]},
    {"user":"anna@%","data_id":"mine","data_type":"SECRET","data":"616263","extension":[]}]}"#;

/// What this process does if it was started as `keyringctl`.
pub fn as_keyringctl() -> Option<ExitCode> {
    std::env::var_os(AS_KEYRINGCTL).map(|_| keyringctl::main())
}

/// A keyring at an engine, with a mirror in a file, and whoever looks after it.
struct Place<'a> {
    dir: PathBuf,
    objects: &'a dyn Objects,
}

impl Place<'_> {
    /// Runs `keyringctl`. Returns its exit code and all that it printed.
    fn run(&self, line: &str) -> (i32, String) {
        let output = self.output(line);
        (output.status.code().unwrap_or(-1), told(&output))
    }

    fn output(&self, line: &str) -> Output {
        let line = line
            .replace("COPY", COPY)
            .replace("MIRROR", &self.path("mirror.keyring"))
            .replace("UNLOCK", &format!("--unlock file:{}", self.path("secret")));
        Command::new(std::env::current_exe().unwrap())
            .env(AS_KEYRINGCTL, "1")
            .args(["--remotes", &self.path("remotes.json")])
            .args(line.split(' '))
            .output()
            .unwrap()
    }

    /// It must end with 0. Returns what it printed.
    fn fine(&self, line: &str) -> String {
        let (code, said) = self.run(line);
        assert_eq!(code, 0, "{line}: {said}");
        said
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.join(name), text).unwrap();
        fs::set_permissions(self.dir.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The objects of the copy itself, by their names below its prefix. One that was deleted with its history kept is none.
    fn own(&self) -> BTreeMap<String, Vec<u8>> {
        self.below("aside").into_iter().filter(|(name, _)| !name.starts_with("kept-")).collect()
    }

    fn below(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let folder = name(folder);
        let names = self.objects.list(&folder, soon()).unwrap();
        let all = names.iter().filter_map(|name| {
            let within = name.strip_prefix(&format!("{folder}/"))?.to_owned();
            Some((within, read(self.objects, name)?))
        });
        all.collect()
    }

    fn delete(&self, names: impl Iterator<Item = String>) {
        let names: Vec<String> = names.map(|within| name(&format!("aside/{within}"))).collect();
        assert!(!names.is_empty());
        self.objects.delete(&names, soon()).unwrap();
    }

    /// `fleet` says that something is wrong, with these words.
    fn is_told(&self, words: &[&str]) {
        let (code, said) = self.run("fleet status COPY");
        assert!(code == 1 && words.iter().all(|words| said.contains(words)), "{code}: {said}");
        let (code, said) = self.run("fleet check COPY");
        assert!(code == 2 && words.iter().all(|words| said.contains(words)), "{code}: {said}");
    }

    /// Makes room, and creates the copy again. What was there is kept with this number.
    fn made_again(&self, number: u32) {
        let before = self.own();
        let dry = self.fine("set-aside COPY --dry-run");
        assert!(dry.contains(&format!("kept as {COPY}/kept-{number}")), "{dry}");
        assert_eq!(self.own(), before, "a dry run changed something");
        let said = self.fine("set-aside COPY --yes");
        assert!(said.contains(&format!("what was there is at {COPY}/kept-{number}")), "{said}");
        let left = self.own();
        assert!(left.len() == 1 && left.get("head").is_some_and(|head| is_mark(head)), "{left:?}");
        assert_eq!(self.below(&format!("aside/kept-{number}")), before, "what was there is not kept");
        // Nothing is left to be set aside.
        let again = self.fine("set-aside COPY --yes");
        assert!(again.contains("is free"), "{again}");
        self.fine("sync MIRROR --mirror COPY UNLOCK --create --yes");
        self.is_whole();
    }

    /// Both copies hold all keys, and what is kept is no keyring of the fleet.
    fn is_whole(&self) {
        let said = self.fine("verify COPY MIRROR UNLOCK");
        assert_eq!(said.matches("2 keys, every byte authenticated").count(), 2, "{said}");
        let fleet: Value = serde_json::from_slice(&self.output("fleet status COPY --json").stdout).unwrap();
        assert_eq!(fleet["keyrings"].as_array().map(Vec::len), Some(1), "{fleet:#}");
    }
}

/// With a damaged head, a lost piece, and a deleted head.
pub fn makes_room(dir: &Path, remote: &Value, objects: &dyn Objects) {
    let place = Place { dir: dir.join("aside"), objects };
    fs::create_dir(&place.dir).unwrap();
    fs::set_permissions(&place.dir, fs::Permissions::from_mode(0o700)).unwrap();
    place.write("remotes.json", &json!({ "engine": remote }).to_string());
    place.write("keys.json", KEYS);
    place.fine("init COPY --mirror MIRROR UNLOCK --generate-secret");
    let keys = place.path("keys.json");
    place.fine(&format!("import --from component_keyring_file {keys} COPY --mirror MIRROR UNLOCK"));
    place.is_whole();

    let head = name("aside/head");
    let version = objects.get(&head, soon()).unwrap().expect("a head").version;
    put(objects, &head, b"<html>", Some(&version));
    place.is_told(&["its head is not one of a keyring", "keyringctl set-aside"]);
    let (code, said) = place.run("sync MIRROR --mirror COPY UNLOCK --yes");
    assert!(code != 0 && said.contains("keyringctl set-aside"), "{code}: {said}");
    place.made_again(1);

    // A lost piece needs no room, and set-aside says so.
    let pieces = || place.own().into_keys().filter(|name| name.starts_with("pieces/"));
    place.delete(pieces());
    place.is_told(&["missing", "keyringctl sync"]);
    let dry = place.fine("set-aside COPY --dry-run");
    assert!(dry.contains("A piece is not there") && dry.contains("0 of 1"), "{dry}");
    place.fine("sync MIRROR --mirror COPY UNLOCK --yes");
    place.is_whole();
    place.delete(pieces());
    place.made_again(2);

    place.delete(["head".to_owned()].into_iter());
    place.is_told(&["no head", "keyringctl set-aside", "keyringctl sync COPY"]);
    let (code, said) = place.run("sync MIRROR --mirror COPY UNLOCK --create --yes");
    assert!(code == 2 && said.contains("keyringctl set-aside"), "{code}: {said}");
    place.made_again(3);
}
