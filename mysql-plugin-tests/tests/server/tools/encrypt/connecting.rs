// SPDX-License-Identifier: GPL-2.0-or-later
//! How `keyringctl encrypt` connects to a server.

use super::host::host;
use mysql_plugin_tests::rig::{Host, place, told};
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
    server.stop();
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
