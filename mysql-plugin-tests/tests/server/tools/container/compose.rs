// SPDX-License-Identifier: GPL-2.0-or-later
//! The image of the Dockerfile, with the volumes of compose.yaml.

use super::dockerfile::{folder, stage};
use super::image::{Container, Image, MYSQL, Mount};
use super::patient::{PATIENT, encrypts, reads_back};
use mysql_plugin_tests::rig::{Volume, place, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

pub fn component() {
    let state =
        "SELECT status_value FROM performance_schema.keyring_component_status WHERE status_key = 'State'";
    works("component", state);
}

pub fn plugin() {
    let state = "SELECT variable_value FROM performance_schema.global_status \
                 WHERE variable_name = 'Keyring_external_state'";
    works("plugin", state);
}

/// What compose.yaml says of the service.
fn service() -> Value {
    let text = fs::read_to_string(folder().join("compose.yaml")).unwrap();
    let file: Value = serde_yaml_ng::from_str(&text).unwrap();
    file["services"]["mysql"].clone()
}

/// A host: the drives of the keyring below one directory, and the directories that compose.yaml names.
struct Host {
    dir: TempDir,
    drives: [Volume; 2],
}

impl Host {
    fn new() -> Host {
        let dir = tempfile::Builder::new().prefix("h").tempdir_in(&place().run).unwrap();
        let host = Host { dir, drives: [Volume::ext4(), Volume::ext4()] };
        for dir in ["keyring/a", "keyring/b", "data", "etc"] {
            fs::create_dir_all(host.at(dir)).unwrap();
        }
        // What is mounted below it on the host is mounted in the containers that have it with rslave.
        run(Command::new("mount").arg("--bind").args([host.at("keyring"), host.at("keyring")]));
        run(Command::new("mount").arg("--make-shared").arg(host.at("keyring")));
        host.plug();
        for drive in &host.drives {
            // As mkfs leaves it.
            fs::set_permissions(drive.mount_point(), fs::Permissions::from_mode(0o755)).unwrap();
        }
        // The steps of docs/CONTAINERS.md.
        for drive in ["a", "b"] {
            let keys = host.at("keyring").join(drive).join("keys");
            run(Command::new("install").args(["-d", "-m", "0700", "-o", "999", "-g", "999"]).arg(keys));
        }
        fs::write(host.at("etc/unlock"), [0xc4; 32]).unwrap();
        fs::set_permissions(host.at("etc/unlock"), fs::Permissions::from_mode(0o400)).unwrap();
        chown(host.at("etc/unlock"), Some(MYSQL), Some(MYSQL)).unwrap();
        host
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn plug(&self) {
        for (drive, name) in self.drives.iter().zip(["a", "b"]) {
            let point = self.at("keyring").join(name);
            run(Command::new("mount").arg("--bind").args([&drive.mount_point(), &point]));
            run(Command::new("mount").args(["-o", "remount,bind,nodev,nosuid,noexec"]).arg(point));
        }
    }

    fn unplug(&self) {
        for name in ["a", "b"] {
            run(Command::new("umount").arg(self.at("keyring").join(name)));
        }
    }

    /// The mounts of the service.
    fn mounts(&self, service: &Value) -> Vec<Mount> {
        let volumes = service["volumes"].as_array().unwrap();
        let mount = |volume: &Value| {
            let text = |field: &str| volume[field].as_str().unwrap_or_default().to_owned();
            let source = match text("source").as_str() {
                "data" => self.at("data"),
                "/mnt/keyring" => {
                    assert_eq!(
                        volume["bind"]["propagation"], "rslave",
                        "a drive must come and go in the container"
                    );
                    self.at("keyring")
                }
                "/etc/mysql-keyring/unlock" => self.at("etc/unlock"),
                other => panic!("compose.yaml mounts {other}"),
            };
            if text("type") == "bind" {
                assert_eq!(volume["bind"]["create_host_path"], false, "{volume}");
            }
            Mount { source, target: text("target"), read_only: volume["read_only"] == true }
        };
        volumes.iter().map(mount).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for point in ["keyring/a", "keyring/b", "keyring"] {
            let _ = Command::new("umount").arg("-l").arg(self.at(point)).output();
        }
    }
}

fn works(target: &str, state: &str) {
    let service = service();
    assert_eq!(service["build"]["target"], "component");
    let image = Image::official().with(&stage(target, "${MYSQL_IMAGE}"));
    let host = Host::new();
    let container =
        Container { image: &image, mounts: host.mounts(&service), user: None, read_only_root: false };

    // Without a keyring the first start ends, and leaves the server's UUID. The next one refuses to begin with it.
    let why = container.start().err().expect("there is no keyring yet");
    assert!(why.contains("there is no keyring at /keyring/a/keys/main.keyring"), "{why}");
    assert_eq!(entries(&host.at("data")), [host.at("data/auto.cnf")], "{why}");
    let why = container.start().err().expect("the data directory is not empty");
    assert!(why.contains("the data directory has files in it"), "{why}");
    fs::remove_file(host.at("data/auto.cnf")).unwrap();

    let keyring = "/keyring/a/keys/main.keyring";
    let secret = ["--unlock", "file:/run/keyring/unlock"];
    let init = [&["init", keyring, "--mirror", "/keyring/b/keys/main.keyring"][..], &secret].concat();
    assert!(container.run("keyringctl", &init).contains("recovery key"));

    let server = container.start().unwrap();
    assert_eq!(server.value(state), "ATTACHED");
    encrypts(&server);
    // What it checks of systemd and /etc/fstab is the host's.
    let doctor = ["doctor", "--user=root", "--ignore=fstab", "--ignore=deprecated"];
    let told = container.run("keyringctl", &doctor);
    assert!(told.contains("server-state") && !told.contains("WARNING"), "{told}");
    server.shut_down();
    let server = container.start().unwrap();
    reads_back(&server);

    // The drives are unmounted on the host and mounted again, and the container goes on.
    host.unplug();
    server.comes_to(state, "DETACHED");
    reads_back(&server);
    host.plug();
    server.comes_to(state, "ATTACHED");
    server.sql("SET GLOBAL innodb_fast_shutdown = 0; ALTER INSTANCE ROTATE INNODB MASTER KEY");
    server.shut_down();
    remove_doublewrite_files(&host.at("data"));
    let verify =
        [&["verify", keyring, "--datadir", "/var/lib/mysql", "--all-encrypted"][..], &secret].concat();
    container.run("keyringctl", &verify);

    // Without the unlock secret the server does not start.
    let mut mounts = host.mounts(&service);
    mounts.retain(|mount| mount.target != "/run/keyring/unlock");
    fs::remove_file(image.at("/run/keyring/unlock")).unwrap();
    let without_secret = Container { image: &image, mounts, user: None, read_only_root: false };
    let why = without_secret.start().err().expect("a server without the secret");
    assert!(why.contains("file:/run/keyring/unlock"), "{why}");

    // Without its volumes the server does not start, and creates nothing.
    host.unplug();
    let why = container.start().err().expect("a server without its keyring");
    assert!(why.contains("there is no keyring at /keyring/a/keys/main.keyring"), "{why}");
    assert!(entries(&host.at("keyring/a")).is_empty() && entries(&host.at("keyring/b")).is_empty());
    host.plug();
    let server = container.start().unwrap();
    assert_eq!(server.value("SELECT name FROM clinic.patient"), PATIENT);
    server.shut_down();
}

/// What a server that was shut down wrote there before its tablespaces were encrypted may have stayed. It creates these
/// files again.
pub(super) fn remove_doublewrite_files(datadir: &Path) {
    for file in entries(datadir).iter().filter(|path| path.extension().is_some_and(|e| e == "dblwr")) {
        fs::remove_file(file).unwrap();
    }
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect()
}
