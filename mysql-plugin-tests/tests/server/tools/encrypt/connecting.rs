// SPDX-License-Identifier: GPL-2.0-or-later
//! How `keyringctl encrypt` connects to a server.

use super::host::host;
use mysql_plugin_tests::rig::{Host, Server, place, told};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

/// Connects as the mysql client does: option files, socket, TCP, TLS with and without a checked certificate, an account with
/// a password.
pub fn as_the_mysql_client() {
    let host = host();
    // A port that is free at this moment.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = host
        .option("--skip-networking=OFF")
        .option("--bind-address=127.0.0.1")
        .option(format!("--port={port}"));
    let server = host.start();
    server.sql(
        "CREATE USER auditor@localhost IDENTIFIED BY 'a #b\\'c';
         GRANT PROCESS, SELECT, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO auditor@localhost",
    );
    let home = host.dir().join("home");
    fs::create_dir(&home).unwrap();
    let plan = |args: &[&str]| plan(&home, args);
    let tcp = format!("--port={port}");
    let by_tcp = ["--host=127.0.0.1", &tcp];
    let ca = format!("--ssl-ca={}", host.datadir().join("ca.pem").display());
    let other = host.dir().join("other.pem");
    fs::copy(host.datadir().join("server-cert.pem"), &other).unwrap();
    let other = format!("--ssl-ca={}", other.display());

    write_options(&host, &home.join(".my.cnf"), "auditor");
    fine(&plan(&[]), "in ~/.my.cnf");
    let file = host.dir().join("other.cnf");
    write_options(&host, &file, "auditor");
    fs::remove_file(home.join(".my.cnf")).unwrap();
    let defaults = format!("--defaults-file={}", file.display());
    fine(&plan(&[&defaults]), "--defaults-file");
    let with = |more: &[&str]| plan(&[&[defaults.as_str()], &by_tcp[..], more].concat());
    for more in [&[][..], &["--ssl-mode=REQUIRED"], &[&ca], &["--ssl-mode=DISABLED"]] {
        fine(&with(more), &format!("TCP, {more:?}"));
    }
    // Certificates that the server created itself name no host.
    for more in [&[other.as_str()][..], &["--ssl-mode=VERIFY_IDENTITY", &ca]] {
        let output = with(more);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", told(&output));
        assert!(told(&output).contains("certificate"), "{more:?}: {}", told(&output));
    }
    let encrypted: Vec<String> = server.rows(
        "SELECT variable_value FROM performance_schema.global_status WHERE variable_name = 'Ssl_accepts'",
    );
    assert!(encrypted[0].parse::<u32>().unwrap() >= 3, "TLS was used {encrypted:?} times");

    let socket = format!("--socket={}", host.socket().display());
    let output = plan(&["--no-defaults", &socket, "--user=auditor"]);
    assert!(output.status.code() == Some(2) && told(&output).contains("~/.my.cnf"), "{}", told(&output));
    assert!(!told(&output).contains("a #b"), "{}", told(&output));
    let output = plan(&["--no-defaults", "--socket=/nowhere/s", "--user=auditor"]);
    assert!(output.status.code() == Some(2) && told(&output).contains("Is it running?"), "{}", told(&output));
    accounts_of_every_kind(&server, &home, &socket, &tcp);
    server.stop();
}

/// Logs in with each method that the server has, and with accounts that it refuses: each refusal says what to do.
fn accounts_of_every_kind(server: &Server, home: &Path, socket: &str, port: &str) {
    let who = Command::new("id").arg("-un").output().unwrap().stdout;
    let who = String::from_utf8(who).unwrap();
    server.sql(
        "CREATE USER sha2 IDENTIFIED WITH caching_sha2_password BY 'right';
         CREATE USER tls IDENTIFIED BY 'right' REQUIRE SSL;
         CREATE USER x509 IDENTIFIED BY 'right' REQUIRE X509;
         CREATE USER locked IDENTIFIED BY 'right' ACCOUNT LOCK;
         GRANT PROCESS, SELECT, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO sha2, tls, x509, locked",
    );
    let log_in = |user: &str, password: &str, more: &[&str]| {
        // The server forgets which passwords it has verified.
        server.sql("FLUSH PRIVILEGES");
        let mut command = Command::new(&place().keyringctl);
        command.env("HOME", home).env("MYSQL_PWD", password).args(["encrypt", "plan", "--no-defaults"]);
        command.args(more).arg(format!("--user={user}")).output().unwrap()
    };
    // -h is the host, as for the mysql client.
    let tcp = ["-h", "127.0.0.1", port];
    let with = |mode| [&tcp[..], &[mode]].concat();
    let by_socket = [socket];
    let refused = |user: &str, password: &str, more: &[&str], help: &str| {
        let output = log_in(user, password, more);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(2), "{user} {more:?}: {said}");
        assert!(
            said.to_lowercase().contains("access denied") && said.contains(help),
            "{user} {more:?}: {said}"
        );
        assert!(!said.contains(password), "{user} {more:?}: {said}");
    };
    for more in [&by_socket[..], &tcp, &with("--ssl-mode=DISABLED"), &with("--ssl-mode=REQUIRED")] {
        fine(&log_in("sha2", "right", more), &format!("caching_sha2_password, {more:?}"));
        refused("sha2", "wrong", more, "--user and --password");
        for absent in ["nobody", "no-one", "none", "absent"] {
            refused(absent, "wrong", more, "--user and --password");
        }
    }
    fine(&log_in("tls", "right", &tcp), "REQUIRE SSL");
    refused("tls", "right", &by_socket, "--host 127.0.0.1");
    refused("tls", "right", &with("--ssl-mode=DISABLED"), "--ssl-mode REQUIRED");
    refused("x509", "right", &tcp, "--ssl-cert and --ssl-key");
    refused("locked", "right", &tcp, "ACCOUNT UNLOCK");
    if plugin(server, "sha256_password") {
        server.sql("CREATE USER sha256 IDENTIFIED WITH sha256_password BY 'right'");
        refused("sha256", "right", &tcp, "IDENTIFIED WITH caching_sha2_password");
    }
    // Packages for Debian load it.
    if !plugin(server, "auth_socket") && place().plugins.join("auth_socket.so").exists() {
        server.sql("INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'");
    }
    if plugin(server, "auth_socket") {
        server.sql(&format!(
            "CREATE USER same@localhost IDENTIFIED WITH auth_socket AS '{}';
             CREATE USER other@localhost IDENTIFIED WITH auth_socket;
             GRANT PROCESS, SELECT, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO same@localhost",
            who.trim()
        ));
        fine(&log_in("same", "", &by_socket), "auth_socket");
        refused("other", "unused", &by_socket, "sudo -u other");
    }
}

/// Whether the server has this plugin.
fn plugin(server: &Server, name: &str) -> bool {
    let count = format!("SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = '{name}'");
    server.value::<u32>(&count) > 0
}

fn write_options(host: &Host, file: &Path, user: &str) {
    let text = format!("[client]\nuser={user}\npassword=\"a #b'c\"\nsocket={}\n", host.socket().display());
    fs::write(file, text).unwrap();
}

fn plan(home: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(&place().keyringctl);
    command.env("HOME", home).env_remove("MYSQL_PWD").args(["encrypt", "plan"]).args(args);
    command.output().unwrap()
}

fn fine(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", told(output));
    assert!(told(output).contains("Nothing was changed"), "{what}: {}", told(output));
}
