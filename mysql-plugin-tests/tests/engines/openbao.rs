// SPDX-License-Identifier: GPL-2.0-or-later
//! OpenBao: a cluster of three nodes.

use crate::opened::{PREFIX, RECOVERY, name, open, put, read, soon, trouble, until_it_works};
use crate::{faults, mistakes, promises, rights, set_aside};
use keyring_external::store::remote::examine::{Engine, Observation, Subject, Weight};
use keyring_external::store::remote::objects::{Answer, Cause, Object, Objects, Put, Trouble, Version};
use mysql_plugin_tests::rig::engines::Engine as _;
use mysql_plugin_tests::rig::engines::openbao::{MOUNT, OpenBao, Settings, Tokens};
use mysql_plugin_tests::rig::wait_until;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const ALLOWED: &str = "keyrings/db1/";

fn start(settings: Settings) -> (tempfile::TempDir, OpenBao) {
    let dir = tempfile::tempdir().unwrap();
    let bao = OpenBao::start(dir.path(), settings);
    (dir, bao)
}

fn refused<T: std::fmt::Debug>(answer: Answer<T>, cause: Cause, told: &str) -> Trouble {
    let trouble = trouble(told, answer);
    assert!(trouble.cause == cause && trouble.told.contains(told), "not {told}: {trouble:?}");
    println!("{trouble}");
    trouble
}

/// By a role that may do no more than docs/REMOTES.md says.
pub fn promises_and_tokens() {
    let (dir, bao) = start(Settings { allowed: Some(ALLOWED), ..Settings::default() });
    let engine = open(dir.path(), &bao.remote()).unwrap();
    promises::kept(&*engine);
    heads_keep_one_version(&bao, &*engine);
    deleted_by_a_person(&bao, &*engine);
    rights::end_at_the_prefix(&*engine);
    set_aside::makes_room(dir.path(), &bao.remote(), &*engine);
    put_by_another_program(&bao, &*engine);
    let found = engine.examine(PREFIX, soon());
    assert!(found.is_empty(), "{found:?}");
    mistakes::are_told(&bao, dir.path());
    tokens_end(&bao, dir.path());
}

/// A secret that is none of a keyring is named, with the command that deletes it and keeps its history.
fn put_by_another_program(bao: &OpenBao, engine: &dyn Objects) {
    let note = name("note");
    bao.must(&["kv", "put", &format!("-mount={MOUNT}"), &note, "password=x"]);
    let told = refused(engine.get(&note, soon()), Cause::NotTheEngine, "another program").told;
    let command = told.split("delete it here: bao ").nth(1).unwrap();
    bao.must(&command.split(' ').collect::<Vec<_>>());
    assert_eq!(read(engine, &note), None);
    bao.must(&["kv", "put", &format!("-mount={MOUNT}"), &note, "keyring_external=<html>"]);
    refused(engine.get(&note, soon()), Cause::NotTheEngine, "not valid base64");
}

fn heads_keep_one_version(bao: &OpenBao, objects: &dyn Objects) {
    let head = name("head");
    let first = put(objects, &head, b"1", None);
    put(objects, &head, b"2", Some(&first));
    let text = bao.must(&["kv", "metadata", "get", "-format=json", &format!("-mount={MOUNT}"), &head]);
    let about = &serde_json::from_str::<Value>(&text).unwrap()["data"];
    assert_eq!((&about["max_versions"], &about["cas_required"]), (&json!(1), &json!(true)));
    assert_eq!(about["versions"].as_object().unwrap().len(), 1, "{about}");
    objects.delete(&[head], soon()).unwrap();
}

/// In each of the three ways; then it is created again.
fn deleted_by_a_person(bao: &OpenBao, objects: &dyn Objects) {
    let head = name("person/head");
    let kv = |arguments: &[&str]| {
        let mount = format!("-mount={MOUNT}");
        bao.must(&[&["kv"], arguments, &[&mount, &head]].concat());
    };
    let first = put(objects, &head, b"1", None);
    kv(&["delete"]);
    assert_eq!(read(objects, &head), None);
    put(objects, &head, b"2", None);
    kv(&["destroy", "-versions=2"]);
    assert_eq!(read(objects, &head), None);
    put(objects, &head, b"3", None);
    // Its version is still the last one, so whoever read it replaces it.
    kv(&["delete"]);
    put(objects, &head, b"2", Some(&Version("3@".to_owned())));
    kv(&["metadata", "delete"]);
    assert_eq!(read(objects, &head), None);
    assert_eq!(objects.put(&head, b"x", Some(&first), soon()), Ok(Put::Conflict));
    // The engine counts from 1 again.
    assert_ne!(put(objects, &head, b"4", None), first);
}

pub fn faults_and_restored() {
    let (dir, mut bao) = start(Settings { may_limit_versions: false, ..Settings::default() });
    let engine = open(dir.path(), &bao.remote()).unwrap();
    sealed_and_restored(&mut bao, &*engine, dir.path());
    standby_nodes_are_passed_over(&bao, dir.path(), &*engine);
    faults::of_three_nodes(&mut bao, &*engine, RECOVERY);
    // The policy does not allow to keep one version only, and names more than one server's keyring: doctor says both.
    put(&*engine, &name("head"), b"1", None);
    let found = engine.examine(PREFIX, soon());
    let warned = |one: &Observation| one.subject == Subject::History && one.weight == Weight::Warning;
    assert!(found.iter().any(warned), "{found:?}");
    assert!(found.iter().any(|one| one.what.contains("db1-other/head")), "{found:?}");
}

/// What a standby node says may be old.
fn standby_nodes_are_passed_over(bao: &OpenBao, dir: &Path, engine: &dyn Objects) {
    let leader = bao.leader().unwrap();
    let standby = (leader + 1) % bao.nodes();
    let at = |nodes: &[usize]| {
        let endpoints: Vec<String> = nodes.iter().map(|node| bao.url(*node)).collect();
        open(dir, &bao.described(&[("endpoints", json!(endpoints))])).unwrap()
    };
    let only = at(&[standby]);
    refused(only.get(&name("head"), soon()), Cause::NoMajority, "standby");
    let found = only.examine(PREFIX, soon());
    assert!(found.iter().any(|one| one.weight == Weight::Error), "{found:?}");
    let first = at(&[standby, leader]);
    let mut version = put(engine, &name("standby/head"), b"", None);
    for n in 0..20_u8 {
        let paused = (n % 10 == 0).then(|| bao.pause(standby));
        version = put(engine, &name("standby/head"), &[n], Some(&version));
        drop(paused);
        let found = first.get(&name("standby/head"), soon()).unwrap();
        assert_eq!(found, Some(Object { bytes: vec![n], version: version.clone() }));
        version = put(&*first, &name("standby/head"), &[n, n], Some(&version));
        let piece = name(&format!("standby/pieces/{n}"));
        put(engine, &piece, b"p", None);
        let fresh = at(&[standby, leader]);
        assert_eq!(read(&*fresh, &piece), Some(b"p".to_vec()));
        assert_eq!(fresh.put(&piece, b"p", None, soon()), Ok(Put::Conflict));
    }
}

fn sealed_and_restored(bao: &mut OpenBao, engine: &dyn Engine, dir: &Path) {
    let head = name("restored/head");
    let old = put(engine, &head, b"1", None);
    let snapshot = dir.join("snapshot");
    bao.snapshot(&snapshot);
    let new = put(engine, &head, b"2", Some(&old));
    bao.restore(&snapshot);
    let found = until_it_works(|| engine.get(&head, soon()));
    assert_eq!(found, Some(Object { bytes: b"1".to_vec(), version: old.clone() }));
    assert_eq!(engine.put(&head, b"3", Some(&new), soon()), Ok(Put::Conflict));

    // Told at once, and certain.
    bao.seal();
    refused(engine.get(&head, soon()), Cause::Sealed, "Unseal it");
    let refused = refused(engine.put(&head, b"x", Some(&old), soon()), Cause::Sealed, "Unseal it");
    assert!(!refused.may_have_happened, "{refused}");
    let found = engine.examine(PREFIX, soon());
    assert!(found.iter().any(|one| one.what.contains("is sealed")), "{found:?}");
    bao.wait_until_whole();
    until_it_works(|| engine.get(&head, soon()));
    put(engine, &head, b"3", Some(&old));
}

/// A token that ended or was revoked is replaced within the call. What cannot be replaced is told.
fn tokens_end(bao: &OpenBao, dir: &Path) {
    bao.set_role(&Tokens { lifetime: 2, longest: 5, logins: 3 });
    bao.new_secret_id();
    let engine = open(dir, &bao.remote()).unwrap();
    let head = name("tokens/head");
    let mut version = put(&*engine, &head, b"0", None);
    bao.new_secret_id();
    // Renewed within its two seconds, ended after five, got anew.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        version = put(&*engine, &head, b"again", Some(&version));
        std::thread::sleep(Duration::from_millis(300));
    }
    bao.new_secret_id();
    bao.revoke_tokens();
    version = put(&*engine, &head, b"revoked", Some(&version));
    let mut last = None;
    assert!(wait_until(RECOVERY, || {
        bao.revoke_tokens();
        last = engine.get(&head, soon()).err();
        last.is_some()
    }));
    refused(Err::<(), _>(last.unwrap()), Cause::Credentials, "secret_id_num_uses");
    let put =
        refused(engine.put(&head, b"x", Some(&version), soon()), Cause::Credentials, "Make a new secret id");
    assert!(!put.may_have_happened, "{put}");
    // It is read when it is there.
    bao.new_secret_id();
    assert_eq!(engine.get(&head, soon()).unwrap().unwrap().version, version);

    // A token from a file.
    let file = bao.new_token("token", &["-ttl=1h", "-orphan"]);
    let source = json!(format!("file:{}", file.display()));
    let remote = bao.described(&[("approle", Value::Null), ("token", source)]);
    let by_token = open(dir, &remote).unwrap();
    assert_eq!(by_token.get(&head, soon()).unwrap().unwrap().version, version);
    bao.must(&["token", "revoke", fs::read_to_string(&file).unwrap().trim()]);
    refused(by_token.get(&head, soon()), Cause::Credentials, "Write a new one to file:");
    // One that may neither look itself up nor ask what it may do.
    bao.new_token("token", &["-ttl=1h", "-no-default-policy"]);
    assert_eq!(by_token.get(&head, soon()).unwrap().unwrap().version, version);
    let found = by_token.examine(PREFIX, soon());
    assert!(!found.is_empty() && found.iter().all(|one| one.weight == Weight::Note), "{found:?}");
    bao.new_token("token", &["-ttl=1h", "-renewable=false", "-use-limit=100"]);
    let found = open(dir, &remote).unwrap().examine(PREFIX, soon());
    for part in ["more times only", "cannot be renewed"] {
        assert!(found.iter().any(|one| one.what.contains(part)), "{part}: {found:?}");
    }
}
