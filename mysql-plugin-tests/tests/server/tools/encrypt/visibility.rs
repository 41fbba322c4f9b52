// SPDX-License-Identifier: GPL-2.0-or-later
//! Accounts that cannot see everything: what they cannot see is not taken for absent.

use super::command::encrypt;
use super::host::host;
use super::told_places::{statements, told_to};
use mysql_plugin_tests::rig::component::host_with;
use mysql_plugin_tests::rig::{Host, Keyring, Server, Volume, place, told};
use serde_json::Value;
use std::process::Command;

const TABLES: &str = "CREATE SCHEMA clinic; CREATE SCHEMA hidden; CREATE SCHEMA empty_one;
    CREATE TABLE clinic.patients (id INT PRIMARY KEY, t TEXT, FULLTEXT (t)); CREATE TABLE clinic.visits (id INT PRIMARY KEY) ENCRYPTION = 'Y';
    CREATE TABLESPACE several ADD DATAFILE 'several.ibd';
    CREATE TABLE clinic.`Fälle ä` (id INT PRIMARY KEY) TABLESPACE several;
    CREATE TABLE clinic.`Fälle ö` (id INT PRIMARY KEY) TABLESPACE several;
    CREATE TABLE clinic.inside (id INT PRIMARY KEY) TABLESPACE innodb_system;
    CREATE TABLE clinic.`größe` (id INT PRIMARY KEY) TABLESPACE innodb_system;
    CREATE TABLE clinic.`#sql-1f_2` (id INT PRIMARY KEY);
    CREATE TABLE hidden.old (id INT) ENGINE = MyISAM";
const LOOKS: &str = "PROCESS, REPLICATION CLIENT, REPLICATION SLAVE";

/// Runs the GRANT statements that a text ends with.
fn grant(server: &Server, text: &str) {
    let statements = statements(text, &["GRANT"]);
    assert!(!statements.is_empty(), "{text}");
    statements.iter().for_each(|statement| server.sql(statement));
}

/// Returns the error of `encrypt plan` as an account that cannot look at all.
fn refusal(host: &Host, user: &str) -> String {
    let mut command = Command::new(&place().keyringctl);
    let output = command
        .args(["encrypt", "plan", "--no-defaults", "--user", user, "--socket"])
        .arg(host.socket())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    String::from_utf8(output.stderr).unwrap()
}

/// Every account gets the same states for the tables that InnoDB has, whatever it may do with them. What it cannot see is
/// "not checked", with one line of statements that grant everything that is missing.
pub fn what_is_not_visible_is_not_absent() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host().keyring(&keyring);
    let server = host.start();
    server.sql(TABLES);
    server.sql(&format!(
        "CREATE USER look; GRANT {LOOKS} ON *.* TO look; CREATE USER nobody; CREATE USER \"o'dd`\";
         CREATE ROLE looker; GRANT {LOOKS}, REFERENCES ON *.* TO looker; CREATE USER by_role; GRANT looker TO by_role;
         SET GLOBAL partial_revokes = ON; CREATE USER partly; GRANT {LOOKS}, SELECT ON *.* TO partly;
         REVOKE SELECT ON hidden.* FROM partly;
         CREATE USER columns; GRANT {LOOKS} ON *.* TO columns; GRANT SELECT (id) ON clinic.patients TO columns"
    ));
    let all = told_to(&host, "root", &["plan"]);
    assert_eq!((all.code, all.names("unknown")), (0, Vec::new()));
    assert_eq!(all.document["keyring"]["way"], "plugin");
    let of_innodb = |item: &Value| {
        let kinds = ["table", "tablespace", "system-table", "undo", "mysql-tablespace", "full-text"];
        // Only the server can decode these letters, and it does not for a table in a shared tablespace.
        kinds.iter().any(|kind| item["kind"] == *kind) && item["name"] != "clinic.größe"
    };

    for user in ["look", "columns", "partly"] {
        let seen = told_to(&host, user, &["plan"]);
        let unseen = vec!["schemas not visible to this account", "tables of other engines"];
        let mut unknown = seen.names("unknown");
        unknown.retain(|name| !name.starts_with("mysql."));
        unknown.sort_unstable();
        assert_eq!((seen.code, unknown), (1, unseen), "{user}");
        assert_eq!(seen.document["keyring"]["way"], "plugin", "{user}");
        for item in all.document["items"].as_array().unwrap().iter().filter(|item| of_innodb(item)) {
            let name = item["name"].as_str().unwrap();
            assert_eq!(seen.state(name), item["state"].as_str().unwrap(), "{user} {name}");
        }
        let text = seen.document["items"].to_string();
        assert!(!text.contains("DROP TABLE") && !text.contains("\"leftover\""), "{user}: {text}");
        let verified = told_to(&host, user, &["verify", "--no-canary"]);
        for finding in verified.document["findings"].as_array().unwrap() {
            let remedy = finding["remedy"].as_str().unwrap_or_default();
            let deletes = remedy.contains("DROP TABLE") || remedy.starts_with("rm ");
            assert!(!deletes, "{user}: {finding:#}");
        }
        assert_eq!(verified.code, 1, "{user}");
        grant(&server, seen.by_hand("tables of other engines"));
        let seen = told_to(&host, user, &["plan"]);
        assert_eq!((seen.code, seen.names("unknown")), (0, Vec::new()), "{user}");
        assert_eq!(seen.state("hidden.old"), "clear", "{user}");
    }
    for user in ["nobody", "o'dd`"] {
        let error = refusal(&host, user);
        assert!(error.contains("PROCESS, REPLICATION CLIENT, REPLICATION SLAVE"), "{error}");
        grant(&server, &error);
        let seen = told_to(&host, user, &["plan"]);
        assert_eq!((seen.code, seen.names("unknown")), (0, Vec::new()), "{user}");
    }
    // A role counts although it is not active by default; what it does not show are the log tables.
    let seen = told_to(&host, "by_role", &["plan"]);
    assert_eq!(seen.names("unknown"), ["mysql.general_log", "mysql.slow_log"]);
    grant(&server, seen.by_hand("mysql.slow_log"));
    assert_eq!(told_to(&host, "by_role", &["plan"]).code, 0);

    // The server reports size 0 for a log table, whatever it holds.
    assert_eq!(all.state("mysql.general_log"), "unused");
    server.sql("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON; SET GLOBAL general_log = OFF");
    let seen = told_to(&host, "look", &["plan"]);
    assert_eq!(seen.state("mysql.general_log"), "clear");
    server.sql("SET GLOBAL log_output = 'FILE'");
    let emptied = statements(seen.by_hand("mysql.general_log"), &["TRUNCATE"]);
    emptied.iter().for_each(|statement| server.sql(statement));
    assert_eq!(told_to(&host, "look", &["plan"]).state("mysql.general_log"), "unused");
    what_changes_is_granted_at_once(&host, &server);
    server.stop();
}

/// An account that may not change what a command changes is refused before anything is changed, with one GRANT of all that
/// it lacks.
fn what_changes_is_granted_at_once(host: &Host, server: &Server) {
    server.sql("CREATE USER worker; CREATE USER one; GRANT ALTER, CREATE, INSERT ON clinic.* TO one");
    server.sql(&format!("GRANT {LOOKS} ON *.* TO look, one"));
    let run = |user: &str, args: &[&str]| {
        let mut command = Command::new(&place().keyringctl);
        command.arg("encrypt").args(args).args(["--no-defaults", "--user", user, "--socket"]);
        command.arg(host.socket()).output().unwrap()
    };
    let refused = |user: &str, args: &[&str]| {
        let output = run(user, args);
        assert_eq!(output.status.code(), Some(2), "{user} {args:?}: {}", told(&output));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(statements(&said, &["GRANT"]).len(), 1, "{said}");
        said
    };
    let before: Vec<String> =
        server.rows("SELECT name FROM information_schema.innodb_tablespaces WHERE encryption = 'Y'");
    let apply = ["apply", "--skip", "hidden.*"];
    let said = refused("look", &apply);
    let planned = told_to(host, "look", &["plan"]);
    let planned = planned.document["refusals"][0].as_str().unwrap();
    assert!(said.contains(planned), "{said}\n{planned}");
    let only = ["apply", "--only", "clinic.patients"];
    for user in ["look", "one"] {
        let said = refused(user, &only);
        assert!(said.contains("SELECT") && said.contains("ALTER") == (user == "look"), "{user}: {said}");
    }
    let after: Vec<String> =
        server.rows("SELECT name FROM information_schema.innodb_tablespaces WHERE encryption = 'Y'");
    assert_eq!(before, after);
    // One that may not even look gets all of it in one statement too.
    grant(server, &refused("worker", &apply));
    let output = run("worker", &apply);
    assert!(!told(&output).contains("denied"), "{}", told(&output));
    assert!(told(&output).contains("OK      clinic.patients"), "{}", told(&output));
    assert!(!told(&output).contains("GRANT"), "a second GRANT: {}", told(&output));
    grant(server, &refused("look", &["rotate"]));
    let output = run("look", &["rotate", "--yes"]);
    assert!(output.status.success(), "{}", told(&output));
    server.sql("ALTER TABLE clinic.patients ENCRYPTION = 'N'");
    grant(server, &refused("one", &only));
    let output = run("one", &only);
    assert!(output.status.success(), "{}", told(&output));
}

/// The keyring is found although performance_schema is closed to the account or off. Where it cannot be found out, it is not
/// said that there is none.
pub fn a_keyring_that_is_not_shown_is_not_absent() {
    let volume = Volume::directory();
    let keyring = Keyring::init(&volume);
    let host = host_with(&keyring);
    let server = host.start();
    server.sql(&format!("CREATE USER look; GRANT {LOOKS}, REFERENCES ON *.* TO look"));
    let way = |host: &Host, user: &str| told_to(host, user, &["plan"]).document["keyring"]["way"].clone();
    assert_eq!(
        (way(&host, "root"), way(&host, "look")),
        (Value::from("component"), Value::from("component"))
    );
    server.stop();
    let off = host.clone().option("--performance-schema=OFF");
    let server = off.start();
    assert_eq!((way(&off, "root"), way(&off, "look")), (Value::from("component"), Value::from("component")));
    server.stop();

    let bare = super::host::host();
    let server = bare.start();
    server.sql(&format!("CREATE USER look; GRANT {LOOKS}, REFERENCES ON *.* TO look"));
    assert_eq!(way(&bare, "root"), "none");
    assert!(way(&bare, "look")["unknown"].as_str().unwrap().contains("denied"));
    let output = encrypt(&bare, &["apply"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    server.stop();
    let off = bare.clone().option("--performance-schema=OFF");
    let server = off.start();
    assert!(way(&off, "root")["unknown"].as_str().unwrap().contains("performance_schema = OFF"));
    let verified = told_to(&off, "root", &["verify", "--no-canary"]);
    let findings = verified.document["findings"].as_array().unwrap();
    let of_keyring = findings.iter().find(|f| f["what"] == "keyring").expect("a finding");
    assert!(of_keyring["why"].as_str().unwrap().starts_with("not checked"), "{of_keyring:#}");
    server.stop();
}
