// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl setup` asks for a remote that the remotes file does not describe. Uses `script` as the terminal.

use super::engine::Engine;
use super::mock_host::Host;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const FILE: &str = "etc/mysql/keyring_external.remotes.json";
const SETUP: &str = "setup @b/hospital/db1 --mirror /mnt/a/keys/main.keyring --as component --allow-same-device \
    --unlock credential:k";

fn mode(host: &Host) -> u32 {
    fs::metadata(host.at(FILE)).unwrap().permissions().mode() & 0o7777
}

#[test]
fn setup_asks_for_a_remote_that_is_not_described_and_tries_it() {
    let (host, engine) = (Host::new(), Engine::start());
    let endpoint = engine.endpoint();
    let before = host.files();
    let answers = format!("\nredis\netcd\nhttp://10.0.0.5:2379\n{endpoint}\n\n");
    // Without a terminal nobody is asked, and nothing is written.
    host.run(&[&SETUP.split_whitespace().collect::<Vec<_>>()[..], &["--yes"]].concat())
        .says(2, &["does not exist", "docs/REMOTES.md"]);
    let Some(no) = host.on_terminal(SETUP, &format!("{answers}n\n")) else { return };
    no.says(
        2,
        &[
            "the kind is s3, vault or etcd",
            "only an endpoint on 127.0.0.1",
            "\"kind\": \"etcd\"",
            "nothing was changed",
        ],
    );
    assert_eq!(host.files(), before);
    // The remote is described, and works; then the rest of setup is refused.
    host.on_terminal(SETUP, &format!("{answers}y\n\nn\n"))
        .unwrap()
        .says(1, &["honours conditional writes", "KEYRING    @b/hospital/db1 (new)", "Nothing was written"]);
    assert_eq!(mode(&host), 0o640);
    assert!(engine.names().is_empty());
    // It is not asked for again.
    host.on_terminal(SETUP, "\n\ny\n").unwrap().says(0, &["Created keyring"]);
    assert!(engine.names().contains(&"/hospital/db1/head".to_owned()));
}

#[test]
fn setup_keeps_the_other_remotes_and_shows_the_commands_for_the_rights() {
    let (host, engine) = (Host::new(), Engine::start());
    let other = "{ \"a\" : {\"kind\":\"etcd\",\n  \"endpoints\": [\"https://a:2379\"] } }\n";
    host.write(FILE, other);
    fs::set_permissions(host.at(FILE), fs::Permissions::from_mode(0o640)).unwrap();
    host.write("password", "secret-of-db1");
    fs::set_permissions(host.at("password"), fs::Permissions::from_mode(0o600)).unwrap();
    let answers =
        format!("\netcd\n{}\ndb1\nfile:{}\ny\nn\n", engine.endpoint(), host.at("password").display());
    engine.refuse(Some(403));
    let Some(ended) = host.on_terminal(SETUP, &answers) else { return };
    ended.says(
        2,
        &[
            "etcdctl role grant-permission db1 readwrite --prefix /hospital/db1/",
            "cannot read @b/hospital/db1",
            "try again? [y/n]",
            "the remote cannot be used yet",
        ],
    );
    let text = host.read(FILE);
    assert!(text.starts_with(other.trim_end().strip_suffix(" }").unwrap()), "{text}");
    assert!(text.contains("\"user\": \"db1\"") && !text.contains("secret-of-db1"), "{text}");
    assert_eq!(host.read(&format!("{FILE}.bak")), other);
    assert_eq!(mode(&host), 0o640);
}
