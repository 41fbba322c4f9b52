// SPDX-License-Identifier: GPL-2.0-or-later
//! Backups of the data and of the keyring, and which of them belong together (docs/BACKUP.md).

use mysql_plugin_tests::rig::{Host, Keyring, ROTATE, Server, Volume, program, run, told};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROTATE_BINLOG: &str = "ALTER INSTANCE ROTATE BINLOG MASTER KEY";

/// A server that encrypts everything, with its keyring on a volume.
struct Site {
    host: Host,
    keyring: Keyring,
    _volume: Volume,
    /// Backups of the keyring.
    safe: Volume,
}

impl Site {
    fn new() -> Site {
        let volume = Volume::directory();
        let keyring = Keyring::init(&volume);
        let host = encrypting(Host::new()).keyring(&keyring);
        Site { host, keyring, _volume: volume, safe: Volume::directory() }
    }

    /// `keyringctl backup`.
    fn back_up_keyring(&self, name: &str) -> Keyring {
        let to = self.safe.keys().join(name);
        let output = self.keyring.ctl_with(&["backup"], [self.keyring.path.as_os_str(), to.as_os_str()]);
        assert!(output.status.success(), "{}", told(&output));
        self.keyring.copy(&to)
    }

    /// A copy of the data directory of a stopped server.
    fn back_up_data(&self, name: &str) -> PathBuf {
        let to = self.host.dir().join(name);
        run(Command::new("cp").args(["-a", "--sparse=always"]).arg(self.host.datadir()).arg(&to));
        to
    }
}

/// Encrypts whatever the server can encrypt.
pub fn encrypting(host: Host) -> Host {
    host.option("--default-table-encryption=ON")
        .option("--innodb-redo-log-encrypt=ON")
        .option("--innodb-undo-log-encrypt=ON")
        .option("--binlog-encryption=ON")
}

/// A host with a copy of a data directory, as on the day after.
pub fn restored(data: &Path, keyring: &Keyring) -> Host {
    let host = encrypting(Host::new()).keyring(keyring);
    fs::remove_dir_all(host.datadir()).unwrap();
    run(Command::new("cp").args(["-a", "--sparse=always"]).args([data, &host.datadir()]));
    host
}

/// The exit code of `keyringctl verify --datadir`, and the kinds of the files whose key is missing.
fn missing(keyring: &Keyring, data: &Path) -> (i32, BTreeSet<String>) {
    let args = [keyring.path.as_os_str(), OsStr::new("--datadir"), data.as_os_str()];
    let output = keyring.ctl_with(&["verify"], args);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(&output)));
    let files = report["files"].as_array().unwrap();
    let missing = files.iter().filter(|file| file["state"] == "key_missing");
    (output.status.code().unwrap(), missing.map(|f| f["kind"].as_str().unwrap().to_owned()).collect())
}

/// Adds a patient.
pub fn write(server: &Server, name: &str) {
    server.sql(&format!(
        "CREATE DATABASE IF NOT EXISTS clinic;
         CREATE TABLE IF NOT EXISTS clinic.patient (name VARCHAR(99));
         INSERT INTO clinic.patient VALUES ('{name}')"
    ));
}

/// All patients.
pub fn names(server: &Server) -> Vec<String> {
    server.rows("SELECT name FROM clinic.patient ORDER BY name")
}

/// A backup of the data, of Monday, and the keyrings of Monday and Tuesday. In between both master keys were rotated.
pub fn which_keyring_belongs_to_which_data() {
    let site = Site::new();
    let server = site.host.start();
    write(&server, "Monday");
    let monday_keys = site.back_up_keyring("monday");
    server.stop();
    let monday = site.back_up_data("monday");

    let server = site.host.start();
    server.sql(&format!("{ROTATE}; {ROTATE_BINLOG}"));
    write(&server, "Tuesday");
    let tuesday_keys = site.back_up_keyring("tuesday");
    server.stop();
    let tuesday = site.back_up_data("tuesday");

    let nothing = BTreeSet::new();
    let binary_logs = BTreeSet::from(["binary_log".to_owned()]);
    assert_eq!(missing(&monday_keys, &monday), (0, nothing.clone()));
    assert_eq!(missing(&tuesday_keys, &tuesday), (0, nothing));
    // A later keyring decrypts all tables of an older backup, and not its binary logs.
    assert_eq!(missing(&tuesday_keys, &monday), (1, binary_logs));
    let (code, kinds) = missing(&monday_keys, &tuesday);
    assert!(code == 1 && kinds.contains("table") && kinds.contains("binary_log"), "{kinds:?}");

    // Monday's backup with the keyring of its day.
    let host = restored(&monday, &monday_keys);
    let server = host.start();
    assert_eq!(names(&server), ["Monday"]);
    server.stop();

    // The later keyring opens its tables too, once the logs whose key it does not have are out of the way.
    let host = restored(&monday, &tuesday_keys);
    let refused = host.try_start().expect_err("the binary logs are not to be read").log;
    assert!(refused.contains("Cannot get file password for encrypted replication log file"), "{refused}");
    for entry in fs::read_dir(host.datadir()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("binlog.") {
            fs::remove_file(path).unwrap();
        }
    }
    let server = host.start();
    assert_eq!(names(&server), ["Monday"]);
    server.stop();

    // The older keyring for the later data is refused: the witness in the data knows that it is too old.
    let host = restored(&tuesday, &monday_keys);
    let refused = host.try_start().expect_err("keys are missing").log;
    assert!(refused.contains("was last used with generation"), "{refused}");
}

/// Binary logs that were copied away, before the rotation of their master key and after it.
pub fn archived_binary_logs() {
    let site = Site::new();
    let server = site.host.start();
    write(&server, "first");
    server.sql("FLUSH BINARY LOGS");
    let archive = site.host.dir().join("archive");
    fs::create_dir(&archive).unwrap();
    let log: String = server.rows::<(String, u64, String)>("SHOW BINARY LOGS")[0].0.clone();
    fs::copy(site.host.datadir().join(&log), archive.join(&log)).unwrap();
    let then = site.back_up_keyring("then");
    assert_eq!(missing(&then, &archive), (0, BTreeSet::new()));

    server.sql(ROTATE_BINLOG);
    let now = site.back_up_keyring("now");
    // The rotation encrypted the log in the data directory again. The copy needs the key that it removed.
    assert_eq!(missing(&now, &archive), (1, BTreeSet::from(["binary_log".to_owned()])));
    assert_eq!(missing(&then, &archive), (0, BTreeSet::new()));
    server.stop();

    // mysqlbinlog cannot read it, whatever keyring there is; a server with the keyring of that time can.
    let mut alone = Command::new(program("mysqlbinlog"));
    let output = alone.arg("--no-defaults").arg(archive.join(&log)).output().unwrap();
    assert!(!output.status.success() && told(&output).contains("encrypted"), "{}", told(&output));
    let read_by = |keyring: &Keyring| {
        let reader = Host::new().keyring(keyring).option("--keyring-external-read-only=ON");
        let reader = reader.option("--log-bin=archived").option("--server-id=99");
        let name = "archived.000001";
        fs::copy(archive.join(&log), reader.datadir().join(name)).unwrap();
        fs::write(reader.datadir().join("archived.index"), format!("./{name}\n")).unwrap();
        let server = reader.try_start().map_err(|e| e.log)?;
        let mut mysqlbinlog = Command::new(program("mysqlbinlog"));
        mysqlbinlog.args(["--no-defaults", "--read-from-remote-server", "--user=root", "--verbose", name]);
        let output = mysqlbinlog.arg(format!("--socket={}", reader.socket().display())).output().unwrap();
        server.stop();
        if output.status.success() { Ok(told(&output)) } else { Err(told(&output)) }
    };
    let text = read_by(&then).unwrap();
    assert!(text.contains("CREATE TABLE IF NOT EXISTS clinic.patient"), "{text}");
    assert!(text.contains("@1='first'"), "{text}");
    read_by(&now).unwrap_err();
}
