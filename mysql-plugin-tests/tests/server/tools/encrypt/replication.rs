// SPDX-License-Identifier: GPL-2.0-or-later
//! `keyringctl encrypt` on a replica, on a source with replicas, and on a member of a group.

use super::command::{encrypt, encrypt_json, is_about};
use super::host::{host, tables_in_clear};
use mysql_plugin_tests::rig::{
    Feature, Host, Keyring, Server, Volume, needs, place, program, told, wait_until,
};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(super) const LIMIT: Duration = Duration::from_secs(60);
const ROWS: &str = "CREATE SCHEMA clinic;
    CREATE TABLESPACE archive ADD DATAFILE 'archive.ibd';
    CREATE TABLE clinic.patients (id INT PRIMARY KEY, name VARCHAR(60));
    CREATE TABLE clinic.visits (id INT PRIMARY KEY, patient INT, FOREIGN KEY (patient) REFERENCES clinic.patients (id));
    CREATE TABLE clinic.old (id INT PRIMARY KEY) TABLESPACE archive;
    CREATE TABLE clinic.words (id INT PRIMARY KEY) ENGINE = MyISAM;
    INSERT INTO clinic.patients VALUES (1, 'Astrid');
    INSERT INTO clinic.visits VALUES (1, 1)";

/// Returns a host for a server with GTIDs, and its port on the loopback interface.
pub(super) fn member(id: u32) -> (Host, u16) {
    needs(Feature::Option("skip-replica-start"));
    // A port that is free at this moment.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = host()
        .option("--skip-networking=OFF")
        .option("--bind-address=127.0.0.1")
        .option(format!("--port={port}"))
        .option(format!("--server-id={id}"))
        .option("--gtid-mode=ON")
        .option("--enforce-gtid-consistency=ON")
        .option("--log-bin=binlog");
    (host, port)
}

pub(super) fn follow_source(replica: &Server, port: u16) {
    replica.sql(&format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='replica',
             SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1;
         START REPLICA"
    ));
}

pub(super) fn create_source(source: &Server) {
    source.sql("CREATE USER replica@localhost; GRANT REPLICATION SLAVE ON *.* TO replica@localhost");
    source.sql(ROWS);
}

/// Waits until the replica has all transactions of the source.
pub(super) fn is_up_to_date(replica: &Server, source: &Server) {
    let all = source.value::<String>("SELECT @@gtid_executed");
    let query = format!("SELECT GTID_SUBSET('{all}', @@gtid_executed)");
    assert!(
        wait_until(LIMIT, || replica.value::<u32>(&query) == 1),
        "{all} is not repeated: {:?}",
        applier_errors(replica)
    );
}

pub(super) fn applier_errors(replica: &Server) -> Vec<(u32, String)> {
    replica.rows(
        "SELECT LAST_ERROR_NUMBER, LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_worker
         WHERE LAST_ERROR_NUMBER > 0",
    )
}

/// How many of a server's transactions it made itself.
pub(super) fn own_transactions(server: &Server) -> u32 {
    server.value("SELECT LOCATE(@@server_uuid, @@gtid_executed)")
}

/// Returns what a run says that must be refused.
fn refusal(host: &Host, args: &[&str]) -> String {
    let output = encrypt(host, args);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    told(&output)
}

/// Runs the steps that a refusal prints, exactly as printed: statements in the server, and the command in a shell. Returns
/// what the command says.
fn follow(server: &Server, refusal: &str) -> String {
    let steps: Vec<_> = refusal.lines().filter_map(|line| line.strip_prefix("        ")).collect();
    assert!(steps.len() >= 3, "{refusal}");
    let mut says = String::new();
    for step in steps {
        if step.ends_with(';') {
            server.sql(step);
            continue;
        }
        let programs = place().keyringctl.parent().unwrap().display().to_string();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
        let asks = step.contains(" rotate ") || step.contains(" --undo ");
        let step = if asks && !step.contains("--yes") { format!("{step} --yes") } else { step.to_owned() };
        let output = Command::new("sh").args(["-c", &step]).env("PATH", path).output().unwrap();
        // What is left is for the administrator: old binary logs, which are not purged here, and tables of other engines.
        let is_done = told(&output).contains("INCOMPLETE. Still ");
        assert!(output.status.success() || is_done, "{step}: {}", told(&output));
        says.push_str(&told(&output));
    }
    says
}

/// What `verify` says to do about what has `what` in its name.
fn remedy_of(host: &Host, what: &str) -> String {
    let (_, report) = encrypt_json(host, &["verify", "--no-canary"]);
    let findings = report["findings"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    let finding = findings.iter().find(|f| is_about(f, what));
    let finding = finding.unwrap_or_else(|| panic!("no finding for {what}: {findings:#?}"));
    finding["remedy"].as_str().unwrap_or_else(|| panic!("no remedy: {finding:#}")).to_owned()
}

/// All sizes in a report are sizes.
fn reported_sizes(host: &Host) {
    let output = Command::new(&place().keyringctl)
        .args(["report", "--json", "--no-files", "--no-defaults", "--user=root", "--socket"])
        .arg(host.socket())
        .output()
        .unwrap();
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
    for place in report["facts"]["places"].as_array().unwrap_or_else(|| panic!("{report:#}")) {
        assert!(place["bytes"].as_i64().is_some_and(|bytes| bytes < 1 << 40), "{place:#}");
    }
}

/// A replica that is super_read_only is encrypted, rotated and decrypted by the steps that the refusals print. It gets no
/// transaction of its own, replication goes on, and it is super_read_only again.
pub fn no_errant_transactions_on_a_replica() {
    let volumes = [Volume::directory(), Volume::directory()];
    let keyrings = volumes.each_ref().map(Keyring::init);
    let (host, port) = member(1);
    let source = host.keyring(&keyrings[0]).start();
    create_source(&source);
    let host = member(2).0.keyring(&keyrings[1]);
    let replica = host.start();
    follow_source(&replica, port);
    is_up_to_date(&replica, &source);
    replica.sql("SET GLOBAL super_read_only = ON");
    let checked = |what: &str| {
        assert_eq!(
            own_transactions(&replica),
            0,
            "{what}: {:?}",
            replica.rows::<String>("SELECT @@gtid_executed")
        );
        assert_eq!(replica.value::<u32>("SELECT @@super_read_only"), 1, "{what}");
        let number: u32 = source.value("SELECT MAX(id) + 1 FROM clinic.patients");
        source.sql(&format!(
            "INSERT INTO clinic.patients VALUES ({number}, 'Birger'); CREATE TABLE clinic.t{number} (id INT PRIMARY KEY)"
        ));
        is_up_to_date(&replica, &source);
        assert_eq!(replica.value::<u32>("SELECT MAX(id) FROM clinic.patients"), number, "{what}");
    };

    let plan = told(&encrypt(&host, &["plan"]));
    assert!(
        plan.contains("replica of the source 127.0.0.1:")
            && plan.contains("\n        SET GLOBAL super_read_only = OFF;\n"),
        "{plan}"
    );
    // With the channel's new file, the size that the server reports may be below zero.
    for statements in ["START REPLICA", "FLUSH NO_WRITE_TO_BINLOG RELAY LOGS"] {
        replica.sql(&format!("{statements} FOR CHANNEL ''"));
        reported_sizes(&host);
    }
    checked("after the remedy of a relay log");
    let refused = refusal(&host, &["apply", "--purge-binary-logs", "--yes"]);
    assert!(tables_in_clear(&replica) > 2 && refused.contains("nothing was changed"), "{refused}");
    let says = follow(&replica, &refused);
    assert!(says.contains("only this server changes"), "{says}");
    assert_eq!(tables_in_clear(&replica), 0, "{says}");
    assert!(tables_in_clear(&source) > 2);
    checked("after apply");
    assert_eq!(tables_in_clear(&replica), 0, "a table that the source has created");

    let keys = || keyrings[1].ids("INNODBKey-").len();
    let before = keys();
    let refused = refusal(&host, &["rotate"]);
    assert_eq!(keys(), before);
    follow(&replica, &refused);
    assert_eq!(keys(), before + 1);
    let rotated = encrypt(&host, &["rotate", "--only-binary-logs", "--yes"]);
    assert!(rotated.status.success(), "{}", told(&rotated));
    checked("after rotate");

    replica.sql("SET GLOBAL super_read_only = OFF");
    let verified = encrypt(&host, &["verify"]);
    assert_eq!(verified.status.code(), Some(1), "late settings: {}", told(&verified));
    assert!(told(&verified).contains("SET SESSION sql_log_bin = 0"), "{}", told(&verified));
    replica.sql(&remedy_of(&host, "clinic.words"));
    let engine = "SELECT engine FROM information_schema.tables WHERE table_name = 'words'";
    assert_eq!(replica.value::<String>(engine), "InnoDB");
    replica.sql("SET GLOBAL super_read_only = ON");
    checked("after verify");

    follow(&replica, &refusal(&host, &["apply", "--undo", "--all"]));
    assert!(tables_in_clear(&replica) > 2);
    checked("after --undo");

    // It remains a replica while its channel is stopped, until the channel is removed as printed.
    replica.sql("STOP REPLICA; SET GLOBAL super_read_only = OFF");
    let refused = refusal(&host, &["apply", "--replicate"]);
    let (_, forget) = refused.split_once("first run ").expect("what to do");
    let applied = encrypt(&host, &["apply", "--only", "clinic.visits"]);
    assert!(applied.status.success(), "{}", told(&applied));
    assert_eq!(own_transactions(&replica), 0);
    replica.sql(forget.lines().next().unwrap());
    let applied = encrypt(&host, &["apply", "--only", "clinic.patients"]);
    assert!(applied.status.success(), "{}", told(&applied));
    assert_ne!(own_transactions(&replica), 0, "a server of its own writes its binary log");
    replica.stop();
    source.stop();
}

/// A source with a connected replica changes nothing until it is told what the replica gets. A replica without a keyring
/// stops, and goes on when it has one. What a replica would refuse is refused on the source.
pub fn a_source_asks_what_its_replicas_get() {
    let volumes = [Volume::directory(), Volume::directory()];
    let keyrings = volumes.each_ref().map(Keyring::init);
    let (host, port) = member(1);
    let host = host.keyring(&keyrings[0]);
    let source = host.start();
    create_source(&source);
    let bare = member(2).0;
    let replica = bare.start();
    follow_source(&replica, port);
    // As after an upgrade from a server with other defaults.
    let columns: String = (1..=60).map(|i| format!("c{i} CHAR(200), ")).collect();
    let wide = format!(
        "CREATE TABLE clinic.wide (id INT PRIMARY KEY, {columns} z INT) ROW_FORMAT=COMPACT CHARSET=latin1"
    );
    is_up_to_date(&replica, &source);
    for server in [&source, &replica] {
        server.sql(&format!("SET sql_log_bin = 0; SET innodb_strict_mode = 0; {wide}"));
    }

    let version: String = source.value("SELECT SUBSTRING_INDEX(@@version, '-', 1)");
    let refused = refusal(&host, &["apply"]);
    let replica_is = format!("1 replica is connected: localhost (mysqld {version})");
    assert!(refused.contains(&replica_is) && refused.contains("--replicate"), "{refused}");
    assert!(refused.contains("each replica must have a keyring"), "{refused}");
    let plan = told(&encrypt(&host, &["plan"]));
    assert!(plan.contains(&replica_is) && plan.contains("--skip-binary-log"), "{plan}");
    assert!(refusal(&host, &["rotate"]).contains(&replica_is));

    // A replica accepts a foreign key to a key that is not unique.
    source.sql(
        "/*!80400 SET SESSION restrict_fk_on_non_standard_key = OFF */;
         CREATE TABLE clinic.parents (id INT PRIMARY KEY, x INT, KEY (x));
         CREATE TABLE clinic.children (id INT PRIMARY KEY, x INT, FOREIGN KEY (x) REFERENCES clinic.parents (x))",
    );
    let transactions = || source.value::<String>("SELECT @@gtid_executed");
    let before = transactions();
    let applied = encrypt(&host, &["apply", "--skip-binary-log", "--only", "clinic.visits"]);
    assert!(applied.status.success(), "{}", told(&applied));
    assert_eq!(transactions(), before);

    let replicated =
        ["apply", "--replicate", "--only", "clinic.*", "--skip", "clinic.old", "--skip", "clinic.words"];
    let (code, report) = encrypt_json(&host, &replicated);
    let failed = report["failed"].as_array().unwrap();
    assert!(code == 1 && failed.len() == 1 && failed[0]["what"] == "clinic.wide", "{report:#}");
    assert!(failed[0]["why"].as_str().unwrap().contains("--skip-binary-log"), "{failed:?}");
    let stopped = || applier_errors(&replica).first().is_some_and(|(code, _)| *code == 3185);
    assert!(wait_until(LIMIT, stopped), "{:?}", applier_errors(&replica));
    replica.stop();
    let replica = bare.keyring(&keyrings[1]).start();
    replica.sql("START REPLICA");
    is_up_to_date(&replica, &source);
    let in_clear = "SELECT name FROM information_schema.innodb_tablespaces
                    WHERE space_type = 'Single' AND encryption = 'N' AND name LIKE 'clinic/%' ORDER BY name";
    // The first was encrypted with --skip-binary-log.
    assert_eq!(replica.rows::<String>(in_clear), ["clinic/visits", "clinic/wide"]);
    assert_eq!(source.rows::<String>(in_clear), ["clinic/wide"]);
    let applied = encrypt(&host, &["apply", "--skip-binary-log", "--only", "clinic.wide"]);
    assert!(applied.status.success(), "{}", told(&applied));

    let keys = || keyrings[1].ids("INNODBKey-").len();
    let before = keys();
    let rotated = encrypt(&host, &["rotate", "--only-innodb", "--skip-binary-log", "--yes"]);
    assert!(rotated.status.success(), "{}", told(&rotated));
    let rotated = encrypt(&host, &["rotate", "--only-innodb", "--replicate", "--yes"]);
    assert!(rotated.status.success(), "{}", told(&rotated));
    is_up_to_date(&replica, &source);
    assert_eq!(keys(), before + 1);
    assert!(refusal(&host, &["rotate", "--replicate", "--skip-binary-log"]).contains("cannot be used with"));

    // A program that has read the beginning of the oldest binary log only.
    source.sql("CREATE TABLE clinic.scans (scan LONGBLOB)");
    (0..8).for_each(|_| source.sql("INSERT INTO clinic.scans VALUES (REPEAT('x', 4000000))"));
    let oldest = source.rows::<(String, u64, String)>("SHOW BINARY LOGS").remove(0).0;
    let mut reader = Command::new(program("mysqlbinlog"))
        .args(["--no-defaults", "--read-from-remote-server", "--stop-never", "--user=root", &oldest])
        .arg(format!("--socket={}", host.socket().display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let readers = || {
        source
            .value::<u32>("SELECT COUNT(*) FROM information_schema.processlist WHERE command = 'Binlog Dump'")
    };
    assert!(wait_until(LIMIT, || readers() == 1), "mysqlbinlog does not read");
    let purge = ["apply", "--skip-binary-log", "--purge-binary-logs", "--yes"];
    let (code, report) = encrypt_json(&host, &purge);
    let failed = report["failed"].as_array().unwrap();
    let why = failed
        .iter()
        .find(|f| f["what"].as_str().unwrap().contains("binary log"))
        .map(|f| f["why"].to_string());
    assert!(code == 1 && why.as_ref().is_some_and(|why| why.contains(&oldest)), "{report:#}");
    reader.kill().unwrap();
    reader.wait().unwrap();
    assert!(wait_until(LIMIT, || readers() == 0), "the server still sends to mysqlbinlog");
    let (code, report) = encrypt_json(&host, &purge);
    assert_eq!((code, &report["left"]), (1, &serde_json::json!(["clinic.words"])), "{report:#}");
    is_up_to_date(&replica, &source);
    replica.stop();
    source.stop();
}

/// The members of a group are encrypted in the group and outside of it. They get no transaction that the group lacks, and are
/// taken back. What needs a stop of the whole group is left to the administrator.
pub fn members_of_a_group() {
    const GROUP: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
    needs(Feature::Library("group_replication.so"));
    let volumes = [Volume::directory(), Volume::directory()];
    let keyrings = volumes.each_ref().map(Keyring::init);
    let local = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let hosts: Vec<_> = (0..2)
        .map(|i| {
            let (host, port) = member(i as u32 + 1);
            host.keyring(&keyrings[i])
                .option("--report-host=127.0.0.1")
                .option(format!("--report-port={port}"))
                .option("--plugin-load-add=group_replication.so")
                .option(format!("--loose-group-replication-group-name={GROUP}"))
                .option(format!("--loose-group-replication-local-address={}", local[i]))
                .option(format!("--loose-group-replication-group-seeds={},{}", local[0], local[1]))
                .option("--loose-group-replication-recovery-get-public-key=ON")
                .option("--loose-group-replication-start-on-boot=OFF")
        })
        .collect();
    let servers: Vec<_> = hosts.iter().map(Host::start).collect();
    let [first, second] = &servers[..] else { unreachable!() };
    for server in &servers {
        server.sql(
            "SET sql_log_bin = 0; CREATE USER replica@localhost;
             GRANT REPLICATION SLAVE, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO replica@localhost;
             CHANGE REPLICATION SOURCE TO SOURCE_USER='replica' FOR CHANNEL 'group_replication_recovery'",
        );
    }
    let bootstrap = "SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION;
                     SET GLOBAL group_replication_bootstrap_group = OFF";
    let online = || {
        let members =
            "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE MEMBER_STATE = 'ONLINE'";
        assert!(
            wait_until(LIMIT, || servers.iter().all(|s| s.value::<u32>(members) == 2)),
            "{}",
            second.log()
        );
    };
    first.sql(bootstrap);
    first.sql("CREATE SCHEMA clinic; CREATE TABLE clinic.patients (id INT PRIMARY KEY)");
    second.sql("START GROUP_REPLICATION");
    online();
    let transactions = || first.value::<String>("SELECT @@gtid_executed");
    let before = transactions();
    assert!(before.starts_with(GROUP) && own_transactions(first) == 0, "{before}");

    let plan = told(&encrypt(&hosts[0], &["plan"]));
    assert!(plan.contains(&format!("member of the replication group {GROUP} (ONLINE, PRIMARY)")), "{plan}");
    assert!(refusal(&hosts[0], &["apply", "--replicate"]).contains("member of the replication group"));
    let refused = refusal(&hosts[1], &["apply"]);
    assert!(
        refused.contains("STOP GROUP_REPLICATION;") && refused.contains("START GROUP_REPLICATION;"),
        "{refused}"
    );
    let says = follow(second, &refused);
    assert!(says.contains("run on each of them"), "{says}");
    online();
    assert_eq!(tables_in_clear(second), 0);
    let applied = encrypt(&hosts[0], &["apply", "--online", "always"]);
    assert!(told(&applied).contains("INCOMPLETE. Still unencrypted: binary logs."), "{}", told(&applied));
    assert_eq!((tables_in_clear(first), transactions()), (0, before));
    follow(second, &refusal(&hosts[1], &["rotate"]));
    online();
    first.sql("INSERT INTO clinic.patients VALUES (1); CREATE TABLE clinic.visits (id INT PRIMARY KEY)");
    is_up_to_date(second, first);
    assert_eq!((tables_in_clear(second), own_transactions(second)), (0, 0));

    // The step that is left, as printed.
    for server in [second, first] {
        server.sql("STOP GROUP_REPLICATION; SET PERSIST default_table_encryption = ON");
    }
    first.sql(bootstrap);
    second.sql("START GROUP_REPLICATION");
    online();
    first.sql("CREATE SCHEMA later; CREATE TABLE later.t (id INT PRIMARY KEY)");
    is_up_to_date(second, first);
    assert_eq!((tables_in_clear(first), tables_in_clear(second)), (0, 0));
    for (server, host) in servers.iter().zip(&hosts).rev() {
        let (_, report) = encrypt_json(host, &["verify", "--no-canary"]);
        let findings = report["findings"].as_array().unwrap();
        assert!(!findings.iter().any(|f| f["kind"] == "setting"), "{findings:#?}");
        server.sql("STOP GROUP_REPLICATION");
    }
    servers.into_iter().for_each(Server::stop);
}
