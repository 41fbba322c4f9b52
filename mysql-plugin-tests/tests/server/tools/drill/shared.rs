// SPDX-License-Identifier: GPL-2.0-or-later
//! What the tests of drills share: a place for them, what they say, and a server with tables.

use mysql_plugin_tests::common::json_form;
use mysql_plugin_tests::rig::{Host, Keyring, Server, place, run, told};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// What a drill works with: a place that all users can reach.
pub(super) struct Drills {
    pub(super) dir: TempDir,
}

/// What a drill has said.
pub(super) struct Told {
    pub(super) code: i32,
    pub(super) document: Value,
    pub(super) all: String,
}

impl Drills {
    pub(super) fn new() -> Drills {
        let dir = tempfile::Builder::new().prefix("kxd").tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for made in ["plugins", "work"] {
            fs::create_dir(dir.path().join(made)).unwrap();
            fs::set_permissions(dir.path().join(made), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let library = dir.path().join("plugins/keyring_external.so");
        fs::copy(place().plugins.join("keyring_external.so"), &library).unwrap();
        fs::set_permissions(&library, fs::Permissions::from_mode(0o644)).unwrap();
        Drills { dir }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn work(&self) -> PathBuf {
        self.path("work")
    }

    pub(super) fn history(&self) -> PathBuf {
        self.path("history.jsonl")
    }

    pub(super) fn command(
        &self,
        backup: &Path,
        keyring: Option<&Keyring>,
        work: &Path,
        options: &[&str],
    ) -> Command {
        let mut command = Command::new(&place().keyringctl);
        command.args(["--json", "drill", "--backup"]).arg(backup).args(options);
        command.arg("--mysqld").arg(&place().mysqld).arg("--plugin-dir").arg(self.path("plugins"));
        command.arg("--work").arg(work).arg("--history").arg(self.history()).args(["--memory", "64"]);
        if let Some(keyring) = keyring {
            command.arg(&keyring.path).arg("--unlock").arg(format!("file:{}", keyring.secret.display()));
        }
        command
    }

    pub(super) fn drill(&self, backup: &Path, keyring: Option<&Keyring>, options: &[&str]) -> Told {
        let told = Told::of(&self.command(backup, keyring, &self.work(), options).output().unwrap());
        self.assert_nothing_is_left();
        told
    }

    pub(super) fn assert_nothing_is_left(&self) {
        let left: Vec<_> = fs::read_dir(self.work()).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(servers_in(&self.work()), [0; 0], "a server is left running");
    }
}

impl Told {
    pub(super) fn of(output: &Output) -> Told {
        let all = told(output);
        let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{all}"));
        json_form::check(&document);
        Told { code: output.status.code().unwrap_or(-1), document, all }
    }

    pub(super) fn passed(&self) -> &Told {
        assert!(self.code == 0 && self.document["passed"] == true, "{}", self.all);
        self
    }

    /// The names and reasons of the tables that failed.
    pub(super) fn failed(&self) -> Vec<(String, String)> {
        assert!(self.code == 1 && self.document["passed"] == false, "{}", self.all);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = self.document["failed"].as_array().unwrap();
        all.iter().map(|failed| (text(&failed["table"]), text(&failed["reason"]))).collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.failed().into_iter().map(|(table, _)| table).collect()
    }
}

/// The servers whose data is below a directory.
pub(super) fn servers_in(work: &Path) -> Vec<i32> {
    let work = work.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(&format!("--datadir={work}")) {
            found.push(pid);
        }
    }
    found
}

/// The bytes of all files below a directory, and of the keyring.
pub(super) fn snapshot(backup: &Path, keyring: &Keyring) -> Vec<(PathBuf, Vec<u8>)> {
    let listed = run(Command::new("find").arg(backup).args(["-type", "f"]));
    let mut files: Vec<PathBuf> = listed.lines().map(PathBuf::from).collect();
    files.push(keyring.path.clone());
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(&file).unwrap())).collect()
}

pub(super) fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").args(["-a", "--sparse=always"]).args([from, to]));
}

/// Writes bytes to a file as gzip does.
pub(super) fn pack(bytes: &[u8], to: &Path) {
    let mut gzip =
        Command::new("gzip").stdin(Stdio::piped()).stdout(fs::File::create(to).unwrap()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(gzip.wait().unwrap().success());
}

/// A server with encrypted tables, one that is not, and one whose rows fill more than a page.
pub(super) fn fill(server: &Server) {
    server.sql(
        "CREATE SCHEMA clinic;
         CREATE TABLE clinic.patient (id INT PRIMARY KEY, name VARCHAR(99), KEY (name)) ENCRYPTION='Y';
         INSERT INTO clinic.patient VALUES (1, 'Eva'), (2, 'Adam');
         CREATE TABLE clinic.`vis it` (id INT PRIMARY KEY, note LONGTEXT) ENCRYPTION='Y'
             PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
         INSERT INTO clinic.`vis it` VALUES (1, REPEAT('x', 100000)), (11, 'y');
         CREATE TABLE clinic.open_data (id INT PRIMARY KEY, text VARCHAR(2000)) ENCRYPTION='N';
         INSERT INTO clinic.open_data VALUES (1, REPEAT('a', 2000)), (2, REPEAT('b', 2000)), (3, REPEAT('c', 2000));
         CREATE PROCEDURE clinic.p() SELECT 1",
    );
}

/// A copy of the data directory of a server that is filled and stopped.
pub(super) fn backed_up(host: &Host, drills: &Drills, name: &str) -> PathBuf {
    let server = host.start();
    fill(&server);
    server.stop();
    let backup = drills.path(name);
    copy(&host.datadir(), &backup);
    backup
}

pub(super) fn host(keyring: &Keyring) -> Host {
    Host::new()
        .keyring(keyring)
        .option("--log-bin=binlog")
        .option("--gtid-mode=ON")
        .option("--enforce-gtid-consistency=ON")
}

/// `keyringctl drill record` of a running server.
pub(super) fn record(server_socket: &Path, out: &Path) -> Value {
    let output = Command::new(&place().keyringctl)
        .args(["--json", "drill", "record", "--no-defaults", "--user", "root", "--force", "--socket"])
        .arg(server_socket)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
