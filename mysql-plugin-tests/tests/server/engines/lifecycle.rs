// SPDX-License-Identifier: GPL-2.0-or-later
//! A server with a copy at an engine in special situations of its life: as a daemon, with credentials that end and are
//! replaced.

use super::troubles::{is_detached, recovers};
use mysql_plugin_tests::rig::component::host_with;
use mysql_plugin_tests::rig::{Host, ROTATE, Running, Site, agree};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// `mysqld --daemonize` opens the keyring and forks then: no connection of the parent is used by the child.
pub fn daemonized(site: &Site, prefix: &str) {
    let keyring = site.keyring(prefix, &[]);
    let host = host_with(&keyring);
    for round in 0..2 {
        let server = host.daemonize();
        if round == 0 {
            server.sql("CREATE TABLE mysql.t (a INT) ENCRYPTION='Y'; INSERT INTO mysql.t VALUES (7)");
        }
        server.sql(ROTATE);
        assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
        agree(&server, &keyring, "ATTACHED", "1/1");
        server.stop();
    }
    // The plugin, on a data directory of its own.
    let host = Host::new().keyring(&keyring);
    let server = host.daemonize();
    server.put_to_use();
    server.sql(ROTATE);
    agree(&server, &keyring, "ATTACHED", "1/1");
    server.stop();
    let server = host.start();
    assert_eq!(server.value::<i32>("SELECT a FROM mysql.t"), 7);
    server.stop();
    assert_eq!(keyring.report("verify")["fine"], true);
}

/// What the server shows to its engine ends while it runs, and is replaced in the same file. No restart is needed.
pub fn credentials_end(site: &Site, prefix: &str) {
    let described = site.described();
    let keyring = site.keyring(prefix, &[]);
    match &site.engine {
        Running::Etcd(_) => {
            let own = |name: &str| site.dir.path().join(name);
            let put = |remote: &Value| {
                for field in ["key", "cert"] {
                    let file = own(field);
                    fs::copy(Path::new(remote[field].as_str().unwrap()), &file).unwrap();
                    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                }
            };
            put(&described);
            let mut remote = described.clone();
            remote["cert"] = json!(own("cert"));
            remote["key"] = json!(own("key"));
            site.describe(&remote);
            let mistakes = site.engine.mistakes();
            let expired = mistakes.iter().find(|mistake| mistake.what.contains("expired")).unwrap();
            let server = Host::new().keyring(&keyring).start();
            server.put_to_use();
            put(&expired.remote);
            is_detached(&server, &keyring, "the certificate has ended", &["cert"]);
            put(&described);
            recovers(&server, &keyring, "the certificate was renewed");
            server.stop();
        }
        Running::OpenBao(engine) => {
            let file = engine.new_token("server-token", &["-ttl=1h", "-orphan"]);
            let source = json!(format!("file:{}", file.display()));
            let mut remote = described.clone();
            remote.as_object_mut().unwrap().remove("approle");
            remote["token"] = source;
            site.describe(&remote);
            let server = Host::new().keyring(&keyring).start();
            server.put_to_use();
            engine.must(&["token", "revoke", fs::read_to_string(&file).unwrap().trim()]);
            is_detached(&server, &keyring, "the token has ended", &["token", "server-token"]);
            engine.new_token("server-token", &["-ttl=1h", "-orphan"]);
            recovers(&server, &keyring, "a new token was written");
            server.stop();
        }
        // Its keys do not end.
        Running::SeaweedFs(_) => {}
    }
    site.describe(&described);
    assert_eq!(keyring.report("verify")["fine"], true);
}
