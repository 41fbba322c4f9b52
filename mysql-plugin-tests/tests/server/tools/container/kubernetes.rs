// SPDX-License-Identifier: GPL-2.0-or-later
//! The official image as it is, with what kubernetes.yaml adds: an init container, volumes and a ConfigMap.

use super::compose::remove_doublewrite_files;
use super::dockerfile::{folder, stage};
use super::image::{Container, Image, MYSQL, Mount, owner_and_mode};
use super::patient::{encrypts, reads_back};
use mysql_plugin_tests::rig::{Volume, place, run};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const KEYRING: &str = "/keyring/a/keys/main.keyring";
const MIRROR: &str = "/keyring/b/keys/main.keyring";

/// The documents of a file.
fn documents(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    serde_yaml_ng::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents.iter().find(|d| d["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// What a node has of a pod: a directory for each volume.
struct Node {
    dir: TempDir,
    claims: BTreeMap<String, Volume>,
}

impl Node {
    fn new() -> Node {
        let dir = tempfile::Builder::new().prefix("n").tempdir_in(&place().run).unwrap();
        // As in the root of a filesystem that mkfs made.
        fs::create_dir_all(dir.path().join("data/lost+found")).unwrap();
        fs::set_permissions(dir.path().join("data/lost+found"), fs::Permissions::from_mode(0o700)).unwrap();
        let claims = ["mysql-keyring-a", "mysql-keyring-b"].map(|name| (name.to_owned(), Volume::ext4()));
        Node { dir, claims: claims.into() }
    }

    /// Makes the volumes of a pod as the kubelet does, and returns the directory of each.
    fn volumes(&self, pod: &Value, config: &Value) -> BTreeMap<String, PathBuf> {
        let group = pod["securityContext"]["fsGroup"].as_u64().unwrap() as u32;
        let volumes = pod["volumes"].as_array().unwrap().iter().map(|volume| {
            let name = volume["name"].as_str().unwrap().to_owned();
            let dir = self.dir.path().join(&name);
            fs::create_dir_all(&dir).unwrap();
            if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
                let dir = self.claims.get(claim).map_or(dir, Volume::mount_point);
                open_to_group(&dir, group);
                return (name, dir);
            }
            if volume["configMap"]["name"] == config["metadata"]["name"] {
                for (file, text) in config["data"].as_object().unwrap() {
                    put(&dir.join(file), text.as_str().unwrap().as_bytes(), 0, octal(&volume["configMap"]));
                }
            } else if volume.get("secret").is_some() {
                // With fsGroup, its group may read it, whatever the mode says.
                put(&dir.join("unlock"), &[0xc4; 32], group, octal(&volume["secret"]) | 0o440);
            } else {
                assert!(volume.get("emptyDir").is_some(), "{volume}");
                chown(&dir, None, Some(group)).unwrap();
                fs::set_permissions(&dir, fs::Permissions::from_mode(0o2777)).unwrap();
            }
            (name, dir)
        });
        volumes.collect()
    }
}

/// What fsGroup does to a volume: all in it belongs to the group, which may read and write it.
fn open_to_group(dir: &Path, group: u32) {
    run(Command::new("chgrp").args(["-R", &group.to_string()]).arg(dir));
    run(Command::new("chmod").args(["-R", "g+rwX"]).arg(dir));
    run(Command::new("find").arg(dir).args(["-type", "d", "-exec", "chmod", "g+s", "{}", "+"]));
}

/// The mode of the files of a volume, which YAML shows as an octal number.
fn octal(volume: &Value) -> u32 {
    let mode = &volume["defaultMode"];
    let text = mode.as_str().map_or_else(|| mode.to_string(), str::to_owned);
    u32::from_str_radix(&text, 8).unwrap_or_else(|_| panic!("defaultMode {mode}"))
}

fn put(path: &Path, contents: &[u8], group: u32, mode: u32) {
    let _ = fs::remove_file(path);
    fs::write(path, contents).unwrap();
    chown(path, Some(0), Some(group)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A container of a pod. Each of its mounts names a volume of the pod.
fn container<'a>(
    image: &'a Image,
    pod: &Value,
    it: &Value,
    volumes: &BTreeMap<String, PathBuf>,
) -> Container<'a> {
    let mount = |mount: &Value| {
        let dir = &volumes[mount["name"].as_str().unwrap()];
        let source = mount["subPath"].as_str().map_or(dir.clone(), |file| dir.join(file));
        assert!(source.exists(), "{mount}: a directory would be mounted in place of the file");
        let target = mount["mountPath"].as_str().unwrap().to_owned();
        Mount { source, target, read_only: mount["readOnly"] == true }
    };
    let mounts = it["volumeMounts"].as_array().unwrap().iter().map(mount).collect();
    let user = pod["securityContext"]["runAsUser"].as_u64().map(|id| id as u32);
    assert_eq!(user, Some(MYSQL));
    let read_only_root = it["securityContext"]["readOnlyRootFilesystem"] == true;
    Container { image, mounts, user, read_only_root }
}

/// The ConfigMap has the files that an image gets, without their comments.
fn as_in_the_image(config: &Value) {
    for (file, text) in config["data"].as_object().unwrap() {
        let in_image = fs::read_to_string(folder().join(file)).unwrap();
        let in_image: Vec<_> =
            in_image.lines().filter(|line| !line.starts_with("# ") && !line.starts_with("-- ")).collect();
        assert_eq!(text.as_str().unwrap().lines().collect::<Vec<_>>(), in_image, "{file}");
    }
}

pub fn stateful_set() {
    let files = Image::with_shell().with(&stage("files", "debian:"));
    let server_image = Image::official();
    // The library of the init container runs there too.
    server_image.libraries(&place().keyringctl);
    let documents = documents("kubernetes.yaml");
    let config = of_kind(&documents, "ConfigMap");
    as_in_the_image(config);
    let pod = &of_kind(&documents, "StatefulSet")["spec"]["template"]["spec"];
    let admin = &self::documents("kubernetes-admin.yaml")[0]["spec"];
    let node = Node::new();
    let prepare = |pod: &Value, volumes: &BTreeMap<String, PathBuf>| {
        container(&files, pod, &pod["initContainers"][0], volumes).run("/keyring_external/prepare.sh", &[]);
    };

    // The keyring is created in the pod for keyringctl.
    let volumes = node.volumes(admin, config);
    prepare(admin, &volumes);
    let shell = container(&files, admin, &admin["containers"][0], &volumes);
    let secret = ["--unlock", "file:/run/keyring/unlock"];
    let init = [&["init", KEYRING, "--mirror", MIRROR][..], &secret].concat();
    shell.run("/keyring_external/keyringctl", &init);

    let copies = ["a", "b"].map(|copy| node.claims[&format!("mysql-keyring-{copy}")].mount_point());
    for first in [true, false] {
        let volumes = node.volumes(pod, config);
        // As Kubernetes mounts them, neither the copies nor the secret will do.
        let copy = copies[0].join("keys/main.keyring");
        assert_eq!(owner_and_mode(&copy), (MYSQL, 0o660));
        let shell = container(&files, admin, &admin["containers"][0], &volumes);
        let refused =
            shell.refusal("/keyring_external/keyringctl", &["verify", KEYRING, "--unlock", secret[1]]);
        assert!(refused.contains("is open to other users") || refused.contains("other users"), "{refused}");

        prepare(pod, &volumes);
        for copy in &copies {
            assert_eq!(owner_and_mode(&copy.join("keys/main.keyring")), (MYSQL, 0o600));
        }
        let shell = container(&files, admin, &admin["containers"][0], &volumes);
        let refused = shell
            .refusal("/keyring_external/keyringctl", &["verify", KEYRING, "--unlock", "file:/secret/unlock"]);
        assert!(refused.contains("it is open to other users (mode 0440)"), "{refused}");

        let pod_container = container(&server_image, pod, &pod["containers"][0], &volumes);
        let server = pod_container.start().unwrap();
        let state = "SELECT status_value FROM performance_schema.keyring_component_status WHERE status_key = 'Copies'";
        assert_eq!(server.value(state), "2/2");
        if first {
            encrypts(&server);
        }
        reads_back(&server);
        pod_container.run("keyringctl", &[&["status", KEYRING, MIRROR][..], &secret].concat());
        server.sql("SET GLOBAL innodb_fast_shutdown = 0");
        server.shut_down();
        volumes.values().for_each(|dir| remove_doublewrite_files(dir));
        shell.run(
            "/keyring_external/keyringctl",
            &[&["verify", KEYRING, "--datadir", "/var/lib/mysql", "--all-encrypted"][..], &secret].concat(),
        );
    }
}
