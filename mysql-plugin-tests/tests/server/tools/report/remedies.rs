// SPDX-License-Identifier: GPL-2.0-or-later
//! Follows every remedy of `keyringctl report` as it is printed, on a server that gives cause for each, and finds it gone.

use crate::tools::administered::Administered;
use mysql::{Conn, OptsBuilder};
use mysql_plugin_tests::rig::{Keyring, Volume, told, wait_until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

/// The findings whose remedies are followed here: the check, and words of the finding. keyringctl's own tests compare this
/// list with all findings that the report can have.
const FINDINGS: [(&str, &str); 30] = [
    ("certificate", "the server has no certificate"),
    ("certificate", "certificate expired on"),
    ("certificate", "certificate expires on"),
    ("certificate-file", "holds another certificate than the one that the server uses"),
    ("copies-alike", "is behind: it has generation"),
    ("copies-alike", "but the server uses"),
    ("files", "damaged"),
    ("new-data", "NOT SET"),
    ("new-data", "(late-setting)"),
    ("not-measured", "the data directory is not on this machine"),
    ("not-measured", "no permission to read"),
    ("not-measured", "skipped because of --no-files"),
    ("not-measured", "no unlock secret was given"),
    ("not-measured", "start it with performance_schema = ON"),
    ("not-measured", "SELECT on performance_schema.threads"),
    ("not-measured", "SELECT on performance_schema.replication_connection_configuration"),
    ("not-measured", "GRANT SELECT ON mysql.user"),
    ("not-measured", "run keyringctl report where /proc is mounted"),
    ("not-measured", "the server lists to"),
    ("recovery-slot", "no unlock slot for a recovery key"),
    ("replication-tls", "does not use TLS"),
    ("secure-transport", "require_secure_transport is OFF"),
    ("secure-transport", "over TCP without TLS"),
    ("server-state", "is DEGRADED"),
    ("server-state", "is DETACHED"),
    ("unencrypted", "unencrypted: "),
    ("unencrypted", "(other-engine)"),
    ("verify", "one of the two copies of"),
    ("witness", "the data directory has no witness"),
    ("witness", "the data directory was last used with keyring"),
];

/// The settings with which the server starts.
const SETTINGS: &str = "performance_schema = OFF\nauto_generate_certs = OFF\nssl_cert = none.pem\nssl_key = none-key.pem\n\
    ssl_ca = none-ca.pem\ntls_version = TLSv1.2\ninnodb_change_buffering = all\n";
const OPTIONS: [&str; 4] =
    ["--skip-networking=OFF", "--bind-address=127.0.0.1", "--log-bin=binlog", "--innodb-doublewrite=ON"];
const CLINIC: &str = "CREATE SCHEMA clinic;
    CREATE TABLE clinic.visits (id INT PRIMARY KEY, name VARCHAR(99));
    INSERT INTO clinic.visits VALUES (1, 'x');
    CREATE TABLE clinic.sealed (id INT PRIMARY KEY, name VARCHAR(99)) ENCRYPTION='Y';
    INSERT INTO clinic.sealed VALUES (1, 'x');
    CREATE TABLE clinic.old (id INT) ENGINE=MyISAM;
    INSERT INTO clinic.old VALUES (1)";
/// What an account needs to look at a server, but not at its connections.
const ACCOUNT: &str = "CREATE USER looker@localhost;
    GRANT PROCESS, REPLICATION CLIENT, REPLICATION SLAVE, TRIGGER ON *.* TO looker@localhost";

/// An administrator with a report in their hands.
struct Reader {
    it: Administered,
    second: PathBuf,
    port: u16,
    found: BTreeSet<(&'static str, &'static str)>,
}

impl Reader {
    /// Returns the findings of a report. `with`: more options; `{}` in `way` is the command.
    fn findings(&self, way: &str, with: &str) -> Vec<Value> {
        let command = way.replace("{}", &format!("keyringctl report --json {with}"));
        let output = self.it.try_shell(&command);
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
        report["findings"].as_array().unwrap_or_else(|| panic!("{report:#}")).clone()
    }

    fn unlock(&self) -> String {
        format!("--unlock file:{}", self.it.keyring.secret.display())
    }

    fn all(&self) -> Vec<Value> {
        self.findings("{}", &self.unlock())
    }

    /// Returns the fix of a finding among these, line by line.
    fn expect(&mut self, findings: &[Value], which: (&'static str, &'static str)) -> Vec<String> {
        assert!(FINDINGS.contains(&which), "{which:?} is not in the list");
        let found = findings.iter().find(|f| is(f, which));
        let found = found.unwrap_or_else(|| panic!("no {which:?} in {findings:#?}"));
        self.found.insert(which);
        let fix = found["fix"].as_array().unwrap();
        fix.iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    }

    fn is_gone(&self, which: (&str, &str)) {
        let findings = self.all();
        let left = findings.iter().find(|f| is(f, which));
        assert!(left.is_none(), "followed, and still there: {left:#?}");
    }

    /// Follows a fix, and finds its finding gone.
    fn follow(&mut self, which: (&'static str, &'static str), follow: impl FnOnce(&mut Reader, &[String])) {
        let findings = self.all();
        let fix = self.expect(&findings, which);
        assert!(!fix.is_empty(), "no fix: {findings:#?}");
        follow(self, &fix);
        self.is_gone(which);
    }

    /// Runs the commands of a fix that begin with `keyringctl`.
    fn run(&self, fix: &[String]) {
        let command =
            |line: &String| line.rsplit_once("keyringctl ").map(|(_, rest)| format!("keyringctl {rest}"));
        let commands: Vec<_> = fix.iter().filter_map(command).collect();
        assert!(!commands.is_empty(), "no command: {fix:#?}");
        for command in commands {
            // What one of two copies does not decrypt is why it is looked at.
            let may_fail = if command.contains(" verify ") { " || true" } else { "" };
            let command = command.replace("--unlock SOURCE", &self.unlock());
            self.it.shell(&format!("{command}{may_fail}"));
        }
    }

    /// Runs the statements that follow these words.
    fn statements(&self, fix: &[String], after: &str) {
        let (_, statements) = fix[0].split_once(after).unwrap_or_else(|| panic!("no {after:?}: {fix:#?}"));
        let statements = statements.split_once(" (").map_or(statements, |(now, _)| now);
        self.it.client(statements);
    }
}

fn is(finding: &Value, (check, words): (&str, &str)) -> bool {
    finding["check"] == check && finding["what"].as_str().unwrap().contains(words)
}

/// Gives cause for every finding, follows each remedy, and finds nothing left.
pub fn remedies_work_as_printed() {
    let volumes = [Volume::directory(), Volume::directory()];
    let keyring = Keyring::init_on(&[&volumes[0], &volumes[1]]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port_option = format!("--port={port}");
    let options: Vec<&str> = OPTIONS.into_iter().chain([port_option.as_str()]).collect();
    let it = Administered::new(&keyring, SETTINGS, &options);
    it.server().sql(CLINIC);
    let second = keyring.mirrors[0].clone();
    let mut reader = Reader { it, second, port, found: BTreeSet::new() };
    without_certificate(&mut reader);
    connections(&mut reader);
    certificates(&mut reader);
    not_checked(&mut reader);
    data(&mut reader);
    copies(&mut reader);
    witness(&mut reader);
    between_servers(&mut reader);
    let followed: Vec<_> = FINDINGS.into_iter().filter(|f| !reader.found.contains(f)).collect();
    assert!(followed.is_empty(), "not followed: {followed:?}");
    reader.it.server.take().unwrap().stop();
}

/// Two causes that only another start of the server removes.
fn without_certificate(reader: &mut Reader) {
    let (none, hidden) = (
        ("certificate", "the server has no certificate"),
        ("not-measured", "start it with performance_schema = ON"),
    );
    let findings = reader.all();
    let fix = reader.expect(&findings, none);
    reader.expect(&findings, hidden);
    let names =
        fix[0].strip_prefix("remove ").and_then(|rest| rest.split_once(" from the server's option file"));
    let names = names.unwrap_or_else(|| panic!("{fix:#?}")).0.replace(" and ", ", ");
    names.split(", ").for_each(|name| reader.it.remove_setting(name));
    reader.it.remove_setting("performance_schema");
    reader.it.restart(|| {});
    reader.is_gone(none);
    reader.is_gone(hidden);
}

fn connections(reader: &mut Reader) {
    // Otherwise it would go on through the socket.
    let tcp = OptsBuilder::new()
        .ip_or_hostname(Some("127.0.0.1"))
        .tcp_port(reader.port)
        .user(Some("root"))
        .prefer_socket(false);
    let plain = Conn::new(tcp).unwrap();
    reader.follow(("secure-transport", "over TCP without TLS"), |reader, fix| {
        assert!(fix[0].contains("TLS in the configuration of these clients"), "{fix:#?}");
        drop(plain);
        let port = reader.port;
        reader.it.shell(&format!(
            "mysql --protocol=tcp -h 127.0.0.1 -P {port} --ssl-mode=REQUIRED -e 'DO SLEEP(60)' >/dev/null 2>&1 &"
        ));
        let by_tls = "SELECT COUNT(*) FROM performance_schema.threads WHERE CONNECTION_TYPE = 'SSL/TLS'";
        assert!(wait_until(Duration::from_secs(60), || reader.it.server().value::<u64>(by_tls) > 0));
    });
    reader.follow(("secure-transport", "require_secure_transport is OFF"), |reader, fix| {
        reader.statements(fix, "run in the server: ");
    });
}

/// Creates a certificate in the place of the server's own.
fn new_certificate(reader: &Reader, days: i32) {
    let (cert, key) = (reader.it.path("server-cert.pem"), reader.it.path("server-key.pem"));
    let (cert, key) = (cert.display(), key.display());
    reader.it.shell(&format!(
        "openssl req -new -newkey rsa:2048 -nodes -keyout '{key}' -subj /CN=test -out '{cert}.csr' 2>/dev/null; \
         openssl x509 -req -in '{cert}.csr' -signkey '{key}' -days {days} -out '{cert}' 2>/dev/null; rm '{cert}.csr'"
    ));
}

fn certificates(reader: &mut Reader) {
    for (days, words) in [(-1, "certificate expired on"), (10, "certificate expires on")] {
        // A server that runs takes no expired one.
        new_certificate(reader, days);
        reader.it.restart(|| {});
        reader.follow(("certificate", words), |reader, fix| {
            assert!(fix[0].starts_with("create a new certificate in the place of this one"), "{fix:#?}");
            new_certificate(reader, 365);
            reader.statements(fix, "run in the server: ");
        });
    }
}

/// A certificate that was replaced under the server, and replication that is not encrypted.
fn between_servers(reader: &mut Reader) {
    new_certificate(reader, 400);
    reader.follow(
        ("certificate-file", "holds another certificate than the one that the server uses"),
        |reader, fix| {
            reader.statements(fix, "run in the server: ");
        },
    );
    // Nobody needs to be there. The default channel would leave a relay log behind.
    reader.it.client(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'x', SOURCE_SSL = 0 FOR CHANNEL 'a'",
    );
    reader.follow(("replication-tls", "does not use TLS"), |reader, fix| {
        reader.statements(fix, "run in this server: ");
    });
    reader.it.client("STOP REPLICA FOR CHANNEL 'a'; RESET REPLICA ALL FOR CHANNEL 'a'");
}

/// What a report does not see if it is made in another way.
fn not_checked(reader: &mut Reader) {
    let unlock = reader.unlock();
    let datadir = reader.it.host.datadir();
    let away = format!(
        "unshare --mount --propagation slave sh -ec 'mount -t tmpfs none \"{}\"; {{}}'",
        datadir.display()
    );
    let no_proc = "unshare --mount --propagation slave sh -ec 'mount -t tmpfs none /proc; {}'";
    for (words, way, with) in [
        ("skipped because of --no-files", "{}", format!("{unlock} --no-files")),
        ("no unlock secret was given", "{}", String::new()),
        (
            "the data directory is not on this machine",
            away.as_str(),
            format!("{unlock} --host=127.0.0.1 --port={}", reader.port),
        ),
        ("run keyringctl report where /proc is mounted", no_proc, unlock.clone()),
    ] {
        let which = ("not-measured", words);
        let findings = reader.findings(way, &with);
        reader.expect(&findings, which);
        let of_cause: Vec<_> = findings.iter().filter(|f| is(f, which)).collect();
        assert_eq!(of_cause.len(), 1, "one cause is one finding: {of_cause:#?}");
        reader.is_gone(which);
    }
    reader.it.server().sql(ACCOUNT);
    let with = format!("{unlock} --user=looker");
    for table in ["threads", "replication_connection_configuration"] {
        let words = format!("SELECT on performance_schema.{table}");
        let which = FINDINGS.into_iter().find(|(_, known)| *known == words).expect("in the list");
        let findings = reader.findings("{}", &with);
        reader.expect(&findings, which);
        reader.it.client(&format!("GRANT SELECT ON performance_schema.{table} TO looker@localhost"));
        assert!(!reader.findings("{}", &with).iter().any(|f| is(f, which)));
    }
    let rights = ("not-measured", "GRANT SELECT ON mysql.user");
    let findings = reader.findings("{}", &with);
    reader.expect(&findings, rights);
    let said =
        findings.iter().find(|f| is(f, rights)).expect("it was there")["what"].as_str().unwrap().to_owned();
    reader.statements(&[said], "as an administrator, run: ");
    assert!(!reader.findings("{}", &with).iter().any(|f| is(f, rights)));

    // An account to which the server does not list every table.
    reader.it.client("CREATE USER blind@localhost; GRANT PROCESS, REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO blind@localhost");
    let (unseen, with) = (("not-measured", "the server lists to"), format!("{unlock} --user=blind"));
    let findings = reader.findings("{}", &with);
    let fix = reader.expect(&findings, unseen);
    reader.statements(&fix, "as an administrator, run: ");
    assert!(!reader.findings("{}", &with).iter().any(|f| is(f, unseen)));

    // Somebody who may connect, but not read the server's files.
    let closed = ("not-measured", "no permission to read");
    let findings = reader.findings("setpriv --reuid=65534 --regid=65534 --clear-groups {}", &unlock);
    reader.expect(&findings, closed);
    reader.is_gone(closed);
}

/// What is unencrypted, and what is not set.
fn data(reader: &mut Reader) {
    // A damaged page of an encrypted table.
    let file = reader.it.path("clinic/sealed.ibd");
    reader.it.client("FLUSH TABLES clinic.sealed FOR EXPORT; UNLOCK TABLES");
    let intact = fs::read(&file).unwrap();
    let mut damaged = intact.clone();
    for page in damaged.chunks_exact_mut(16384).skip(3).filter(|page| page.iter().any(|byte| *byte != 0)) {
        page[200..300].fill(0x55);
    }
    fs::write(&file, damaged).unwrap();
    reader.follow(("files", "damaged"), |_, _| fs::write(&file, intact).unwrap());

    reader.follow(("unencrypted", "(other-engine)"), |reader, fix| reader.it.client(&fix[0]));
    let mut left = 12;
    let is_of_data = |f: &&Value| matches!(f["check"].as_str(), Some("unencrypted" | "new-data" | "files"));
    loop {
        let findings = reader.all();
        for which in
            [("unencrypted", "unencrypted: "), ("new-data", "NOT SET"), ("new-data", "(late-setting)")]
        {
            if findings.iter().any(|f| is(f, which)) {
                reader.expect(&findings, which);
            }
        }
        let is_last = |f: &&Value| f["what"].as_str().unwrap().contains("dblwr");
        let of_data: Vec<_> = findings.iter().filter(is_of_data).collect();
        // What removes other unencrypted data may write to the doublewrite files.
        let next = of_data.iter().find(|f| !is_last(f)).or(of_data.first());
        let Some(next) = next else { break };
        let fix = next["fix"][0].as_str().unwrap_or_else(|| panic!("{next:#}")).to_owned();
        reader.it.follow(&fix);
        let now = reader.all();
        assert!(!now.iter().any(|f| f["fix"][0] == fix.as_str()), "{fix}: {now:#?}");
        left -= 1;
        assert!(left > 0, "{of_data:#?}");
    }
}

fn copies(reader: &mut Reader) {
    let first = reader.it.keyring.path.clone();
    let second = reader.second.clone();
    let kept = fs::read(&second).unwrap();

    fs::remove_file(&second).unwrap();
    reader.it.server().comes_to(&[("state", "DEGRADED")]);
    reader.follow(("server-state", "is DEGRADED"), |reader, fix| {
        reader.run(fix);
        // The server looks for the copy once a second.
        reader.it.server().comes_to(&[("state", "ATTACHED")]);
    });
    let both = [&first, &second].map(|path| (path.clone(), path.with_extension("away")));
    both.iter().for_each(|(path, away)| fs::rename(path, away).unwrap());
    reader.it.server().comes_to(&[("state", "DETACHED")]);
    reader.follow(("server-state", "is DETACHED"), |reader, fix| {
        assert!(fix[0].starts_with("mount a volume with a copy"), "{fix:#?}");
        both.iter().for_each(|(path, away)| fs::rename(away, path).unwrap());
        reader.it.server().comes_to(&[("state", "ATTACHED")]);
    });

    // A server that may not write to the copies leaves them as they are.
    reader
        .it
        .server()
        .sql("ALTER INSTANCE ROTATE INNODB MASTER KEY; SET GLOBAL keyring_external_read_only = ON");
    fs::write(&second, &kept).unwrap();
    reader.follow(("copies-alike", "is behind: it has generation"), |reader, fix| reader.run(fix));
    let good = fs::read(&second).unwrap();
    let mut damaged = good.clone();
    damaged[100] ^= 1;
    fs::write(&second, damaged).unwrap();
    reader.follow(("verify", "one of the two copies of"), |reader, fix| reader.run(fix));

    let other = Volume::directory();
    fs::write(&second, fs::read(Keyring::init(&other).path).unwrap()).unwrap();
    reader.follow(("copies-alike", "but the server uses"), |_, fix| {
        assert!(fix[0].starts_with("mount the volume with the right copy"), "{fix:#?}");
        fs::write(&second, &good).unwrap();
    });

    reader.it.server().sql("SET GLOBAL keyring_external_read_only = OFF");
    reader.it.server().comes_to(&[("state", "ATTACHED")]);

    let slots = reader.it.keyring.report("status");
    let slots = slots["slots"].as_array().unwrap_or_else(|| panic!("{slots:#}"));
    let recovery =
        slots.iter().find(|slot| slot["kind"] == "recovery").unwrap_or_else(|| panic!("{slots:#?}"));
    let (number, unlock) = (&recovery["number"], reader.unlock());
    let (first, second) = (first.display(), second.display());
    reader.it.shell(&format!("keyringctl slot remove {first} {number} --mirror {second} {unlock} --yes"));
    reader.follow(("recovery-slot", "no unlock slot for a recovery key"), |reader, fix| reader.run(fix));
}

fn witness(reader: &mut Reader) {
    let file = reader.it.path("keyring_external.witness");
    // The server writes the witness when it adopts the new slot.
    let datadir = reader.it.path("");
    let adopted = || {
        reader.it.server().status();
        let shown =
            reader.it.try_shell(&format!("keyringctl --json witness show --datadir {}", datadir.display()));
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        shown["witness"]["generation"] == reader.it.keyring.open().status().generation
    };
    assert!(wait_until(Duration::from_secs(60), adopted), "{}", reader.it.server().log());
    fs::remove_file(&file).unwrap();
    reader.follow(("witness", "the data directory has no witness"), |reader, fix| {
        assert!(fix[0].ends_with("at its next start"), "{fix:#?}");
        reader.it.restart(|| {});
    });

    let paths = reader.it.keyring.paths();
    let read = |paths: &[PathBuf]| paths.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
    let write = |paths: &[PathBuf], all: &[Vec<u8>]| {
        paths.iter().zip(all).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    };
    let files: Vec<_> = paths.iter().chain([&file]).cloned().collect();
    let before = read(&files);
    reader.it.keyring.store("of_later");
    reader.it.restart(|| {});
    let later = read(&files);
    reader.it.restart(|| write(&files, &before));
    fs::write(&file, &later[2]).unwrap();
    reader.follow(("witness", "the data directory was last used with keyring"), |reader, fix| {
        assert!(
            fix[0].starts_with("mount the volume with the copy that the data was last used with"),
            "{fix:#?}"
        );
        let shown = fix[1].rsplit_once("keyringctl ").unwrap().1;
        reader.it.shell(&format!("keyringctl {shown}"));
        reader.it.restart(|| write(&files, &later));
    });
}
