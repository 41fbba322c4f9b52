// SPDX-License-Identifier: GPL-2.0-or-later
//! Two copies that were changed apart, and the way out that the messages name, as an administrator goes it.

use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Volume, agree, place, told};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The data key is renewed on the first copy alone, while the server goes on with the second: the data needs a master key
/// that the first one lacks. A start with both is refused; status, verify and doctor's advice lead to the right copy; the
/// merged keyring opens the data, whichever copy is named first.
pub fn found_and_merged() {
    for renewed_first in [false, true] {
        let (a, b) = (Volume::directory(), Volume::directory());
        let keyring = Keyring::init_on(&[&a, &b]);
        let (renewed, used) = (keyring.path.clone(), keyring.mirrors[0].clone());
        let host = Host::new().keyring(&keyring);
        let server = host.start();
        server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
        server.stop();
        let only = keyring.copy(&renewed).ctl_yes("rekey");
        assert!(only.status.success(), "{}", told(&only));
        let host = host.without_mirrors().keyring(&keyring.copy(&used));
        let server = host.start();
        server.sql(ROTATE);
        server.stop();

        let host = host.keyring(&keyring);
        let failure = host.try_start().expect_err("it was to be refused");
        let commands = format!("keyringctl sync {} --mirror {} --merge", renewed.display(), used.display());
        assert!(failure.log.contains(&commands), "{}", failure.log);

        let datadir = host.datadir();
        let status =
            ctl(&keyring, &["status"], &[&renewed, &used], &["--datadir".as_ref(), datadir.as_os_str()]);
        assert_eq!(
            (status["copies"][0]["fine"].as_bool(), status["copies"][1]["fine"].as_bool()),
            (Some(false), Some(true)),
            "{status}"
        );
        assert_eq!(status["copies"][1]["witness"], "same", "{status}");
        let verify = |path: &Path| {
            let report = ctl(&keyring, &["verify"], &[path], &["--datadir".as_ref(), datadir.as_os_str()]);
            report["fine"].as_bool().unwrap()
        };
        assert_eq!((verify(&renewed), verify(&used)), (false, true));

        let order = if renewed_first { [&renewed, &used] } else { [&used, &renewed] };
        let options = ["--mirror".as_ref(), order[1].as_os_str(), "--merge".as_ref()];
        let shown = ctl(&keyring, &["sync"], &[order[0]], &[&options[..], &["--dry-run".as_ref()]].concat());
        assert_eq!(
            (&shown["merge"]["diverged"], &shown["merge"]["written"]),
            (&true.into(), &false.into()),
            "{shown}"
        );
        let merged = ctl(&keyring, &["sync"], &[order[0]], &[&options[..], &["--yes".as_ref()]].concat());
        assert_eq!(merged["merge"]["written"], true, "{merged}");
        assert!(verify(&renewed) && verify(&used));

        let server = host.start();
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
        server.sql(ROTATE);
        agree(&server, &keyring, "ATTACHED", "2/2");
        server.stop();
        let server = host.start();
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
        server.stop();
    }
}

/// What `keyringctl --json` says, however it ends.
fn ctl(keyring: &Keyring, command: &[&str], paths: &[&Path], options: &[&OsStr]) -> Value {
    let output = Command::new(&place().keyringctl)
        .arg("--json")
        .args(command)
        .args(paths)
        .args(options)
        .args(["--unlock", &format!("file:{}", keyring.secret.display())])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{command:?}: {e}: {}", told(&output)))
}
