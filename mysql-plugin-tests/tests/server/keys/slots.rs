// SPDX-License-Identifier: GPL-2.0-or-later
//! Unlock slots change and the data key is renewed while a server makes key after key.

use mysql::prelude::Queryable;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Volume, agree, place, signal, told, wait_until};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A secret in a file of its own.
fn secret(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Passphrases come, change and go, and the data key is renewed, with two copies under a server that rotates its
/// master key in a loop: no rotation fails, every key is there, on both copies, and the server starts again.
pub fn changed_under_a_rotating_server() {
    let (first, second) = (Volume::directory(), Volume::directory());
    let keyring = Keyring::init_on(&[&first, &second]);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.sql(
        "CREATE TABLE mysql.t (a INT) ENCRYPTION='Y';
         INSERT INTO mysql.t VALUES (7)",
    );
    let passphrases = [
        secret(&place().run, "slots.first", "correct horse battery"),
        secret(&place().run, "slots.second", "an other passphrase"),
    ];
    let (enough, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let rotating = {
        let (mut conn, enough, count) = (server.connect(), Arc::clone(&enough), Arc::clone(&count));
        std::thread::spawn(move || {
            while !enough.load(Ordering::Relaxed) {
                conn.query_drop(ROTATE)?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, mysql::Error>(())
        })
    };
    let rotations_go_on = || {
        let so_far = count.load(Ordering::Relaxed);
        let more = || count.load(Ordering::Relaxed) > so_far + 1 || rotating.is_finished();
        assert!(wait_until(Duration::from_secs(60), more) && !rotating.is_finished(), "{}", server.log());
    };
    let ctl = |command: &[&str], unlock: &Path| {
        let output = Command::new(&place().keyringctl)
            .args(command)
            .args(["--mirror".as_ref(), keyring.mirrors[0].as_os_str()])
            .args(["--unlock", &format!("file:{}", unlock.display())])
            .output()
            .unwrap();
        assert!(output.status.success(), "{command:?}: {}", told(&output));
        rotations_go_on();
    };
    let path = keyring.path.to_str().unwrap();
    let new = |n: usize| format!("file:{}", passphrases[n].display());
    rotations_go_on();
    ctl(&["slot", "add", path, "--new", &new(0), "--name", "administrator"], &keyring.secret);
    for round in 0..4 {
        let (old, next) = (round % 2, (round + 1) % 2);
        ctl(&["slot", "change", path, "--yes", "--new", &new(next)], &passphrases[old]);
        ctl(&["rekey", path, "--yes"], if round < 2 { &passphrases[next] } else { &keyring.secret });
    }
    ctl(&["slot", "remove", path, "3", "--yes"], &keyring.secret);
    ctl(&["rekey", path, "--yes"], &keyring.secret);
    enough.store(true, Ordering::Relaxed);
    rotating.join().unwrap().unwrap_or_else(|e| panic!("a rotation failed: {e}\n{}", server.log()));
    let rotations = count.load(Ordering::Relaxed);
    eprintln!("5 renewals and 6 changes of slots among {rotations} rotations");
    agree(&server, &keyring, "ATTACHED", "2/2");
    assert_eq!(server.status()["failures"], "0");
    assert_eq!(keyring.ids("INNODBKey-").len(), rotations + 1);
    server.stop();
    assert!(fs::read(&keyring.path).unwrap() == fs::read(&keyring.mirrors[0]).unwrap());
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
}

/// The data key is renewed while the server is down: it starts, and the witness is no hindrance. An older copy is
/// still refused.
pub fn renewed_while_the_server_is_down() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
    server.stop();
    let old = fs::read(&keyring.path).unwrap();
    let renewed = keyring.ctl_yes("rekey");
    assert!(renewed.status.success(), "{}", told(&renewed));
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.sql(ROTATE);
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
    let new = fs::read(&keyring.path).unwrap();
    fs::write(&keyring.path, old).unwrap();
    let failure = host.try_start().expect_err("it was to be refused");
    assert!(failure.log.contains("this data directory was last used with generation"), "{}", failure.log);
    fs::write(&keyring.path, new).unwrap();
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
}

/// `keyringctl` is killed at any moment of a renewal (Ctrl-C does the same): the keyring is as before it or as after
/// it, under a server that goes on.
pub fn keyringctl_killed() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.install_udfs();
    let mut done = 0;
    for round in 0..40 {
        let mut tool = Command::new(&place().keyringctl)
            .args(["rekey".as_ref(), "--yes".as_ref(), keyring.path.as_os_str()])
            .args(["--unlock", &format!("file:{}", keyring.secret.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(round * 120));
        signal(tool.id(), rustix::process::Signal::KILL);
        done += usize::from(tool.wait().unwrap().success());
        server.sql(&format!("DO keyring_key_store('k{round}', 'SECRET', 'value {round}')"));
        assert_eq!(keyring.report("verify")["keys"], round + 1);
    }
    eprintln!("40 renewals interrupted, {done} of them too late");
    assert!(done < 40, "none was interrupted");
    for round in 0..40 {
        assert_eq!(
            server.value::<String>(&format!("SELECT keyring_key_fetch('k{round}')")),
            format!("value {round}")
        );
    }
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
}

/// Runs `keyringctl` with a line on its standard input.
fn with_key(args: &[&str], key: &str) -> Output {
    let mut tool = Command::new(&place().keyringctl)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(tool.stdin.take().unwrap(), "{key}").unwrap();
    tool.wait_with_output().unwrap()
}

/// A lost secret: the recovery key opens the keyring and makes a new one. A typing mistake is pointed at.
pub fn recovery_key() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let shown = keyring.ctl_with(&["slot", "add"], [keyring.path.as_os_str(), "--new-recovery".as_ref()]);
    assert!(shown.status.success(), "{}", told(&shown));
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let key = shown["recovery_key"].as_str().unwrap();
    let path = keyring.path.to_str().unwrap();
    let fine = with_key(&["verify", path, "--recovery"], &key.to_lowercase().replace('-', " "));
    assert!(fine.status.success(), "{}", told(&fine));
    let mut typed: Vec<char> = key.chars().collect();
    typed[12] = if typed[12] == '7' { '8' } else { '7' };
    let refused = with_key(&["verify", path, "--recovery"], &typed.iter().collect::<String>());
    assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
    assert!(told(&refused).contains("group 3"), "{}", told(&refused));
    let new = secret(&place().run, "slots.recovered", "a new passphrase");
    let source = format!("file:{}", new.display());
    let added = with_key(&["slot", "add", path, "--recovery", "--new", &source], key);
    assert!(added.status.success(), "{}", told(&added));
    assert!(Keyring { secret: new, ..keyring.clone() }.ctl("verify").status.success());
}

/// Custodians open the keyring of a running server, give the server a new secret when its own is lost, and renew the data
/// key; the encrypted table is read with it, and other custodians still open the keyring.
pub fn custodians() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = Host::new().keyring(&keyring);
    let server = host.start();
    server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
    let path = keyring.path.to_str().unwrap();
    let args = [keyring.path.as_os_str(), "--new-custodians".as_ref(), "2-of-3".as_ref()];
    let shown = keyring.ctl_with(&["slot", "add"], args);
    assert!(shown.status.success(), "{}", told(&shown));
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let printed = shown["custodians"]["printed"].as_array().unwrap();
    let shares: Vec<_> = printed.iter().map(|share| share["share"].as_str().unwrap()).collect();
    let (first, last) = ([shares[0], shares[1]].join("\n"), [shares[2], shares[0]].join("\n"));

    let listed = with_key(&["list", path, "--custodians"], &first);
    assert!(listed.status.success() && told(&listed).contains("INNODBKey-"), "{}", told(&listed));
    server.sql(ROTATE);
    let one = with_key(&["list", path, "--custodians"], shares[1]);
    assert!(one.status.code() == Some(2) && told(&one).contains("2 are needed"), "{}", told(&one));
    server.stop();

    fs::write(&keyring.secret, [0xa5; 32]).unwrap();
    let failure = host.try_start().expect_err("its secret is lost");
    assert!(failure.log.contains("custodians 2-of-3"), "{}", failure.log);
    let source = format!("file:{}", keyring.secret.display());
    let added = with_key(&["slot", "add", path, "--custodians", "--new", &source], &last);
    assert!(added.status.success(), "{}", told(&added));
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    let renewed = keyring.ctl_yes("rekey");
    assert!(renewed.status.success(), "{}", told(&renewed));
    let verified = with_key(&["rekey", path, "--custodians", "--yes"], &first);
    assert!(verified.status.success(), "{}", told(&verified));
    server.sql(ROTATE);
    agree(&server, &keyring, "ATTACHED", "1/1");
    let listed = with_key(&["list", path, "--custodians"], &last);
    assert!(listed.status.success(), "{}", told(&listed));
    server.stop();
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
}
