// SPDX-License-Identifier: GPL-2.0-or-later
//! A redo log that needs a master key which an older keyring lacks.

use super::verified::verify;
use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Volume, run};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The server was killed after rotations of the master key. Its redo log names the new keys: in its header if it is
/// encrypted, otherwise only in its changes. No command calls the keyring from before the rotations right.
pub fn redo_log_needs_a_key() {
    for is_encrypted in [true, false] {
        let (volume, safe) = (Volume::directory(), Volume::directory());
        let keyring = Keyring::init(&volume);
        let host = Host::new().keyring(&keyring).option("--disable-log-bin");
        let host = if is_encrypted { host.option("--innodb-redo-log-encrypt=ON") } else { host };
        let server = host.start();
        server.sql("CREATE DATABASE clinic; CREATE TABLE clinic.patient (id INT PRIMARY KEY, name TEXT) ENCRYPTION='Y'");
        server.sql("INSERT INTO clinic.patient VALUES (1, 'Astrid')");
        let then = keyring.copy(&safe.keys().join("then"));
        fs::copy(&keyring.path, &then.path).unwrap();
        // A rotation alone may be in memory only; a commit writes the log.
        server.sql(&format!("{}; INSERT INTO clinic.patient VALUES (2, 'Noah')", [ROTATE; 3].join("; ")));
        server.kill();
        // A backup without the witness.
        let backup = volume.mount_point().parent().unwrap().join("backup");
        run(Command::new("cp").args(["-a", "--sparse=always"]).arg(host.datadir()).arg(&backup));
        fs::remove_file(backup.join("keyring_external.witness")).unwrap();

        verify(&keyring, &backup, &[]).assert_opened();
        let verified = verify(&then, &backup, &[]);
        assert_eq!(verified.code, Some(1), "{:#}", verified.report);
        let lacks = |file: &&Value| file["state"] == "key_missing";
        let lacking: Vec<_> = verified.report["files"].as_array().unwrap().iter().filter(lacks).collect();
        let of_log: Vec<_> = lacking.iter().filter(|file| file["kind"] == "redo").collect();
        // Unless the server was so slow that it has written all its pages before it was killed.
        assert!(
            !of_log.is_empty() || lacking.iter().any(|file| file["kind"] == "table"),
            "{:#}",
            verified.report
        );
        if is_encrypted {
            assert!(of_log[0]["path"].as_str().unwrap().contains("#ib_redo"), "{:#}", verified.report);
        }

        let told = |command: &[&str], paths: &[&Keyring], datadir: &Path| {
            let paths = paths.iter().map(|keyring| keyring.path.as_os_str());
            let arguments: Vec<&OsStr> = paths.chain(["--datadir".as_ref(), datadir.as_os_str()]).collect();
            let output = then.ctl_with(command, arguments);
            let text = String::from_utf8(output.stdout).unwrap();
            (output.status.code(), serde_json::from_str::<Value>(&text).unwrap_or(Value::Null))
        };
        let which = ["which", "--option-file", "/dev/null"];
        let accept = ["witness", "accept", "--yes"];
        let (code, asked) = told(&which, &[&then], &backup);
        assert!(code == Some(1) && asked["situation"] == "keys_missing", "{asked:#}");
        let (code, asked) = told(&which, &[&then, &keyring], &host.datadir());
        assert_eq!(code, Some(0), "{asked:#}");
        assert_eq!(asked["right"], keyring.path.to_str().unwrap(), "{asked:#}");
        let (code, accepted) = told(&accept, &[&then], &backup);
        assert_eq!(code, Some(2), "{accepted:#}");
        let (code, accepted) = told(&accept, &[&keyring], &host.datadir());
        assert_eq!(code, Some(0), "{accepted:#}");
    }
}
